//! Reading one table at a time, with every problem noted and none hiding the next.
//!
//! A reader hands out checked plain values. What is missing takes its default, what is wrong is
//! noted with its place and replaced by the default, and a key that nobody has read is a problem
//! when the reader is finished. A value of a variable or a flag is a text, and is read as what is
//! wanted. Which keys exist is the business of the parent module.

mod nested;
mod numbers;
mod paths;

use std::fmt::Display;
use std::str::FromStr;

use toml_span::value::{Table, ValueInner};
use toml_span::{Span, Value};

use super::diagnostics::Source;
use super::path::{ReadSetting, SettingValue, Step};
use super::place::{Place, Placed};
use super::toml_text;

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
    pub(super) fn report(&self, message: impl Into<String>) {
        self.source.report(self.span, message);
    }

    /// Notes a problem at a place.
    pub(super) fn report_at(&self, place: Place, message: impl Into<String>) {
        self.source.report_at(place, message);
    }

    /// Notes a text that is not as it must be; `what` completes "`key` must …".
    pub(super) fn must(
        &self,
        key: &str,
        what: &str,
        text: &Placed<String>,
        is_right: impl Fn(&str) -> bool,
    ) {
        if !is_right(&text.value) {
            self.report_at(text.place, format!("`{key}` must {what}, not `{}`", text.value));
        }
    }

    /// Notes that a key is missing: where nothing is read but variables, under the name of its own.
    pub(super) fn missing(&self, key: &'static str, message: impl Into<String>) {
        if self.source.expects_variables(self.span) {
            let path = [self.path.as_slice(), &[Step::Key(key)]].concat();
            self.source.report_about(&self.source.variable(&path), message);
        } else {
            self.report(message);
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

    /// Takes a value out; whoever takes one says with `amend_last` what it is.
    fn take(&mut self, key: &'static str, secret: bool) -> Option<Value<'t>> {
        self.known.push(key);
        let value = self.table.remove(key);
        let place = value.as_ref().map_or(Place::default(), |value| self.source.place(value.span));
        let state = if value.is_some() { SettingValue::Wrong } else { SettingValue::Absent };
        let path = [self.path.as_slice(), &[Step::Key(key)]].concat();
        self.source.record(ReadSetting { path, secret, place, value: state });
        value
    }

    /// Records what the value that was taken last is.
    fn record_value(&self, value: impl Into<String>) {
        self.source.amend_last(SettingValue::Value(value.into()));
    }

    /// Records what holds where the key that was read last is absent.
    fn record_default(&self, value: impl Display) {
        self.source.amend_last(SettingValue::Default(value.to_string()));
    }

    /// Records what a list is, which is the default where the key is absent.
    fn record_list(&self, is_there: bool, list: String) {
        self.source.amend_last(if is_there {
            SettingValue::Value(list)
        } else {
            SettingValue::Default(list)
        });
    }

    /// Reads a key; where it is absent the default holds.
    fn with_default<T>(
        &mut self,
        key: &'static str,
        default: impl Display,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let is_there = self.has(key);
        let value = read(self);
        if !is_there {
            self.record_default(default);
        }
        value
    }

    fn report_type(&self, key: &str, what: &str, found: &ValueInner<'_>, span: Span) {
        match found {
            ValueInner::String(text) if self.source.is_override(span) => {
                self.source.report(span, format!("`{key}` must be {what}, not `{text}`"));
            }
            found => {
                self.source
                    .report(span, format!("`{key}` must be {what}, not {}", found.type_str()));
            }
        }
    }

    pub(super) fn string(&mut self, key: &'static str) -> Option<Placed<String>> {
        self.text(key, false)
    }

    /// A URL without credentials: they would end up in the log and wherever it is shown.
    pub(super) fn url(&mut self, key: &'static str) -> Option<Placed<String>> {
        let url = self.string(key)?;
        let masked = toml_text::masked_url(&url.value);
        let shown = masked.as_deref().unwrap_or(&url.value);
        self.record_value(toml_text::string(shown));
        if !(url.value.starts_with("https://") || url.value.starts_with("http://")) {
            self.source.report_at(
                url.place,
                format!("`{key}` must begin with `https://` or `http://`, not `{shown}`"),
            );
        }
        if masked.is_some() {
            self.source.report_at(
                url.place,
                format!(
                    "`{key}` must hold no user name, password or query, which nobody asks for and \
                     which the log would show; write `https://HOST[:PORT][/PATH]`"
                ),
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
                // A secret is in no more places than it has to be.
                self.record_value(if secret { String::new() } else { toml_text::string(&text) });
                Some(Placed { value: text.into_owned(), place: self.source.place(value.span) })
            }
            found => {
                self.report_type(key, "a string", &found, value.span);
                None
            }
        }
    }

    /// A string, or its default.
    pub(super) fn string_or(&mut self, key: &'static str, default: &str) -> Placed<String> {
        let text = self.with_default(key, toml_text::string(default), |table| table.string(key));
        text.unwrap_or_else(|| Placed { value: default.to_owned(), place: Place::default() })
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

    /// What is missing has the place of its table, for whatever else is reported of it.
    fn not_empty(&self, key: &str, text: Option<Placed<String>>) -> Placed<String> {
        let Some(text) = text else { return Placed { value: String::new(), place: self.place() } };
        if text.value.is_empty() {
            self.source.report_at(text.place, format!("`{key}` is empty{}", self.in_table()));
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
        let shown = toml_text::string(&default.to_string());
        let value = self.with_default(key, shown, |table| table.parsed(key, what));
        value.unwrap_or(Placed { value: default, place: Place::default() })
    }

    /// Notes what is wrong with the value that was taken last.
    pub(super) fn wrong(&self, place: Place, message: impl Into<String>) {
        self.source.amend_last(SettingValue::Wrong);
        self.source.report_at(place, message);
    }

    /// One of a few words, or the default.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        default: (&str, T),
        others: &[(&str, T)],
    ) -> T {
        let text = self.with_default(key, toml_text::string(default.0), |table| table.string(key));
        let choices = [&[default], others].concat();
        text.and_then(|text| self.chosen(key, &text, &choices)).unwrap_or(default.1)
    }

    /// One of a few words that has to be there.
    pub(super) fn required_choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let text = self.string(key)?;
        self.chosen(key, &text, choices)
    }

    fn chosen<T: Copy>(
        &self,
        key: &str,
        text: &Placed<String>,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let found = choices.iter().find(|(word, _)| *word == text.value);
        if found.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| format!("`{word}`")).collect();
            let message = format!("`{key}` must be {}, not `{}`", words.join(" or "), text.value);
            self.wrong(text.place, message);
        }
        found.map(|(_, value)| *value)
    }

    fn in_table(&self) -> String {
        let name = self.path.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(*key),
            Step::Item(_) => None,
        });
        name.map_or_else(String::new, |name| format!(" in `{name}`"))
    }

    /// Ends the reading: whatever nobody has read is a mistake (decision 18).
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
                .report(key.span, format!("unknown key `{}`{}{hint}", key.name, self.in_table()));
        }
    }
}
