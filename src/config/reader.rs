//! Reading one table at a time, with every problem noted and none hiding the next.
//!
//! A reader hands out checked plain values. What is missing takes its default, what is wrong is
//! noted with its place and replaced by the default, and a key that nobody asked for is a problem
//! when the reader is finished. A value of a variable or a flag is a text, and is read as what is
//! asked for. Which keys exist is the business of the parent module.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use toml_span::value::{Table, ValueInner};
use toml_span::{Span, Value};

use super::document::Document;
use super::settings::{Asked, Shown, Step};
use super::source::{Place, Placed, Source};
use super::written;

/// One table of the configuration.
pub(super) struct Reader<'s, 't> {
    source: &'s Source<'t>,
    path: Vec<Step>,
    table: Table<'t>,
    span: Span,
    known: Vec<&'static str>,
}

impl<'s, 't> Reader<'s, 't> {
    /// Reads the outermost table.
    pub(super) fn root(source: &'s Source<'t>, table: Table<'t>) -> Self {
        Self { source, path: Vec::new(), table, span: Span::new(0, 0), known: Vec::new() }
    }

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

    /// Notes that a key is missing: where nothing is read but variables, under the name of its own.
    pub(super) fn missing(&self, key: &'static str, message: impl Into<String>) {
        if self.source.misses_variables(self.span) {
            let path = [self.path.as_slice(), &[Step::Key(key)]].concat();
            self.source.note_of(&self.source.variable(&path), message);
        } else {
            self.note(message);
        }
    }

    /// Notes that a list has no entry, which would begin with this key.
    pub(super) fn missing_list(&self, list: &'static str, key: &'static str, message: &str) {
        self.inner(list, Some(0), Table::new(), self.span).missing(key, message);
    }

    /// Whether the table holds the key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Takes a value out; whoever takes one says with `amend` what it is.
    fn take(&mut self, key: &'static str, secret: bool) -> Option<Value<'t>> {
        self.known.push(key);
        let value = self.table.remove(key);
        let place = value.as_ref().map_or(Place::default(), |value| self.source.place(value.span));
        let shown = if value.is_some() { Shown::Wrong } else { Shown::Absent };
        let path = [self.path.as_slice(), &[Step::Key(key)]].concat();
        self.source.ask(Asked { path, secret, place, shown });
        value
    }

    /// Says what the value that was taken last is.
    fn shows(&self, value: impl Into<String>) {
        self.source.amend(Shown::Value(value.into()));
    }

    /// Says what holds where the key that was asked for last is absent.
    fn defaults(&self, value: impl Display) {
        self.source.amend(Shown::Default(value.to_string()));
    }

    fn wanted(&self, key: &str, what: &str, found: &ValueInner<'_>, span: Span) {
        match found {
            ValueInner::String(text) if self.source.is_said(span) => {
                self.source.note(span, format!("`{key}` must be {what}, not `{text}`"));
            }
            found => {
                self.source.note(span, format!("`{key}` must be {what}, not {}", found.type_str()));
            }
        }
    }

    pub(super) fn string(&mut self, key: &'static str) -> Option<Placed<String>> {
        self.text(key, false)
    }

    /// A URL, of which credentials are never shown.
    pub(super) fn url(&mut self, key: &'static str) -> Option<Placed<String>> {
        let url = self.string(key)?;
        let shown = written::url(&url.value);
        self.shows(written::string(&shown));
        if !(url.value.starts_with("https://") || url.value.starts_with("http://")) {
            self.source.note_at(
                url.place,
                format!("`{key}` must begin with `https://` or `http://`, not `{shown}`"),
            );
        }
        Some(url)
    }

    /// A string that is never shown, and that a file of its own may hold.
    pub(super) fn secret(&mut self, key: &'static str) -> Option<Placed<String>> {
        self.text(key, true)
    }

    fn text(&mut self, key: &'static str, secret: bool) -> Option<Placed<String>> {
        let mut value = self.take(key, secret)?;
        match value.take() {
            ValueInner::String(text) => {
                self.shows(written::string(&text));
                Some(Placed { value: text.into_owned(), place: self.source.place(value.span) })
            }
            found => {
                self.wanted(key, "a string", &found, value.span);
                None
            }
        }
    }

    /// A string, or its default.
    pub(super) fn string_or(&mut self, key: &'static str, default: &str) -> Placed<String> {
        if !self.has(key) {
            self.string(key);
            self.defaults(written::string(default));
        } else if let Some(text) = self.string(key) {
            return text;
        }
        Placed { value: default.to_owned(), place: Place::default() }
    }

    /// A string that must be there.
    pub(super) fn required(&mut self, key: &'static str) -> Placed<String> {
        self.must_have(key);
        let text = self.string(key);
        self.not_empty(key, text)
    }

    /// A string that must be there unless it follows from something else.
    pub(super) fn required_or(&mut self, key: &'static str, other: &str) -> Placed<String> {
        if !self.has(key) {
            self.missing(key, format!("`{key}` is missing{}; {other}", self.in_table()));
        }
        let text = self.string(key);
        self.not_empty(key, text)
    }

    /// A secret that must be there.
    pub(super) fn required_secret(&mut self, key: &'static str) -> Placed<String> {
        self.must_have(key);
        let text = self.secret(key);
        self.not_empty(key, text)
    }

    fn must_have(&self, key: &'static str) {
        if !self.has(key) {
            self.missing(key, format!("`{key}` is missing{}", self.in_table()));
        }
    }

    /// What is missing has the place of its table, for whatever else is told of it.
    fn not_empty(&self, key: &str, text: Option<Placed<String>>) -> Placed<String> {
        let Some(text) = text else { return Placed { value: String::new(), place: self.place() } };
        if text.value.is_empty() {
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
                self.wrong(text.place, format!("`{key}` must be {what}, not `{}`", text.value));
                None
            }
        }
    }

