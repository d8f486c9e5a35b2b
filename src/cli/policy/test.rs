//! `sesgate policy test`: plays case files, for a team's own checks of its policies.
//!
//! Exit status 0 when all passed, 1 when some failed, 2 when there were none or a file could not be
//! read. Of a folder all files `*.json` are taken, at any depth; policy documents among them are
//! passed over. What a case file holds is told in [`super::cases`].

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::cases::{self, Played};

const FAILED: u8 = 1;
const NOT_RUN: u8 = 2;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Files of cases, or folders of such files.
    #[arg(value_name = "FILE|DIR", required = true)]
    paths: Vec<PathBuf>,
}

#[derive(Debug, Default)]
struct Tally {
    passed: usize,
    failed: usize,
    /// What could not be read.
    problems: Vec<String>,
}

pub(in crate::cli) fn run(arguments: &Arguments) -> ExitCode {
    let mut tally = Tally::default();
    let mut out = io::stdout().lock();
    for path in &arguments.paths {
        if test(path, &mut tally, &mut out).is_err() {
            return ExitCode::from(NOT_RUN);
        }
    }
    if tally.passed + tally.failed == 0 && tally.problems.is_empty() {
        tally.problems.push("there are no cases".to_owned());
    }
    if writeln!(out, "{} passed, {} failed", tally.passed, tally.failed).is_err() {
        return ExitCode::from(NOT_RUN);
    }
    for problem in &tally.problems {
        eprintln!("{problem}");
    }
    match (tally.problems.is_empty(), tally.failed) {
        (false, _) => ExitCode::from(NOT_RUN),
        (true, 0) => ExitCode::SUCCESS,
        (true, _) => ExitCode::from(FAILED),
    }
}

/// Plays a file or a folder. Only what cannot be written is an error.
fn test(path: &Path, tally: &mut Tally, out: &mut impl Write) -> io::Result<()> {
    if !path.is_dir() {
        match cases::play(path) {
            Ok(Some(played)) => return report(path, played, tally, out),
            Ok(None) => {
                let problem = format!("{}: a policy document, not a file of cases", path.display());
                tally.problems.push(problem);
            }
            Err(problem) => tally.problems.push(problem),
        }
        return Ok(());
    }
    let mut files = Vec::new();
    find(path, &mut files, &mut tally.problems);
    files.sort();
    for file in files {
        match cases::play(&file) {
            Ok(played) => report(&file, played.unwrap_or_default(), tally, out)?,
            Err(problem) => tally.problems.push(problem),
        }
    }
    Ok(())
}

/// Finds the files `*.json` of a folder; links to folders are not followed.
fn find(folder: &Path, files: &mut Vec<PathBuf>, problems: &mut Vec<String>) {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            problems.push(format!("{}: {error}", folder.display()));
            return;
        }
    };
    for entry in entries {
        match entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))) {
            Ok((path, kind)) if kind.is_dir() => find(&path, files, problems),
            Ok((path, _)) if path.extension().is_some_and(|it| it == "json") => files.push(path),
            Ok(_) => {}
            Err(error) => problems.push(format!("{}: {error}", folder.display())),
        }
    }
}

fn report(
    path: &Path,
    played: Vec<Played>,
    tally: &mut Tally,
    out: &mut impl Write,
) -> io::Result<()> {
    for case in played {
        let Err(failure) = case.result else {
            tally.passed += 1;
            continue;
        };
        tally.failed += 1;
        writeln!(out, "{}:{}: {}", path.display(), case.line, case.name)?;
        writeln!(out, "  expected {}", failure.expected)?;
        writeln!(out, "  got      {}", failure.got)?;
    }
    Ok(())
}
