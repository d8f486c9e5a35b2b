//! `sesgate check`: everything that `serve` would read, without serving (decision 18).

use std::process::ExitCode;

use super::problems::{self, Severity};
use crate::config::Sources;

pub(super) fn run(sources: &Sources) -> ExitCode {
    match super::read(sources) {
        Ok((config, _, warnings)) => {
            problems::print(&warnings, Severity::Warning);
            let (listeners, users) = (config.listeners.len(), config.users.len());
            problems::tell(&format!(
                "{}: {listeners} listeners, {users} users: ready to serve",
                config.origin
            ));
            ExitCode::SUCCESS
        }
        Err(status) => status,
    }
}
