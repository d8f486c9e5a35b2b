//! The command line: one file a subcommand.

mod check;
mod completions;
mod config;
mod doctor;
mod excerpt;
mod healthcheck;
mod man;
mod manual;
mod otlp;
mod policy;
mod problems;
mod progress;
mod serve;
mod slips;
mod user;
mod version;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueHint};

use crate::build_info;
use crate::config::{Config, Problem, Sources};
use crate::gateway::{self, Loaded, Parts};

/// Exit status for a configuration that cannot be used: EX_CONFIG of sysexits.h.
const EX_CONFIG: u8 = 78;

/// An SMTP relay proxy in front of Amazon SES that authorizes every message with IAM policies.
///
/// Apps point at it as their SMTP host. It authenticates them, reads From, Return-Path and recipients
/// out of the message, evaluates ordinary IAM policy documents as `ses:SendRawEmail`, and forwards
/// what they permit to SES. Whatever cannot be read in exactly one way is refused, and `250` is said
/// only once SES has taken the message.
#[derive(Debug, Parser)]
#[command(name = "sesgate", version = build_info::VERSION_AND_COMMIT, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Takes mail, decides, and forwards what is permitted.
    ///
    /// Runs in the foreground and logs to standard output. SIGHUP reads the configuration again, all
    /// or nothing; SIGTERM and SIGINT stop taking connections, finish what is in flight, and end it;
    /// a second signal ends it at once.
    Serve(Served),
    /// Reads the configuration and everything that it names, and lists every mistake.
    ///
    /// Policies, password hashes and certificates are read as `serve` would; nothing is bound and
    /// nobody is asked. A mistake is one line `file:line:column: what is wrong` on standard error;
    /// on a terminal the line that it is in stands below.
    Check(check::Arguments),
    /// Shows what the configuration is made of: file, environment variables, flags.
    #[command(subcommand)]
    Config(config::Command),
    /// Evaluates, explains and checks policies.
    #[command(subcommand)]
    Policy(policy::Command),
    /// Makes what the configuration of users needs.
    #[command(subcommand)]
    User(user::Command),
    /// Looks at everything that the relay needs before it goes live, and says how to mend it.
    ///
    /// The configuration, passwords that expire, certificates, open files, ports, the way to SES, the
    /// clock, credentials and whose they are, the account, its quota and its identities. Nothing is
    /// changed anywhere; a mail is sent only with --send-from.
    Doctor(doctor::Arguments),
    /// Asks a running relay whether it takes mail; exit status 0 if so.
    ///
    /// Asks `/readyz` of the `[admin]` address in the configuration and tells what stands against
    /// taking mail; for images without a shell.
    Healthcheck(healthcheck::Arguments),
    /// Says what this program was built from: version, commit, target, compiler, features.
    Version(version::Arguments),
    /// Prints a script that completes command lines in a shell.
    Completions(completions::Arguments),
    /// Writes the manual pages of all commands.
    Man(man::Arguments),
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file; paths in it are relative to it. Default: that of SESGATE_CONFIG, else
    /// `config/sesgate.toml`, which may be missing when SESGATE_… variables say what is needed.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Reads no configuration file, whatever lies here: variables and flags say everything.
    #[arg(long, conflicts_with = "config")]
    no_config: bool,
    /// A setting, over the environment (SESGATE_LOG_LEVEL) and the file; may be repeated.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

impl ConfigFile {
    /// What the configuration is read from.
    fn sources(&self) -> Sources {
        if self.no_config {
            return Sources::without_file(std::env::vars_os(), self.set.clone());
        }
        Sources::new(self.config.clone(), std::env::vars_os(), self.set.clone())
    }
}

/// What is served, and tried beside it.
#[derive(Debug, Args)]
struct Served {
    #[command(flatten)]
    file: ConfigFile,
    /// A folder of policies that are tried beside those in force and decide nothing: each file in place
    /// of the policy that has the same path from the folder of the configuration.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    candidate: Option<PathBuf>,
}

impl Served {
    /// What the configuration is read from.
    fn sources(&self) -> Sources {
        self.file.sources().with_candidate(self.candidate.clone())
    }
}

/// Runs the command line and returns the exit status.
#[must_use]
pub fn run() -> ExitCode {
    let matches = manual::attach(Cli::command()).try_get_matches();
    let matches = matches.unwrap_or_else(|error| slips::with_suggestion(error).exit());
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match cli.command {
        Command::Serve(served) => serve::run(&served.sources()),
        Command::Check(arguments) => check::run(&arguments),
        Command::Config(command) => config::run(&command),
        Command::Policy(command) => policy::run(&command),
        Command::User(command) => user::run(&command),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Healthcheck(arguments) => healthcheck::run(&arguments),
        Command::Version(arguments) => version::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, Cli::command()),
        Command::Man(arguments) => man::run(&arguments, Cli::command()),
    }
}

/// Reads a configuration with everything that it names. Prints what is wrong, all of it, to
/// standard error, and gives the exit status when there is any.
fn read(sources: &Sources) -> Result<(Config, Parts, Vec<Problem>), ExitCode> {
    let (read, problems) = read_all(sources);
    match read {
        Some((config, loaded)) if problems.is_empty() => {
            Ok((config, loaded.parts, loaded.warnings))
        }
        _ => Err(refuse(&problems)),
    }
}

/// Reads a configuration with everything that it names, and what is wrong with all of it.
fn read_all(sources: &Sources) -> (Option<(Config, Loaded)>, Vec<Problem>) {
    let (config, mut problems) = Config::read(sources);
    let read = config.map(|config| {
        let loaded = gateway::load(&config);
        problems.extend(loaded.problems.iter().cloned());
        problems.extend(otlp::problems(&config));
        (config, loaded)
    });
    (read, problems)
}

/// Prints what is wrong and gives the exit status.
fn refuse(problems: &[Problem]) -> ExitCode {
    problems::print(problems, problems::Severity::Mistake);
    ExitCode::from(EX_CONFIG)
}
