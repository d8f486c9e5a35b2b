//! `sesgate check`: everything that `serve` would read, without serving (decision 18).

use std::process::ExitCode;

use super::problems::{self, Severity};
use crate::config::Sources;

pub(super) fn run(sources: &Sources) -> ExitCode {
    match super::read(sources) {
        Ok((config, _, warnings)) => {
            problems::print(&warnings, Severity::Warning);
            eprintln!(
                "{}: {} listeners, {} users: ready to serve",
                config.origin,
                config.listeners.len(),
                config.users.len()
            );
            ExitCode::SUCCESS
        }
        Err(status) => status,
    }
}
