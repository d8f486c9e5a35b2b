//! `sesgate policy replay`: decides what a decision log tells of again, under other policies.
//!
//! A record says what was decided and what about ([`crate::decision_log::Facts`]); the same
//! [`Authorizer`](crate::authorize::Authorizer) as the relay's decides again, at the moment of then.
//! Two decisions differ when their words do; that another statement settles the same is no difference,
//! since statements are named by lines, which move.

mod differences;
mod print;

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::super::progress::{Progress, Quiet};
use super::decider::{Answer, Decider, Under};
use super::records::{self, LeftOut, Logs, Place};
use crate::decision_log::Recorded;
use crate::relay::Mail;
use differences::{Differences, Outcome};

/// Added to the exit status when something differs, or is left out.
const DIFFERS: u8 = 1;
const LEFT_OUT: u8 = 2;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    logs: Logs,
    #[command(flatten)]
    under: Under,
    /// Takes the records of this user alone.
    #[arg(long)]
    user: Option<String>,
    /// How the result looks.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    quiet: Quiet,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Each group of differences with an example, and counts.
    Text,
    /// One JSON object.
    Json,
    /// One JUnit XML document: a case that fails for each group, for CI.
    Junit,
}

/// What came of all records.
#[derive(Debug, Default)]
struct Replayed {
    /// How many were decided again.
    decided: usize,
    /// How many tell of no decision: refused before there was one, or of no message.
    without_decision: usize,
    /// How many the log itself says are missing.
    lost: u64,
    differences: Differences,
    left_out: LeftOut,
}

pub(in crate::cli) fn run(arguments: &Arguments) -> ExitCode {
    let decider = match Decider::read(&arguments.under, arguments.user.as_deref()) {
        Ok(decider) => decider,
        Err(status) => return status,
    };
    let progress = Progress::start(&arguments.quiet, "{spinner} {pos} records, {wide_msg}");
    let mut left_out = LeftOut::default();
    let mut replayed = Replayed::default();
    records::read(&arguments.logs, &progress, &mut left_out, |place, record, left_out| {
        if arguments.user.as_ref().is_none_or(|user| *user == record.principal) {
            replayed.take(&decider, place, &record, left_out);
        }
    });
    progress.clear();
    replayed.left_out = left_out;
    replayed.differences.sort();
    replayed.left_out.print(&arguments.logs);
    let logs = &arguments.logs;
    let printed = match arguments.format {
        Format::Text => print::text(&replayed, logs, &decider.unknown),
        Format::Json => print::json(&replayed, logs, &decider.unknown),
        Format::Junit => print::junit(&replayed, logs),
    };
    let differs = u8::from(printed.is_err() || replayed.differences.count() > 0) * DIFFERS;
    let left_out = u8::from(!replayed.left_out.is_empty()) * LEFT_OUT;
    ExitCode::from(differs + left_out)
}

impl Replayed {
    fn take(&mut self, decider: &Decider, place: Place, record: &Recorded, left_out: &mut LeftOut) {
        let Some(before) = Outcome::before(record) else {
            self.lost += record.records;
            // Of what is permitted or settled another record tells.
            self.without_decision += usize::from(record.event == "refused");
            return;
        };
        let mail = match Mail::of(record) {
            Ok(mail) => mail,
            Err(error) => return left_out.not_decidable(place, error.to_string()),
        };
        match decider.decide(record, &mail) {
            Ok(answer) => self.compare(place, record, before, &answer),
            Err(problem) => left_out.not_decidable(place, problem),
        }
    }

    fn compare(&mut self, place: Place, record: &Recorded, before: Outcome, answer: &Answer) {
        self.decided += 1;
        if before.word != answer.word() {
            self.differences.add(place, record, before, answer);
        }
    }
}
