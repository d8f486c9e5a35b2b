//! `sesgate completions`: what a shell needs to complete command lines.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The shell to write a script for.
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments, mut command: Command) -> ExitCode {
    // Through memory: the generator cannot tell of a pipe that was closed.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "sesgate", &mut script);
    match io::stdout().write_all(&script) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
