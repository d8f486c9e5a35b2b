//! Problems of a policy document, each with its place and what to write instead.

use std::fmt;
use std::fmt::Write as _;

use super::rules::{self, Rule};

/// A problem of a policy document.
///
/// Its text is one line, `name:line:column: statement `Sid`: what is wrong; what to write`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}:{line}:{column}: {}{problem}", StatementLabel(.statement.as_deref()))]
pub struct PolicyError {
    name: String,
    line: usize,
    column: usize,
    statement: Option<String>,
    problem: Problem,
}

impl PolicyError {
    /// Returns the name given to [`super::Policy::parse`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the line of the problem, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Returns the column of the problem in characters, counted from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// Returns the `Sid`, in backticks, of the statement the problem is in, or its number counted
    /// from 1.
    pub fn statement(&self) -> Option<&str> {
        self.statement.as_deref()
    }

    /// Returns what is wrong and what to write instead, in one line.
    pub fn problem(&self) -> String {
        self.problem.to_string()
    }

    /// Returns the same in its parts.
    pub(super) fn into_problem(self) -> Problem {
        self.problem
    }
}

/// Why a part of a document is refused.
///
/// Displayed as `what is wrong; what to write`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The rule that is broken, by which the linter lists it.
    pub(super) rule: Rule,
    pub(super) message: String,
    /// What to write instead; may be empty.
    pub(super) fix: String,
}

impl Problem {
    pub(super) fn new(rule: Rule, message: impl Into<String>, fix: impl Into<String>) -> Problem {
        Problem { rule, message: message.into(), fix: fix.into() }
    }

    /// Puts in front of the message what the problem is about.
    pub(super) fn of(self, what: &str) -> Problem {
        Problem { message: format!("{what}: {}", self.message), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.fix.is_empty() { "" } else { "; " };
        write!(f, "{}{separator}{}", self.message, self.fix)
    }
}

struct StatementLabel<'a>(Option<&'a str>);

impl fmt::Display for StatementLabel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(label) => write!(f, "statement {label}: "),
            None => Ok(()),
        }
    }
}

/// The problems of one policy document, in the order of the text; never empty, and at most about a
/// hundred.
///
/// Displayed as one line a problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", OneLineEach(.0))]
pub struct PolicyErrors(pub(super) Vec<PolicyError>);

impl PolicyErrors {
    /// Iterates over the problems.
    pub fn iter(&self) -> impl Iterator<Item = &PolicyError> {
        self.0.iter()
    }
}

struct OneLineEach<'a>(&'a [PolicyError]);

impl fmt::Display for OneLineEach<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_char('\n')?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

/// Collects the problems of one document while it is read.
pub(super) struct Problems<'t> {
    name: &'t str,
    text: &'t str,
    line_starts: Vec<usize>,
    statement: Option<String>,
    found: Vec<(usize, PolicyError)>,
}

/// The most problems kept of one document; a hostile file may have tens of thousands.
const MOST_PROBLEMS: usize = 100;

impl<'t> Problems<'t> {
    pub(super) fn new(name: &'t str, text: &'t str) -> Self {
        let line_starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Problems { name, text, line_starts, statement: None, found: Vec::new() }
    }

    /// Names the statement that the next problems are in: its `Sid` in backticks, or its number.
    pub(super) fn enter(&mut self, statement: Option<String>) {
        self.statement = statement;
    }

    /// Adds a problem found at byte offset `at` of the text; `fix` may be empty.
    pub(super) fn add(
        &mut self,
        at: usize,
        rule: Rule,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.push(at, Problem::new(rule, message, fix));
    }

    /// Adds a problem found at byte offset `at` of the text.
    pub(super) fn push(&mut self, at: usize, problem: Problem) {
        if self.found.len() > MOST_PROBLEMS {
            return;
        }
        let (key, problem) = if self.is_full() {
            let last = ("more problems follow", "mend the ones listed first");
            (usize::MAX, Problem::new(rules::REFUSED, last.0, last.1))
        } else {
            (at, problem)
        };
        let (line, column) = self.position(at);
        let name = self.name.to_owned();
        let statement = self.statement.clone();
        self.found.push((key, PolicyError { name, line, column, statement, problem }));
    }

    /// Tells whether as many problems are kept as will be, so that looking for more is in vain.
    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= MOST_PROBLEMS
    }

    /// Returns the line, from 1, of a byte offset.
    pub(super) fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    /// Returns line and column, both from 1, of a byte offset.
    pub(super) fn position(&self, at: usize) -> (usize, usize) {
        let line = self.line(at);
        let start = line.checked_sub(1).and_then(|index| self.line_starts.get(index)).copied();
        let start = start.unwrap_or(0);
        let before = self.text.as_bytes().get(start..at).unwrap_or_default();
        // Bytes that do not continue a character begin one.
        let characters = before.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        (line, characters + 1)
    }

    /// Ends the collection: the problems in the order of the text, if there are any.
    pub(super) fn finish(mut self) -> Result<(), PolicyErrors> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|(key, _)| *key);
        Err(PolicyErrors(self.found.into_iter().map(|(_, error)| error).collect()))
    }
}
