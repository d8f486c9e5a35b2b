//! The parts of a text with variables.

/// A part of a text.
pub(super) enum Part<'a> {
    Text(&'a str),
    /// The key of a variable.
    Variable(&'a str),
    /// `${*}`, `${?}` or `${$}`.
    Escape,
}

/// Splits a text into its parts; what is no variable is text.
pub(super) fn parts(text: &str, variables: bool) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while variables && let Some((before, after)) = rest.split_once("${") {
        let Some((body, tail)) = after.split_once('}') else { break };
        parts.push(Part::Text(before));
        // A default may hold a brace.
        let (body, tail) = match body.split_once('\'') {
            Some((key, _)) => {
                let end = after
                    .match_indices('\'')
                    .nth(1)
                    .and_then(|(at, _)| after.get(at..)?.split_once('}'));
                match end {
                    Some((_, tail)) => (key, tail),
                    None => (body, tail),
                }
            }
            None => (body, tail),
        };
        let name = body.split(',').next().unwrap_or_default();
        let mut characters = body.chars();
        parts.push(match (characters.next(), characters.next()) {
            (Some('*' | '?' | '$'), None) => Part::Escape,
            _ => Part::Variable(name),
        });
        rest = tail;
    }
    parts.push(Part::Text(rest));
    parts
}

/// Stands for a variable or an escaped character where the rest of a text is looked at.
pub(super) const FILLED: char = '\u{FFFC}';

/// Returns the text outside of variables, which is where wildcards are.
pub(super) fn bare(text: &str, variables: bool) -> String {
    let mut bare = String::new();
    for part in parts(text, variables) {
        match part {
            Part::Text(text) => bare.push_str(text),
            Part::Variable(_) | Part::Escape => bare.push(FILLED),
        }
    }
    bare
}
