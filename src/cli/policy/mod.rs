//! `sesgate policy`: the tools to live with policies.

mod explain;

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Says what the relay would decide about a message, and why.
    Explain(Box<explain::Arguments>),
}

pub(super) fn run(command: &Command) -> ExitCode {
    match command {
        Command::Explain(arguments) => explain::run(arguments),
    }
}
