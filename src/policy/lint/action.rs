//! Findings about `Action` and `NotAction`.

use super::super::action::ActionPattern;
use super::super::kind::PolicyKind;
use super::super::words::quoted;
use super::view::Text;
use super::{Check, Findings, cover, rules, ses};

/// Names that are often written for the service `ses`.
const NOT_SES: [&str; 9] =
    ["sesv2", "ses2", "amazonses", "email", "mail", "smtp", "sess", "sse", "se"];

/// Checks the actions of a statement.
pub(super) fn check(check: &mut Check<'_, '_>) {
    let &mut Check { document, statement, .. } = check;
    let list = &statement.actions;
    if statement.allows() && list.negated {
        check.findings.add(
            rules::ALLOW_NOT_ACTION,
            list.at,
            "`Allow` with `NotAction` allows every action of every service that is not named",
            "list the actions under `Action`",
        );
    }
    for entry in &list.entries {
        check_name(entry, check.findings);
        if statement.allows() && !list.negated && !is_guardrail(document.kind) {
            check_breadth(entry, check.findings);
        }
    }
    cover::check_actions(&list.entries, check.budget, check.findings);
}

/// Tells whether policies of the kind only limit what others allow, so that they allow much.
pub(super) fn is_guardrail(kind: PolicyKind) -> bool {
    matches!(kind, PolicyKind::Boundary | PolicyKind::ServiceControl | PolicyKind::ResourceControl)
}

fn check_name(entry: &Text, findings: &mut Findings<'_>) {
    let Text { at, text } = entry;
    let (Ok(pattern), Some((service, name))) =
        (ActionPattern::parse(text, true), text.split_once(':'))
    else {
        return;
    };
    let shown = quoted(text);
    if !service.eq_ignore_ascii_case("ses") {
        if NOT_SES.iter().any(|other| other.eq_ignore_ascii_case(service)) {
            let message = format!("{shown} is of a service that AWS does not have");
            let fix = format!("write {}", quoted(&format!("ses:{name}")));
            findings.add(rules::INVALID_SERVICE, *at, message, fix);
        }
        return;
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"*?".contains(&byte))
        || name.is_empty()
    {
        let fix = format!("write one of its actions, such as `{}`", ses::SMTP_ACTION);
        findings.add(rules::INVALID_ACTION, *at, format!("no action is called {shown}"), fix);
        return;
    }
    if findings.is_full(rules::UNKNOWN_ACTION.severity) || ses::has_action(&pattern) {
        return;
    }
    let fix = match ses::nearest_action(text) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("mail over SMTP is `{}`", ses::SMTP_ACTION),
    };
    let message = format!("{shown} is not among the actions of SES that are known here");
    findings.add(rules::UNKNOWN_ACTION, *at, message, fix);
}

fn check_breadth(entry: &Text, findings: &mut Findings<'_>) {
    if entry.text.bytes().all(|byte| byte == b'*') {
        findings.add(
            rules::EVERY_ACTION,
            entry.at,
            "`*` allows every action of every service",
            format!("write `{}`, which is all that mail over SMTP needs", ses::SMTP_ACTION),
        );
    } else if entry.text.eq_ignore_ascii_case("ses:*") {
        findings.add(
            rules::BROAD_ACTION,
            entry.at,
            "`ses:*` allows more than sending, such as deleting identities",
            format!("write `{}`, which is all that mail over SMTP needs", ses::SMTP_ACTION),
        );
    }
}
