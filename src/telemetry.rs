//! Tracing set-up: where log lines go and what they look like.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Starts logging to standard output: `level` and above of sesgate, warnings of its libraries.
///
/// `json` chooses one JSON object a line; absent, text on a terminal and JSON elsewhere. Does
/// nothing when logging was started before.
pub fn start(json: Option<bool>, level: Level) {
    let terminal = std::io::stdout().is_terminal();
    let lines = if json.unwrap_or(!terminal) {
        fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(std::io::stdout)
            .boxed()
    } else {
        fmt::layer().with_ansi(terminal).with_writer(std::io::stdout).boxed()
    };
    let libraries = LevelFilter::WARN.min(LevelFilter::from_level(level));
    let filter = Targets::new().with_default(libraries).with_target("sesgate", level);
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
    std::panic::set_hook(Box::new(|panic| {
        // The place alone: what a panic says may hold content.
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "a task failed; its connection is closed, report this as a bug");
    }));
}
