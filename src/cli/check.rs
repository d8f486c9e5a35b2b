//! `sesgate check`: everything that `serve` would read, without serving (decision 18).

use std::process::ExitCode;

use crate::config::Sources;

pub(super) fn run(sources: &Sources) -> ExitCode {
    match super::read(sources) {
        Ok((config, _, warnings)) => {
            for warning in warnings {
                eprintln!("warning: {warning}");
            }
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
