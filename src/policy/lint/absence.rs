//! Findings about keys that a request does not have: always, sometimes, or with other actions.

use super::super::kind::PolicyKind;
use super::super::operator::Family;
use super::super::words::quoted;
use super::key::{Key, Presence};
use super::list::null_check;
use super::view::{Condition, Statement};
use super::{Check, rules, ses};

/// Checks what the absence of a condition's key means.
pub(super) fn check(check: &mut Check<'_, '_>, condition: &Condition, key: &Key) {
    let statement = check.statement;
    if key.presence == Presence::Never {
        if statement.is_about_mail() {
            check_never(check, condition, key);
        }
        return;
    }
    let is_asked = statement.conditions.iter().any(|other| other.requires(&condition.folded_key));
    if condition.operator.family == Family::Null || is_asked {
        return;
    }
    check_other_actions(check, condition, key);
    if key.presence == Presence::Sometimes {
        check_sometimes(check, condition, key);
    }
}

/// No mail has the key.
fn check_never(check: &mut Check<'_, '_>, condition: &Condition, key: &Key) {
    let &mut Check { document, statement, .. } = check;
    let (at, shown) = (condition.key_at, quoted(&condition.key));
    if key.name.starts_with("ses:") {
        let action = ses::SMTP_ACTION;
        let (message, fix) = if statement.denies() && !condition.holds_when_absent() {
            (
                format!("`{action}` has no {shown}, so that the Deny never applies to it"),
                "deny by a key that mail has, such as `ses:FromAddress`, or by resource",
            )
        } else {
            (
                format!("`{action}` has no {shown}"),
                "part the statement by actions, and decide about mail by a key that it has",
            )
        };
        check.findings.add(rules::NOT_AVAILABLE, at, message, fix);
        return;
    }
    let holds = condition.holds_when_absent();
    if document.kind == PolicyKind::Resource && statement.allows() && !holds {
        // Written for whoever sends by other ways.
        check.findings.add(
            rules::IRRELEVANT,
            at,
            format!("no mail through the relay has {shown}, so that this never allows any"),
            "if mail through the relay is meant, name its account or users under `Principal`",
        );
        return;
    }
    let verb = if statement.denies() { "denies" } else { "allows" };
    let name = quoted(&condition.name);
    let then = match holds {
        true => format!("{name} holds for every mail"),
        false => format!("the statement never {verb} any"),
    };
    let fix = match (statement.denies(), holds, statement.actions.negated) {
        (true, true, true) => format!("add `{}` to `NotAction`", ses::SMTP_ACTION),
        (true, true, false) => "leave mail out of the actions of this statement".to_owned(),
        _ => "decide about mail by a key that it has, such as `ses:FromAddress` or `aws:SourceIp`"
            .to_owned(),
    };
    let message = format!("no mail through the relay has {shown}: {then}");
    check.findings.add(rules::NOT_SUPPLIED, at, message, fix);
}

/// Other actions of the statement have no such key.
fn check_other_actions(check: &mut Check<'_, '_>, condition: &Condition, key: &Key) {
    let statement = check.statement;
    let is_of_mail = key.is_of_mail() && key.name != "ses:ApiVersion";
    if !statement.allows() || !is_of_mail || !condition.holds_when_absent() {
        return;
    }
    let other = statement.purpose.as_ref().and_then(|it| it.action_without_key(key.name));
    if let Some(other) = other {
        let name = quoted(&condition.name);
        check.findings.add(
            rules::HOLDS_FOR_OTHERS,
            condition.key_at,
            format!("{name} also holds for `{other}`, which has no `{}`", key.name),
            format!("name the actions that have it, such as `{}`, alone", ses::SMTP_ACTION),
        );
    }
}

/// Mail may have the key or not.
fn check_sometimes(check: &mut Check<'_, '_>, condition: &Condition, key: &Key) {
    let &mut Check { document, statement, .. } = check;
    let (at, shown) = (condition.key_at, quoted(&condition.key));
    // A mail without display name says nothing that could be wrong.
    let is_claimed = key.name == "ses:FromDisplayName";
    if statement.allows()
        && condition.operator.negated
        && condition.holds_when_absent()
        && !is_claimed
    {
        check.findings.add(
            rules::NEGATED_ABSENT,
            at,
            format!("{} also holds for a request without {shown}", quoted(&condition.name)),
            null_check(condition),
        );
    }
    let other = match key.name {
        "aws:SourceIp" => "aws:VpcSourceIp",
        "aws:VpcSourceIp" => "aws:SourceIp",
        _ => return,
    };
    let denies_by_other = |it: &Statement<'_>| {
        it.denies() && it.conditions.iter().any(|it| it.key.eq_ignore_ascii_case(other))
    };
    if statement.denies()
        && !condition.holds_when_absent()
        && !document.statements.iter().any(denies_by_other)
    {
        check.findings.add(
            rules::DENY_ABSENT,
            at,
            format!("a client that has `{other}` instead of {shown} is not denied"),
            format!("deny the networks by `{other}` too, in a statement of its own"),
        );
    }
}
