//! Whether a statement concerns mail over SMTP, and whether its actions, resources, principals and keys
//! go together.

use super::super::kind::PolicyKind;
use super::key::Key;
use super::purpose::Purpose;
use super::view::Statement;
use super::{Check, resource, rules, ses};

/// Checks whether actions, resources, principals and keys go together, and whether mail is concerned
/// at all.
pub(super) fn check(check: &mut Check<'_, '_>) {
    let statement = check.statement;
    let Some(purpose) = statement.purpose.as_ref().filter(|purpose| purpose.ses) else { return };
    check_smtp(check, purpose);
    check_services(check, purpose);
    check_resources(check, purpose);
    for condition in &statement.conditions {
        let Some(key) = Key::find(&condition.key) else { continue };
        if key.is_of_mail() && key.name != "ses:ApiVersion" && !purpose.may_have_key(key.name) {
            check.findings.add(
                rules::NOT_AVAILABLE,
                condition.key_at,
                format!("none of the actions has `{}`", key.name),
                format!("add `{}`, or decide by a key that the actions have", ses::SMTP_ACTION),
            );
        }
    }
}

fn check_smtp(check: &mut Check<'_, '_>, purpose: &Purpose) {
    let &mut Check { document, statement, .. } = check;
    if purpose.smtp {
        return;
    }
    let (at, wanted) = (statement.actions.at, ses::SMTP_ACTION);
    let same = |other: &&Statement<'_>| {
        other.effect == statement.effect && other.purpose.as_ref().is_some_and(|it| it.smtp)
    };
    let verb = match statement.denies() {
        true => "deny",
        false => "allow",
    };
    if purpose.is_api_mail() && !document.statements.iter().any(|other| same(&other)) {
        check.findings.add(
            rules::API_ALONE,
            at,
            format!("mail over SMTP is `{wanted}`, which this does not {verb}"),
            format!("add `{wanted}`"),
        );
    } else {
        check.findings.add(
            rules::IRRELEVANT,
            at,
            format!("the statement cannot concern `{wanted}`, the action of mail over SMTP"),
            format!("add `{wanted}` if mail is meant"),
        );
    }
}

/// A service never is who sends through the relay.
fn check_services(check: &mut Check<'_, '_>, purpose: &Purpose) {
    let statement = check.statement;
    let Some(principals) = &statement.principals else { return };
    if principals.negated || !purpose.smtp {
        return;
    }
    let Some(first) = principals.services_alone.first() else { return };
    let fix = "name the account or the IAM user that sends, such as {\"AWS\": \"111122223333\"}";
    let is_ses = |service: &str| ["ses.", "email."].iter().any(|it| service.starts_with(it));
    if let Some(ses) = principals.services_alone.iter().find(|it| is_ses(&it.text)) {
        let message = "SES itself sends nothing: mail over SMTP is sent by an IAM user or role";
        check.findings.add(rules::SERVICE_PRINCIPAL, ses.at, message, fix);
    } else {
        let message =
            "no service sends through the relay, so that the statement concerns no mail there";
        check.findings.add(
            rules::IRRELEVANT,
            first.at,
            message,
            format!("if mail is meant, {fix}"),
        );
    }
}

fn check_resources(check: &mut Check<'_, '_>, purpose: &Purpose) {
    let &mut Check { document, statement, .. } = check;
    let list = &statement.resources;
    let Some(first) = list.entries.first().filter(|_| !list.negated) else { return };
    let for_mail = |entry| resource::may_be_for_mail(entry, document);
    if purpose.smtp && !list.entries.iter().any(for_mail) {
        check.findings.add(
            rules::RESOURCE_MISMATCH,
            first.at,
            "mail is sent with identities and configuration sets, and the statement names neither",
            "name an identity, such as `arn:aws:ses:REGION:ACCOUNT:identity/example.com`",
        );
    } else if statement.allows()
        && document.kind != PolicyKind::Resource
        && purpose.has_no_resource()
        && !list.entries.iter().any(|entry| entry.text == "*")
    {
        check.findings.add(
            rules::RESOURCE_MISMATCH,
            first.at,
            "the actions work on no resource of their own, so that these have no effect",
            "write `*`",
        );
    }
}
