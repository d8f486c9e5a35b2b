//! The grammar of JSON, and what is wrong with a text that is not JSON, called by the name that
//! people know it by: quotes of a word processor, comments, commas too many.

use jsonc_parser::ast::Value;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::error::Problem;
use super::rules;

/// Reads a JSON text as RFC 8259 has it; members may be there twice.
///
/// `serde_json` checks the grammar and bounds the depth; `jsonc-parser` then gives the tree with
/// places, written order and number text.
///
/// # Errors
///
/// The byte where the text stops being JSON, and what is wrong there.
pub(crate) fn parse(text: &str) -> Result<Value<'_>, (usize, Problem)> {
    let strict = ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let invalid = |(at, what, fix): Mistake| {
        (at, Problem::new(rules::SYNTAX, format!("not valid JSON: {what}"), fix))
    };
    serde_json::from_str::<serde_json::Value>(text)
        .map_err(|error| invalid(mistake(text, &error)))?;
    let parsed = parse_to_ast(text, &CollectOptions::default(), &strict).map_err(|error| {
        invalid((error.range().start, error.kind().to_string().to_lowercase(), ""))
    })?;
    parsed.value.ok_or_else(|| invalid((0, "there is nothing".to_owned(), "")))
}

/// Names what a value is.
pub(crate) fn kind(value: &Value<'_>) -> &'static str {
    match value {
        Value::StringLit(_) => "a string",
        Value::NumberLit(_) => "a number",
        Value::BooleanLit(_) => "a boolean",
        Value::Object(_) => "an object",
        Value::Array(_) => "a list",
        Value::NullKeyword(_) => "`null`",
    }
}

/// Where a text is wrong, what is wrong, and what to do; the last may be empty.
type Mistake = (usize, String, &'static str);

fn mistake(text: &str, error: &serde_json::Error) -> Mistake {
    let at = place(text, error);
    let what = error.to_string();
    let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(before, _)| before);
    if what.starts_with("trailing comma") {
        let comma = text.get(..at).and_then(|before| before.rfind(',')).unwrap_or(at);
        return (comma, "trailing comma".to_owned(), "take it out");
    }
    if let Some(named) = named(text, at) {
        return named;
    }
    let fix = if what.starts_with("EOF") { "is it cut off?" } else { "" };
    (at, what.replace("EOF", "the text ends"), fix)
}

/// The byte that line and column of an error mean, at the beginning of a character.
fn place(text: &str, error: &serde_json::Error) -> usize {
    let line_start = match error.line().checked_sub(2) {
        Some(breaks_before) => {
            text.match_indices('\n').nth(breaks_before).map_or(text.len(), |(at, _)| at + 1)
        }
        None => 0,
    };
    let at = (line_start + error.column().saturating_sub(1)).min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// What stands at a place, or before it in the same line, that JSON does not have.
fn named(text: &str, at: usize) -> Option<Mistake> {
    let rest = text.get(at..)?;
    let character = rest.chars().next()?;
    if let Some(what) = quote(character) {
        return Some((at, what, STRAIGHT));
    }
    if rest.starts_with("//") || rest.starts_with("/*") || rest.starts_with('#') {
        return Some((at, "a comment, which JSON does not have".to_owned(), "take it out"));
    }
    if character != ' ' && (character.is_whitespace() || is_invisible(character)) {
        let is_plain = ['\t', '\n', '\r'].contains(&character);
        let code = u32::from(character);
        let what = format!("an odd or invisible blank, U+{code:04X}");
        return (!is_plain).then_some((at, what, "write a plain one")).or_else(|| before(text, at));
    }
    before(text, at)
}

/// A string that such a quote does not end runs on to where the error is: it is the last before it.
fn before(text: &str, at: usize) -> Option<Mistake> {
    let text = text.get(..at)?;
    let (mut start, mut end, mut is_open, mut escaped) = (at, at, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if is_open => escaped = true,
            b'"' if is_open => (end, is_open) = (at, false),
            b'"' => (start, end, is_open) = (at, text.len(), true),
            _ => {}
        }
    }
    let is_double = |character: char| "\u{201C}\u{201D}\u{201E}\u{201F}".contains(character);
    let (offset, character) =
        text.get(start..end)?.char_indices().find(|(_, character)| is_double(*character))?;
    Some((start + offset, quote(character)?, STRAIGHT))
}

const STRAIGHT: &str = "write the straight double one, U+0022";

fn quote(character: char) -> Option<String> {
    let kind = match character {
        '\u{2018}'..='\u{201F}'
        | '\u{AB}'
        | '\u{BB}'
        | '\u{2039}'
        | '\u{203A}'
        | '\u{2033}'
        | '\u{FF02}' => "typographic",
        '\'' | '`' => "single",
        _ => return None,
    };
    // A backtick would end the quotation.
    let shown =
        if character == '`' { "'`'".replace('`', "backtick") } else { format!("`{character}`") };
    Some(format!("the {kind} quote {shown}"))
}

fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}' | '\u{AD}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_called_by_their_names() {
        for (text, at, what) in [
            ("{\u{201C}Version\u{201D}: 1}", 1, "the typographic quote `\u{201C}`; write"),
            ("{\"a\": \u{2018}b\u{2019}}", 6, "the typographic quote `\u{2018}`"),
            ("{\"a\": \u{AB}b\u{BB}}", 6, "the typographic quote `\u{AB}`"),
            ("{\"a\": \"b\u{201D}, \"c\": 1}", 8, "the typographic quote `\u{201D}`"),
            ("{\"a\": \"b\u{201D},\n\"c\": 1}", 8, "the typographic quote `\u{201D}`"),
            ("{'a': 1}", 1, "the single quote `'`"),
            ("{`a`: 1}", 1, "the single quote 'backtick'"),
            ("{\"a\": 1 // one\n}", 8, "a comment, which JSON does not have; take it out"),
            ("/* one */ {}", 0, "a comment"),
            ("{\n# one\n\"a\": 1}", 2, "a comment"),
            ("{\"a\": 1,}", 7, "trailing comma; take it out"),
            ("{\"a\": [1, 2,\n ]}", 11, "trailing comma"),
            ("{\u{A0}\"a\": 1}", 1, "an odd or invisible blank, U+00A0"),
            ("{\u{200B}\"a\": 1}", 1, "an odd or invisible blank, U+200B"),
            ("{\"a\": 1", 6, "the text ends while parsing an object; is it cut off?"),
            ("{\"a\": x}", 6, "expected value"),
            ("{\"a\": \"\u{201C}b\u{201D}\", \"c\": x}", 22, "expected value"),
        ] {
            let (place, problem) = parse(text).unwrap_err();
            let problem = problem.to_string();
            let named = problem.strip_prefix("not valid JSON: ").unwrap();
            assert!(named.starts_with(what), "{text:?}: {named}");
            assert_eq!(place, at, "{text:?}");
        }
    }
}
