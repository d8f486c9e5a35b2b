//! The one record of a transaction, with what may be seen of it (decision 21).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tracing::Level;
use uuid::Uuid;

use super::candidate::Differs;
use super::{Refusal, facts::facts};
use crate::authorize::{Client, Denial, Permit, Verdict};
use crate::decision_log::{DecisionLog, Event, Facts, Record, Unwritten};
use crate::memory::Exhausted;
use crate::message::HeaderSection;
use crate::redact::{Addresses, Redaction};
use crate::smtp::{Envelope, Reply};
use crate::upstream::UpstreamError;

/// Names of what is no [`Refusal`].
pub(super) const MEMORY: &str = "memory";
const UNREADABLE: &str = "unreadable";

const NO_MEMORY: &str = "raise `memory_mib` in `[limits]`, or send less at once";

/// The record of one transaction, begun with what is known before it ends.
pub(super) struct TransactionLog<'a> {
    log: &'a DecisionLog,
    redaction: &'a Redaction,
    client: &'a Client,
    peer: String,
    id: Uuid,
    ehlo: &'a str,
    reverse_path: String,
    recipients: Addresses,
    from: Addresses,
    unknown_x_ses: Vec<String>,
    /// What other policies can be asked with; only where somebody could read it.
    facts: Option<Facts<'a>>,
    /// What the policies said, once they have allowed the message.
    decided: OnceLock<Verdict>,
    /// What candidate policies say of it, where that is something else.
    candidate: OnceLock<Differs>,
    /// Whether the intention to send it is in the file.
    is_intended: AtomicBool,
}

impl<'a> TransactionLog<'a> {
    pub(super) fn new(
        log: &'a DecisionLog,
        redaction: &'a Redaction,
        client: &'a Client,
        envelope: &'a Envelope,
        header: Option<&'a HeaderSection>,
        id: Uuid,
    ) -> Self {
        let known = header.filter(|_| log.is_kept() && redaction.is_full());
        let recipients = envelope.forward_paths.iter().map(|address| address.as_str());
        let from = header.map_or(&[][..], HeaderSection::from);
        let unknown = header.map_or(&[][..], HeaderSection::unknown_xses).iter();
        // A name may be an address.
        let is_shown = |name: &&String| redaction.is_full() || !name.contains('@');
        Self {
            log,
            redaction,
            client,
            peer: client.peer.to_string(),
            id,
            ehlo: &envelope.ehlo,
            reverse_path: redaction.show(envelope.reverse_path.as_str()),
            recipients: redaction.show_each(recipients),
            from: redaction.show_each(from.iter().map(|mailbox| mailbox.address.as_str())),
            unknown_x_ses: unknown.filter(is_shown).cloned().collect(),
            facts: known.map(|header| facts(client, envelope, header)),
            decided: OnceLock::new(),
            candidate: OnceLock::new(),
            is_intended: AtomicBool::new(false),
        }
    }

