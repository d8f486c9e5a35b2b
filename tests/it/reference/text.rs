//! Wildcards over UTF-16 code units, and lower case.

use std::collections::HashMap;

/// What a pattern asks of a place in the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Any run of code units, the empty one too.
    Any,
    /// One code unit.
    One,
    Is(u16),
}

/// Reads characters as a pattern; each comes with whether it may be a wildcard.
pub(super) fn units(characters: impl IntoIterator<Item = (char, bool)>) -> Vec<Unit> {
    let mut pattern = Vec::new();
    for (character, may_be_wildcard) in characters {
        match character {
            '*' if may_be_wildcard => pattern.push(Unit::Any),
            '?' if may_be_wildcard => pattern.push(Unit::One),
            _ => pattern.extend(character.encode_utf16(&mut [0; 2]).iter().map(|it| Unit::Is(*it))),
        }
    }
    pattern
}

pub(super) fn matches(pattern: &[Unit], value: &str) -> bool {
    let value: Vec<u16> = value.encode_utf16().collect();
    rest_matches(pattern, &value, &mut HashMap::new())
}

/// Tries every run for a `*`, and remembers which ends of pattern and value were tried.
fn rest_matches(
    pattern: &[Unit],
    value: &[u16],
    tried: &mut HashMap<(usize, usize), bool>,
) -> bool {
    let [first, rest @ ..] = pattern else { return value.is_empty() };
    match first {
        Unit::Is(wanted) => value.first() == Some(wanted) && rest_matches(rest, &value[1..], tried),
        Unit::One => !value.is_empty() && rest_matches(rest, &value[1..], tried),
        Unit::Any => {
            let place = (pattern.len(), value.len());
            if let Some(answer) = tried.get(&place) {
                return *answer;
            }
            let answer = (0..=value.len()).any(|taken| rest_matches(rest, &value[taken..], tried));
            tried.insert(place, answer);
            answer
        }
    }
}

/// The small letters of the capital letters of the small letters of each character, so that ẞ and ß are
/// like SS, and ς is like Σ.
pub(super) fn one_case(text: &str) -> String {
    let mut all = String::new();
    for character in text.chars() {
        let small: String = character.to_lowercase().collect();
        // A sigma alone has no word that it could end.
        for capital in small.to_uppercase().chars() {
            all.extend(capital.to_lowercase());
        }
    }
    all
}

/// Lower case with the final sigma, and with characters beyond U+FFFF left as they are.
pub(super) fn lower_case(text: &str) -> String {
    let whole: Vec<char> = text.to_lowercase().chars().collect();
    let mut lower = String::new();
    let mut at = 0;
    for character in text.chars() {
        let count = character.to_lowercase().count();
        if u32::from(character) > 0xFFFF {
            lower.push(character);
        } else {
            lower.extend(&whole[at..at + count]);
        }
        at += count;
    }
    lower
}
