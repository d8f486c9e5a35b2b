//! What a statement is about: mail over SMTP, other actions of SES, or other services.

use super::super::action::ActionPattern;
use super::super::kind::PolicyKind;
use super::key::Key;
use super::view::{Document, List, Statement};
use super::{Findings, resource, rules, ses};

/// What the entries of `Action` are good for.
pub(super) struct Purpose {
    patterns: Vec<ActionPattern>,
    negated: bool,
    /// Mail over SMTP.
    pub(super) smtp: bool,
    /// Any action of SES.
    ses: bool,
}

impl Purpose {
    /// Looks at the actions; `None` when one of them cannot be read.
    pub(super) fn of(list: &List) -> Option<Purpose> {
        let patterns: Vec<_> = list
            .entries
            .iter()
            .filter_map(|entry| ActionPattern::parse(&entry.text, true).ok())
            .collect();
        if patterns.is_empty() || patterns.len() < list.entries.len() {
            return None;
        }
        let negated = list.negated;
        let matches = |action| patterns.iter().any(|pattern| pattern.matches(action));
        let is_of_ses = |pattern: &ActionPattern| {
            let service = pattern.written().split(':').next().unwrap_or_default();
            service == "*" || service.eq_ignore_ascii_case("ses")
        };
        let smtp = matches(ses::SMTP_ACTION) != negated;
        // Names that SES does not have are meant to be some.
        let ses = negated || patterns.iter().any(is_of_ses);
        Some(Purpose { patterns, negated, smtp, ses })
    }

    /// Mail by the API alone.
    fn is_api_mail(&self) -> bool {
        !self.smtp && !self.negated && self.patterns.iter().any(ses::sends_by_api)
    }

    /// All are actions in full that work on no resource.
    fn has_no_resource(&self) -> bool {
        let no_resource = |pattern: &ActionPattern| ses::has_no_resource(pattern.written());
        !self.negated && self.patterns.iter().all(no_resource)
    }

    /// Whether something is sent or changed that `*` as resource would leave open.
    pub(super) fn changes_resources(&self) -> bool {
        self.negated || self.patterns.iter().any(ses::changes_resources)
    }

    fn may_have_key(&self, key: &str) -> bool {
        self.negated || self.patterns.iter().any(|pattern| ses::may_have_key(pattern, key))
    }

    /// An action beside mail that has no such key.
    pub(super) fn action_without_key(&self, key: &str) -> Option<&'static str> {
        if self.negated {
            return None;
        }
        self.patterns.iter().find_map(|pattern| ses::action_without_key(pattern, key))
    }
}

/// Checks whether actions, resources, principals and keys go together, and whether mail is concerned
/// at all.
pub(super) fn check(
    document: &Document<'_>,
    statement: &Statement<'_>,
    findings: &mut Findings<'_>,
) {
    let Some(purpose) = statement.purpose.as_ref().filter(|purpose| purpose.ses) else { return };
    check_smtp(document, statement, purpose, findings);
    check_services(statement, purpose, findings);
    check_resources(document, statement, purpose, findings);
    for condition in &statement.conditions {
        let Some(key) = Key::find(&condition.key) else { continue };
        if key.is_of_mail() && key.name != "ses:ApiVersion" && !purpose.may_have_key(key.name) {
            findings.add(
                rules::NOT_AVAILABLE,
                condition.key_at,
                format!("none of the actions has `{}`", key.name),
                format!("add `{}`, or decide by a key that the actions have", ses::SMTP_ACTION),
            );
        }
    }
}

fn check_smtp(
    document: &Document<'_>,
    statement: &Statement<'_>,
    purpose: &Purpose,
    findings: &mut Findings<'_>,
) {
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
        findings.add(
            rules::API_ALONE,
            at,
            format!("mail over SMTP is `{wanted}`, which this does not {verb}"),
            format!("add `{wanted}`"),
        );
    } else {
        findings.add(
            rules::IRRELEVANT,
            at,
            format!("the statement cannot concern `{wanted}`, the action of mail over SMTP"),
            format!("add `{wanted}` if mail is meant"),
        );
    }
}

/// A service never is who sends through the relay.
fn check_services(statement: &Statement<'_>, purpose: &Purpose, findings: &mut Findings<'_>) {
    let Some(principals) = &statement.principals else { return };
    if principals.negated || !purpose.smtp {
        return;
    }
    let Some(first) = principals.services_alone.first() else { return };
    let fix = "name the account or the IAM user that sends, such as {\"AWS\": \"111122223333\"}";
    let is_ses = |service: &str| ["ses.", "email."].iter().any(|it| service.starts_with(it));
    if let Some(ses) = principals.services_alone.iter().find(|it| is_ses(&it.text)) {
        let message = "SES itself sends nothing: mail over SMTP is sent by an IAM user or role";
        findings.add(rules::SERVICE_PRINCIPAL, ses.at, message, fix);
    } else {
        let message =
            "no service sends through the relay, so that the statement concerns no mail there";
        findings.add(rules::IRRELEVANT, first.at, message, format!("if mail is meant, {fix}"));
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
        && document.kind != PolicyKind::Resource
        && purpose.has_no_resource()
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

impl Statement<'_> {
    /// Tells whether the statement may concern SES at all; in doubt it may.
    pub(super) fn is_about_ses(&self) -> bool {
        self.purpose.as_ref().is_none_or(|purpose| purpose.ses)
    }

    /// Tells whether the statement concerns mail over SMTP that a user sends.
    pub(super) fn is_about_mail(&self) -> bool {
        let services = self.principals.as_ref().filter(|it| !it.negated);
        self.purpose.as_ref().is_some_and(|purpose| purpose.smtp)
            && services.is_none_or(|it| it.services_alone.is_empty())
    }
}