    fn record(&self, event: Event) -> Record<'_> {
        Record {
            principal: Some(&self.client.principal.name),
            principal_arn: Some(&self.client.principal.arn),
            client: Some(&self.peer),
            listener: Some(&self.client.listener),
            tls: Some(self.client.tls.unwrap_or("none")),
            ehlo: Some(self.ehlo),
            reverse_path: Some(&self.reverse_path),
            recipients: &self.recipients.shown,
            recipients_omitted: self.recipients.omitted(),
            from: &self.from.shown,
            from_omitted: self.from.omitted(),
            unknown_x_ses: &self.unknown_x_ses,
            // The record of the outcome follows.
            facts: self.facts.as_ref().filter(|_| event != Event::Permitted),
            candidate: self.candidate.get().map(Differs::shown),
            ..Record::new(event, self.id)
        }
    }

    /// Notes what the policies said.
    pub(super) fn decided(&self, verdict: &Verdict) {
        // A message is decided about once.
        let _ = self.decided.set(verdict.clone());
    }

    /// Notes what candidate policies say.
    pub(super) fn tried(&self, differs: Differs) {
        // Once a message as well.
        let _ = self.candidate.set(differs);
    }

    /// What may be seen of a text that may hold addresses: all of it, or the reply code.
    fn shown(&self, reply: &Reply) -> String {
        shown(self.redaction, reply)
    }

    /// Writes that the message is about to be sent, where that is required.
    pub(super) async fn intend(
        &self,
        permit: &Permit,
        bytes: usize,
        by: Instant,
    ) -> Result<(), Unwritten> {
        let verdict = permit.verdict();
        let record = Record {
            bytes: Some(bytes),
            verdict: Some(verdict.decision),
            statement: verdict.statement.as_deref(),
            overruled: permit.overruled(),
            configuration_set: permit.parameters().configuration_set.as_deref(),
            ..self.record(Event::Permitted)
        };
        self.log.intend(&record, by).await?;
        self.is_intended.store(true, Ordering::Relaxed);
        Ok(())
    }

    pub(super) async fn relayed(&self, sent: &Sent, took: Duration, by: Instant) -> Reply {
        let reply = Reply::accepted(&sent.message_id);
        let record = Record {
            bytes: Some(sent.bytes),
            verdict: Some(sent.verdict.decision),
            statement: sent.verdict.statement.as_deref(),
            overruled: &sent.overruled,
            configuration_set: sent.configuration_set.as_deref(),
            message_id: Some(&sent.message_id),
            waited_ms: Some(milliseconds(sent.waited)).filter(|waited| *waited > 0),
            reply_code: Some(reply.code()),
            reply: Some(&self.shown(&reply)),
            elapsed_ms: Some(milliseconds(took)),
            ..self.record(Event::Relayed)
        };
        self.log.taken(&record, by).await;
        reply
    }

    pub(super) fn refused(&self, refusal: &Refusal, bytes: Option<usize>, took: Duration) -> Reply {
        let reply = Reply::from(refusal);
        let shown = self.shown(&reply);
        let told = refusal.told();
        // Texts of SES and about identities may name addresses; the relay's own words do not.
        let error =
            if self.redaction.is_full() { Some(refusal.to_string().into()) } else { told.class };
        let mut denied = Denied::default();
        let decided = self.decided.get();
        let mut record = Record {
            reason: Some(told.name),
            bytes,
            verdict: decided.map(|verdict| verdict.decision),
            statement: decided.and_then(|verdict| verdict.statement.as_deref()),
            error: error.as_deref(),
            remedy: told.remedy,
            reply_code: Some(reply.code()),
            reply: Some(&shown),
            elapsed_ms: Some(milliseconds(took)),
            ..self.record(Event::Refused)
        };
        if let Refusal::Denied { source: Denial::Policy { resource, claim, verdict, .. }, .. } =
            refusal
        {
            denied.author = self.redaction.show(&claim.author);
            denied.display_name = claim.display_name.as_deref().map(cut);
            denied.feedback = self.redaction.show(&claim.feedback);
            let recipients = claim.recipients.iter().map(String::as_str);
            denied.recipients = self.redaction.show_each(recipients);
            let is_full = self.redaction.is_full();
            record = Record {
                verdict: Some(verdict.decision),
                statement: verdict.statement.as_deref(),
                nearest: verdict.nearest.as_ref().map(|it| it.statement.as_str()),
                hint: verdict
                    .nearest
                    .as_ref()
                    .and_then(|it| it.hint.as_deref())
                    .filter(|_| is_full),
                spelling_decided: verdict.spelling.is_some(),
                // These may hold an address as well.
                spelling: verdict.spelling.as_deref().filter(|_| is_full),
                resource: Some(resource.as_str()).filter(|_| is_full),
                display_name: denied.display_name.as_deref().filter(|_| is_full),
                author: Some(&denied.author),
                feedback: Some(&denied.feedback),
                claimed_recipients: &denied.recipients.shown,
                claimed_recipients_omitted: denied.recipients.omitted(),
                ..record
            };
        }
        if let Refusal::Upstream(UpstreamError::Temporary { possible_duplicate, .. }) = refusal {
            record.possible_duplicate = Some(*possible_duplicate);
        }
        if self.is_intended.load(Ordering::Relaxed) {
            self.log.note_outcome(&record, told.level);
        } else {
            self.log.note(&record, told.level);
        }
        reply
    }

    /// There was no memory for a message that was announced with so many bytes.
    pub(super) fn put_off(&self, bytes: usize, reply: &Reply) {
        self.no_memory(Some(bytes), reply);
    }

    fn no_memory(&self, declared_bytes: Option<usize>, reply: &Reply) {
        let record = Record {
            reason: Some(MEMORY),
            declared_bytes,
            error: Some(&Exhausted.to_string()),
            remedy: Some(NO_MEMORY),
            reply_code: Some(reply.code()),
            reply: Some(&self.shown(reply)),
            ..self.record(Event::Refused)
        };
        self.log.note(&record, Level::WARN);
    }

    /// The content was refused by what it is alone, or because memory ran out in the middle of it.
    /// Returns which in one word.
    pub(super) fn unreadable(&self, reply: &Reply) -> &'static str {
        if reply.code() == Reply::temporary_failure().code() {
            self.no_memory(None, reply);
            return MEMORY;
        }
        let record = Record {
            reason: Some(UNREADABLE),
            reply_code: Some(reply.code()),
            reply: Some(&self.shown(reply)),
            ..self.record(Event::Refused)
        };
        self.log.note(&record, Level::INFO);
        UNREADABLE
    }
}

pub(super) fn shown(redaction: &Redaction, reply: &Reply) -> String {
    if redaction.is_full() { reply.to_string() } else { reply.code().to_string() }
}

/// A message that was taken.
pub(super) struct Sent {
    pub(super) verdict: Verdict,
    pub(super) overruled: Vec<&'static str>,
    pub(super) configuration_set: Option<String>,
    pub(super) message_id: String,
    pub(super) bytes: usize,
    pub(super) waited: Duration,
}

/// What may be seen of the claim that was denied.
#[derive(Default)]
struct Denied {
    author: String,
    display_name: Option<String>,
    feedback: String,
    recipients: Addresses,
}

/// Display names are logged up to 64 characters, escaped.
fn cut(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_default).collect()
}

fn milliseconds(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
