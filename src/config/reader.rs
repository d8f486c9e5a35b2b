//! Reading one TOML table at a time, with every problem noted and none hiding the next.
//!
//! A reader hands out checked plain values. What is missing takes its default, what is wrong is
//! noted with its line and replaced by the default, and a key that nobody asked for is a problem
//! when the reader is finished. Which keys exist is the business of the parent module.

use std::cell::RefCell;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use toml_span::value::{Table, ValueInner};
use toml_span::{Span, Value};

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, as the operator would name it.
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

/// The place of a value in the configuration file: what a later check names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Line, counted from 1.
    pub line: usize,
    /// Column, counted from 1.
    pub column: usize,
}

/// A value and its place in the configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// The text that is read, its name, and what was found wrong in it so far.
pub(super) struct Source<'t> {
    path: &'t Path,
    text: &'t str,
    /// Where each line begins: places are many in a large file.
    lines: Vec<usize>,
    problems: RefCell<Vec<Problem>>,
}

impl<'t> Source<'t> {
    pub(super) fn new(path: &'t Path, text: &'t str) -> Self {
        let lines = [0].into_iter().chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { path, text, lines, problems: RefCell::default() }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort();
        problems.dedup();
        problems
    }

    pub(super) fn place(&self, span: Span) -> Place {
        let line = self.lines.partition_point(|start| *start <= span.start);
        let start = line.checked_sub(1).and_then(|at| self.lines.get(at)).copied().unwrap_or(0);
        let before = self.text.get(start..span.start).unwrap_or_default();
        Place { line, column: before.chars().count() + 1 }
    }

    pub(super) fn note(&self, span: Span, message: impl Into<String>) {
        self.note_at(self.place(span), message);
    }

    pub(super) fn note_at(&self, place: Place, message: impl Into<String>) {
        self.problems.borrow_mut().push(Problem {
            file: self.path.display().to_string(),
            place: Some((place.line, place.column)),
            message: message.into(),
        });
    }

    /// Reads the text; a syntax error is noted and gives an empty table.
    pub(super) fn table(&self) -> Reader<'_, 't> {
        let (table, span) = match toml_span::parse(self.text) {
            Ok(mut value) => match value.take() {
                ValueInner::Table(table) => (table, value.span),
                _ => (Table::new(), Span::new(0, 0)),
            },
            Err(error) => {
                self.note(error.span, error.to_string());
                (Table::new(), Span::new(0, 0))
            }
        };
        Reader { source: self, name: String::new(), table, span, known: Vec::new() }
    }
}

/// One table of the configuration file.
pub(super) struct Reader<'s, 't> {
    source: &'s Source<'t>,
    name: String,
    table: Table<'t>,
    span: Span,
    known: Vec<&'static str>,
}

impl<'s, 't> Reader<'s, 't> {
    pub(super) fn source(&self) -> &'s Source<'t> {
        self.source
    }

    pub(super) fn place(&self) -> Place {
        self.source.place(self.span)
    }

    /// Notes a problem with the table as a whole.
    pub(super) fn note(&self, message: impl Into<String>) {
        self.source.note(self.span, message);
    }

