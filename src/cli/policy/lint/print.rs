//! What `lint` prints: findings for people and for machines, and its catalogues.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde_json::json;

use super::super::super::excerpt;
use super::Document;
use crate::policy::lint::{self, Finding, RULES, Severity, grouped};
use crate::redact::{printable, printable_json};

/// Prints every kind of finding.
pub(super) fn rules() -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    for rule in RULES {
        let style = style(rule.severity);
        let (code, severity, about) = (rule.code, rule.severity.as_str(), rule.about);
        writeln!(out, "{style}{severity:16}{style:#} {code:30} {about}")?;
    }
    Ok(())
}

/// Prints lines of what it is, the name, and its type, with tabs between them.
pub(super) fn names() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (what, name, kind) in lint::names() {
        writeln!(out, "{what}\t{name}\t{kind}")?;
    }
    Ok(())
}

/// Prints all findings as one JSON array.
pub(super) fn json(documents: &[Document]) -> io::Result<()> {
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

/// Prints findings for people, those that are alike together.
pub(super) fn text(documents: &[Document], left_out: usize) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let weak = Style::new().dimmed();
    let findings = documents.iter().flat_map(|document| &document.findings);
    for group in grouped(findings.clone()) {
        let first = group.first;
        let has_it = |document: &&Document| {
            document.findings.iter().any(|finding| std::ptr::eq(finding, first))
        };
        let text = documents.iter().find(has_it).map_or("", |document| document.text.as_str());
        let line = first.line().checked_sub(1).and_then(|index| text.split('\n').nth(index));
        print_finding(&mut out, first, line.unwrap_or_default())?;
        if !group.others.is_empty() {
            writeln!(out, "      {weak}={weak:#} {}", printable(&group.to_string()))?;
        }
    }
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
    let allowed = counted(left_out, "finding").map(|left_out| format!(" ({left_out} allowed)"));
    let allowed = allowed.unwrap_or_default();
    match counts.as_slice() {
        [] if documents.is_empty() => Ok(()),
        [] => writeln!(out, "nothing found{allowed}"),
        counts => writeln!(out, "{}{allowed}", counts.join(", ")),
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
