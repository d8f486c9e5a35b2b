//! `Action` and `NotAction` entries: `*` or `service:Name`, without regard to ASCII case.

use super::budget::StepBudget;
use super::pattern::Pattern;
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
    pub(super) fn parse(text: &str, variables: bool) -> Result<ActionPattern, String> {
        if text != "*" {
            let (vendor, name) = text.split_once(':').ok_or_else(|| {
                format!("an action is `service:Name`; write `ses:{}` or `*`", cut(text))
            })?;
            if variables && text.contains("${") {
                return Err("variables do not work in actions; write the action itself".to_owned());
            }
            if name.contains(':') {
                return Err(
                    "more than one colon; write `service:Name`, such as `ses:SendRawEmail`"
                        .to_owned(),
                );
            }
            let is_vendor = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            if vendor.is_empty() || !vendor.bytes().all(is_vendor) {
                return Err(
                    "the service is letters, digits and hyphens without wildcards; write `ses:…`, or `*` alone"
                        .to_owned(),
                );
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