    /// Whether the table holds the key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn take(&mut self, key: &'static str) -> Option<Value<'t>> {
        self.known.push(key);
        self.table.remove(key)
    }

    fn wanted(&self, key: &str, what: &str, found: &ValueInner<'_>, span: Span) {
        self.source.note(span, format!("`{key}` must be {what}, not {}", found.type_str()));
    }

    pub(super) fn string(&mut self, key: &'static str) -> Option<Placed<String>> {
        let mut value = self.take(key)?;
        match value.take() {
            ValueInner::String(text) => {
                Some(Placed { value: text.into_owned(), place: self.source.place(value.span) })
            }
            found => {
                self.wanted(key, "a string", &found, value.span);
                None
            }
        }
    }

    /// A string that must be there.
    pub(super) fn required(&mut self, key: &'static str) -> Placed<String> {
        if !self.has(key) {
            self.note(format!("`{key}` is missing{}", self.in_table()));
        }
        let text = self.string(key).unwrap_or_default();
        if text.value.is_empty() && text.place != Place::default() {
            self.source.note_at(text.place, format!("`{key}` is empty{}", self.in_table()));
        }
        text
    }

    /// A string that is parsed; `what` completes "`key` must be …".
    pub(super) fn parsed<T: FromStr>(
        &mut self,
        key: &'static str,
        what: &str,
    ) -> Option<Placed<T>> {
        let text = self.string(key)?;
        match text.value.parse() {
            Ok(value) => Some(Placed { value, place: text.place }),
            Err(_) => {
                self.source
                    .note_at(text.place, format!("`{key}` must be {what}, not `{}`", text.value));
                None
            }
        }
    }

    /// One of a few words; the first is the default.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let text = self.string(key)?;
        let found = choices.iter().find(|(word, _)| *word == text.value);
        if found.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| format!("`{word}`")).collect();
            self.source.note_at(
                text.place,
                format!("`{key}` must be {}, not `{}`", words.join(" or "), text.value),
            );
        }
        found.map(|(_, value)| *value)
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let mut value = self.take(key)?;
        match value.take() {
            ValueInner::Boolean(flag) => Some(flag),
            found => {
                self.wanted(key, "true or false", &found, value.span);
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        default: usize,
        bounds: RangeInclusive<usize>,
    ) -> usize {
        let Some(mut value) = self.take(key) else { return default };
        let number = match value.take() {
            ValueInner::Integer(number) => usize::try_from(number).ok(),
            _ => None,
        };
        match number.filter(|number| bounds.contains(number)) {
            Some(number) => number,
            None => {
                self.source.note(
                    value.span,
                    format!(
                        "`{key}` must be a whole number from {} to {}",
                        bounds.start(),
                        bounds.end()
                    ),
                );
                default
            }
        }
    }

    /// A number of events per second, above zero; it may have a fraction.
    pub(super) fn rate(&mut self, key: &'static str) -> Option<f64> {
        let mut value = self.take(key)?;
        let number = match value.take() {
            ValueInner::Integer(number) => i32::try_from(number).ok().map(f64::from),
            ValueInner::Float(number) => Some(number),
            _ => None,
        };
        let number = number.filter(|number| (0.001..=1_000_000.0).contains(number));
        if number.is_none() {
            self.source.note(value.span, format!("`{key}` must be a number from 0.001 to 1000000"));
        }
        number
    }

    /// A duration in whole seconds within bounds.
    pub(super) fn seconds(
        &mut self,
        key: &'static str,
        default: u64,
        bounds: RangeInclusive<usize>,
    ) -> Duration {
        let default = usize::try_from(default).unwrap_or(usize::MAX);
        let seconds = self.number(key, default, bounds);
        Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX))
    }

    /// A day, which begins at midnight UTC, or a moment.
    pub(super) fn moment(&mut self, key: &'static str) -> Option<Placed<SystemTime>> {
        let text = self.string(key)?;
        let day = format!("{}T00:00:00Z", text.value);
        let moment = [&text.value, &day]
            .into_iter()
            .find_map(|text| DateTime::from_str(text, Format::DateTime).ok())
            .and_then(|moment| SystemTime::try_from(moment).ok());
        if moment.is_none() {
            self.source.note_at(
                text.place,
                format!(
                    "`{key}` must be a day such as `2027-01-31` or a moment such as \
                     `2027-01-31T12:00:00Z`, not `{}`",
                    text.value
                ),
            );
        }
        Some(Placed { value: moment?, place: text.place })
    }

    /// A path relative to the configuration file (decision 18).
    pub(super) fn path(&mut self, key: &'static str) -> Option<Placed<PathBuf>> {
        let text = self.string(key)?;
        Some(Placed { value: self.resolve(&text.value), place: text.place })
    }

    /// A list of paths relative to the configuration file (decision 18).
    pub(super) fn paths(&mut self, key: &'static str) -> Vec<Placed<PathBuf>> {
        self.strings(key)
            .into_iter()
            .map(|text| Placed { value: self.resolve(&text.value), place: text.place })
            .collect()
    }

    fn resolve(&self, text: &str) -> PathBuf {
        self.source.path.parent().unwrap_or(Path::new("")).join(text)
    }

    /// A list of strings; absent is empty.
    pub(super) fn strings(&mut self, key: &'static str) -> Vec<Placed<String>> {
        let mut strings = Vec::new();
        for mut value in self.array(key) {
            match value.take() {
                ValueInner::String(text) => strings.push(Placed {
                    value: text.into_owned(),
                    place: self.source.place(value.span),
                }),
                found => self.wanted(key, "a list of strings", &found, value.span),
            }
        }
        strings
    }

    /// A table of strings, such as tags.
    pub(super) fn string_table(&mut self, key: &'static str) -> Vec<(String, Placed<String>)> {
        let Some(mut value) = self.take(key) else { return Vec::new() };
        let ValueInner::Table(table) = value.take() else {
            self.source.note(value.span, format!("`{key}` must be a table of strings"));
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for (name, mut value) in table {
            match value.take() {
                ValueInner::String(text) => {
                    let place = self.source.place(value.span);
                    pairs
                        .push((name.name.into_owned(), Placed { value: text.into_owned(), place }));
                }
                found => self.wanted(&name.name, "a string", &found, value.span),
            }
        }
        pairs
    }

    /// A table within this one; absent is empty.
    pub(super) fn section(&mut self, key: &'static str) -> Reader<'s, 't> {
        let mut reader = Reader {
            source: self.source,
            name: key.to_owned(),
            table: Table::new(),
            span: self.span,
            known: Vec::new(),
        };
        if let Some(mut value) = self.take(key) {
            match value.take() {
                ValueInner::Table(table) => (reader.table, reader.span) = (table, value.span),
                found => self.wanted(key, &format!("a table, `[{key}]`"), &found, value.span),
            }
        }
        reader
    }

    /// A list of tables; absent is empty.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Reader<'s, 't>> {
        let mut readers = Vec::new();
        for mut value in self.array(key) {
            match value.take() {
                ValueInner::Table(table) => readers.push(Reader {
                    source: self.source,
                    name: key.to_owned(),
                    table,
                    span: value.span,
                    known: Vec::new(),
                }),
                found => {
                    self.wanted(key, &format!("a list of tables, `[[{key}]]`"), &found, value.span);
                }
            }
        }
        readers
    }

    fn array(&mut self, key: &'static str) -> Vec<Value<'t>> {
        let Some(mut value) = self.take(key) else { return Vec::new() };
        match value.take() {
            ValueInner::Array(values) => values,
            found => {
                self.wanted(key, "a list", &found, value.span);
                Vec::new()
            }
        }
    }

    fn in_table(&self) -> String {
        if self.name.is_empty() { String::new() } else { format!(" in `{}`", self.name) }
    }

    /// Ends the reading: whatever nobody asked for is a mistake (decision 18).
    pub(super) fn finish(self) {
        for key in self.table.keys() {
            let near = self
                .known
                .iter()
                .map(|known| (strsim::damerau_levenshtein(known, &key.name), *known))
                .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
                .min();
            let hint = near.map_or_else(
                || {
                    let mut known = self.known.clone();
                    known.sort_unstable();
                    format!("; known are `{}`", known.join("`, `"))
                },
                |(_, known)| format!("; did you mean `{known}`?"),
            );
            self.source
                .note(key.span, format!("unknown key `{}`{}{hint}", key.name, self.in_table()));
        }
    }
}
