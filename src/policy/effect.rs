//! What a statement does, and by which spelling it came to apply.

use std::fmt;

use super::words::quoted;

/// What a statement does when it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It allows.
    Allow,
    /// It denies, whatever allows.
    Deny,
}

/// A spelling, other than what was written, that made a Deny apply (decision 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpellingUsed<'a> {
    /// Of a value of a context key.
    Value {
        /// The context key.
        key: &'a str,
        /// The value as written.
        text: &'a str,
        /// The spelling that matched; the value itself where it did in another letter case.
        spelling: &'a str,
    },
    /// Of the resource: the identity of a parent domain.
    Resource {
        /// The ARN that matched.
        parent: &'a str,
    },
}

impl fmt::Display for SpellingUsed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpellingUsed::Value { key, text, spelling } if text == spelling => {
                write!(f, "{key} {} read in any letter case", quoted(text))
            }
            SpellingUsed::Value { key, text, spelling } => {
                write!(f, "{key} {} read as {}", quoted(text), quoted(spelling))
            }
            SpellingUsed::Resource { parent } => write!(f, "resource read as {}", quoted(parent)),
        }
    }
}
