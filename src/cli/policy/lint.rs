//! `sesgate policy lint`: what is wrong or risky in policy documents, and what to write instead.
//!
//! Exit status 0 when nothing is worse than a suggestion, 1 for warnings, 2 for errors, for files that
//! cannot be read, and when there is no policy at all. Of a folder all files `*.json` are taken, at any
//! depth; files of cases among them are passed over.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anstyle::{AnsiColor, Style};
use clap::{Args, ValueEnum, ValueHint};
use jsonc_parser::ast::Value;
use serde_json::json;

use super::super::excerpt;
use super::super::problems::tell;
use super::files::{self, Found};
use super::{json as places, sarif};
use crate::policy::PolicyKind;
use crate::policy::lint::{Finding, RULES, Severity, lint, names};
use crate::redact::{printable, printable_json};

const WARNINGS: u8 = 1;
const ERRORS: u8 = 2;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Policy documents, or folders of them; `-` is standard input.
    #[arg(value_name = "FILE|DIR", required_unless_present_any = ["rules", "names"],
          value_hint = ValueHint::AnyPath)]
    files: Vec<PathBuf>,
    /// What the policies are attached to.
    #[arg(long, value_enum, default_value_t = Kind::Identity)]
    kind: Kind,
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
        return print_rules().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    if arguments.names {
        return print_names().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    #[expect(clippy::disallowed_methods, reason = "decides which times in policies are over")]
    let now = SystemTime::now();
    let (mut documents, mut unread) = (Vec::new(), Vec::new());
    for path in &arguments.files {
        let mut problems = Vec::new();
        let (files, is_folder) = match files::find(path, &mut problems) {
            Found::File(file) => (vec![file], false),
            Found::Folder(files) => (files, true),
        };
        unread.extend(problems);
        for file in files {
            match read(&file) {
                Ok(text) if is_folder && is_of_cases(&text) => {}
                Ok(text) => documents.push(Document::new(file, text, arguments.kind, now)),
                Err(error) => unread.push((file, error.to_string())),
            }
        }
    }
    for (file, error) in &unread {
        tell(&format!("{}: {error}", file.display()));
    }
    let is_nothing = documents.is_empty() && unread.is_empty();
    if is_nothing {
        tell("there are no policy documents");
    }
    let printed = match arguments.format {
        _ if arguments.json => print_json(&documents),
        Format::Json => print_json(&documents),
        Format::Sarif => sarif::print(&documents, &unread),
        Format::Text => print_text(&documents),
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

/// A document with what was found in it.
pub(super) struct Document {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) findings: Vec<Finding>,
}

impl Document {
    fn new(path: PathBuf, text: String, kind: Kind, now: SystemTime) -> Self {
        let findings = lint(PolicyKind::from(kind), &path.display().to_string(), &text, now);
        Document { path, text, findings }
    }
}

/// Tells whether a text is a file of cases, as `sesgate policy test` plays them.
fn is_of_cases(text: &str) -> bool {
    match places::parse(text) {
        Ok(Value::Array(_)) => true,
        Ok(Value::Object(object)) => places::member(&object, "cases").is_some(),
        _ => false,
    }
}

fn read(file: &Path) -> io::Result<String> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
}

fn print_rules() -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    for rule in RULES {
        let style = style(rule.severity);
        let (code, severity, about) = (rule.code, rule.severity.as_str(), rule.about);
        writeln!(out, "{style}{severity:16}{style:#} {code:30} {about}")?;
    }
    Ok(())
}

/// Lines of what it is, the name, and its type, with tabs between them.
fn print_names() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (what, name, kind) in names() {
        writeln!(out, "{what}\t{name}\t{kind}")?;
    }
    Ok(())
}

fn print_json(documents: &[Document]) -> io::Result<()> {
    let findings = documents.iter().flat_map(|document| &document.findings).map(|finding| {
        json!({
            "code": finding.code(),
            "severity": finding.severity().as_str(),
            "file": finding.name(),
            "line": finding.line(),
            "column": finding.column(),
            "message": finding.message(),
            "fix": finding.fix(),
        })
    });
    let findings = findings.collect::<serde_json::Value>();
    writeln!(io::stdout(), "{}", printable_json(&format!("{findings:#}")))
}

fn print_text(documents: &[Document]) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    for document in documents {
        let lines: Vec<_> = document.text.split('\n').collect();
        for finding in &document.findings {
            let line = finding.line().checked_sub(1).and_then(|index| lines.get(index));
            print_finding(&mut out, finding, line.copied().unwrap_or_default())?;
        }
    }
    let findings = documents.iter().flat_map(|document| &document.findings);
    let count = |severity| findings.clone().filter(|found| found.severity() == severity).count();
    let counted = |number: usize, word: &str| match number {
        0 => None,
        1 => Some(format!("1 {word}")),
        _ => Some(format!("{number} {word}s")),
    };
    let counts = [
        counted(count(Severity::Error), "error"),
        counted(count(Severity::SecurityWarning), "security warning"),
        counted(count(Severity::Warning), "warning"),
        counted(count(Severity::Suggestion), "suggestion"),
    ];
    let counts: Vec<_> = counts.into_iter().flatten().collect();
    match counts.as_slice() {
        [] if documents.is_empty() => Ok(()),
        [] => writeln!(out, "nothing found"),
        counts => writeln!(out, "{}", counts.join(", ")),
    }
}

fn print_finding(out: &mut impl Write, finding: &Finding, line: &str) -> io::Result<()> {
    let (style, weak) = (style(finding.severity()), Style::new().dimmed());
    let (name, number, column) = (printable(finding.name()), finding.line(), finding.column());
    writeln!(
        out,
        "{name}:{number}:{column}: {style}{}[{}]{style:#}: {}",
        finding.severity(),
        finding.code(),
        printable(finding.message()),
    )?;
    excerpt::write(out, number, column, line, style)?;
    if !finding.fix().is_empty() {
        writeln!(out, "      {weak}={weak:#} {}", printable(finding.fix()))?;
    }
    Ok(())
}

fn style(severity: Severity) -> Style {
    let color = match severity {
        Severity::Error => AnsiColor::Red,
        Severity::SecurityWarning => AnsiColor::Magenta,
        Severity::Warning => AnsiColor::Yellow,
        Severity::Suggestion => AnsiColor::Cyan,
    };
    Style::new().fg_color(Some(color.into())).bold()
}
