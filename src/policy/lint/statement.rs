//! Findings about a statement as a whole.

use super::super::kind::PolicyKind;
use super::{Check, action, condition, relevance, resource, rules, window};

/// Checks a statement; `now` is the present moment in milliseconds since 1970.
pub(super) fn check(check: &mut Check<'_, '_>, now: i64) {
    let statement = check.statement;
    if let Some(at) = statement.empty_sid {
        let fix = "leave it out, or name the statement";
        check.findings.add(rules::EMPTY_SID, at, "the `Sid` is empty", fix);
    }
    action::check(check);
    resource::check(check);
    condition::check(check);
    window::check(statement, now, check.findings);
    check_principals(check);
    relevance::check(check);
}

fn check_principals(check: &mut Check<'_, '_>) {
    let &mut Check { document, statement, .. } = check;
    let Some(principals) = &statement.principals else { return };
    if principals.is_empty {
        check.findings.add(
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
        check.findings.add(
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
        check.findings.add(
            rules::ALLOW_NOT_PRINCIPAL,
            principals.at,
            "`Allow` with `NotPrincipal` allows everybody who is not named",
            "name those who may, under `Principal`",
        );
    } else if principals.everybody && !statement.is_conditional {
        check.findings.add(
            rules::PUBLIC_PRINCIPAL,
            principals.value_at,
            "everybody may, of every account",
            "name accounts or users, or add a condition such as `aws:PrincipalOrgID`",
        );
    }
}
