//! One record: which fields there are, and their two forms, a JSON object and a line of the
//! ordinary log.
//!
//! `config/decision-log.schema.json` describes both. Fields without a value are left out.

use std::time::SystemTime;

use tracing::Level;
use uuid::Uuid;

use crate::clock;
use crate::redact::Addresses;

/// The version of the schema. A field may be added within a version, none is renamed or removed.
pub const VERSION: u64 = 1;

/// The longest text that a client or SES has a say in, in bytes; what is longer is cut.
const TEXT_BYTES: usize = 2048;

/// What a record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The upstream has the message.
    Relayed,
    /// The message was not taken.
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
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// What it tells.
    pub event: Event,
    /// The decision id.
    pub decision: Uuid,
    /// Why a message was refused, in one word.
    pub reason: Option<&'static str>,
    /// The user's name.
    pub principal: Option<&'a str>,
    /// The user's ARN.
    pub principal_arn: Option<&'a str>,
    /// The client's address and port.
    pub client: Option<&'a str>,
    /// The listener's address.
    pub listener: Option<&'a str>,
    /// The version of TLS, or `none`.
    pub tls: Option<&'a str>,
    /// What the client called itself.
    pub ehlo: Option<&'a str>,
    /// MAIL FROM.
    pub reverse_path: Option<&'a str>,
    /// RCPT TO.
    pub recipients: &'a Addresses,
    /// The mailboxes in From.
    pub from: &'a Addresses,
    /// Content as it came.
    pub bytes: Option<usize>,
    /// Content as the client announced it.
    pub declared_bytes: Option<usize>,
    /// `Allowed`, `ExplicitlyDenied` or `ImplicitlyDenied`.
    pub verdict: Option<&'a str>,
    /// The statement that settled it, with file and line.
    pub statement: Option<&'a str>,
    /// Of an implicit deny the Allow that came nearest, with what failed in it.
    pub nearest: Option<&'a str>,
    /// What was nearly right in it.
    pub hint: Option<&'a str>,
    /// Whether a Deny held for another spelling alone (decision 7).
    pub spelling_decided: bool,
    /// That spelling.
    pub spelling: Option<&'a str>,
    /// The ARN of the resource that was denied.
    pub resource: Option<&'a str>,
    /// The author in the claim that was denied.
    pub author: Option<&'a str>,
    /// Its display name.
    pub display_name: Option<&'a str>,
    /// The feedback address in the claim that was denied.
    pub feedback: Option<&'a str>,
    /// The recipients in the claim that was denied.
    pub claimed_recipients: &'a Addresses,
    /// X-SES fields whose values gave way to forced ones.
    pub overruled: &'a [&'static str],
    /// X-SES fields that are not known, and were removed.
    pub unknown_x_ses: &'a [String],
    /// The configuration set that the message is sent with.
    pub configuration_set: Option<&'a str>,
    /// The id that the upstream gave.
    pub message_id: Option<&'a str>,
    /// What went wrong, with its causes.
    pub error: Option<&'a str>,
    /// What an operator does about it.
    pub remedy: Option<&'a str>,
    /// Whether the upstream may have taken a message that was refused.
    pub possible_duplicate: Option<bool>,
    /// The code of the reply.
    pub reply_code: Option<u16>,
    /// The reply.
    pub reply: Option<&'a str>,
    /// How long the message waited for its turn.
    pub waited_ms: Option<u64>,
    /// How long the transaction took from the end of its content.
    pub elapsed_ms: Option<u64>,
}

impl<'a> Record<'a> {
    /// Begins a record.
    #[must_use]
    pub fn new(event: Event, decision: Uuid) -> Self {
        Self {
            event,
            decision,
            reason: None,
            principal: None,
            principal_arn: None,
            client: None,
            listener: None,
            tls: None,
            ehlo: None,
            reverse_path: None,
            recipients: Addresses::NONE,
            from: Addresses::NONE,
            bytes: None,
            declared_bytes: None,
            verdict: None,
            statement: None,
            nearest: None,
            hint: None,
            spelling_decided: false,
            spelling: None,
            resource: None,
            author: None,
            display_name: None,
            feedback: None,
            claimed_recipients: Addresses::NONE,
            overruled: &[],
            unknown_x_ses: &[],
            configuration_set: None,
            message_id: None,
            error: None,
            remedy: None,
            possible_duplicate: None,
            reply_code: None,
            reply: None,
            waited_ms: None,
            elapsed_ms: None,
        }
    }

