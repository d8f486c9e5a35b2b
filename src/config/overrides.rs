//! Environment variables and flags, put over the tables of the file before anything is read.
//!
//! They take the place of what the file says, key by key; a list of tables that they speak of takes
//! the place of the file's whole list. What is put over it is read by the very code that reads a file,
//! so that every check holds for it too.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml_span::value::{Key, Table, ValueInner};
use toml_span::{Span, Value};
use zeroize::Zeroizing;

use super::catalogue::{self, FILE, Named};
use super::diagnostics::Source;
use super::origin::Sources;
use super::path::{SINGLE, Step, shortest};
use super::place::{Label, OriginKind};

/// A file of a secret is not longer than that.
const LONGEST: u64 = 64 * 1024;
/// What is read of it at once, with room to see that it is longer and that it ends.
const READ: usize = 64 * 1024 + 64;

/// What was overridden.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    /// Variables with the files that they name because secrets are in them.
    pub(super) secrets: Vec<(String, PathBuf)>,
    /// Lists whose one entry was given by the short name.
    pub(super) single: BTreeSet<&'static str>,
}

/// A value and what says it.
struct Override {
    label: Label,
    named: Named,
    text: String,
}

/// Puts what variables and flags say over a table; reports what cannot be put there.
pub(super) fn overlay<'t>(source: &Source<'t>, sources: &Sources, root: &mut Table<'t>) -> Overlay {
    let mut overlay = Overlay::default();
    let mut overrides = variables(source, sources, &mut overlay.secrets);
    overrides.extend(flags(source, sources));
    overrides.sort_by(|one, other| {
        (&one.named.path, &one.label).cmp(&(&other.named.path, &other.label))
    });
    conflicts(source, &overrides);
    // Entries of a list in their order, and a flag over a variable.
    for Override { label, named, text } in overrides {
        let name = label.name.clone();
        let span = source.say(label);
        let value = Value::with_span(ValueInner::String(text.into()), span);
        if let [Step::Key(list), Step::Item(_), ..] = named.path.as_slice() {
            if named.single {
                overlay.single.insert(list);
            } else {
                source.number(list);
            }
        }
        if !put(source, root, &named.path, value, span) {
            let message = "an entry before it in its list is missing: they count from 0";
            source.report_about(&name, message);
        }
    }
    overlay
}

/// What the variables say.
fn variables(
    source: &Source<'_>,
    sources: &Sources,
    files: &mut Vec<(String, PathBuf)>,
) -> Vec<Override> {
    let mut overrides = Vec::new();
    for (name, value) in sources.settings() {
        let shown = name.to_string_lossy();
        let Some(named) = name.to_str().and_then(catalogue::of_variable) else {
            source.report_about(&shown, unknown(&shown));
            continue;
        };
        let Some(text) = value.to_str() else {
            source.report_about(&shown, "the value is not UTF-8");
            continue;
        };
        if text.is_empty() {
            source.report_about(&shown, "is empty; give it a value or take it away");
            continue;
        }
        let text = if named.in_file {
            match secret_of(Path::new(text)) {
                Ok(secret) => {
                    files.push((shown.to_string(), text.into()));
                    secret
                }
                Err(problem) => {
                    source.report_about(&shown, format!("`{text}` {problem}"));
                    continue;
                }
            }
        } else {
            text.to_owned()
        };
        if text.contains('\0') {
            source.report_about(&shown, "there is a NUL in the value");
            continue;
        }
        overrides.push(Override {
            label: Label { name: shown.into_owned(), by: OriginKind::Variable },
            named,
            text,
        });
    }
    overrides
}

