//! One record: which fields there are, and their two forms, a JSON object and a line of the
//! ordinary log.
//!
//! `config/decision-log.schema.json` describes both. Fields without a value are left out.

use std::fmt::Display;
use std::time::SystemTime;

use serde::{Serialize, Serializer};
use tracing::Level;
use uuid::Uuid;

use super::Facts;
use crate::clock;

/// The version of the schema. A field may be added within a version, none is renamed or removed.
pub const VERSION: u64 = 1;

/// The longest text that a client or SES has a say in, in bytes; what is longer is cut.
const TEXT_BYTES: usize = 2048;

/// What a record tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// The upstream has the message.
    Relayed,
    /// The message was not taken.
    #[default]
    Refused,
    /// The message may be sent and is about to be; in a required file alone.
    Permitted,
    /// What became of a call whose client was answered before.
    Settled,
}

impl Event {
    /// Returns its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Relayed => "relayed",
            Self::Refused => "refused",
            Self::Permitted => "permitted",
            Self::Settled => "settled",
        }
    }
}

/// What is told of one transaction. Addresses are as far redacted as the operator wants.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Record<'a> {
    /// What it tells.
    pub event: Event,
    /// Why a message was refused, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The decision id.
    #[serde(serialize_with = "shown")]
    pub decision: Uuid,
    /// The user's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<&'a str>,
    /// The user's ARN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal_arn: Option<&'a str>,
    /// The client's address and port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<&'a str>,
    /// The listener's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<&'a str>,
    /// The version of TLS, or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<&'a str>,
    /// What the client called itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ehlo: Option<&'a str>,
    /// MAIL FROM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reverse_path: Option<&'a str>,
    /// RCPT TO.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub recipients: &'a [String],
    /// How many more there are than are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipients_omitted: Option<usize>,
    /// The mailboxes in From.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub from: &'a [String],
    /// How many more there are than are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_omitted: Option<usize>,
    /// Content as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<usize>,
    /// Content as the client announced it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared_bytes: Option<usize>,
    /// `Allowed`, `ExplicitlyDenied` or `ImplicitlyDenied`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<&'a str>,
    /// The statement that settled it, with file and line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<&'a str>,
    /// Of an implicit deny the Allow that came nearest, with what failed in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<&'a str>,
    /// What was nearly right in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<&'a str>,
    /// Whether a Deny held for another spelling alone (decision 7).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub spelling_decided: bool,
    /// That spelling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spelling: Option<&'a str>,
    /// The ARN of the resource that was denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<&'a str>,
    /// The author in the claim that was denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<&'a str>,
    /// Its display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<&'a str>,
    /// The feedback address in the claim that was denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feedback: Option<&'a str>,
    /// The recipients in the claim that was denied.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub claimed_recipients: &'a [String],
    /// How many more there are than are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed_recipients_omitted: Option<usize>,
    /// X-SES fields whose values gave way to forced ones.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub overruled: &'a [&'static str],
    /// X-SES fields that are not known, and were removed.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub unknown_x_ses: &'a [String],
    /// The configuration set that the message is sent with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration_set: Option<&'a str>,
    /// The id that the upstream gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<&'a str>,
    /// What went wrong, with its causes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
    /// What an operator does about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<&'a str>,
    /// Whether the upstream may have taken a message that was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub possible_duplicate: Option<bool>,
    /// The code of the reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_code: Option<u16>,
    /// The reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<&'a str>,
    /// How long the message waited for its turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waited_ms: Option<u64>,
    /// How long the transaction took from the end of its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed_ms: Option<u64>,
    /// What candidate policies say, where that is something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<CandidateSays<'a>>,
    /// What a decision needs beside all this; in the file alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<&'a Facts<'a>>,
}

/// What candidate policies say of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CandidateSays<'a> {
    /// The decision, or why the message would be refused, or `unknown`.
    pub decision: &'static str,
    /// The statement that settles it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<&'a str>,
}

impl CandidateSays<'_> {
    /// Both in one text.
    fn joined(self) -> String {
        let list: Vec<_> = [Some(self.decision), self.statement].into_iter().flatten().collect();
        list.join(",")
    }
}

impl<'a> Record<'a> {
    /// Begins a record.
    #[must_use]
    pub fn new(event: Event, decision: Uuid) -> Self {
        Self { event, decision, ..Self::default() }
    }

