//! `sesgate check`: everything that `serve` would read, without serving (decision 18).

use std::process::ExitCode;

use clap::Args;

use super::Served;
use super::problems::{self, Severity};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    served: Served,
    /// Fails for warnings too, with exit status 1.
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match super::read(&arguments.served.sources()) {
        Ok((config, parts, mut warnings)) => {
            // What is wrong with a candidate stops nothing.
            warnings.extend(parts.candidate_problems());
            problems::print(&warnings, Severity::Warning);
            let fails = arguments.strict && !warnings.is_empty();
            let ending = match (fails, warnings.len()) {
                (false, _) => "ready to serve".to_owned(),
                (true, 1) => "1 warning, which `--strict` does not let pass".to_owned(),
                (true, number) => format!("{number} warnings, which `--strict` does not let pass"),
            };
            let (listeners, users) = (config.listeners.len(), config.users.len());
            problems::tell(&format!(
                "{}: {listeners} listeners, {users} users: {ending}",
                config.origin
            ));
            if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(status) => status,
    }
}
