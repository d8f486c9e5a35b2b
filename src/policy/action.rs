//! `Action` and `NotAction` entries: `*` or `service:Name`, without regard to ASCII case.

use super::budget::StepBudget;
use super::error::Problem;
use super::pattern::Pattern;
use super::rules;
use super::variable::{Syntax, Template};

/// An entry of `Action` or `NotAction`.
#[derive(Debug, Clone)]
pub(super) struct ActionPattern {
    written: Box<str>,
    pattern: Pattern<'static>,
}

impl ActionPattern {
    /// Reads an entry.
    ///
    /// # Errors
    ///
    /// What is wrong and what to write instead.
    pub(super) fn parse(text: &str, variables: bool) -> Result<ActionPattern, Problem> {
        if text != "*" {
            let (vendor, name) = text.split_once(':').ok_or_else(|| {
                let fix = format!("write `ses:{}` or `*`", cut(text));
                Problem::new(rules::INVALID_ACTION, "an action is `service:Name`", fix)
            })?;
            if variables && text.contains("${") {
                return Err(Problem::new(
                    rules::VARIABLE_IN_ELEMENT,
                    "variables do not work in actions",
                    "write the action itself",
                ));
            }
            if name.contains(':') {
                return Err(Problem::new(
                    rules::INVALID_ACTION,
                    "more than one colon",
                    "write `service:Name`, such as `ses:SendRawEmail`",
                ));
            }
            let is_vendor = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            if vendor.is_empty() || !vendor.bytes().all(is_vendor) {
                return Err(Problem::new(
                    rules::WILDCARD_IN_SERVICE,
                    "the service is letters, digits and hyphens without wildcards",
                    "write `ses:…`, or `*` alone",
                ));
            }
        }
        let pattern = match Template::parse(text, Syntax { variables: false, wildcards: true })? {
            Template::Fixed(pattern) => pattern,
            // Cannot be: variables were not read.
            Template::Variable(_) => Pattern::default(),
        };
        Ok(ActionPattern { written: text.into(), pattern })
    }

    /// Returns the entry as written.
    pub(super) fn written(&self) -> &str {
        &self.written
    }

    /// Tells whether the action matches.
    pub(super) fn matches(&self, action: &str) -> bool {
        // No client chooses actions, so that nobody is held up by them.
        self.pattern.matches_ignoring_ascii_case(action, &StepBudget::unbounded())
    }
}

fn cut(text: &str) -> String {
    text.chars().filter(|character| character.is_ascii_alphanumeric()).take(40).collect()
}
