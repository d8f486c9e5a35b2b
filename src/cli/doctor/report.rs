//! What the checks found, as lines for people or one JSON object.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde_json::json;

use super::super::progress::{Progress, Quiet};
use crate::redact::{printable, printable_json};

/// How the report looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// One line a finding, as soon as it is there, and below it how to mend it.
    Text,
    /// One JSON object at the end.
    Json,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    Warning,
    Failed,
    Skipped,
}

impl Status {
    const ALL: [Self; 4] = [Self::Ok, Self::Warning, Self::Failed, Self::Skipped];

    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Ok => Style::new().fg_color(Some(AnsiColor::Green.into())),
            Self::Warning => Style::new().fg_color(Some(AnsiColor::Yellow.into())).bold(),
            Self::Failed => Style::new().fg_color(Some(AnsiColor::Red.into())).bold(),
            Self::Skipped => Style::new().dimmed(),
        }
    }
}

struct Finding {
    check: &'static str,
    status: Status,
    seen: String,
    fix: Option<String>,
}

/// Everything that was found so far.
pub(super) struct Report {
    format: Format,
    findings: Vec<Finding>,
    secrets: Vec<String>,
    progress: Progress,
    broken: bool,
}

impl Report {
    pub(super) fn new(format: Format, quiet: &Quiet) -> Self {
        let progress = Progress::start(quiet, "{spinner} {wide_msg}");
        Self { format, findings: Vec::new(), secrets: Vec::new(), progress, broken: false }
    }

    /// Keeps a text out of everything that is reported from now on: some answers of AWS quote the
    /// request with its session token.
    pub(super) fn hide(&mut self, secret: &str) {
        if !secret.is_empty() {
            self.secrets.push(secret.to_owned());
        }
    }

    pub(super) fn ok(&mut self, check: &'static str, seen: impl Into<String>) {
        self.add(check, Status::Ok, seen.into(), None);
    }

    pub(super) fn warning(
        &mut self,
        check: &'static str,
        seen: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.add(check, Status::Warning, seen.into(), Some(fix.into()));
    }

    pub(super) fn failed(
        &mut self,
        check: &'static str,
        seen: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.add(check, Status::Failed, seen.into(), Some(fix.into()));
    }

    /// Notes what could not be looked at, and because of what.
    pub(super) fn skipped(&mut self, check: &'static str, because: impl Into<String>) {
        self.add(check, Status::Skipped, because.into(), None);
    }

    /// Notes what is not looked at unless asked for.
    pub(super) fn left_out(
        &mut self,
        check: &'static str,
        because: impl Into<String>,
        command: impl Into<String>,
    ) {
        self.add(check, Status::Skipped, because.into(), Some(command.into()));
    }

    pub(super) fn has_failed(&self) -> bool {
        self.count(Status::Failed) > 0
    }

    /// How many findings ask for something to be done.
    pub(super) fn problems(&self) -> usize {
        self.count(Status::Failed) + self.count(Status::Warning)
    }

    /// Says on a terminal what takes its time just now.
    pub(super) fn progress(&self, doing: &str) {
        self.progress.say(&format!("{doing} …"));
    }

    /// Ends the report.
    ///
    /// # Errors
    /// When it could not be written.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.progress.clear();
        if self.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        match self.format {
            Format::Text => {
                let counts = Status::ALL.map(|it| format!("{} {}", self.count(it), it.as_str()));
                writeln!(anstream::stdout().lock(), "{}", counts.join(", "))
            }
            Format::Json => {
                let json = format!("{:#}", self.json());
                writeln!(io::stdout().lock(), "{}", printable_json(&json))
            }
        }
    }

    fn json(&self) -> serde_json::Value {
        let findings = self.findings.iter().map(|finding| {
            json!({
                "check": finding.check,
                "status": finding.status.as_str(),
                "seen": finding.seen,
                "fix": finding.fix,
            })
        });
        let status = if self.has_failed() { "failed" } else { "ok" };
        let counts = Status::ALL.map(|it| (it.as_str().to_owned(), self.count(it).into()));
        json!({
            "version": 1,
            "status": status,
            "counts": counts.into_iter().collect::<serde_json::Map<_, _>>(),
            "checks": findings.collect::<serde_json::Value>(),
        })
    }

    fn count(&self, status: Status) -> usize {
        self.findings.iter().filter(|finding| finding.status == status).count()
    }

    fn add(&mut self, check: &'static str, status: Status, seen: String, fix: Option<String>) {
        let seen = self.clean(&seen);
        let fix = fix.map(|fix| self.clean(&fix));
        let finding = Finding { check, status, seen, fix };
        if self.format == Format::Text {
            self.broken |= self.progress.aside(|| print(&finding)).is_err();
        }
        self.findings.push(finding);
    }

    fn clean(&self, text: &str) -> String {
        let hidden = |text: String, secret: &String| text.replace(secret.as_str(), "***");
        self.secrets.iter().fold(text.to_owned(), hidden)
    }
}

fn print(finding: &Finding) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let (style, status) = (finding.status.style(), finding.status.as_str());
    let seen = finding.seen.lines().collect::<Vec<_>>().join(" ");
    let seen = printable(&seen);
    writeln!(out, "{style}{status:8}{style:#} {:14} {seen}", finding.check)?;
    let weak = Style::new().dimmed();
    let word = if finding.status == Status::Skipped { "run:" } else { "fix:" };
    let lines = finding.fix.iter().flat_map(|fix| fix.lines());
    for (number, line) in lines.enumerate() {
        let word = if number == 0 { word } else { "" };
        writeln!(out, "         {weak}{word:4}{weak:#} {}", printable(line))?;
    }
    out.flush()
}
