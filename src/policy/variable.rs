//! Texts of a policy with wildcards and variables: `${key}`, `${key, 'default'}`, `${*}`, `${?}`,
//! `${$}`.
//!
//! Variables exist in version 2012-10-17 only. What is put in for a variable is literal text: a `*`
//! or `${` in it means nothing, since senders choose such text.

use std::borrow::Cow;

use super::error::Problem;
use super::keys::{fold_key, is_list_key};
use super::pattern::{Pattern, Piece, Reach};
use super::request::Context;
use super::rules;
use super::words::quoted;

/// What is special in a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Syntax {
    /// `${…}` is a variable.
    pub(super) variables: bool,
    /// `*` and `?` are wildcards.
    pub(super) wildcards: bool,
}

/// The most wildcards of one text. AWS has no such bound; here a text with thousands of them would
/// hold up mail, since matching takes time in proportion to their number times the value.
const WILDCARDS: usize = 1000;

/// A text read by [`Template::parse`].
#[derive(Debug, Clone)]
pub(super) enum Template {
    /// Without variables.
    Fixed(Pattern<'static>),
    /// With variables.
    Variable(Vec<Part>),
}

/// A part of a text with variables.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Piece(Piece<'static>),
    Variable { folded_key: Box<str>, default: Option<Box<str>> },
}

impl Template {
    /// Reads a text.
    ///
    /// # Errors
    ///
    /// What is wrong with a variable and what to write instead.
    pub(super) fn parse(text: &str, syntax: Syntax) -> Result<Template, Problem> {
        if syntax.wildcards && text.bytes().filter(|byte| b"*?".contains(byte)).count() > WILDCARDS
        {
            let message = format!("more than {WILDCARDS} wildcards");
            return Err(Problem::new(rules::LIMIT, message, "name fewer"));
        }
        let mut parts = Parts::default();
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            if syntax.variables
                && let Some(body) = rest.strip_prefix("${")
            {
                let (part, after) = variable(body)?;
                match part {
                    Part::Piece(piece) => parts.pattern.push(piece),
                    variable => parts.push_variable(variable),
                }
                rest = after;
                continue;
            }
            match character {
                '*' if syntax.wildcards => parts.pattern.push(Piece::Any(Reach::Anything)),
                '?' if syntax.wildcards => parts.pattern.push(Piece::One(Reach::Anything)),
                _ => {
                    // Up to the next character that may be special.
                    let first = character.len_utf8();
                    let tail = rest.get(first..).unwrap_or_default();
                    let end = tail.find(['*', '?', '$']).map_or(rest.len(), |at| at + first);
                    let (run, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                    parts.pattern.push(Piece::Text(Cow::Owned(run.to_owned())));
                    rest = after;
                    continue;
                }
            }
            rest = rest.strip_prefix(character).unwrap_or_default();
        }
        Ok(parts.finish())
    }

    /// Iterates over the pieces as written; `None` stands for a variable.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Option<&Piece<'static>>> {
        let (pieces, parts): (&[Piece<'static>], &[Part]) = match self {
            Template::Fixed(pattern) => (pattern.pieces(), &[]),
            Template::Variable(parts) => (&[], parts),
        };
        pieces.iter().map(Some).chain(parts.iter().map(|part| match part {
            Part::Piece(piece) => Some(piece),
            Part::Variable { .. } => None,
        }))
    }

    /// The context keys of the variables, in the form of [`fold_key`].
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        let parts: &[Part] = match self {
            Template::Fixed(_) => &[],
            Template::Variable(parts) => parts,
        };
        parts.iter().filter_map(|part| match part {
            Part::Piece(_) => None,
            Part::Variable { folded_key, .. } => Some(folded_key.as_ref()),
        })
    }

    /// Returns the key of a variable that has neither value nor default, in the form of [`fold_key`].
    pub(super) fn undefined(&self, context: &Context<'_>) -> Option<&str> {
        let Template::Variable(parts) = self else { return None };
        parts.iter().find_map(|part| match part {
            Part::Variable { folded_key, default }
                if value_of(folded_key, default.as_deref(), context).is_none() =>
            {
                Some(folded_key.as_ref())
            }
            _ => None,
        })
    }

    /// Adds a piece at the end.
    pub(super) fn push(&mut self, piece: Piece<'static>) {
        match self {
            Template::Fixed(pattern) => pattern.push(piece),
            Template::Variable(parts) => parts.push(Part::Piece(piece)),
        }
    }

    /// Hands the pattern with all variables filled in to `use_it`; `None` when a variable has
    /// neither value nor default.
    pub(super) fn with<R>(
        &self,
        context: &Context<'_>,
        use_it: impl FnOnce(&Pattern<'_>) -> R,
    ) -> Option<R> {
        let parts = match self {
            Template::Fixed(pattern) => return Some(use_it(pattern)),
            Template::Variable(parts) => parts,
        };
        let mut pattern = Pattern::default();
        for part in parts {
            pattern.push(match part {
                Part::Piece(Piece::Text(text)) => Piece::Text(Cow::Borrowed(text)),
                Part::Piece(piece) => piece.clone(),
                Part::Variable { folded_key, default } => {
                    Piece::Text(Cow::Borrowed(value_of(folded_key, default.as_deref(), context)?))
                }
            });
        }
        Some(use_it(&pattern))
    }
}

