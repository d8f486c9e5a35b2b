//! JSON with the place and the exact text of every part, for what is read beside the policies.
//!
//! Strict as the documents of policies are: RFC 8259, no duplicate and no unknown members. The
//! documents themselves are left to [`crate::policy::Policy::parse`], which gets their text to the
//! byte.

use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged;

pub(super) use crate::policy::kind;
use crate::policy::parse_json;
use crate::redact::is_unprintable;

/// What is wrong with a text, and the byte where.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) at: usize,
    pub(super) what: String,
}

impl Mistake {
    pub(super) fn new(at: usize, what: impl Into<String>) -> Self {
        Mistake { at, what: what.into() }
    }

    /// Makes a mistake at the beginning of a value.
    pub(super) fn of(value: &Value<'_>, what: impl Into<String>) -> Self {
        Mistake::new(value.range().start, what)
    }

    /// Returns line and column in characters, both from 1.
    pub(super) fn place(&self, text: &str) -> (usize, usize) {
        let before = text.get(..self.at).unwrap_or(text);
        let last = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, last.chars().count() + 1)
    }
}

/// Reads a JSON text.
pub(super) fn parse(text: &str) -> Result<Value<'_>, Mistake> {
    parse_json(text).map_err(|(at, problem)| Mistake::new(at, problem.to_string()))
}

/// Returns the text of a value as written.
pub(super) fn written<'t>(value: &Value<'_>, text: &'t str) -> &'t str {
    let range = value.range();
    text.get(range.start..range.end).unwrap_or_default()
}

/// Takes an object of which all members are known, each given once.
pub(super) fn object<'v, 't>(
    value: &'v Value<'t>,
    what: &str,
    known: &[&str],
) -> Result<&'v Object<'t>, Mistake> {
    let Value::Object(object) = value else {
        return Err(Mistake::of(value, format!("{what} is an object, not {}", kind(value))));
    };
    for (number, member) in object.properties.iter().enumerate() {
        let at = member.name.range().start;
        let name = member.name.as_str();
        if !known.contains(&name) {
            let (name, known) = (excerpt(name), known.join(", "));
            let what = format!("unknown member `{name}` in {what}; the members are {known}");
            return Err(Mistake::new(at, what));
        }
        if object.properties.iter().take(number).any(|earlier| earlier.name.as_str() == name) {
            return Err(Mistake::new(at, format!("`{name}` is given twice")));
        }
    }
    Ok(object)
}

/// Returns a member of an object.
pub(super) fn member<'v, 't>(object: &'v Object<'t>, name: &str) -> Option<&'v Value<'t>> {
    object.properties.iter().find(|it| it.name.as_str() == name).map(|it| &it.value)
}

/// Takes a string.
pub(super) fn string<'v>(value: &'v Value<'_>, what: &str) -> Result<&'v str, Mistake> {
    match value {
        Value::StringLit(text) => Ok(&text.value),
        other => Err(Mistake::of(other, format!("{what} is a string, not {}", kind(other)))),
    }
}

/// Takes one value or a list of them.
pub(super) fn one_or_list<'v, 't>(value: &'v Value<'t>) -> &'v [Value<'t>] {
    match value {
        Value::Array(array) => &array.elements,
        single => std::slice::from_ref(single),
    }
}

/// Returns the user's words for a message: what is not printable escaped, long text cut.
pub(super) fn excerpt(text: &str) -> String {
    const MOST_CHARACTERS: usize = 80;
    let mut shown = String::new();
    for (number, character) in text.chars().enumerate() {
        if number == MOST_CHARACTERS {
            shown.push('…');
            break;
        }
        if is_unprintable(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}
