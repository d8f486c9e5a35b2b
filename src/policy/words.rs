//! The user's words in messages: quoted, and what was probably meant.

/// Puts the user's words in backticks: control characters escaped, long text cut.
pub(super) fn quoted(text: &str) -> String {
    const MOST_CHARACTERS: usize = 80;
    let mut shown = String::from("`");
    for (number, character) in text.chars().enumerate() {
        if number == MOST_CHARACTERS {
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown.push('`');
    shown
}

/// Finds the word of `known` that `unknown` most probably stands for.
pub(super) fn nearest<S: AsRef<str>>(
    unknown: &str,
    known: impl IntoIterator<Item = S>,
) -> Option<S> {
    const LONGEST: usize = 64;
    if unknown.len() > LONGEST {
        return None;
    }
    let folded = unknown.to_lowercase();
    let furthest = (folded.len() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&folded, &word.as_ref().to_lowercase()), word))
        .filter(|(distance, _)| *distance <= furthest)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}
