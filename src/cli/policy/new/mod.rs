//! `sesgate policy new`: a policy for whoever never wrote one, with cases that show what it does.
//!
//! Wishes come from flags, and on a terminal from answers. The policy is looked at by the linter and its
//! cases are played before anything is printed.

mod ask;
mod cases;
mod document;
mod layout;
mod mail;
mod sender;
mod wishes;

use std::fs::{self, File};
use std::io::{self, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueHint};

use super::super::problems::tell;
use super::super::progress::{Progress, Quiet};
use super::cases::Player;
use super::message::Configurations;
use crate::clock::time_of_day;
use crate::policy::PolicyKind;
use crate::policy::lint::{Finding, Severity, lint};
use layout::Json;
use wishes::Wishes;

/// Exit status for wishes that cannot be understood, the same as for a command line.
const USAGE: u8 = 2;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    wishes: Wishes,
    /// Writes the policy to this file, and its cases to the same name in a folder `cases` beside it.
    /// Nothing that is there is overwritten.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = json_file)]
    write: Option<PathBuf>,
    /// Asks nothing, also on a terminal.
    #[arg(long)]
    no_questions: bool,
}

pub(in crate::cli) fn run(arguments: &Arguments) -> ExitCode {
    let mut wishes = arguments.wishes.clone();
    if !arguments.no_questions && io::stdin().is_terminal() && io::stderr().is_terminal() {
        let mut input = BufReader::new(io::stdin());
        if let Err(error) = ask::ask(&mut wishes, &mut input, &mut io::stderr()) {
            tell(&format!("the answer cannot be read: {error}"));
            return ExitCode::FAILURE;
        }
    }
    let wishes = wishes.once();
    if wishes.is_empty() {
        tell("nothing is wished: say what the user may do, such as --from app@example.com");
        return ExitCode::from(USAGE);
    }
    let cases = match cases::of(&wishes) {
        Ok(cases) => cases,
        Err(problem) => {
            tell(&problem);
            return ExitCode::from(USAGE);
        }
    };
    let policy = document::policy(&wishes);
    let of_cases = |policies: (&'static str, Json)| {
        let about = ("about", Json::Text(wishes.command()));
        let cases_themselves = ("cases", cases.cases.clone());
        let shared = cases.shared.iter().cloned();
        let members = [about, policies].into_iter().chain(shared).chain([cases_themselves]);
        Json::Object(members.collect())
    };
    let whole = of_cases(("policies", policy.clone()));
    let looked_at = look_at(&policy.to_string(), &whole.to_string());
    let (Ok(remarks) | Err(remarks)) = &looked_at;
    remarks.iter().for_each(|remark| tell(remark));
    if looked_at.is_err() {
        return ExitCode::FAILURE;
    }
    let done = match &arguments.write {
        None => writeln!(io::stdout(), "{whole}"),
        Some(file) => {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let named = Json::texts(&[format!("../{name}")]);
            write(file, &policy, &of_cases(("policy_files", named)))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Looks at the policy as the linter does, and plays the cases; returns suggestions.
///
/// # Errors
/// What is wrong.
fn look_at(policy: &str, cases: &str) -> Result<Vec<String>, Vec<String>> {
    let findings = lint(PolicyKind::Identity, "policy", policy, time_of_day());
    // Which identities the account has, nobody said.
    let findings = findings.iter().filter(|it| it.code() != "broad-resource");
    let (suggestions, problems): (Vec<_>, Vec<_>) =
        findings.partition(|it| it.severity() == Severity::Suggestion);
    let shown = |findings: Vec<&Finding>| -> Vec<String> {
        findings.into_iter().map(ToString::to_string).collect()
    };
    let mut problems = shown(problems);
    let quiet = Progress::start(&Quiet { quiet: true }, "");
    let configurations = Configurations::default();
    let mut player = Player { progress: &quiet, configurations, coverage: None };
    match player.play_text(Path::new("the cases"), cases) {
        Ok(played) => {
            for case in played.unwrap_or_default() {
                if let Err(failure) = case.result {
                    problems.push(format!(
                        "the wishes do not go together: {}: expected {}, got {}",
                        case.name, failure.expected, failure.got
                    ));
                }
            }
        }
        Err(mistake) => problems.push(mistake.what),
    }
    if problems.is_empty() { Ok(shown(suggestions)) } else { Err(problems) }
}

/// Writes both files, or none.
fn write(file: &Path, policy: &Json, of_cases: &Json) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("")).join("cases");
    let beside = folder.join(file.file_name().unwrap_or_default());
    let named =
        |path: &Path, error: io::Error| io::Error::other(format!("{}: {error}", path.display()));
    create(file, policy).map_err(|error| named(file, error))?;
    let written = fs::create_dir_all(&folder).and_then(|()| create(&beside, of_cases));
    if let Err(error) = written {
        let _ = fs::remove_file(file);
        return Err(named(&beside, error));
    }
    let mut out = io::stdout().lock();
    writeln!(out, "wrote {}, for `policies` of the user", file.display())?;
    writeln!(out, "wrote {}, for `sesgate policy test`", beside.display())
}

fn create(path: &Path, text: &Json) -> io::Result<()> {
    writeln!(File::create_new(path)?, "{text}")
}

fn json_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension() {
        Some(extension) if extension == "json" => Ok(path),
        _ => Err("write a name that ends in `.json`, by which folders are searched".to_owned()),
    }
}
