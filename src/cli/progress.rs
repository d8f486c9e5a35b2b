//! How far long work has come, on standard error.
//!
//! Only where somebody watches: on a terminal that can move its cursor, and neither in CI nor with
//! NO_COLOR nor `--quiet`. What goes to a pipe or a file never has any of it.

use std::cell::Cell;
use std::env;
use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::redact::printable;

const TICK: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(super) struct Quiet {
    /// Shows no progress on a terminal.
    #[arg(long, short)]
    pub(super) quiet: bool,
}

/// A line that tells what is being done; there is none before something was said.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    is_begun: Cell<bool>,
}

impl Progress {
    /// Starts a line; `template` is that of indicatif.
    pub(super) fn start(quiet: &Quiet, template: &str) -> Self {
        let bar = if quiet.quiet || !is_watched() {
            ProgressBar::hidden()
        } else {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        };
        // A template that cannot be read gives the line of indicatif.
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        bar.set_style(style.tick_chars(r"|/-\ "));
        Self { bar, is_begun: Cell::new(false) }
    }

    /// Says what is being done now.
    pub(super) fn say(&self, doing: &str) {
        if self.bar.is_hidden() {
            return;
        }
        self.bar.set_message(printable(doing).into_owned());
        if !self.is_begun.replace(true) {
            self.bar.tick();
            self.bar.enable_steady_tick(TICK);
        }
    }

    /// Counts one thing that is done.
    pub(super) fn count(&self) {
        self.bar.inc(1);
    }

    /// Does something that prints, with the line out of its way.
    pub(super) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        if self.is_begun.get() { self.bar.suspend(print) } else { print() }
    }

    /// Takes the line away.
    pub(super) fn clear(&self) {
        if self.is_begun.get() {
            self.bar.finish_and_clear();
        }
    }
}

fn is_watched() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
    io::stderr().is_terminal() && !is_dumb && !is_set("CI") && !is_set("NO_COLOR")
}
