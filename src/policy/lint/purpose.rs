//! What the actions of a statement are about: mail over SMTP, other actions of SES, or other services.

use super::super::action::ActionPattern;
use super::ses;

/// What the entries of `Action` are good for.
pub(super) struct Purpose {
    patterns: Vec<ActionPattern>,
    negated: bool,
    /// Mail over SMTP.
    pub(super) smtp: bool,
    /// Any action of SES.
    pub(super) ses: bool,
}

impl Purpose {
    /// Reads the entries of `Action`, or of `NotAction` where they are negated; `None` when there is
    /// none, or one of them cannot be read.
    pub(super) fn of<'e>(entries: impl Iterator<Item = &'e str>, negated: bool) -> Option<Purpose> {
        let patterns = entries.map(|entry| ActionPattern::parse(entry, true).ok());
        let patterns = patterns.collect::<Option<Vec<_>>>().filter(|all| !all.is_empty())?;
        let matches = |action| patterns.iter().any(|pattern| pattern.matches(action));
        let is_of_ses = |pattern: &ActionPattern| {
            let service = pattern.written().split(':').next().unwrap_or_default();
            service == "*" || service.eq_ignore_ascii_case("ses")
        };
        let smtp = matches(ses::SMTP_ACTION) != negated;
        // Names that SES does not have are meant to be some.
        let ses = negated || patterns.iter().any(is_of_ses);
        Some(Purpose { patterns, negated, smtp, ses })
    }

    /// Mail by the API alone.
    pub(super) fn is_api_mail(&self) -> bool {
        !self.smtp && !self.negated && self.patterns.iter().any(ses::sends_by_api)
    }

    /// All are actions in full that work on no resource.
    pub(super) fn has_no_resource(&self) -> bool {
        let no_resource = |pattern: &ActionPattern| ses::has_no_resource(pattern.written());
        !self.negated && self.patterns.iter().all(no_resource)
    }

    /// Whether something is sent or changed that `*` as resource would leave open.
    pub(super) fn changes_resources(&self) -> bool {
        self.negated || self.patterns.iter().any(ses::changes_resources)
    }

    pub(super) fn may_have_key(&self, key: &str) -> bool {
        self.negated || self.patterns.iter().any(|pattern| ses::may_have_key(pattern, key))
    }

    /// An action beside mail that has no such key.
    pub(super) fn action_without_key(&self, key: &str) -> Option<&'static str> {
        if self.negated {
            return None;
        }
        self.patterns.iter().find_map(|pattern| ses::action_without_key(pattern, key))
    }
}
