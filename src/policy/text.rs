//! Lower-casing as the IgnoreCase operators do it, and folding for a Deny that minds no letter case.

use std::borrow::Cow;

/// Returns the text without letter case, as Unicode folds it and wider: each character in lower case,
/// that in upper case, and that in lower case again. `ß` and `ẞ` are `ss`, the final sigma is a sigma, and
/// `ı` an `i`.
///
/// Characters are folded one by one, so that a part of a text folds to a part of the folded text.
pub(super) fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        let has_capitals = text.bytes().any(|byte| byte.is_ascii_uppercase());
        return if has_capitals { text.to_ascii_lowercase().into() } else { text.into() };
    }
    let capitals = text.chars().flat_map(char::to_lowercase).flat_map(char::to_uppercase);
    capitals.flat_map(char::to_lowercase).collect()
}

/// The steps that it takes to [`fold`] a text: three tables are asked for each character.
pub(super) fn folding(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { 60 * text.len() }
}

/// Returns the text in lower case: Unicode lower-casing with context (final sigma), not case
/// folding; characters beyond U+FFFF stay as they are.
pub(super) fn lower(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let all_lowered = text.to_lowercase();
    let mut lowered = all_lowered.chars();
    let mut kept = String::with_capacity(all_lowered.len());
    for character in text.chars() {
        // The mapping of one character has the same length with and without context.
        let mapped = lowered.by_ref().take(character.to_lowercase().count());
        if character > '\u{FFFF}' {
            mapped.for_each(drop);
            kept.push(character);
        } else {
            kept.extend(mapped);
        }
    }
    kept
}

/// Tells whether `value` in lower case is `lowered`, which is in lower case already.
pub(super) fn equals_lowered(value: &str, lowered: &str) -> bool {
    if value.is_ascii() { value.eq_ignore_ascii_case(lowered) } else { lower(value) == lowered }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_whatever_is_written_in_one_case() {
        for (one, other) in [
            ("CEO", "Ceo"),
            ("straße", "STRASSE"),
            ("ẞ", "ss"),
            ("ΟΣ", "ος"),
            ("οσ", "ος"),
            ("ſ", "S"),
            ("ı", "I"),
            ("\u{212A}", "k"),
            ("ﬁ", "FI"),
            ("𐐀", "𐐨"),
            ("µ", "μ"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} {other}");
        }
        for text in ["", "a@example.com", "é", "*?", "😀"] {
            assert_eq!(fold(text), text);
        }
        assert_ne!(fold("C"), fold("С"), "a Cyrillic letter is another");
    }

    #[test]
    fn lowers_with_context() {
        for (text, lowered) in [
            ("ΟΣ", "ος"),
            ("Σ", "σ"),
            ("K", "k"),
            ("ẞ", "ß"),
            ("İ", "i\u{307}"),
            ("I", "i"),
            ("ſ", "ſ"),
            ("𐐀A", "𐐀a"),
            ("İΟΣ 𐐀ΟΣ", "i\u{307}ος 𐐀ος"),
        ] {
            assert_eq!(lower(text), lowered, "{text}");
            assert!(equals_lowered(text, lowered), "{text}");
        }
        for (left, right) in [("ΟΣ", "οσ"), ("Σ", "ς"), ("ß", "ss"), ("s", "ſ"), ("ı", "i")]
        {
            assert!(!equals_lowered(left, &lower(right)), "{left} {right}");
        }
    }
}
