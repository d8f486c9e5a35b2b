//! Where a value came from, and what is wrong there.

use std::fmt;
use std::path::Path;

use crate::redact::printable;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, as the operator would name it, or the environment variable, or the flag.
    pub file: String,
    /// Line and column, both counted from 1; absent when the whole file is meant.
    pub place: Option<(usize, usize)>,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// The place of a value in the configuration: what a later check names. `Origin` has its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub struct Place {
    /// Which label, a variable or a flag, counted from 1; 0 is the file.
    pub(super) label: usize,
    /// Line of the file, counted from 1.
    pub(super) line: usize,
    /// Column, counted from 1.
    pub(super) column: usize,
}

impl Place {
    /// Whether it is in the file.
    pub(super) fn is_in_file(self) -> bool {
        self.label == 0
    }
}

/// A value and its place in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// Something that says a value and is not the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Label {
    /// Which of them.
    pub(super) by: OriginKind,
    /// The variable, the flag, or `default`.
    pub(super) name: String,
}

/// What says a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OriginKind {
    /// An environment variable.
    Variable,
    /// The flag `--set`.
    Flag,
    /// Nobody: it follows from other values.
    Default,
}

/// Returns the words for a place: a file with line and column, a variable or a flag.
pub(super) fn problem(
    file: Option<&Path>,
    labels: &[Label],
    place: Place,
    message: String,
) -> Problem {
    let message = one_line(&message);
    match (place.label.checked_sub(1).and_then(|at| labels.get(at)), file) {
        (Some(label), _) => Problem { file: label.name.clone(), place: None, message },
        (None, Some(file)) => Problem {
            file: file.display().to_string(),
            place: Some((place.line, place.column)),
            message,
        },
        (None, None) => Problem { file: "environment".to_owned(), place: None, message },
    }
}

/// One line, whatever a value holds that is told of: what is not printable is escaped, and of a very
/// long text both ends are kept.
pub(super) fn one_line(text: &str) -> String {
    const LONGEST: usize = 1_200;
    let mut line = printable(text).into_owned();
    let characters = line.chars().count();
    if characters > LONGEST {
        let (head, tail) = (LONGEST / 2, characters - LONGEST / 4);
        let (start, end) = (line.chars().take(head), line.chars().skip(tail));
        line = start.chain(" … ".chars()).chain(end).collect();
    }
    line
}
