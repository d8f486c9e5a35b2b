//! `sesgate config`: what the configuration is made of.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::problems::{self, Severity};
use super::{ConfigFile, EX_CONFIG};
use crate::config::{self, Config};
use crate::gateway;
use crate::redact::printable_json;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Prints the configuration in force as a file, and where each value comes from.
    ///
    /// Secrets are masked; a comment behind each value says where it came from. Mistakes are listed on
    /// standard error.
    Print(Arguments),
    /// Lists every setting with the environment variables that say it.
    ///
    /// `<n>` is the number of an entry of a list, from 0.
    Variables,
}

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Prints a list of JSON objects with `key`, `value` and `from` instead.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &Command) -> ExitCode {
    let printed = match command {
        Command::Print(arguments) => print(arguments),
        Command::Variables => variables().map(|()| ExitCode::SUCCESS),
    };
    printed.unwrap_or(ExitCode::FAILURE)
}

fn print(arguments: &Arguments) -> io::Result<ExitCode> {
    let (config, settings, mut problems) = Config::read_settings(&arguments.file.sources());
    problems.extend(config.iter().flat_map(|config| gateway::load(config).problems));
    if arguments.json {
        let json = format!("{:#}", settings.to_json());
        writeln!(io::stdout(), "{}", printable_json(&json))?;
    } else {
        write!(io::stdout(), "{}", settings.to_toml())?;
    }
    problems::print(&problems, Severity::Mistake);
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EX_CONFIG) })
}

fn variables() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (key, names) in config::variables() {
        writeln!(out, "{key}\t{}", names.join(" "))?;
    }
    Ok(())
}