    /// Returns the record as one line of JSON, its end included.
    #[must_use]
    pub fn to_line(&self, now: SystemTime) -> Vec<u8> {
        let record = self.cut();
        let mut object = Object::begin(record.event.name(), now);
        object.text("reason", record.reason);
        object.text("decision", Some(record.decision.as_hyphenated().encode_lower(&mut [0; 36])));
        object.text("principal", record.principal);
        object.text("principal_arn", record.principal_arn);
        object.text("client", record.client);
        object.text("listener", record.listener);
        object.text("tls", record.tls);
        object.text("ehlo", record.ehlo);
        object.text("reverse_path", record.reverse_path);
        object.addresses("recipients", "recipients_omitted", record.recipients);
        object.addresses("from", "from_omitted", record.from);
        object.number("bytes", record.bytes.map(wide));
        object.number("declared_bytes", record.declared_bytes.map(wide));
        object.text("verdict", record.verdict);
        object.text("statement", record.statement);
        object.text("nearest", record.nearest);
        object.text("hint", record.hint);
        object.flag("spelling_decided", Some(true).filter(|_| record.spelling_decided));
        object.text("spelling", record.spelling);
        object.text("resource", record.resource);
        object.text("author", record.author);
        object.text("display_name", record.display_name);
        object.text("feedback", record.feedback);
        object.addresses(
            "claimed_recipients",
            "claimed_recipients_omitted",
            record.claimed_recipients,
        );
        object.list("overruled", record.overruled);
        object.list("unknown_x_ses", record.unknown_x_ses);
        object.text("configuration_set", record.configuration_set);
        object.text("message_id", record.message_id);
        object.text("error", record.error);
        object.text("remedy", record.remedy);
        object.flag("possible_duplicate", record.possible_duplicate);
        object.number("reply_code", record.reply_code.map(u64::from));
        object.text("reply", record.reply);
        object.number("waited_ms", record.waited_ms);
        object.number("elapsed_ms", record.elapsed_ms);
        object.end()
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
                        recipients = joined(&record.recipients.shown),
                        recipients_omitted = omitted(record.recipients),
                        from = joined(&record.from.shown),
                        from_omitted = omitted(record.from),
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
                        claimed_recipients = joined(&record.claimed_recipients.shown),
                        claimed_recipients_omitted = omitted(record.claimed_recipients),
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
    let mut object = Object::begin("lost", now);
    object.number("records", Some(records));
    object.end()
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

/// How many more there are than are shown, if any.
fn omitted(addresses: &Addresses) -> Option<u64> {
    Some(wide(addresses.omitted)).filter(|more| *more > 0)
}

/// The beginning of a text.
fn short(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_BYTES)).unwrap_or_default()
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// A JSON object under way.
struct Object(Vec<u8>);

impl Object {
    fn begin(event: &str, now: SystemTime) -> Self {
        let mut object = Self(Vec::with_capacity(1024));
        object.0.extend_from_slice(b"{\"version\":");
        object.0.extend_from_slice(VERSION.to_string().as_bytes());
        object.text("timestamp", Some(&clock::rfc3339_millis(now)));
        object.text("event", Some(event));
        object
    }

    fn name(&mut self, name: &str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn string(&mut self, text: &str) {
        // Writing a string to memory does not fail.
        let _ = serde_json::to_writer(&mut self.0, text);
    }

    fn text(&mut self, name: &str, text: Option<&str>) {
        let Some(text) = text else { return };
        self.name(name);
        self.string(text);
    }

    fn number(&mut self, name: &str, number: Option<u64>) {
        let Some(number) = number else { return };
        self.name(name);
        self.0.extend_from_slice(number.to_string().as_bytes());
    }

    fn flag(&mut self, name: &str, flag: Option<bool>) {
        let Some(flag) = flag else { return };
        self.name(name);
        self.0.extend_from_slice(if flag { b"true" } else { b"false" });
    }

    fn list<T: AsRef<str>>(&mut self, name: &str, list: &[T]) {
        let Some((first, rest)) = list.split_first() else { return };
        self.name(name);
        self.0.push(b'[');
        self.string(first.as_ref());
        for item in rest {
            self.0.push(b',');
            self.string(item.as_ref());
        }
        self.0.push(b']');
    }

    fn addresses(&mut self, name: &str, omitted_name: &str, addresses: &Addresses) {
        self.list(name, &addresses.shown);
        self.number(omitted_name, omitted(addresses));
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"}\n");
        self.0
    }
}
