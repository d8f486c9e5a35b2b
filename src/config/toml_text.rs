//! Values as TOML, and lists and tables as one text of a variable.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

use toml_span::value::{Key, Table, ValueInner};
use toml_span::{Span, Value};

use crate::redact::is_unprintable;

/// Writes a string: over several lines when it has them, as policies have.
pub(super) fn string(text: &str) -> String {
    let is_plain = |c: char| !is_unprintable(c) || matches!(c, '\n' | '\t');
    if text.contains('\n') && text.chars().all(is_plain) && !text.contains("''") {
        return format!("'''\n{text}'''");
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_unprintable(c) => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Writes a path as one that means the same from everywhere.
pub(super) fn path(path: &Path) -> String {
    let path = std::path::absolute(path).map_or(Cow::Borrowed(path), Cow::Owned);
    string(&path.display().to_string())
}

/// Returns a URL without what may be a secret in it: all up to its last `@`, and all behind a `?` or `#`.
/// None is returned when there is nothing of that kind.
pub(super) fn masked_url(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let separator = if scheme.is_empty() { "" } else { "://" };
    let (user, rest) = rest.rsplit_once('@').map_or(("", rest), |(_, host)| ("********@", host));
    let end = rest.find(['?', '#']);
    if user.is_empty() && end.is_none() {
        return None;
    }
    let (place, query) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, ""));
    let mark = query.get(..1).unwrap_or_default();
    let query = if query.is_empty() { "" } else { "********" };
    Some(format!("{scheme}{separator}{user}{place}{mark}{query}"))
}

/// Writes a list.
pub(super) fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// Writes a table of strings.
pub(super) fn table<'p>(pairs: impl Iterator<Item = (&'p str, &'p str)>) -> String {
    let pairs = pairs.map(|(key, value)| format!("{} = {}", string(key), string(value)));
    format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
}

/// Reads entries with commas between them.
pub(super) fn entries<'t>(text: &str, span: Span) -> Vec<Value<'t>> {
    text.split(',').map(|entry| text_at(entry.trim(), span)).collect()
}

/// Reads entries with commas between them, or a JSON list of texts and of lists of texts.
///
/// # Errors
/// What the text must be instead, to follow the name of the key.
pub(super) fn nested_entries<'t>(text: &str, span: Span) -> Result<Vec<Value<'t>>, String> {
    if !text.trim_start().starts_with('[') {
        return Ok(entries(text, span));
    }
    let list: Vec<serde_json::Value> = serde_json::from_str(text)
        .map_err(|error| format!("begins with a bracket and is no JSON list: {error}"))?;
    let text = |entry: &serde_json::Value| {
        let text = entry.as_str().ok_or("must hold texts and lists of texts alone")?;
        Ok(text_at(text, span))
    };
    let entry = |entry: &serde_json::Value| match entry.as_array() {
        Some(texts) => {
            let texts = texts.iter().map(text).collect::<Result<_, String>>()?;
            Ok(Value::with_span(ValueInner::Array(texts), span))
        }
        None => text(entry),
    };
    list.iter().map(entry).collect()
}

fn text_at<'t>(text: &str, span: Span) -> Value<'t> {
    Value::with_span(ValueInner::String(text.to_owned().into()), span)
}

/// Reads `KEY=VALUE,…`, or a JSON object where a value has a comma.
///
/// # Errors
/// What the text must be instead, to follow the name of the key.
pub(super) fn pairs<'t>(text: &str, span: Span) -> Result<Table<'t>, String> {
    let mut table = Table::new();
    let mut add = |key: &str, value: &str| {
        let name = Key { name: key.to_owned().into(), span };
        match table.insert(name, text_at(value, span)) {
            None => Ok(()),
            Some(_) => Err(format!("has `{key}` twice")),
        }
    };
    if text.trim_start().starts_with('{') {
        let object: serde_json::Value = serde_json::from_str(text)
            .map_err(|error| format!("begins with a brace and is no JSON: {error}"))?;
        for (key, value) in object.as_object().into_iter().flatten() {
            let value = value.as_str().ok_or_else(|| format!("must hold a string in `{key}`"))?;
            add(key, value)?;
        }
    } else {
        for pair in text.split(',') {
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                format!(
                    "must look like `team=growth,stage=test`, or be a JSON object, not `{text}`"
                )
            })?;
            add(key.trim(), value.trim())?;
        }
    }
    Ok(table)
}