/// What the flags say.
fn flags(source: &Source<'_>, sources: &Sources) -> Vec<Override> {
    let mut overrides = Vec::new();
    for flag in sources.set() {
        let Some((key, text)) = flag.split_once('=') else {
            source.report_about("--set", format!("must look like `log.level=debug`, not `{flag}`"));
            continue;
        };
        let name = format!("--set {key}");
        let Some(named) = catalogue::of_key(key) else {
            let near = catalogue::near_key(key);
            let hint = near.map_or_else(
                || "`sesgate config variables` lists them".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            source.report_about(&name, format!("no such setting; {hint}"));
            continue;
        };
        if named.secret {
            let message = format!(
                "everybody on the machine could read the secret; use {} or {}{FILE}",
                shortest(&named.path),
                shortest(&named.path),
            );
            source.report_about(&name, message);
            continue;
        }
        overrides.push(Override {
            label: Label { name, by: OriginKind::Flag },
            named,
            text: text.to_owned(),
        });
    }
    overrides
}

/// Reports what is given twice, or by two kinds of names. `overrides` are in order.
fn conflicts(source: &Source<'_>, overrides: &[Override]) {
    for (one, other) in overrides.iter().zip(overrides.iter().skip(1)) {
        if one.named.path == other.named.path && one.label.by == other.label.by {
            let message = if one.label.name == other.label.name {
                "is there twice".to_owned()
            } else {
                format!("says the same as {}; keep one of the two", one.label.name)
            };
            source.report_about(&other.label.name, message);
        }
    }
    for (list, _) in SINGLE {
        let of_list = |single| {
            let mut overrides = overrides.iter().filter(move |it| it.named.single == single);
            overrides.find(|it| matches!(it.named.path.as_slice(), [Step::Key(key), Step::Item(_), ..] if *key == list))
        };
        if let (Some(single), Some(numbered)) = (of_list(true), of_list(false)) {
            let message =
                format!("is of the same list as {}; number all or none", numbered.label.name);
            source.report_about(&single.label.name, message);
        }
    }
}

/// Puts a value where a path leads; false when an entry of a list before it is missing.
fn put<'t>(
    source: &Source<'t>,
    table: &mut Table<'t>,
    path: &[Step],
    value: Value<'t>,
    span: Span,
) -> bool {
    let [Step::Key(name), rest @ ..] = path else { return false };
    let (key, held) = table.remove_entry(*name).map_or_else(
        || (Key { name: (*name).into(), span }, None),
        |(key, value)| (key, Some(value)),
    );
    let (done, value) = match rest {
        [] => (true, value),
        [Step::Item(number), inner @ ..] => {
            let held = held.filter(|held| source.is_override(held.span));
            let mut list =
                held.unwrap_or_else(|| Value::with_span(ValueInner::Array(Vec::new()), span));
            let mut entries = match list.take() {
                ValueInner::Array(entries) => entries,
                _ => Vec::new(),
            };
            if entries.len() == *number {
                entries.push(Value::with_span(ValueInner::Table(Table::new()), span));
            }
            let done = entries
                .get_mut(*number)
                .is_some_and(|entry| within(entry, |table| put(source, table, inner, value, span)));
            list.set(ValueInner::Array(entries));
            (done, list)
        }
        inner => {
            let mut held =
                held.unwrap_or_else(|| Value::with_span(ValueInner::Table(Table::new()), span));
            // What is no table is for the reader to note.
            let done = within(&mut held, |table| put(source, table, inner, value, span));
            (done, held)
        }
    };
    table.insert(key, value);
    done
}

fn within<'t>(value: &mut Value<'t>, put: impl FnOnce(&mut Table<'t>) -> bool) -> bool {
    let mut held = value.take();
    let done = match &mut held {
        ValueInner::Table(table) => put(table),
        _ => true,
    };
    value.set(held);
    done
}

/// Reads a secret, less one line end behind it.
fn secret_of(file: &Path) -> Result<String, String> {
    // With room for all of it: what grows leaves its beginning in memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(READ));
    let opened = std::fs::File::open(file);
    let read = opened.and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > LONGEST {
        return Err(format!("is longer than {LONGEST} bytes: no secret is"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| "is not UTF-8".to_owned())?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) }
}

fn unknown(name: &str) -> String {
    let plain = name.strip_suffix(FILE);
    if let Some(plain) = plain.filter(|plain| catalogue::of_variable(plain).is_some()) {
        return format!("no such setting; {plain} is no secret and is given itself");
    }
    catalogue::near_variable(name).map_or_else(
        || "no such setting; `sesgate config variables` lists them".to_owned(),
        |near| format!("no such setting; did you mean {near}?"),
    )
}
