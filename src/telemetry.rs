//! Tracing set-up: where log lines go and what they look like.
//!
//! Lines are written by a thread of their own behind a queue that is bounded in bytes: a reader of
//! standard output that stands still must not hold up mail. What the queue cannot take is dropped and
//! counted.

mod dedup;
mod queue;
mod text;

use std::io::IsTerminal;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{Format, Json, JsonFields, Writer};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::clock;
use crate::trace;
use dedup::{Dedup, Repeats};
use queue::Queue;
use text::Text;

/// Takes log lines.
pub type Lines = Box<dyn Layer<Registry> + Send + Sync>;

/// Keeps logging going; what waits is written when it is dropped, for as long as a second.
pub struct Logging {
    queue: Queue,
    repeats: Repeats,
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.repeats.finish();
        self.queue.finish();
    }
}

impl std::fmt::Debug for Logging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logging").field("dropped", &self.dropped_lines()).finish_non_exhaustive()
    }
}

impl Logging {
    /// How many lines were dropped because nobody read standard output.
    #[must_use]
    pub fn dropped_lines(&self) -> usize {
        self.queue.dropped()
    }
}

/// Starts logging to standard output: `level` and above of sesgate, warnings of its libraries.
///
/// `json` chooses one JSON object a line; absent, text on a terminal and JSON elsewhere. `more` takes
/// the same lines elsewhere. Does nothing when logging was started before.
#[must_use]
pub fn start(json: Option<bool>, level: Level, more: Option<Lines>) -> Logging {
    let terminal = std::io::stdout().is_terminal();
    let queue = Queue::start(std::io::stdout());
    let repeats = Repeats::start();
    let lines = if json.unwrap_or(!terminal) {
        fmt::layer()
            .json()
            .with_timer(Clock)
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .map_event_format(|format| Dedup(WithTraceId(format), repeats.clone()))
            .with_writer(queue.clone())
            .boxed()
    } else {
        // As NO_COLOR, CLICOLOR_FORCE and TERM say.
        let colors = anstream::AutoStream::choice(&std::io::stdout());
        let ansi = colors != anstream::ColorChoice::Never;
        let lines = fmt::layer().with_timer(Clock).with_ansi(ansi).with_writer(queue.clone());
        if terminal {
            lines.map_event_format(|_| Dedup(Text(Clock), repeats.clone())).boxed()
        } else {
            // For files and programs a line is a line.
            lines.map_event_format(|format| Dedup(format, repeats.clone())).boxed()
        }
    };
    let libraries = LevelFilter::WARN.min(LevelFilter::from_level(level));
    // What its provider of credentials warns of at each call is told once, by whoever watches over them.
    let providers = if level > Level::INFO { libraries } else { LevelFilter::OFF };
    let filter = Targets::new()
        .with_default(libraries)
        .with_target("aws_config", providers)
        .with_target("sesgate", level);
    let all: Vec<_> = [lines].into_iter().chain(more).collect();
    let _ = tracing_subscriber::registry().with(all.with_filter(filter)).try_init();
    std::panic::set_hook(Box::new(|panic| {
        // The place alone: what a panic says may hold content.
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "a task failed; its connection is closed, report this as a bug");
    }));
    Logging { queue, repeats }
}

/// The clock of log lines.
struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        writer.write_str(&clock::rfc3339_millis(clock::time_of_day()))
    }
}

/// Puts `trace_id` into the lines of a transaction that has one.
struct WithTraceId(Format<Json, Clock>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> FormatEvent<S, JsonFields> for WithTraceId {
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let Some(ids) = trace::ids() else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let rest = line.strip_prefix('{').unwrap_or(&line);
        write!(writer, "{{\"trace_id\":\"{}\",{rest}", crate::text::hex(&ids.trace))
    }
}
