//! Findings about a statement as a whole.

use super::super::kind::PolicyKind;
use super::view::{Document, Statement};
use super::{Findings, action, condition, cover, relevance, resource, rules, window};

/// Checks a statement.
pub(super) fn check(
    document: &Document<'_>,
    statement: &Statement<'_>,
    now: i64,
    budget: &mut cover::Budget,
    findings: &mut Findings<'_>,
) {
    if let Some(at) = statement.empty_sid {
        let fix = "leave it out, or name the statement";
        findings.add(rules::EMPTY_SID, at, "the `Sid` is empty", fix);
    }
    action::check(document, statement, budget, findings);
    resource::check(document, statement, budget, findings);
    resource::check_variables(document, statement, findings);
    condition::check(document, statement, budget, findings);
    window::check(statement, now, findings);
    check_principals(document, statement, findings);
    relevance::check(document, statement, findings);
}

fn check_principals(
    document: &Document<'_>,
    statement: &Statement<'_>,
    findings: &mut Findings<'_>,
) {
    let Some(principals) = &statement.principals else { return };
    if principals.is_empty {
        findings.add(
            rules::EMPTY_OBJECT,
            principals.value_at,
            "empty object, which names no principal",
            "name one, such as {\"AWS\": \"111122223333\"}",
        );
    }
    if document.kind != PolicyKind::Resource {
        return;
    }
    if statement.denies() && principals.negated {
        findings.add(
            rules::DENY_NOT_PRINCIPAL,
            principals.at,
            "`Deny` with `NotPrincipal` denies everybody who has a permissions boundary, named or not",
            "write \"Principal\": \"*\" with a condition \"ArnNotEquals\" on `aws:PrincipalArn`",
        );
    }
    if !statement.allows() {
        return;
    }
    if principals.negated {
        findings.add(
            rules::ALLOW_NOT_PRINCIPAL,
            principals.at,
            "`Allow` with `NotPrincipal` allows everybody who is not named",
            "name those who may, under `Principal`",
        );
    } else if principals.everybody && !statement.is_conditional {
        findings.add(
            rules::PUBLIC_PRINCIPAL,
            principals.value_at,
            "everybody may, of every account",
            "name accounts or users, or add a condition such as `aws:PrincipalOrgID`",
        );
    }
}
