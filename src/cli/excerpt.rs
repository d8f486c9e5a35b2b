//! A line of a file with a mark under a column, and text that cannot steer the terminal.

use std::io::{self, Write};

use anstyle::Style;

use crate::redact::is_unprintable;

/// Writes a line and below it a caret under a column; both counted from 1.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write(
    out: &mut impl Write,
    number: usize,
    column: usize,
    line: &str,
    style: Style,
) -> io::Result<()> {
    let weak = Style::new().dimmed();
    let bar = format!("{weak}|{weak:#}");
    let (part, before) = part(line, column);
    writeln!(out, "{weak}{number:>5}{weak:#} {bar} {part}")?;
    writeln!(out, "      {bar} {:before$}{style}^{style:#}", "")
}

/// Cuts the part around a column out of a line; returns it, and how many characters are before the
/// column.
fn part(line: &str, column: usize) -> (String, usize) {
    const BEFORE: usize = 60;
    const ALL: usize = 100;
    let before = column.saturating_sub(1);
    let skipped = if before > ALL - 20 { before - BEFORE } else { 0 };
    let part: String = line.trim_end_matches('\r').chars().skip(skipped).take(ALL).collect();
    (replaced(&part), before - skipped)
}

/// Keeps what would steer the terminal from it. Each character stays one, for the mark below.
fn replaced(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\t' => ' ',
            character if is_unprintable(character) => '\u{FFFD}',
            character => character,
        })
        .collect()
}