    /// A string that is parsed, or its default.
    pub(super) fn parsed_or<T: FromStr + Display>(
        &mut self,
        key: &'static str,
        what: &str,
        default: T,
    ) -> Placed<T> {
        let is_there = self.has(key);
        self.parsed(key, what).unwrap_or_else(|| {
            if !is_there {
                self.defaults(written::string(&default.to_string()));
            }
            Placed { value: default, place: Place::default() }
        })
    }

    /// Notes what is wrong with the value that was taken last.
    pub(super) fn wrong(&self, place: Place, message: impl Into<String>) {
        self.source.amend(Shown::Wrong);
        self.source.note_at(place, message);
    }

    /// One of a few words; the first is the default.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let is_there = self.has(key);
        let text = self.string(key);
        if let (false, Some((default, _))) = (is_there, choices.first()) {
            self.defaults(written::string(default));
        }
        let text = text?;
        let found = choices.iter().find(|(word, _)| *word == text.value);
        if found.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| format!("`{word}`")).collect();
            let message = format!("`{key}` must be {}, not `{}`", words.join(" or "), text.value);
            self.wrong(text.place, message);
        }
        found.map(|(_, value)| *value)
    }

    /// One of a few words that has to be there.
    pub(super) fn required_choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let is_there = self.has(key);
        let chosen = self.choice(key, choices);
        if !is_there {
            self.source.amend(Shown::Absent);
        }
        chosen
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let mut value = self.take(key, false)?;
        let flag = match value.take() {
            ValueInner::Boolean(flag) => flag,
            ValueInner::String(text) if self.source.is_said(value.span) => {
                match text.to_ascii_lowercase().as_str() {
                    "true" | "1" => true,
                    "false" | "0" => false,
                    _ => {
                        let found = ValueInner::String(text);
                        self.wanted(key, "`true` or `false`", &found, value.span);
                        return None;
                    }
                }
            }
            found => {
                self.wanted(key, "true or false", &found, value.span);
                return None;
            }
        };
        self.shows(flag.to_string());
        Some(flag)
    }

    /// True or false, or its default.
    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let is_there = self.has(key);
        let flag = self.boolean(key);
        if !is_there {
            self.defaults(default);
        }
        flag.unwrap_or(default)
    }

    /// A whole number within bounds.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        default: usize,
        bounds: RangeInclusive<usize>,
    ) -> usize {
        let is_there = self.has(key);
        let number = self.number_if_any(key, bounds);
        if !is_there {
            self.defaults(default);
        }
        number.unwrap_or(default)
    }

    /// A whole number within bounds that may be absent.
    pub(super) fn number_if_any(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<usize>,
    ) -> Option<usize> {
        let mut value = self.take(key, false)?;
        let found = value.take();
        let number = match &found {
            ValueInner::Integer(number) => usize::try_from(*number).ok(),
            ValueInner::String(text) if self.source.is_said(value.span) => {
                let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
                text.parse().ok().filter(|_| is_plain)
            }
            _ => None,
        };
        let number = number.filter(|number| bounds.contains(number));
        match number {
            Some(number) => self.shows(number.to_string()),
            None => {
                let (start, end) = (bounds.start(), bounds.end());
                let what = format!("`{key}` must be a whole number from {start} to {end}");
                self.source.note(value.span, self.but_is(what, &found, value.span));
            }
        }
        number
    }

    /// The text that a variable or a flag gives, behind what it should be.
    fn but_is(&self, what: String, found: &ValueInner<'_>, span: Span) -> String {
        match found.as_str() {
            Some(text) if self.source.is_said(span) => format!("{what}, not `{text}`"),
            _ => what,
        }
    }

    /// A number of events per second, above zero; it may have a fraction.
    pub(super) fn rate(&mut self, key: &'static str) -> Option<f64> {
        let mut value = self.take(key, false)?;
        let found = value.take();
        let number = match &found {
            ValueInner::Integer(number) => i32::try_from(*number).ok().map(f64::from),
            ValueInner::Float(number) => Some(*number),
            ValueInner::String(text) if self.source.is_said(value.span) => text.parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| (0.001..=1_000_000.0).contains(number));
        match number {
            Some(number) => self.shows(number.to_string()),
            None => {
                let what = format!("`{key}` must be a number from 0.001 to 1000000");
                self.source.note(value.span, self.but_is(what, &found, value.span));
            }
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
            let message = format!(
                "`{key}` must be a day such as `2027-01-31` or a moment such as \
                 `2027-01-31T12:00:00Z`, not `{}`",
                text.value
            );
            self.wrong(text.place, message);
        }
        Some(Placed { value: moment?, place: text.place })
    }

    /// A path: relative to the configuration file that names it (decision 18), else to where the
    /// process was started.
    pub(super) fn path(&mut self, key: &'static str) -> Option<Placed<PathBuf>> {
        let text = self.string(key)?;
        let path = self.resolve(text);
        self.shows(written::path(&path.value));
        Some(path)
    }

    /// A list of paths, each as that of `path`.
    pub(super) fn paths(&mut self, key: &'static str) -> Vec<Placed<PathBuf>> {
        let is_there = self.has(key);
        let paths: Vec<_> = self.strings(key).into_iter().map(|it| self.resolve(it)).collect();
        if is_there {
            self.shows(written::list(paths.iter().map(|path| written::path(&path.value))));
        }
        paths
    }

    /// A policy in a file.
    pub(super) fn document(&mut self, key: &'static str) -> Option<Placed<Document>> {
        self.path(key).map(in_file)
    }

    /// Policies in files.
    pub(super) fn documents(&mut self, key: &'static str) -> Vec<Placed<Document>> {
        self.paths(key).into_iter().map(in_file).collect()
    }

    /// `policies`, which are files, and `policy`, which is a document itself.
    pub(super) fn policies(&mut self) -> Vec<Placed<Document>> {
        let mut policies = self.documents("policies");
        if let Some(text) = self.string("policy") {
            if text.value.trim_start().starts_with('{') {
                let path = [self.path.as_slice(), &[Step::Key("policy")]].concat();
                let name = self.source.name_of_text(text.place, &path);
                let value = Document::Text { name, text: text.value };
                policies.push(Placed { value, place: text.place });
            } else {
                let message = "`policy` must be a JSON document; files are named by `policies`";
                self.wrong(text.place, message);
            }
        }
        policies
    }

    fn resolve(&self, text: Placed<String>) -> Placed<PathBuf> {
        let folder = self.source.file().filter(|_| text.place.is_in_file());
        let folder = folder.and_then(Path::parent).unwrap_or(Path::new(""));
        Placed { value: folder.join(text.value), place: text.place }
    }

    /// A list of strings; absent is empty. In a variable they are separated by commas.
    pub(super) fn strings(&mut self, key: &'static str) -> Vec<Placed<String>> {
        let is_there = self.has(key);
        let mut strings = Vec::new();
        for mut value in self.array(key, |text| text.split(',').map(str::trim).collect()) {
            let place = self.source.place(value.span);
            match value.take() {
                ValueInner::String(text) if text.is_empty() && !place.is_in_file() => {
                    self.source.note_at(place, format!("`{key}` has an empty entry"));
                }
                ValueInner::String(text) => {
                    strings.push(Placed { value: text.into_owned(), place });
                }
                found => self.wanted(key, "a list of strings", &found, value.span),
            }
        }
        let list = written::list(strings.iter().map(|text| written::string(&text.value)));
        if is_there {
            self.shows(list);
        } else {
            self.defaults(list);
        }
        strings
    }

    /// A table of strings, such as tags. In a variable: `KEY=VALUE`, separated by commas.
    pub(super) fn string_table(&mut self, key: &'static str) -> Vec<(String, Placed<String>)> {
        let Some(mut value) = self.take(key, false) else { return Vec::new() };
        let span = value.span;
        let table = match value.take() {
            ValueInner::Table(table) => table,
            ValueInner::String(text) if self.source.is_said(span) => {
                match written::pairs(&text, span) {
                    Ok(table) => table,
                    Err(problem) => {
                        self.source.note(span, format!("`{key}` {problem}"));
                        return Vec::new();
                    }
                }
            }
            _ => {
                self.source.note(span, format!("`{key}` must be a table of strings"));
                return Vec::new();
            }
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
        self.shows(written::table(pairs.iter().map(|(key, it)| (key.as_str(), it.value.as_str()))));
        pairs
    }

    /// A table within this one; absent is empty.
    pub(super) fn section(&mut self, key: &'static str) -> Reader<'s, 't> {
        let mut reader = self.inner(key, None, Table::new(), self.span);
        self.known.push(key);
        if let Some(mut value) = self.table.remove(key) {
            match value.take() {
                ValueInner::Table(table) => (reader.table, reader.span) = (table, value.span),
                found => self.wanted(key, &format!("a table, `[{key}]`"), &found, value.span),
            }
        }
        reader
    }

    /// A list of tables; absent is empty.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Reader<'s, 't>> {
        if self.source.discovers() {
            return vec![self.inner(key, Some(0), Table::new(), self.span)];
        }
        self.known.push(key);
        let Some(mut value) = self.table.remove(key) else { return Vec::new() };
        let values = match value.take() {
            ValueInner::Array(values) => values,
            found => {
                self.wanted(key, "a list", &found, value.span);
                Vec::new()
            }
        };
        let mut readers = Vec::new();
        for (number, mut value) in values.into_iter().enumerate() {
            match value.take() {
                ValueInner::Table(table) => {
                    readers.push(self.inner(key, Some(number), table, value.span));
                }
                found => {
                    self.wanted(key, &format!("a list of tables, `[[{key}]]`"), &found, value.span);
                }
            }
        }
        readers
    }

    fn inner(
        &self,
        key: &'static str,
        number: Option<usize>,
        table: Table<'t>,
        span: Span,
    ) -> Reader<'s, 't> {
        let mut path = self.path.clone();
        path.push(Step::Key(key));
        path.extend(number.map(Step::Item));
        Reader { source: self.source, path, table, span, known: Vec::new() }
    }

    fn array(&mut self, key: &'static str, split: fn(&str) -> Vec<&str>) -> Vec<Value<'t>> {
        let Some(mut value) = self.take(key, false) else { return Vec::new() };
        let span = value.span;
        match value.take() {
            ValueInner::Array(values) => values,
            ValueInner::String(text) if self.source.is_said(span) => {
                let entry =
                    |text: &str| Value::with_span(ValueInner::String(text.to_owned().into()), span);
                split(&text).into_iter().map(entry).collect()
            }
            found => {
                self.wanted(key, "a list", &found, span);
                Vec::new()
            }
        }
    }

    fn in_table(&self) -> String {
        let name = self.path.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(*key),
            Step::Item(_) => None,
        });
        name.map_or_else(String::new, |name| format!(" in `{name}`"))
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

fn in_file(path: Placed<PathBuf>) -> Placed<Document> {
    Placed { value: Document::File(path.value), place: path.place }
}
