//! The records of decision logs, for `replay` and `suggest`: read line by line, with what had to be left
//! out of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use serde_json::{Value, json};

use super::super::problems::tell;
use super::super::progress::Progress;
use super::lines;
use crate::decision_log::{Recorded, Unread};

const BUFFER_BYTES: usize = 256 * 1024;
/// How many runs of lines that are left out for one reason are named.
const RUNS: usize = 10;
/// How many reasons of a file are named; of a file that is no log each line may have its own.
const REASONS: usize = 20;

#[derive(Debug, Args)]
pub(super) struct Logs {
    /// Files of the decision log; `-` is standard input.
    #[arg(long = "log", value_name = "FILE", required = true, num_args = 1.., value_hint = ValueHint::FilePath)]
    pub(super) files: Vec<PathBuf>,
}

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Its file, as a number in the order of the command line.
    pub(super) file: usize,
    /// Its line, from 1.
    pub(super) line: usize,
}

/// Lines that nothing can be said about, by why.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// By file and problem.
    reasons: BTreeMap<(usize, String), Lines>,
    /// How many of the lines are records that lack what a decision needs.
    undecidable: usize,
}

/// Lines of one file; none where it is the file as a whole.
#[derive(Debug, Default)]
struct Lines {
    /// Those that follow each other.
    runs: Vec<RangeInclusive<usize>>,
    count: usize,
}

impl LeftOut {
    /// Leaves out a record that does not say what a decision needs, or about which nothing can be
    /// decided by these policies.
    pub(super) fn not_decidable(&mut self, place: Place, problem: impl Into<String>) {
        self.undecidable += 1;
        self.note(place, problem);
    }

    /// Leaves out a line.
    fn note(&mut self, place: Place, problem: impl Into<String>) {
        let lines = self.reasons.entry((place.file, problem.into())).or_default();
        lines.count += 1;
        match lines.runs.last_mut() {
            Some(run) if *run.end() + 1 == place.line => *run = *run.start()..=place.line,
            _ => lines.runs.push(place.line..=place.line),
        }
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    /// How many lines there are; a file that cannot be read has none.
    pub(super) fn count(&self) -> usize {
        self.reasons.values().map(|lines| lines.count).sum()
    }

    /// How many files could not be read, or not to their end.
    pub(super) fn files(&self) -> usize {
        self.reasons.values().filter(|lines| lines.count == 0).count()
    }

    /// The counts, as the end of a sentence.
    pub(super) fn summary(&self) -> String {
        let mut text = format!("{} records left out", self.count());
        if self.undecidable > 0 {
            text.push_str(&format!(" ({} not decidable)", self.undecidable));
        }
        match self.files() {
            0 => {}
            1 => text.push_str(", 1 file not read"),
            files => text.push_str(&format!(", {files} files not read")),
        }
        text
    }

    /// Names each reason with its places on standard error.
    pub(super) fn print(&self, logs: &Logs) {
        (0..logs.files.len()).flat_map(|file| self.of(file, logs)).for_each(|line| tell(&line));
    }

    /// What is left out of one file, a line for each reason.
    pub(super) fn of(&self, file: usize, logs: &Logs) -> Vec<String> {
        let name = name(logs, file);
        let mut reasons: Vec<_> = self.reasons.iter().filter(|((of, _), _)| *of == file).collect();
        reasons.sort_by_key(|(_, lines)| lines.runs.first().map(|run| *run.start()));
        let more = reasons.len().saturating_sub(REASONS);
        let shown = reasons.into_iter().take(REASONS);
        let mut told: Vec<_> =
            shown.map(|((_, problem), lines)| lines.tell(&name, problem)).collect();
        if more > 0 {
            told.push(format!("{name}: and lines with {more} other problems"));
        }
        told
    }

    /// The counts, and each reason with its lines.
    pub(super) fn to_json(&self, logs: &Logs) -> Value {
        let reasons = self.reasons.iter().map(|((file, problem), lines)| {
            let runs = lines.runs.iter().map(|run| json!([run.start(), run.end()]));
            json!({
                "file": name(logs, *file),
                "problem": problem,
                "count": lines.count,
                "lines": runs.collect::<Value>(),
            })
        });
        json!({
            "records": self.count(),
            "not_decidable": self.undecidable,
            "files": self.files(),
            "because": reasons.collect::<Value>(),
        })
    }
}

impl Lines {
    fn tell(&self, file: &str, problem: &str) -> String {
        let Some(first) = self.runs.first().map(|run| *run.start()) else {
            return format!("{file}: {problem}");
        };
        if self.count == 1 {
            return format!("{file}:{first}: {problem}");
        }
        let run = |run: &RangeInclusive<usize>| match (run.start(), run.end()) {
            (start, end) if start == end => start.to_string(),
            (start, end) => format!("{start}-{end}"),
        };
        let mut runs: Vec<_> = self.runs.iter().take(RUNS).map(run).collect();
        if self.runs.len() > RUNS {
            runs.push("…".to_owned());
        }
        format!("{file}:{first}: {problem} ({} lines: {})", self.count, runs.join(", "))
    }
}

/// The name of a file as the operator wrote it.
pub(super) fn name(logs: &Logs, file: usize) -> String {
    logs.files.get(file).map(|file| file.display().to_string()).unwrap_or_default()
}

/// Reads all records; what cannot be read is left out and the rest goes on.
pub(super) fn read(
    logs: &Logs,
    progress: &Progress,
    left_out: &mut LeftOut,
    mut each: impl FnMut(Place, Recorded, &mut LeftOut),
) {
    for (file, path) in logs.files.iter().enumerate() {
        progress.say(&path.display().to_string());
        let read = if path.as_os_str() == "-" {
            read_file(file, io::stdin().lock(), progress, left_out, &mut each)
        } else {
            File::open(path).and_then(|it| read_file(file, it, progress, left_out, &mut each))
        };
        if let Err(error) = read {
            left_out.reasons.entry((file, format!("cannot be read: {error}"))).or_default();
        }
    }
}

fn read_file(
    file: usize,
    input: impl Read,
    progress: &Progress,
    left_out: &mut LeftOut,
    each: &mut impl FnMut(Place, Recorded, &mut LeftOut),
) -> io::Result<()> {
    let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
    let mut bytes = Vec::new();
    let mut place = Place { file, line: 0 };
    while let Some(line) = lines::next(&mut input, &mut bytes, || Ok(()))? {
        place.line += 1;
        if line.is_too_long() {
            left_out.note(place, lines::TOO_LONG);
            continue;
        }
        match Recorded::parse(&bytes) {
            Ok(record) => each(place, record, left_out),
            Err(Unread::NoRecord(_)) if !line.is_ended => {
                let cut =
                    "the last line is cut short: it is still being written, or the file is damaged";
                left_out.note(place, cut);
            }
            Err(error) => left_out.note(place, error.to_string()),
        }
        progress.count();
    }
    Ok(())
}