/// Fills in the variables of a text that is no policy, such as a value in a configuration.
///
/// # Errors
///
/// What is wrong with a variable, or which one has no value.
pub fn expand(text: &str, context: &Context<'_>) -> Result<String, String> {
    let syntax = Syntax { variables: true, wildcards: false };
    let template = Template::parse(text, syntax).map_err(|problem| problem.to_string())?;
    let filled = template.with(context, |pattern| pattern.text().to_owned());
    filled.ok_or_else(|| format!("a variable in {} has no value", quoted(text)))
}

/// Returns what a variable stands for. A list key never stands for anything, not even its default.
fn value_of<'a>(key: &str, default: Option<&'a str>, context: &'a Context<'_>) -> Option<&'a str> {
    if is_list_key(key) {
        return None;
    }
    match context.find(key) {
        Some(entry) => entry.single(),
        None => default,
    }
}

#[derive(Default)]
struct Parts {
    done: Vec<Part>,
    pattern: Pattern<'static>,
}

impl Parts {
    fn push_variable(&mut self, variable: Part) {
        let before = std::mem::take(&mut self.pattern);
        self.done.extend(before.into_pieces().into_iter().map(Part::Piece));
        self.done.push(variable);
    }

    fn finish(mut self) -> Template {
        if self.done.is_empty() {
            return Template::Fixed(self.pattern);
        }
        self.done.extend(self.pattern.into_pieces().into_iter().map(Part::Piece));
        Template::Variable(self.done)
    }
}

/// Reads a variable from behind its `${`; returns it and the text after its `}`.
fn variable(body: &str) -> Result<(Part, &str), Problem> {
    for escape in ["*", "?", "$"] {
        if let Some(after) = body.strip_prefix(escape).and_then(|rest| rest.strip_prefix('}')) {
            return Ok((Part::Piece(Piece::Text(Cow::Borrowed(escape))), after));
        }
    }
    let is_end = |character: char| {
        character.is_whitespace() || ['{', '}', '$', '\'', '"', ',', '*', '?'].contains(&character)
    };
    let key_bytes = body.find(is_end).unwrap_or(body.len());
    let (key, rest) = body.split_at_checked(key_bytes).unwrap_or((body, ""));
    let shown = quoted(&format!("${{{key}"));
    let Some(end) = rest.chars().next() else {
        let message = format!("variable {shown} has no closing `}}`");
        return Err(Problem::new(rules::MISSING_BRACE, message, ""));
    };
    let rest = rest.strip_prefix(end).unwrap_or_default();
    if end.is_whitespace() {
        let message = format!("blank in variable {shown}");
        let fix = "write `${key}` without blanks";
        return Err(Problem::new(rules::SPACE_IN_VARIABLE, message, fix));
    }
    if key.is_empty() {
        return Err(if end == '}' {
            let fix = "name a key, or write `${$}{}` for the text";
            Problem::new(rules::EMPTY_VARIABLE, "empty variable `${}`", fix)
        } else {
            let message = format!("variable {shown} names no key");
            Problem::new(rules::INVALID_VARIABLE, message, "write `${key}` or `${key, 'default'}`")
        });
    }
    let (default, rest) = match end {
        '}' => (None, rest),
        ',' => {
            let (default, rest) = default_text(rest).ok_or_else(|| {
                let message = format!("default of variable {shown} is not quoted");
                Problem::new(rules::MISSING_QUOTE, message, "write `${key, 'default'}`")
            })?;
            let rest = rest.strip_prefix('}').ok_or_else(|| {
                let message = format!("variable {shown} has no `}}` after its default");
                Problem::new(rules::MISSING_BRACE, message, "")
            })?;
            (Some(default.into()), rest)
        }
        other => {
            let other = quoted(&other.to_string());
            let message = format!("variable {shown} has {other} in its name");
            let fix = "write `${key}`, or `${$}` for a dollar sign";
            return Err(Problem::new(rules::INVALID_VARIABLE, message, fix));
        }
    };
    Ok((Part::Variable { folded_key: fold_key(key).into(), default }, rest))
}

/// Reads `'text'` after at most one blank. The text may hold anything but quotes.
fn default_text(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix(' ').unwrap_or(text);
    let (default, rest) = text.strip_prefix('\'')?.split_once('\'')?;
    (!default.contains('"')).then_some((default, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_bounded() {
        let syntax = Syntax { variables: true, wildcards: true };
        assert!(Template::parse(&"?".repeat(WILDCARDS), syntax).is_ok());
        let error = Template::parse(&"a?".repeat(WILDCARDS + 1), syntax).unwrap_err();
        assert_eq!(error.to_string(), "more than 1000 wildcards; name fewer");
        let literal = Syntax { variables: true, wildcards: false };
        assert!(Template::parse(&"?".repeat(WILDCARDS + 1), literal).is_ok());
    }
}
