//! The permit to send one message: what goes out, and on whose and which statement's word.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Client, Occasion};
use crate::message::ListManagement;
use crate::policy::{Decision, Settled};
use crate::smtp::Transaction;

/// What a decision came to, and what settled it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `Allowed`, `ExplicitlyDenied` or `ImplicitlyDenied`.
    pub decision: &'static str,
    /// The statement that settled it, as ``file:line: statement `Sid` ``; none for an implicit deny.
    pub statement: Option<String>,
    /// The spelling without which the Deny would not have held (decision 7).
    pub spelling: Option<String>,
}

impl Verdict {
    pub(super) const ALLOWED: &str = "Allowed";

    pub(super) fn of(decision: &Decision<'_>) -> Self {
        let name = match decision {
            Decision::Allowed(_) => Self::ALLOWED,
            Decision::ExplicitlyDenied(_) => "ExplicitlyDenied",
            Decision::ImplicitlyDenied => "ImplicitlyDenied",
        };
        let settled = decision.settled();
        Self {
            decision: name,
            statement: settled.map(place_of),
            spelling: settled.and_then(Settled::spelling).map(|spelling| spelling.to_string()),
        }
    }
}

/// Names a statement without the values that a spelling would show.
fn place_of(settled: &Settled<'_>) -> String {
    let (policy, statement) = (settled.policy().name(), settled.statement());
    match statement.sid() {
        Some(sid) => format!("{policy}:{}: statement `{sid}`", statement.line()),
        None => format!("{policy}:{}: statement {}", statement.line(), statement.index() + 1),
    }
}

/// What the `X-SES-` fields asked for, authorized, as parameters of `SendEmail` (decision 11).
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    /// `ConfigurationSetName`.
    pub configuration_set: Option<String>,
    /// `EmailTags`.
    pub message_tags: Vec<(String, String)>,
    /// `FromEmailAddressIdentityArn`.
    pub from_arn: Option<String>,
    /// `FeedbackForwardingEmailAddressIdentityArn`.
    pub return_path_arn: Option<String>,
    /// `ListManagementOptions`.
    pub list_management: Option<ListManagement>,
    /// `TenantName`.
    pub tenant: Option<String>,
}

/// The permit to send one message. Only [`Authorizer::permit`](super::Authorizer::permit) makes one.
pub struct Permit {
    id: Uuid,
    verdict: Verdict,
    reverse_path: String,
    forward_paths: Vec<String>,
    parameters: Parameters,
    content: Vec<u8>,
    record: Value,
}

impl Permit {
    pub(super) fn new(
        client: &Client,
        transaction: Transaction,
        occasion: Occasion,
        verdict: Verdict,
    ) -> Self {
        let Transaction { envelope, header, content } = transaction;
        let xses = header.xses();
        // SES reads SOURCE-ARN and FROM-ARN as one; two that differ were refused.
        let from_arn = xses.from_arn.as_ref().or(xses.source_arn.as_ref());
        let parameters = Parameters {
            configuration_set: xses.configuration_set.clone(),
            message_tags: xses.message_tags.clone(),
            from_arn: from_arn.map(|arn| arn.as_str().to_owned()),
            return_path_arn: xses.return_path_arn.as_ref().map(|arn| arn.as_str().to_owned()),
            list_management: xses.list_management.clone(),
            tenant: xses.tenant.clone(),
        };
        let reverse_path = envelope.reverse_path.as_str().to_owned();
        let forward_paths: Vec<String> =
            envelope.forward_paths.iter().map(|address| address.as_str().to_owned()).collect();
        let record = json!({
            "id": occasion.id.to_string(),
            "time": rfc3339(occasion.now),
            "user": client.principal.name,
            "user_arn": client.principal.arn,
            "peer": client.peer.to_string(),
            "source_ip": client.source_ip.to_string(),
            "secure_transport": client.secure_transport,
            "ehlo": envelope.ehlo,
            "reverse_path": reverse_path,
            "forward_paths": forward_paths,
            "from": header.from().iter().map(|mailbox| json!({
                "address": mailbox.address.as_str(),
                "display_name": mailbox.display_name.as_ref().map(|name| name.decoded()),
            })).collect::<Vec<_>>(),
            "decision": verdict.decision,
            "statement": verdict.statement,
            "configuration_set": parameters.configuration_set,
            "message_tags": parameters.message_tags.iter().map(|(name, value)| json!({
                "name": name, "value": value,
            })).collect::<Vec<_>>(),
            "from_identity_arn": parameters.from_arn,
            "feedback_identity_arn": parameters.return_path_arn,
            "list_management": parameters.list_management.as_ref().map(|list| json!({
                "contact_list": list.contact_list, "topic": list.topic,
            })),
        });
        let content = header.forwarded(content);
        Self { id: occasion.id, verdict, reverse_path, forward_paths, parameters, content, record }
    }

    /// The decision id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// What settled the decision.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The reverse-path, which becomes the feedback address.
    #[must_use]
    pub fn reverse_path(&self) -> &str {
        &self.reverse_path
    }

    /// The forward-paths, 1 to 50.
    #[must_use]
    pub fn forward_paths(&self) -> Vec<String> {
        self.forward_paths.clone()
    }

    /// Parameters that the message chose.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The message as it goes out: as parsed, less the fields of decision 11.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// Takes the message out of the permit.
    #[must_use]
    pub fn into_content(self) -> Vec<u8> {
        self.content
    }

    /// The decision as the outbox keeps it beside the message.
    #[must_use]
    pub fn record(&self) -> &Value {
        &self.record
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permit")
            .field("id", &self.id)
            .field("bytes", &self.content.len())
            .finish_non_exhaustive()
    }
}

fn rfc3339(time: std::time::SystemTime) -> String {
    aws_smithy_types::DateTime::from(time)
        .fmt(aws_smithy_types::date_time::Format::DateTime)
        .unwrap_or_default()
}
