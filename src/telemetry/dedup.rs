//! Lines that repeat themselves: the first are shown, the others are counted, and a line after a minute
//! says how many there were.
//!
//! Of warnings and errors one is shown. Two are the same when place, message and words are; numbers in
//! them (counts, bytes, seconds) and the connection do not matter. Of the records of refused mail
//! some are shown for each user and reason, and for each error that is not the message's own; the file
//! of the decision log has them all.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt::{self, Debug, Write};
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::clock;
use crate::relay::CLIENTS;

/// The target of the lines about others.
const TARGET: &str = "sesgate::repeated";
/// What is the same within so long is shown once.
const WINDOW: Duration = Duration::from_secs(60);
/// What an operator asked for or waits for is always shown: records of decisions but for many
/// refusals, the start, reloads.
const SHOWN: [&str; 4] = [TARGET, DECISIONS, "sesgate::gateway", "sesgate::cli"];
const DECISIONS: &str = "sesgate::decision_log";
/// So many records of refused mail of one user are shown for one reason, and for one error where that
/// counts.
const REFUSALS: u64 = 60;
/// So many lines about clients are shown for one reason.
const CLIENT_LINES: u64 = 10;
/// Fields of lines that sum up by themselves.
const SUMMED: [&str; 3] = ["suppressed", "logins", "lost"];
/// Different lines that are remembered; those beyond are all shown.
const ROOM: usize = 256;
/// What is remembered of a message, in bytes.
const MESSAGE: usize = 1024;
/// How often it is looked at whether a window is over.
const LOOK: Duration = Duration::from_secs(1);

/// Lets the first of the same lines through.
#[derive(Clone)]
pub(super) struct Repeats(Arc<State>);

struct State {
    seen: Mutex<HashMap<u64, Seen>>,
    wake: Condvar,
    keys: RandomState,
}

/// A line that was shown.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    level: Level,
    message: String,
    until: Instant,
    shown: u64,
    repeated: u64,
}

/// What makes lines the same, and how many of them are shown.
#[derive(Clone, Copy)]
struct Kind {
    key: u64,
    level: Level,
    shown: u64,
}

impl Repeats {
    /// Starts the thread that tells of repeated lines; it ends with the process.
    pub(super) fn start() -> Self {
        let state = Arc::new(State {
            seen: Mutex::default(),
            wake: Condvar::new(),
            keys: RandomState::new(),
        });
        let watched = Arc::clone(&state);
        // Without the thread they are told at the end.
        let _ = std::thread::Builder::new()
            .name("log-repeats".to_owned())
            .spawn(move || watch(&watched));
        Self(state)
    }

    /// Tells of everything now.
    pub(super) fn finish(&self) {
        let left = std::mem::take(&mut *self.0.seen.lock());
        left.into_values().for_each(tell);
    }
}

impl Repeats {
    /// Whether an event is to be shown: the first of its kind within a minute, and what is neither a
    /// warning nor a refusal.
    fn shows(&self, event: &Event<'_>) -> bool {
        let metadata = event.metadata();
        let level = *metadata.level();
        if metadata.target() == DECISIONS {
            let mut refusal = Refusal::default();
            event.record(&mut refusal);
            if !refusal.is_summed() {
                return true;
            }
            // What is the message's own fault names what its sender wrote: never twice the same.
            if level > Level::WARN {
                refusal.error.clear();
            }
            let key = self.0.keys.hash_one((DECISIONS, &refusal));
            let kind = Kind { key, level, shown: REFUSALS };
            return self.0.is_new(kind, || refusal.to_string(), clock::now());
        }
        if metadata.target() == CLIENTS {
            // What a client said makes no other line: it can say anything.
            let words = words(event);
            let kind =
                Kind { key: self.0.keys.hash_one((CLIENTS, &words)), level, shown: CLIENT_LINES };
            return self.0.is_new(kind, || words, clock::now());
        }
        let is_shown = SHOWN.iter().any(|part| metadata.target().starts_with(part))
            || SUMMED.iter().any(|name| metadata.fields().field(name).is_some());
        if is_shown || level > Level::WARN {
            return true;
        }
        let mut words = EventHasher(self.0.keys.build_hasher());
        metadata.callsite().hash(&mut words.0);
        event.record(&mut words);
        let kind = Kind { key: words.0.finish(), level, shown: 1 };
        self.0.is_new(kind, || self::words(event), clock::now())
    }
}

/// A format that leaves repeated lines out. (What a filter of a layer refuses in `event_enabled` is
/// not reset where it is the only layer, so that the next event is lost with it.)
pub(super) struct Dedup<F>(pub(super) F, pub(super) Repeats);

impl<S, N, F> FormatEvent<S, N> for Dedup<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // Of an empty line nothing is written.
        if self.1.shows(event) { self.0.format_event(context, writer, event) } else { Ok(()) }
    }
}

