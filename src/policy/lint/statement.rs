//! Findings about a statement as a whole.

use super::super::action::ActionPattern;
use super::super::document::PolicyKind;
use super::super::error::quoted;
use super::key::{Key, Presence};
use super::view::{Document, Statement};
use super::{Findings, action, condition, cover, resource, rules, ses, window};

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
    check_purpose(document, statement, findings);
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

/// What the entries of `Action` are good for.
struct Purpose {
    /// Mail over SMTP.
    smtp: bool,
    /// Mail by any action that has recipients.
    sends: bool,
    /// All are actions in full that work on no resource.
    no_resource: bool,
}

impl Purpose {
    fn of(statement: &Statement<'_>) -> Option<Purpose> {
        let list = &statement.actions;
        let patterns: Vec<_> = list
            .entries
            .iter()
            .filter_map(|entry| ActionPattern::parse(&entry.text, true).ok())
            .collect();
        if patterns.is_empty() || patterns.len() < list.entries.len() {
            return None;
        }
        let matches = |action| patterns.iter().any(|pattern| pattern.matches(action));
        let no_resource = |pattern: &ActionPattern| ses::has_no_resource(pattern.written());
        Some(Purpose {
            smtp: matches(ses::SMTP_ACTION) != list.negated,
            sends: list.negated || patterns.iter().any(ses::sends),
            no_resource: !list.negated && patterns.iter().all(no_resource),
        })
    }
}

/// Checks whether actions, resources and keys go together, and whether mail is concerned at all.
fn check_purpose(document: &Document<'_>, statement: &Statement<'_>, findings: &mut Findings<'_>) {
    let Some(purpose) = Purpose::of(statement) else { return };
    if !purpose.smtp {
        let wanted = ses::SMTP_ACTION;
        findings.add(
            rules::IRRELEVANT,
            statement.actions.at,
            format!("the statement cannot concern `{wanted}`, the action of mail over SMTP"),
            format!("add `{wanted}` if mail is meant"),
        );
    }
    check_resources(document, statement, &purpose, findings);
    for condition in &statement.conditions {
        let Some(key) = Key::find(&condition.key) else { continue };
        let shown = quoted(&condition.key);
        if key.presence == Presence::Never && purpose.smtp {
            let action = ses::SMTP_ACTION;
            let (message, fix) = if statement.denies() && !condition.holds_without_key() {
                (
                    format!("`{action}` has no {shown}, so that the Deny never applies to it"),
                    "deny by a key that mail has, such as `ses:FromAddress`, or by resource",
                )
            } else {
                (
                    format!("`{action}` has no {shown}"),
                    "leave the condition out, or part the statement by actions",
                )
            };
            findings.add(rules::NOT_AVAILABLE, condition.key_at, message, fix);
        }
        let of_mail =
            matches!(key.name, "ses:Recipients" | "ses:FeedbackAddress" | "ses:FromDisplayName");
        if of_mail && !purpose.sends {
            findings.add(
                rules::NOT_AVAILABLE,
                condition.key_at,
                format!("none of the actions has {shown}"),
                format!("add `{}`, or leave the condition out", ses::SMTP_ACTION),
            );
        }
    }
}

fn check_resources(
    document: &Document<'_>,
    statement: &Statement<'_>,
    purpose: &Purpose,
    findings: &mut Findings<'_>,
) {
    let list = &statement.resources;
    let Some(first) = list.entries.first().filter(|_| !list.negated) else { return };
    let for_mail = |entry| resource::may_be_for_mail(entry, document);
    if purpose.smtp && !list.entries.iter().any(for_mail) {
        findings.add(
            rules::RESOURCE_MISMATCH,
            first.at,
            "mail is sent with identities and configuration sets, and the statement names neither",
            "name an identity, such as `arn:aws:ses:REGION:ACCOUNT:identity/example.com`",
        );
    } else if statement.allows()
        && purpose.no_resource
        && !list.entries.iter().any(|entry| entry.text == "*")
    {
        findings.add(
            rules::RESOURCE_MISMATCH,
            first.at,
            "the actions work on no resource of their own, so that these have no effect",
            "write `*`",
        );
    }
}
