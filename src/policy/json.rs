//! Strict JSON with positions: RFC 8259, no duplicate members, bounded in size and depth.
//!
//! What the members mean is read elsewhere.

use std::collections::HashMap;

use jsonc_parser::ast::Value;
use jsonc_parser::common::Ranged;

use super::error::Problems;
use super::rules;
use super::syntax::{self, kind};
use super::words::quoted;

/// The largest policy document read, in bytes. The largest quota of AWS is 10,240.
pub(super) const MOST_BYTES: usize = 64 * 1024;
/// The deepest nesting of objects and arrays read. A policy needs six.
pub(super) const MOST_DEPTH: usize = 32;

/// Reads a JSON text; what is wrong with it goes to `problems`.
///
/// With duplicate members the value is returned all the same, so that the rest can be checked too.
pub(super) fn parse<'t>(text: &'t str, problems: &mut Problems<'t>) -> Option<Value<'t>> {
    if text.len() > MOST_BYTES {
        let message = format!("larger than {MOST_BYTES} bytes");
        problems.add(0, rules::LIMIT, message, "split it into several policies");
        return None;
    }
    if text.starts_with('\u{FEFF}') {
        let fix = "save it as UTF-8 without one";
        problems.add(0, rules::SYNTAX, "starts with a byte order mark", fix);
        return None;
    }
    if let Some(at) = too_deep(text) {
        let message = format!("nested deeper than {MOST_DEPTH} levels");
        problems.add(at, rules::LIMIT, message, "a policy needs six");
        return None;
    }
    match syntax::parse(text) {
        Ok(value) => {
            find_duplicates(&value, problems);
            Some(value)
        }
        Err((at, problem)) => {
            problems.push(at, problem);
            None
        }
    }
}

/// Finds the bracket that goes beyond the depth allowed, before any parser recurses into it.
fn too_deep(text: &str) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > MOST_DEPTH {
                    return Some(at);
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Reports members of one object with the same name after unescaping. IAM grammar.
///
/// Recurses at most as deep as the nesting allowed.
fn find_duplicates<'t>(value: &Value<'t>, problems: &mut Problems<'t>) {
    match value {
        Value::Object(object) => {
            let mut seen = HashMap::new();
            for member in &object.properties {
                let at = member.name.range().start;
                let name = member.name.as_str();
                if let Some(first) = seen.insert(name, at) {
                    let line = problems.line(first);
                    let message = format!("{} was given before, in line {line}", quoted(name));
                    problems.add(at, rules::DUPLICATE_MEMBER, message, "merge the two");
                }
                find_duplicates(&member.value, problems);
            }
        }
        Value::Array(array) => {
            array.elements.iter().for_each(|element| find_duplicates(element, problems));
        }
        _ => {}
    }
}

/// Reads a string or a list of at least one string; returns each with its place.
///
/// `what` names one of them in the problems, such as `an action`.
pub(super) fn strings<'t>(
    value: &Value<'t>,
    what: &str,
    problems: &mut Problems<'t>,
) -> Vec<(usize, String)> {
    let elements = match value {
        Value::Array(array) if array.elements.is_empty() => {
            let fix = format!("give {what} or leave it out");
            problems.add(array.range.start, rules::EMPTY_LIST, "empty list", fix);
            return Vec::new();
        }
        Value::Array(array) => array.elements.as_slice(),
        single => std::slice::from_ref(single),
    };
    let mut texts = Vec::new();
    for element in elements {
        match element {
            Value::StringLit(text) => texts.push((text.range.start, text.value.to_string())),
            other => problems.add(
                other.range().start,
                rules::INVALID_TYPE,
                format!("{} is not {what}", kind(other)),
                "write it as a string",
            ),
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Turns the tree into what `serde_json` gives, numbers as their text.
    fn plain(value: &Value<'_>) -> serde_json::Value {
        match value {
            Value::StringLit(text) => text.value.as_ref().into(),
            Value::NumberLit(number) => number.value.into(),
            Value::BooleanLit(boolean) => boolean.value.into(),
            Value::NullKeyword(_) => serde_json::Value::Null,
            Value::Array(array) => array.elements.iter().map(plain).collect(),
            Value::Object(object) => object
                .properties
                .iter()
                .map(|member| (member.name.as_str().to_owned(), plain(&member.value)))
                .collect(),
        }
    }

    fn any_value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    /// Writes every character of strings as escapes.
    fn escaped(text: &str) -> String {
        let mut written = String::new();
        let mut in_string = false;
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '"' => in_string = !in_string,
                '\\' => {
                    written.push('\\');
                    written.extend(characters.next());
                    continue;
                }
                _ if in_string && !character.is_ascii() => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        written.push_str(&format!("\\u{unit:04x}"));
                    }
                    continue;
                }
                _ => {}
            }
            written.push(character);
        }
        written
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn both_parsers_read_the_same(value in any_value()) {
            let text = value.to_string();
            for text in [text.clone(), escaped(&text), format!("{value:#}")] {
                let mut problems = Problems::new("test", &text);
                let read = parse(&text, &mut problems);
                prop_assert!(problems.finish().is_ok(), "{}", text);
                prop_assert_eq!(read.as_ref().map(plain), Some(value.clone()), "{}", text);
            }
        }
    }

    #[test]
    fn numbers_keep_their_text() {
        let text = "[0, -0, 1.50, 1E+3, 12345678901234567890123, 0.1e-2]";
        let mut problems = Problems::new("test", text);
        let read = parse(text, &mut problems).unwrap();
        let wanted = ["0", "-0", "1.50", "1E+3", "12345678901234567890123", "0.1e-2"];
        assert_eq!(plain(&read), wanted.into_iter().collect::<serde_json::Value>());
    }
}
