//! Policy variables: `${key}`, `${key, 'default'}`, `${*}`, `${?}` and `${$}`.

use super::{Question, is_list_key};

/// A piece of an operand or a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// A character as written, which may be a wildcard.
    Text(char),
    /// A character that is never a wildcard.
    Literal(char),
    Variable {
        key: String,
        default: Option<String>,
    },
}

/// Takes the text apart. Before version 2012-10-17 there are no variables, only text.
pub(super) fn pieces(text: &str, is_2012: bool) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let Some(inside) = rest.strip_prefix("${").filter(|_| is_2012) else {
            pieces.push(Piece::Text(character));
            rest = &rest[character.len_utf8()..];
            continue;
        };
        let special = ['*', '?', '$'].iter().find(|it| inside.starts_with(&format!("{it}}}")));
        if let Some(special) = special {
            pieces.push(Piece::Literal(*special));
            rest = &inside[2..];
            continue;
        }
        let end = inside.find(['}', ',']).ok_or("a variable without its closing brace")?;
        let key = &inside[..end];
        let forbidden = ['{', '}', '$', '\'', '"', ',', '*', '?'];
        let is_wrong = |it: char| forbidden.contains(&it) || it.is_whitespace();
        if key.is_empty() || key.contains(is_wrong) {
            return Err(format!("not the name of a key in a variable: `{key}`"));
        }
        let mut default = None;
        rest = &inside[end..];
        if let Some(after_comma) = rest.strip_prefix(',') {
            let quoted = after_comma.strip_prefix(' ').unwrap_or(after_comma);
            let quoted = quoted.strip_prefix('\'').ok_or("a default without quotes")?;
            let (text, left) = quoted.split_once('\'').ok_or("a default without its end")?;
            default = Some(text.to_owned());
            rest = left;
        }
        rest = rest.strip_prefix('}').ok_or("a variable without its closing brace")?;
        pieces.push(Piece::Variable { key: key.to_owned(), default });
    }
    Ok(pieces)
}

/// Puts the values of the request in, each character with whether it may be a wildcard.
///
/// Nothing when a variable has neither value nor default.
pub(super) fn expand(pieces: &[Piece], question: &Question) -> Option<Vec<(char, bool)>> {
    let mut characters = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(character) => characters.push((*character, true)),
            Piece::Literal(character) => characters.push((*character, false)),
            Piece::Variable { key, default } => {
                let value = value(key, default.as_deref(), question)?;
                characters.extend(value.chars().map(|character| (character, false)));
            }
        }
    }
    Some(characters)
}

/// Keys with one value only: a list key has none to put in, and its default is not used either.
fn value<'a>(key: &str, default: Option<&'a str>, question: &'a Question) -> Option<&'a str> {
    if is_list_key(key) {
        return None;
    }
    match question.values(key) {
        None => default,
        Some([single]) => Some(&single.text),
        Some(_) => None,
    }
}
