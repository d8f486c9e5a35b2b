//! Lower-casing as the IgnoreCase operators do it.

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