    /// Returns the record as one line of JSON, its end included.
    #[must_use]
    pub fn to_line(&self, now: SystemTime) -> Vec<u8> {
        line(&self.cut(), now)
    }

    /// Writes the line of the ordinary log. Lists are joined with commas there.
    pub(super) fn tell(&self, level: Level) {
        let record = self.cut();
        // What nobody would see is not put together.
        macro_rules! event {
            ($level:expr) => {
                if tracing::enabled!(target: super::TARGET, $level) {
                    tracing::event!(
                        target: super::TARGET,
                        $level,
                        version = VERSION,
                        event = record.event.name(),
                        reason = record.reason,
                        decision = %record.decision,
                        principal = record.principal,
                        principal_arn = record.principal_arn,
                        client = record.client,
                        listener = record.listener,
                        tls = record.tls,
                        ehlo = record.ehlo,
                        reverse_path = record.reverse_path,
                        recipients = joined(record.recipients),
                        recipients_omitted = record.recipients_omitted,
                        from = joined(record.from),
                        from_omitted = record.from_omitted,
                        bytes = record.bytes,
                        declared_bytes = record.declared_bytes,
                        verdict = record.verdict,
                        statement = record.statement,
                        nearest = record.nearest,
                        hint = record.hint,
                        spelling_decided = Some(true).filter(|_| record.spelling_decided),
                        spelling = record.spelling,
                        resource = record.resource,
                        author = record.author,
                        display_name = record.display_name,
                        feedback = record.feedback,
                        claimed_recipients = joined(record.claimed_recipients),
                        claimed_recipients_omitted = record.claimed_recipients_omitted,
                        overruled = joined(record.overruled),
                        unknown_x_ses = joined(record.unknown_x_ses),
                        configuration_set = record.configuration_set,
                        message_id = record.message_id,
                        error = record.error,
                        remedy = record.remedy,
                        possible_duplicate = record.possible_duplicate,
                        reply_code = record.reply_code,
                        reply = record.reply,
                        waited_ms = record.waited_ms,
                        elapsed_ms = record.elapsed_ms,
                        candidate = record.candidate.map(CandidateSays::joined),
                        "{}",
                        record.event.name(),
                    );
                }
            };
        }
        match level {
            Level::ERROR => event!(Level::ERROR),
            Level::WARN => event!(Level::WARN),
            Level::INFO => event!(Level::INFO),
            _ => event!(Level::DEBUG),
        }
    }

    /// The same with texts cut that a client or SES has a say in: no record is longer than some 64 KiB.
    fn cut(&self) -> Self {
        Self {
            ehlo: self.ehlo.map(short),
            spelling: self.spelling.map(short),
            hint: self.hint.map(short),
            resource: self.resource.map(short),
            display_name: self.display_name.map(short),
            configuration_set: self.configuration_set.map(short),
            message_id: self.message_id.map(short),
            error: self.error.map(short),
            reply: self.reply.map(short),
            ..self.clone()
        }
    }
}

/// Returns the line that stands for records that were lost.
pub(super) fn lost(records: u64, now: SystemTime) -> Vec<u8> {
    #[derive(Serialize)]
    struct Lost {
        event: &'static str,
        records: u64,
    }
    line(&Lost { event: "lost", records }, now)
}

/// Returns what every line has, and these fields.
fn line(fields: &impl Serialize, now: SystemTime) -> Vec<u8> {
    #[derive(Serialize)]
    struct Line<'a, T> {
        version: u64,
        timestamp: String,
        #[serde(flatten)]
        fields: &'a T,
    }
    let timestamp = clock::rfc3339_millis(now);
    let mut line = Vec::with_capacity(1024);
    // Writing texts and numbers to memory does not fail.
    let _ = serde_json::to_writer(&mut line, &Line { version: VERSION, timestamp, fields });
    line.push(b'\n');
    line
}

fn shown<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn joined<T: AsRef<str>>(list: &[T]) -> Option<String> {
    let (first, rest) = list.split_first()?;
    let mut text = first.as_ref().to_owned();
    for item in rest {
        text.push(',');
        text.push_str(item.as_ref());
    }
    Some(text)
}

/// The beginning of a text.
fn short(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_BYTES)).unwrap_or_default()
}
