//! The permit to send one message: what goes out, and on whose and which statement's word.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Client, Occasion};
use crate::clock;
use crate::message::{HeaderSection, ListManagement, XSes};
use crate::policy::{Decision, Settled};
use crate::principals::Chosen;
use crate::smtp::{Envelope, Transaction};

/// What a decision came to, and what settled it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `Allowed`, `ExplicitlyDenied` or `ImplicitlyDenied`.
    pub decision: &'static str,
    /// The statement that settled it, as ``file:line: statement `Sid` ``; none for an implicit deny.
    pub statement: Option<String>,
    /// The spelling without which the Deny would not have held (decision 7).
    pub spelling: Option<String>,
    /// Of an implicit deny the Allow that came nearest, with what failed in it.
    pub nearest: Option<Nearest>,
}

/// An Allow that did not apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearest {
    /// The statement, and what failed first, without any value of the message.
    pub statement: String,
    /// What was nearly right, and what to write; may hold values.
    pub hint: Option<String>,
}

impl Verdict {
    /// Whether a statement says no, and not only no statement yes.
    #[must_use]
    pub fn is_explicit(&self) -> bool {
        self.decision == "ExplicitlyDenied"
    }

    /// Tells of a decision.
    #[must_use]
    pub fn of(decision: &Decision<'_>) -> Self {
        let settled = decision.settled();
        Self {
            decision: decision.name(),
            statement: settled.map(place_of),
            spelling: settled.and_then(Settled::spelling).map(|spelling| spelling.to_string()),
            nearest: None,
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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

impl Parameters {
    pub(super) fn of(x_ses: XSes) -> Self {
        // SES reads SOURCE-ARN and FROM-ARN as one; two that differ were refused.
        let from_arn = x_ses.from_arn.or(x_ses.source_arn);
        Self {
            configuration_set: x_ses.configuration_set,
            message_tags: x_ses.message_tags,
            from_arn: from_arn.map(|arn| arn.as_str().to_owned()),
            return_path_arn: x_ses.return_path_arn.map(|arn| arn.as_str().to_owned()),
            list_management: x_ses.list_management,
            tenant: x_ses.tenant,
        }
    }
}

/// The permit to send one message. Only [`Authorizer::permit`](super::Authorizer::permit) makes one.
pub struct Permit {
    client: Client,
    occasion: Occasion,
    verdict: Verdict,
    envelope: Arc<Envelope>,
    header: Arc<HeaderSection>,
    parameters: Parameters,
    overruled: Vec<&'static str>,
    content: Vec<u8>,
}

impl Permit {
    pub(super) fn new(
        client: &Client,
        transaction: Transaction,
        occasion: Occasion,
        verdict: Verdict,
        chosen: Chosen,
    ) -> Self {
        let Transaction { envelope, header, content } = transaction;
        let parameters = Parameters::of(chosen.x_ses);
        let content = header.forwarded(content);
        let overruled = chosen.overruled;
        let client = client.clone();
        Self { client, occasion, verdict, envelope, header, parameters, overruled, content }
    }

    /// The decision id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.occasion.id
    }

    /// What settled the decision.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The reverse-path, which becomes the feedback address.
    #[must_use]
    pub fn reverse_path(&self) -> &str {
        self.envelope.reverse_path.as_str()
    }

    /// The forward-paths, 1 to 50.
    pub fn forward_paths(&self) -> impl Iterator<Item = &str> {
        self.envelope.forward_paths.iter().map(|address| address.as_str())
    }

    /// Parameters that the message chose.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Fields of the message whose values gave way to forced ones.
    #[must_use]
    pub fn overruled(&self) -> &[&'static str] {
        &self.overruled
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

    /// Returns the decision as the outbox keeps it beside the message.
    #[must_use]
    pub fn record(&self) -> Value {
        let from = self.header.from().iter().map(|mailbox| {
            let name = mailbox.display_name.as_ref().map(|name| name.decoded());
            json!({ "address": mailbox.address.as_str(), "display_name": name })
        });
        let parameters = &self.parameters;
        let tags = parameters.message_tags.iter();
        let tags = tags.map(|(name, value)| json!({ "name": name, "value": value }));
        let list = parameters.list_management.as_ref();
        let list =
            list.map(|list| json!({ "contact_list": list.contact_list, "topic": list.topic }));
        json!({
            "id": self.id().to_string(),
            "time": clock::rfc3339_millis(self.occasion.now),
            "user": self.client.principal.name,
            "user_arn": self.client.principal.arn,
            "peer": self.client.peer.to_string(),
            "source_ip": self.client.source_ip.to_string(),
            "vpc": self.client.vpc.as_ref().and_then(|vpc| vpc.id.as_deref()),
            "vpc_endpoint": self.client.vpc.as_ref().and_then(|vpc| vpc.endpoint.as_deref()),
            "secure_transport": self.client.secure_transport,
            "ehlo": self.envelope.ehlo,
            "reverse_path": self.reverse_path(),
            "forward_paths": self.forward_paths().collect::<Vec<_>>(),
            "from": from.collect::<Vec<_>>(),
            "decision": self.verdict.decision,
            "statement": self.verdict.statement,
            "configuration_set": parameters.configuration_set,
            "message_tags": tags.collect::<Vec<_>>(),
            "from_identity_arn": parameters.from_arn,
            "feedback_identity_arn": parameters.return_path_arn,
            "list_management": list,
            "tenant": parameters.tenant,
            "overruled": self.overruled,
        })
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permit")
            .field("id", &self.id())
            .field("bytes", &self.content.len())
            .finish_non_exhaustive()
    }
}
