//! What a trace is made of.

use std::time::SystemTime;

use aws_lc_rs::rand;
use tokio::time::Instant;

use crate::clock::{self, nanoseconds};

/// The id of a trace; never all zero.
pub type TraceId = [u8; 16];
/// The id of a span; never all zero.
pub type SpanId = [u8; 8];
/// Something said about a span or an event.
pub type Attribute = (&'static str, Value);

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Words.
    Text(String),
    /// Several words.
    Texts(Vec<String>),
    /// A number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// What a span has to do with those who call and are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Work of the relay's own.
    Internal,
    /// Answers a client.
    Server,
    /// Calls somebody.
    Client,
}

/// A stretch of time; times are nanoseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// One of a few names.
    pub name: &'static str,
    /// Whose work it is.
    pub kind: Kind,
    /// Its id.
    pub id: SpanId,
    /// The span that it is part of.
    pub parent: Option<SpanId>,
    /// Whether that one is the app's.
    pub is_remote_parent: bool,
    /// When it began.
    pub begun: u64,
    /// When it ended.
    pub ended: u64,
    /// What is said about it.
    pub attributes: Vec<Attribute>,
    /// Moments within it.
    pub events: Vec<SpanEvent>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// A moment within a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanEvent {
    /// One of a few names.
    pub name: &'static str,
    /// When it was, in nanoseconds since 1970.
    pub at: u64,
    /// What is said about it.
    pub attributes: Vec<Attribute>,
}

impl Span {
    /// Begins a span with an id of its own; none where the system gives no random bytes.
    pub(super) fn begin(
        name: &'static str,
        kind: Kind,
        begun: u64,
        parent: Option<SpanId>,
    ) -> Option<Self> {
        Some(Self {
            name,
            kind,
            id: random()?,
            parent,
            is_remote_parent: false,
            begun,
            ended: begun,
            attributes: Vec::new(),
            events: Vec::new(),
            failure: None,
        })
    }
}

/// Returns random bytes that are not all zero.
pub(super) fn random<const BYTES: usize>() -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes).ok()?;
    Some(bytes).filter(|bytes| *bytes != [0; BYTES])
}

/// Tells the time of one trace: a clock that is set meanwhile does not bend its spans.
#[derive(Debug)]
pub(super) struct TraceClock {
    system: SystemTime,
    instant: Instant,
}

impl TraceClock {
    pub(super) fn start() -> Self {
        Self { system: clock::time_of_day(), instant: clock::now() }
    }

    pub(super) fn now(&self) -> u64 {
        nanoseconds(self.system + self.instant.elapsed())
    }

    pub(super) fn at(&self, instant: Instant) -> u64 {
        let ago = self.instant.saturating_duration_since(instant);
        nanoseconds(self.system.checked_sub(ago).unwrap_or(self.system))
    }
}
