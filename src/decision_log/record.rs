//! One record: which fields there are, and their two forms, a JSON object and a line of the
//! ordinary log.
//!
//! `config/decision-log.schema.json` describes both. Fields without a value are left out.

use std::time::SystemTime;

use tracing::Level;
use uuid::Uuid;

use super::time;

/// The version of the schema. A field may be added within a version, none is renamed or removed.
pub const VERSION: u64 = 1;

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
    pub recipients: &'a [String],
    /// The mailboxes in From.
    pub from: &'a [String],
    /// Content as it came.
    pub bytes: Option<usize>,
    /// Content as the client announced it.
    pub declared_bytes: Option<usize>,
    /// `Allowed`, `ExplicitlyDenied` or `ImplicitlyDenied`.
    pub verdict: Option<&'a str>,
    /// The statement that settled it, with file and line.
    pub statement: Option<&'a str>,
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
    pub claimed_recipients: &'a [String],
    /// X-SES fields whose values gave way to forced ones.
    pub overruled: &'a [&'static str],
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
            recipients: &[],
            from: &[],
            bytes: None,
            declared_bytes: None,
            verdict: None,
            statement: None,
            spelling_decided: false,
            spelling: None,
            resource: None,
            author: None,
            display_name: None,
            feedback: None,
            claimed_recipients: &[],
            overruled: &[],
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
        let mut object = Object::begin(self.event.name(), now);
        object.text("reason", self.reason);
        object.text("decision", Some(self.decision.as_hyphenated().encode_lower(&mut [0; 36])));
        object.text("principal", self.principal);
        object.text("principal_arn", self.principal_arn);
        object.text("client", self.client);
        object.text("listener", self.listener);
        object.text("tls", self.tls);
        object.text("ehlo", self.ehlo);
        object.text("reverse_path", self.reverse_path);
        object.list("recipients", self.recipients);
        object.list("from", self.from);
        object.number("bytes", self.bytes.map(wide));
        object.number("declared_bytes", self.declared_bytes.map(wide));
        object.text("verdict", self.verdict);
        object.text("statement", self.statement);
        object.flag("spelling_decided", Some(true).filter(|_| self.spelling_decided));
        object.text("spelling", self.spelling);
        object.text("resource", self.resource);
        object.text("author", self.author);
        object.text("display_name", self.display_name);
        object.text("feedback", self.feedback);
        object.list("claimed_recipients", self.claimed_recipients);
        object.list("overruled", self.overruled);
        object.text("configuration_set", self.configuration_set);
        object.text("message_id", self.message_id);
        object.text("error", self.error);
        object.text("remedy", self.remedy);
        object.flag("possible_duplicate", self.possible_duplicate);
        object.number("reply_code", self.reply_code.map(u64::from));
        object.text("reply", self.reply);
        object.number("waited_ms", self.waited_ms);
        object.number("elapsed_ms", self.elapsed_ms);
        object.end()
    }

    /// Writes the line of the ordinary log. Lists are joined with commas there.
    pub(super) fn tell(&self, level: Level) {
        // What nobody would see is not put together.
        macro_rules! event {
            ($level:expr) => {
                if tracing::enabled!(target: super::TARGET, $level) {
                    tracing::event!(
                        target: super::TARGET,
                        $level,
                        version = VERSION,
                        event = self.event.name(),
                        reason = self.reason,
                        decision = %self.decision,
                        principal = self.principal,
                        principal_arn = self.principal_arn,
                        client = self.client,
                        listener = self.listener,
                        tls = self.tls,
                        ehlo = self.ehlo,
                        reverse_path = self.reverse_path,
                        recipients = joined(self.recipients),
                        from = joined(self.from),
                        bytes = self.bytes,
                        declared_bytes = self.declared_bytes,
                        verdict = self.verdict,
                        statement = self.statement,
                        spelling_decided = Some(true).filter(|_| self.spelling_decided),
                        spelling = self.spelling,
                        resource = self.resource,
                        author = self.author,
                        display_name = self.display_name,
                        feedback = self.feedback,
                        claimed_recipients = joined(self.claimed_recipients),
                        overruled = joined(self.overruled),
                        configuration_set = self.configuration_set,
                        message_id = self.message_id,
                        error = self.error,
                        remedy = self.remedy,
                        possible_duplicate = self.possible_duplicate,
                        reply_code = self.reply_code,
                        reply = self.reply,
                        waited_ms = self.waited_ms,
                        elapsed_ms = self.elapsed_ms,
                        "{}",
                        self.event.name(),
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
        object.text("timestamp", Some(&time::rfc3339(now)));
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

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"}\n");
        self.0
    }
}
