//! What is told of a transaction at its end: its record, its span and its counters, always all three.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::candidate::Differs;
use super::record::{MEMORY, Sent, TransactionLog};
use super::span::TransactionSpan;
use super::{Refusal, Relay};
use crate::authorize::{Client, Permit, Verdict};
use crate::decision_log::Unwritten;
use crate::message::HeaderSection;
use crate::metrics::{Ending, Metrics};
use crate::smtp::{Envelope, Reply};
use crate::trace::Trace;

/// The report of one transaction, begun with what is known before it ends.
pub(super) struct Report<'a> {
    log: TransactionLog<'a>,
    span: TransactionSpan<'a>,
    metrics: &'a Metrics,
}

impl<'a> Report<'a> {
    pub(super) fn new(
        relay: &'a Relay,
        trace: &'a Trace,
        client: &'a Client,
        envelope: &'a Envelope,
        header: Option<&'a HeaderSection>,
        id: Uuid,
    ) -> Self {
        let redaction = &relay.settings.redaction;
        Self {
            log: TransactionLog::new(&relay.decisions, redaction, client, envelope, header, id),
            span: TransactionSpan { trace, redaction, client, envelope, header, id },
            metrics: &relay.metrics,
        }
    }

    /// The client whose message it is about.
    pub(super) fn client(&self) -> &'a Client {
        self.span.client
    }

    /// The decision id.
    pub(super) fn id(&self) -> Uuid {
        self.span.id
    }

    /// Notes what the policies said, for the case that the message is refused all the same.
    pub(super) fn decided(&self, verdict: &Verdict) {
        self.log.decided(verdict);
    }

    /// Notes what candidate policies say, where that is something else.
    pub(super) fn tried(&self, differs: Option<Differs>) {
        if let Some(differs) = differs {
            self.metrics.candidate_differs(&self.client().principal.name, differs.direction);
            self.log.tried(differs);
        }
    }

    /// Writes that the message is about to be sent, where that is required.
    pub(super) async fn intend(
        &self,
        permit: &Permit,
        bytes: usize,
        by: Instant,
    ) -> Result<(), Unwritten> {
        self.log.intend(permit, bytes, by).await
    }

    /// SES has the message: at the end of a drain its client is told so, whatever becomes of the record,
    /// which waits for the disk.
    pub(super) async fn relayed(
        &self,
        sent: &Sent,
        took: Duration,
        by: Instant,
        abort: &CancellationToken,
    ) -> Reply {
        let recipients = self.span.envelope.forward_paths.len();
        self.metrics.taken(&self.client().principal.name, recipients, sent.bytes);
        let reply = tokio::select! {
            biased;
            reply = self.log.relayed(sent, took, by) => reply,
            () = abort.cancelled() => Reply::accepted(&sent.message_id),
        };
        self.span.relayed(sent, &reply);
        self.ended("relayed", &reply);
        reply
    }

    pub(super) fn refused(&self, refusal: &Refusal, bytes: Option<usize>, took: Duration) -> Reply {
        let reply = self.span.trace.within(|| self.log.refused(refusal, bytes, took));
        self.span.refused(refusal, bytes, &reply);
        self.ended(refusal.name(), &reply);
        reply
    }

    /// There was no memory for a message that was announced with so many bytes.
    pub(super) fn put_off(&self, bytes: usize, reply: &Reply) {
        self.span.trace.within(|| self.log.put_off(bytes, reply));
        self.span.unread(MEMORY, reply);
        self.ended(MEMORY, reply);
    }

    /// The content was refused by what it is alone, or because memory ran out in the middle of it.
    pub(super) fn unreadable(&self, reply: &Reply) {
        let outcome = self.span.trace.within(|| self.log.unreadable(reply));
        self.span.unread(outcome, reply);
        self.ended(outcome, reply);
    }

    /// Counts a transaction that has ended with this reply.
    fn ended(&self, outcome: &'static str, reply: &Reply) {
        let user = &self.client().principal.name;
        self.metrics.ended(Ending { user, outcome, reply: reply.code() });
    }
}
