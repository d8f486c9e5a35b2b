//! What a trace tells of a transaction: what its log line tells, and no more (decision 21).
//!
//! Names are those of the semantic conventions of OpenTelemetry where there is one.

use std::borrow::Cow;

use uuid::Uuid;

use super::record::{MEMORY, Sent, shown};
use super::refusal::Refusal;
use crate::authorize::{Client, Denial};
use crate::message::HeaderSection;
use crate::redact::Redaction;
use crate::smtp::{Envelope, Reply};
use crate::trace::{Attribute, Trace, Value};

/// The trace of one transaction, with what is known of it from the start.
pub(super) struct TransactionSpan<'a> {
    pub(super) trace: &'a Trace,
    pub(super) redaction: &'a Redaction,
    pub(super) client: &'a Client,
    pub(super) envelope: &'a Envelope,
    pub(super) header: Option<&'a HeaderSection>,
    pub(super) id: Uuid,
}

/// What became of a message that was not taken.
const REFUSED: &str = "refused";

impl TransactionSpan<'_> {
    pub(super) fn relayed(&self, sent: &Sent, reply: &Reply) {
        self.end("relayed", reply, None, || {
            let mut more = vec![
                ("messaging.message.id", Value::from(sent.message_id.as_str())),
                ("messaging.message.envelope.size", sent.bytes.into()),
                ("sesgate.verdict", sent.verdict.decision.into()),
            ];
            more.extend(
                sent.verdict.statement.clone().map(|text| ("sesgate.statement", text.into())),
            );
            if !sent.overruled.is_empty() {
                more.push((
                    "sesgate.overruled",
                    Value::Texts(sent.overruled.iter().map(ToString::to_string).collect()),
                ));
            }
            more
        });
    }

    pub(super) fn refused(&self, refusal: &Refusal, bytes: Option<usize>, reply: &Reply) {
        let told = refusal.told();
        // What is the message's fault is no error of a server.
        let failure = told.class.filter(|_| told.is_ours).map(Cow::into_owned);
        self.end(REFUSED, reply, failure, || {
            let mut more = vec![("error.type", Value::from(told.name))];
            more.extend(bytes.map(|bytes| ("messaging.message.envelope.size", bytes.into())));
            match refusal {
                Refusal::Denied {
                    source: Denial::Policy { resource, claim, verdict, .. }, ..
                } => {
                    more.push(("sesgate.verdict", verdict.decision.into()));
                    let statement = verdict.statement.clone();
                    more.extend(statement.map(|text| ("sesgate.statement", text.into())));
                    more.push(("sesgate.author", self.redaction.show(&claim.author).into()));
                    if self.redaction.is_full() {
                        more.push(("sesgate.resource", resource.as_str().into()));
                    }
                }
                Refusal::Upstream(error) => {
                    let doubt = error.is_possible_duplicate();
                    more.push(("sesgate.possible_duplicate", doubt.into()));
                }
                _ => {}
            }
            more
        });
    }

    /// A message about which nothing could be decided, and why in one word.
    pub(super) fn unread(&self, outcome: &'static str, reply: &Reply) {
        let failure = (outcome == MEMORY).then(|| "too little memory".to_owned());
        self.end(REFUSED, reply, failure, || vec![("error.type", outcome.into())]);
    }

    fn end(
        &self,
        outcome: &'static str,
        reply: &Reply,
        failure: Option<String>,
        more: impl FnOnce() -> Vec<Attribute>,
    ) {
        if !self.trace.is_recorded() {
            return;
        }
        let addresses = |addresses: &mut dyn Iterator<Item = &str>| {
            Value::Texts(self.redaction.show_each(addresses).shown)
        };
        let Envelope { reverse_path, forward_paths, ehlo, .. } = self.envelope;
        let from = self.header.map_or(&[][..], HeaderSection::from);
        let mut attributes = vec![
            ("network.protocol.name", "smtp".into()),
            ("client.address", self.client.source_ip.to_string().into()),
            ("user.name", self.client.principal.name.as_str().into()),
            ("sesgate.decision", self.id.to_string().into()),
            ("sesgate.outcome", outcome.into()),
            ("sesgate.reply_code", Value::Number(reply.code().into())),
            ("sesgate.reply", shown(self.redaction, reply).into()),
            ("sesgate.secure_transport", self.client.secure_transport.into()),
            ("sesgate.ehlo", ehlo.as_str().into()),
            ("sesgate.reverse_path", self.redaction.show(reverse_path.as_str()).into()),
            (
                "sesgate.recipients",
                addresses(&mut forward_paths.iter().map(|address| address.as_str())),
            ),
            ("sesgate.recipient_count", forward_paths.len().into()),
            ("sesgate.from", addresses(&mut from.iter().map(|mailbox| mailbox.address.as_str()))),
        ];
        attributes.extend(more());
        self.trace.end(attributes, failure);
    }
}
