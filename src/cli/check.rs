//! `sesgate check`: everything that `serve` would read, without serving (decision 18).

use std::path::Path;
use std::process::ExitCode;

pub(super) fn run(file: &Path) -> ExitCode {
    match super::read(file) {
        Ok((config, _, warnings)) => {
            for warning in warnings {
                eprintln!("warning: {warning}");
            }
            eprintln!(
                "{}: {} listeners, {} users: ready to serve",
                file.display(),
                config.listeners.len(),
                config.users.len()
            );
            ExitCode::SUCCESS
        }
        Err(status) => status,
    }
}
