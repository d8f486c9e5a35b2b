//! Lists and tables.

use toml_span::value::{Table, ValueInner};
use toml_span::{Span, Value};

use super::super::path::Step;
use super::super::place::Placed;
use super::super::toml_text;
use super::Reader;

impl<'s, 't> Reader<'s, 't> {
    /// A list of strings; absent is empty. In a variable they are separated by commas.
    pub(in crate::config) fn strings(&mut self, key: &'static str) -> Vec<Placed<String>> {
        let is_there = self.has(key);
        let mut strings = Vec::new();
        for mut value in self.array(key, |text, span| Ok(toml_text::entries(text, span))) {
            strings.extend(self.entry(key, value.take(), value.span, "a list of strings"));
        }
        let list = toml_text::list(strings.iter().map(|text| toml_text::string(&text.value)));
        self.record_list(is_there, list);
        strings
    }

    /// An entry of a list, which must be a string; `what` is what the list is of.
    pub(super) fn entry(
        &self,
        key: &'static str,
        value: ValueInner<'t>,
        span: Span,
        what: &str,
    ) -> Option<Placed<String>> {
        let place = self.source.place(span);
        match value {
            ValueInner::String(text) if text.is_empty() && !place.is_in_file() => {
                self.source.report_at(place, format!("`{key}` has an empty entry"));
                None
            }
            ValueInner::String(text) => Some(Placed { value: text.into_owned(), place }),
            found => {
                self.report_type(key, what, &found, span);
                None
            }
        }
    }

    /// A table of strings, such as tags. In a variable: `KEY=VALUE`, separated by commas.
    pub(in crate::config) fn string_table(
        &mut self,
        key: &'static str,
    ) -> Vec<(String, Placed<String>)> {
        let Some(mut value) = self.take(key, false) else { return Vec::new() };
        let span = value.span;
        let table = match value.take() {
            ValueInner::Table(table) => table,
            ValueInner::String(text) if self.source.is_override(span) => {
                match toml_text::pairs(&text, span) {
                    Ok(table) => table,
                    Err(problem) => {
                        self.source.report(span, format!("`{key}` {problem}"));
                        return Vec::new();
                    }
                }
            }
            _ => {
                self.source.report(span, format!("`{key}` must be a table of strings"));
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
                found => self.report_type(&name.name, "a string", &found, value.span),
            }
        }
        self.record_value(toml_text::table(
            pairs.iter().map(|(key, it)| (key.as_str(), it.value.as_str())),
        ));
        pairs
    }

    /// The tags of a user or an identity; absent is none.
    pub(in crate::config) fn tags(&mut self) -> Vec<(String, String)> {
        self.string_table("tags").into_iter().map(|(key, value)| (key, value.value)).collect()
    }

    /// A table within this one; absent is empty.
    pub(in crate::config) fn section(&mut self, key: &'static str) -> Reader<'s, 't> {
        let mut reader = self.inner(key, None, Table::new(), self.span);
        self.known.push(key);
        if let Some(mut value) = self.table.remove(key) {
            match value.take() {
                ValueInner::Table(table) => (reader.table, reader.span) = (table, value.span),
                found => self.report_type(key, &format!("a table, `[{key}]`"), &found, value.span),
            }
        }
        reader
    }

    /// A list of tables; absent is empty.
    pub(in crate::config) fn sections(&mut self, key: &'static str) -> Vec<Reader<'s, 't>> {
        if self.source.discovers() {
            return vec![self.inner(key, Some(0), Table::new(), self.span)];
        }
        self.known.push(key);
        let Some(mut value) = self.table.remove(key) else { return Vec::new() };
        let values = match value.take() {
            ValueInner::Array(values) => values,
            found => {
                self.report_type(key, "a list", &found, value.span);
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
                    self.report_type(
                        key,
                        &format!("a list of tables, `[[{key}]]`"),
                        &found,
                        value.span,
                    );
                }
            }
        }
        readers
    }

    pub(super) fn inner(
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

    /// A list; absent is empty. `split` takes one apart that a variable holds, or says what is wrong.
    pub(super) fn array(
        &mut self,
        key: &'static str,
        split: impl FnOnce(&str, Span) -> Result<Vec<Value<'t>>, String>,
    ) -> Vec<Value<'t>> {
        let Some(mut value) = self.take(key, false) else { return Vec::new() };
        let span = value.span;
        match value.take() {
            ValueInner::Array(values) => values,
            ValueInner::String(text) if self.source.is_override(span) => split(&text, span)
                .unwrap_or_else(|problem| {
                    self.source.report(span, format!("`{key}` {problem}"));
                    Vec::new()
                }),
            found => {
                self.report_type(key, "a list", &found, span);
                Vec::new()
            }
        }
    }
}
