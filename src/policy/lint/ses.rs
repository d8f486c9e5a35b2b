//! What SES has: its actions and its types of resources. Service Authorization Reference for SES,
//! September 2026; the tests compare it with the npm package that follows it.

use std::sync::LazyLock;

use super::super::action::ActionPattern;
use super::super::words::nearest;

/// The action of mail over SMTP.
pub(super) const SMTP_ACTION: &str = "ses:SendRawEmail";

/// Actions of the API that send mail, which mail over SMTP is never authorized as.
const API_SENDING: [&str; 4] =
    ["ses:SendEmail", "ses:SendTemplatedEmail", "ses:SendBulkEmail", "ses:SendBulkTemplatedEmail"];

/// Actions that have `ses:Recipients`, `ses:FeedbackAddress` and `ses:FromDisplayName`.
const WITH_RECIPIENTS: [&str; 5] = [
    "ses:SendEmail",
    SMTP_ACTION,
    "ses:SendTemplatedEmail",
    "ses:SendBulkTemplatedEmail",
    "ses:SendCustomVerificationEmail",
];

/// Actions that have `ses:FromAddress` beside these.
const WITH_FROM: [&str; 3] = [
    "ses:AssociateEmailIdentityCertificate",
    "ses:DisassociateEmailIdentityCertificate",
    "ses:SendBounce",
];

/// Verbs of actions that change nothing.
const READING: [&str; 5] = ["Batch", "Describe", "Get", "List", "Test"];

/// Types of resources, as they begin the last field of an ARN.
pub(super) const RESOURCE_TYPES: [&str; 20] = [
    "identity",
    "configuration-set",
    "template",
    "custom-verification-email-template",
    "contact-list",
    "dedicated-ip-pool",
    "deliverability-test-report",
    "export-job",
    "import-job",
    "multi-region-endpoint",
    "reputation-policy",
    "tenant",
    "addon-instance",
    "addon-subscription",
    "mailmanager-address-list",
    "mailmanager-archive",
    "mailmanager-ingress-point",
    "mailmanager-rule-set",
    "mailmanager-smtp-relay",
    "mailmanager-traffic-policy",
];

/// An action of SES.
struct Action {
    name: &'static str,
    /// Whether it works on a resource.
    has_resource: bool,
    /// Whether it changes nothing.
    reads: bool,
}

fn all() -> &'static [Action] {
    static ALL: LazyLock<Vec<Action>> = LazyLock::new(|| {
        let lines = include_str!("ses_actions.txt").lines().filter(|line| !line.starts_with('#'));
        let action = |line: &'static str| {
            let name = line.trim_end_matches(" *");
            let verb = name.trim_start_matches("ses:");
            let reads = READING.iter().any(|reading| verb.starts_with(reading));
            Action { name, has_resource: name == line, reads }
        };
        lines.map(action).collect()
    });
    &ALL
}

/// Iterates over the actions of SES, with whether each works on a resource.
pub(super) fn actions() -> impl Iterator<Item = (&'static str, bool)> {
    all().iter().map(|action| (action.name, action.has_resource))
}

/// Tells whether the pattern matches an action of SES.
pub(super) fn has_action(pattern: &ActionPattern) -> bool {
    all().iter().any(|action| pattern.matches(action.name))
}

/// Returns the action of SES that was probably meant.
pub(super) fn nearest_action(written: &str) -> Option<&'static str> {
    nearest(written, actions().map(|(name, _)| name))
}

/// Tells whether the pattern matches an action of the API that sends mail.
pub(super) fn sends_by_api(pattern: &ActionPattern) -> bool {
    API_SENDING.iter().any(|action| pattern.matches(action))
}

/// Tells whether an action has the key, one of those that tell of a message.
fn has(action: &str, key: &str) -> bool {
    WITH_RECIPIENTS.contains(&action) || (key == "ses:FromAddress" && WITH_FROM.contains(&action))
}

/// Tells whether the pattern matches an action that has the key, one of those that tell of a message.
pub(super) fn may_have_key(pattern: &ActionPattern, key: &str) -> bool {
    all().iter().any(|action| has(action.name, key) && pattern.matches(action.name))
}

/// Returns an action that the pattern matches and that has no such key.
pub(super) fn action_without_key(pattern: &ActionPattern, key: &str) -> Option<&'static str> {
    // One that sends tells more than one that nobody thinks of.
    let all = API_SENDING.into_iter().chain(actions().map(|(name, _)| name));
    all.into_iter().find(|action| !has(action, key) && pattern.matches(action))
}

/// Tells whether the action, written in full, works on no resource.
pub(super) fn has_no_resource(written: &str) -> bool {
    all().iter().any(|action| !action.has_resource && action.name.eq_ignore_ascii_case(written))
}

/// Tells whether the pattern matches an action that changes or sends something of a resource.
pub(super) fn changes_resources(pattern: &ActionPattern) -> bool {
    let changing = all().iter().filter(|action| action.has_resource && !action.reads);
    changing.into_iter().any(|action| pattern.matches(action.name))
}