impl State {
    /// Whether a line is to be shown.
    fn is_new(&self, kind: Kind, message: impl FnOnce() -> String, now: Instant) -> bool {
        let Kind { key, level, shown } = kind;
        let mut seen = self.seen.lock();
        if let Some(earlier) = seen.get_mut(&key)
            && now < earlier.until
        {
            if earlier.shown < shown {
                earlier.shown += 1;
                return true;
            }
            earlier.repeated = earlier.repeated.saturating_add(1);
            return false;
        }
        // One that is over and was not told of yet waits for its turn.
        let is_known = seen.contains_key(&key);
        drop(seen);
        if !is_known {
            // Outside the lock: a message may fail, and that is told too.
            let (message, until) = (message(), now + WINDOW);
            let mut seen = self.seen.lock();
            if seen.len() < ROOM {
                seen.entry(key).or_insert(Seen { level, message, until, shown: 1, repeated: 0 });
                self.wake.notify_one();
            }
        }
        true
    }

    /// Takes those whose window is over.
    fn over(&self, now: Instant) -> Vec<Seen> {
        self.seen.lock().extract_if(|_, seen| now >= seen.until).map(|(_, seen)| seen).collect()
    }
}

/// Tells of what is over, and sleeps while there is nothing to tell of.
fn watch(state: &State) {
    loop {
        let mut seen = state.seen.lock();
        if seen.is_empty() {
            state.wake.wait(&mut seen);
        } else {
            state.wake.wait_for(&mut seen, LOOK);
        }
        drop(seen);
        // Outside the lock: telling goes through here again.
        state.over(clock::now()).into_iter().for_each(tell);
    }
}

fn tell(seen: Seen) {
    let Seen { level, message, repeated, .. } = seen;
    let within_seconds = WINDOW.as_secs();
    match (repeated, level) {
        (0, _) => {}
        (_, Level::ERROR) => {
            tracing::error!(target: TARGET, repeated, within_seconds, "repeated: {message}");
        }
        (_, Level::WARN) => {
            tracing::warn!(target: TARGET, repeated, within_seconds, "repeated: {message}");
        }
        _ => tracing::info!(target: TARGET, repeated, within_seconds, "repeated: {message}"),
    }
}

/// Hashes the words of an event.
struct EventHasher<H>(H);

impl<H: Hasher> Write for EventHasher<H> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

impl<H: Hasher> Visit for EventHasher<H> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        field.name().hash(&mut self.0);
        let _ = write!(self, "{value:?}");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        (field.name(), value).hash(&mut self.0);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        (field.name(), value).hash(&mut self.0);
    }

    fn record_u64(&mut self, _: &Field, _: u64) {}

    fn record_i64(&mut self, _: &Field, _: i64) {}

    fn record_f64(&mut self, _: &Field, _: f64) {}
}

/// What an event says, without its fields.
fn words(event: &Event<'_>) -> String {
    let mut message = Message(String::new());
    event.record(&mut message);
    message.0.truncate(message.0.floor_char_boundary(MESSAGE));
    message.0.shrink_to_fit();
    message.0
}

/// The message of an event.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

/// What a record says of a refusal. Different errors of the relay or SES ask for different looks.
#[derive(Default, Hash)]
struct Refusal {
    is_refused: bool,
    is_possible_duplicate: bool,
    principal: String,
    reason: String,
    error: String,
}

impl Refusal {
    /// A message that SES may have taken all the same is one to be looked at by itself.
    fn is_summed(&self) -> bool {
        self.is_refused && !self.is_possible_duplicate
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { principal, reason, .. } = self;
        write!(f, "refused: mail of `{principal}` ({reason}); a file in `[decision_log]` has each")
    }
}

impl Visit for Refusal {
    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "event" => self.is_refused = value == "refused",
            "principal" => value.clone_into(&mut self.principal),
            "reason" => value.clone_into(&mut self.reason),
            "error" => value.clone_into(&mut self.error),
            _ => {}
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "possible_duplicate" {
            self.is_possible_duplicate = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_shown_and_the_others_are_counted() {
        let state =
            State { seen: Mutex::default(), wake: Condvar::new(), keys: RandomState::new() };
        let start = clock::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let is_new = |key, seconds| {
            let kind = Kind { key, level: Level::WARN, shown: 1 };
            state.is_new(kind, || "m".to_owned(), at(seconds))
        };
        assert!(is_new(1, 0));
        assert!(is_new(2, 1));
        assert_eq!((2..59).filter(|seconds| is_new(1, *seconds)).count(), 0);
        assert!(state.over(at(59)).is_empty());
        let over = state.over(at(60));
        let expected = Seen {
            level: Level::WARN,
            message: "m".to_owned(),
            until: at(60),
            shown: 1,
            repeated: 57,
        };
        assert_eq!(over, [expected]);
        assert!(is_new(1, 61), "a new minute");
    }

    #[test]
    fn a_flood_of_different_lines_takes_no_more_room() {
        let state =
            State { seen: Mutex::default(), wake: Condvar::new(), keys: RandomState::new() };
        let start = clock::now();
        let is_new =
            |key| state.is_new(Kind { key, level: Level::WARN, shown: 1 }, String::new, start);
        assert_eq!((0..10_000).filter(|key| is_new(*key)).count(), 10_000);
        assert_eq!(state.seen.lock().len(), ROOM);
        assert!(!is_new(0));
    }
}
