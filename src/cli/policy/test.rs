//! `sesgate policy test`: plays case files, for a team's own checks of its policies.
//!
//! Exit status 0 when all passed, 1 when some failed or the coverage is less than asked for, 2 when there were none or a file could not be
//! read. Of a folder all files `*.json` are taken, at any depth; policy documents among them are
//! passed over. What a case file holds is told in [`super::cases`].

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum, ValueHint};

use super::super::problems::tell;
use super::super::progress::{Progress, Quiet};
use super::cases::Player;
use super::coverage::{Coverage, Reached};
use super::files::{self, Found};
use super::junit::{self, Suite};
use super::message::Configurations;
use crate::redact::printable;

const FAILED: u8 = 1;
const NOT_RUN: u8 = 2;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Files of cases, or folders of such files.
    #[arg(value_name = "FILE|DIR", required = true, value_hint = ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    /// How the results look.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Lists the statements and operands of policies in files that no case reaches, and fails when less
    /// than so many percent are reached.
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, require_equals = true,
        default_missing_value = "0", value_parser = clap::value_parser!(u8).range(0..=100))]
    coverage: Option<u8>,
    #[command(flatten)]
    quiet: Quiet,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// What failed, and a count.
    Text,
    /// One JUnit XML document with all cases, for CI.
    Junit,
}

pub(in crate::cli) fn run(arguments: &Arguments) -> ExitCode {
    let mut suites = Vec::new();
    let progress = Progress::start(&arguments.quiet, "{spinner} {pos} cases, {wide_msg}");
    let mut player = Player {
        progress: &progress,
        configurations: Configurations::default(),
        coverage: arguments.coverage.map(|_| Coverage::default()),
    };
    let played = play(arguments, &mut player, &mut suites);
    progress.clear();
    let reached = player.coverage.map(|it| Reached::new(&it, arguments.coverage.unwrap_or(0)));
    let printed = played.and_then(|()| match arguments.format {
        Format::Text => print_counts(&suites, reached.as_ref()),
        Format::Junit => {
            let out = &mut io::stdout().lock();
            junit::write("sesgate policy test", &suites, reached.as_ref(), out)
        }
    });
    if printed.is_err() {
        return ExitCode::from(NOT_RUN);
    }
    for problem in suites.iter().filter_map(|suite| suite.played.as_ref().err()) {
        tell(problem);
    }
    let (passed, failed) = counts(&suites);
    let is_read = suites.iter().all(|suite| suite.played.is_ok());
    if is_read && passed + failed == 0 {
        tell("there are no cases");
    }
    let is_enough = reached.is_none_or(|reached| reached.is_enough());
    match (is_read, passed, failed) {
        (false, ..) | (true, 0, 0) => ExitCode::from(NOT_RUN),
        (true, _, 0) if is_enough => ExitCode::SUCCESS,
        (true, ..) => ExitCode::from(FAILED),
    }
}

/// Plays all files. Only what cannot be written is an error.
fn play(arguments: &Arguments, player: &mut Player<'_>, suites: &mut Vec<Suite>) -> io::Result<()> {
    let progress = player.progress;
    for path in &arguments.paths {
        let mut problems = Vec::new();
        let (files, is_folder) = match files::find(path, &mut problems) {
            Found::File(file) => (vec![file], false),
            Found::Folder(files) => (files, true),
        };
        let of = files.len();
        for (number, file) in files.into_iter().enumerate() {
            let name = file.display().to_string();
            progress.say(&format!("file {} of {of}: {name}", number + 1));
            let played = match player.play(&file) {
                Ok(None) if is_folder => continue,
                Ok(None) => Err(format!("{name}: a policy document, not a file of cases")),
                Ok(Some(played)) => Ok(played),
                Err(problem) => Err(problem),
            };
            let suite = Suite { file: name, played };
            if arguments.format == Format::Text {
                progress.aside(|| print_failures(&suite, &mut io::stdout().lock()))?;
            }
            suites.push(suite);
        }
        for (folder, problem) in problems {
            let file = folder.display().to_string();
            suites.push(Suite { played: Err(format!("{file}: {problem}")), file });
        }
    }
    Ok(())
}

fn print_failures(suite: &Suite, out: &mut impl Write) -> io::Result<()> {
    for case in suite.cases() {
        let Err(failure) = &case.result else { continue };
        let (file, line, name) = (printable(&suite.file), case.line, printable(&case.name));
        writeln!(out, "{file}:{line}: {name}")?;
        writeln!(out, "  expected {}", printable(&failure.expected))?;
        writeln!(out, "  got      {}", printable(&failure.got))?;
    }
    Ok(())
}

fn print_counts(suites: &[Suite], reached: Option<&Reached>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if let Some(reached) = reached {
        for line in reached.files.iter().flat_map(|file| &file.missed) {
            writeln!(out, "{}", printable(line))?;
        }
        writeln!(out, "{reached}")?;
    }
    let (passed, failed) = counts(suites);
    writeln!(out, "{passed} passed, {failed} failed")
}

/// How many cases passed, and how many failed.
fn counts(suites: &[Suite]) -> (usize, usize) {
    let failed = suites.iter().map(Suite::failures).sum();
    let all: usize = suites.iter().map(|suite| suite.cases().len()).sum();
    (all - failed, failed)
}
