//! `sesgate policy lint`: what is wrong or risky in policy documents, and what to write instead.
//!
//! Exit status 0 when nothing is worse than a suggestion, 1 for warnings, 2 for errors, for files that
//! cannot be read, and when there is no policy at all. Of a folder all files `*.json` are taken, at any
//! depth; files of cases among them are passed over.

mod linter;
mod print;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum, ValueHint};

use super::super::problems::tell;
use super::sarif;
use crate::policy::PolicyKind;
use crate::policy::lint::{Finding, Rule, Severity};
pub(super) use linter::Document;
use linter::Linter;

const WARNINGS: u8 = 1;
const ERRORS: u8 = 2;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Policy documents, or folders of them; `-` is standard input. With --config, by default every
    /// policy that it names.
    #[arg(value_name = "FILE|DIR", required_unless_present_any = ["config", "rules", "names"],
          value_hint = ValueHint::AnyPath)]
    files: Vec<PathBuf>,
    /// A configuration: it knows what each policy is attached to, and which findings it allows.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// What the policies are attached to of which no configuration says it.
    #[arg(long, value_enum, default_value_t = Kind::Identity)]
    kind: Kind,
    /// Leaves out findings of this kind; may be repeated.
    #[arg(long, value_name = "CODE", value_parser = allowed)]
    allow: Vec<&'static str>,
    /// How the findings look.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The same as `--format json`.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Warnings give exit status 2, as errors do.
    #[arg(long)]
    deny_warnings: bool,
    /// Lists every kind of finding and exits.
    #[arg(long, conflicts_with = "files")]
    rules: bool,
    /// Lists every action, context key and type of resource that is known, and exits.
    #[arg(long, conflicts_with_all = ["files", "rules"])]
    names: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Each finding with its line, and what to write instead.
    Text,
    /// One JSON array.
    Json,
    /// One SARIF 2.1.0 log, for code scanning; files are named from the current folder.
    Sarif,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Of a user, group or role.
    Identity,
    /// A permissions boundary.
    Boundary,
    /// Given with temporary credentials.
    Session,
    /// A service control policy.
    Scp,
    /// A resource control policy.
    Rcp,
    /// A sending authorization policy of an SES identity.
    Resource,
}

impl From<Kind> for PolicyKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Identity => PolicyKind::Identity,
            Kind::Boundary => PolicyKind::Boundary,
            Kind::Session => PolicyKind::Session,
            Kind::Scp => PolicyKind::ServiceControl,
            Kind::Rcp => PolicyKind::ResourceControl,
            Kind::Resource => PolicyKind::Resource,
        }
    }
}

pub(in crate::cli) fn run(arguments: &Arguments) -> ExitCode {
    if arguments.rules {
        return print::rules().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    if arguments.names {
        return print::names().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    let mut linter = match Linter::new(arguments) {
        Ok(linter) => linter,
        Err(status) => return status,
    };
    linter.read();
    let Linter { documents, unread, allowed: left_out, .. } = linter;
    for (file, error) in &unread {
        tell(&format!("{}: {error}", file.display()));
    }
    let is_nothing = documents.is_empty() && unread.is_empty();
    if is_nothing {
        tell("there are no policy documents");
    }
    let printed = match arguments.format {
        _ if arguments.json => print::json(&documents),
        Format::Json => print::json(&documents),
        Format::Sarif => sarif::print(&documents, &unread),
        Format::Text => print::text(&documents, left_out),
    };
    let worst = documents.iter().flat_map(|document| &document.findings).map(Finding::severity);
    let status = match worst.max() {
        _ if is_nothing || !unread.is_empty() => ERRORS,
        Some(Severity::Error) => ERRORS,
        Some(Severity::Warning | Severity::SecurityWarning) if arguments.deny_warnings => ERRORS,
        Some(Severity::Warning | Severity::SecurityWarning) => WARNINGS,
        Some(Severity::Suggestion) | None => 0,
    };
    match printed {
        Ok(()) => ExitCode::from(status),
        Err(_) => ExitCode::from(ERRORS),
    }
}

fn allowed(code: &str) -> Result<&'static str, String> {
    Rule::to_allow(code).map(|rule| rule.code)
}
