//! Problems of the configuration and of what it names, on standard error.
//!
//! The first line of each is `file:line:column: what is wrong`, which editors and CI read. On a
//! terminal the line of the file follows, with a mark under the column.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};

use super::excerpt;
use crate::config::Problem;
use crate::redact::printable;

/// Whether a problem keeps the relay from starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    Mistake,
    Warning,
}

/// Prints problems in their order; what cannot be printed is lost.
pub(super) fn print(problems: &[Problem], severity: Severity) {
    let mut err = anstream::stderr().lock();
    let mut file = io::stderr().is_terminal().then(File::default);
    for problem in problems {
        let _ = write(&mut err, problem, severity, file.as_mut());
    }
}

/// Says something on standard error, in one line.
pub(super) fn tell(line: &str) {
    eprintln!("{}", printable(line));
}

/// The file that was read last.
#[derive(Debug, Default)]
struct File {
    name: String,
    text: String,
}

fn write(
    out: &mut impl Write,
    problem: &Problem,
    severity: Severity,
    file: Option<&mut File>,
) -> io::Result<()> {
    let (color, word) = match severity {
        Severity::Mistake => (AnsiColor::Red, ""),
        Severity::Warning => (AnsiColor::Yellow, "warning: "),
    };
    let style = Style::new().fg_color(Some(color.into())).bold();
    let name = printable(&problem.file);
    let place = problem.place.map(|(line, column)| format!(":{line}:{column}"));
    let place = place.unwrap_or_default();
    let message = printable(&problem.message);
    writeln!(out, "{style}{word}{name}{place}:{style:#} {message}")?;
    if let (Some(file), Some((number, column))) = (file, problem.place)
        && let Some(line) = file.line(&problem.file, number)
        && !is_secret(line)
    {
        excerpt::write(out, number, column, line, style)?;
    }
    Ok(())
}

impl File {
    fn line(&mut self, name: &str, number: usize) -> Option<&str> {
        if self.name != name {
            // A pipe was read already and has nothing more to give.
            let is_file = std::fs::metadata(name).is_ok_and(|it| it.is_file());
            let text = is_file.then(|| std::fs::read_to_string(name).unwrap_or_default());
            self.text = text.unwrap_or_default();
            name.clone_into(&mut self.name);
        }
        self.text.split('\n').nth(number.checked_sub(1)?)
    }
}

/// Tells whether a line may hold what nobody should read over a shoulder or in a recording.
fn is_secret(line: &str) -> bool {
    let line = line.to_lowercase();
    let is_named = |it: &&str| line.contains(*it);
    ["password", "secret", "token", "hash", "$argon2", "$2"].iter().any(is_named)
        || line.contains("://") && line.contains(['@', '?'])
}
