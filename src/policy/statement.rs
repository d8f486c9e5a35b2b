//! Statements, and whether one applies to a request. Reading them is in `statement/read.rs`.

use std::fmt;

use super::action::ActionPattern;
use super::budget::StepBudget;
use super::condition::{Condition, Held};
use super::effect::{Effect, SpellingUsed};
use super::keys::KeySet;
use super::principal::{Naming, Principals};
use super::request::Principal;
use super::request::{Context, Request};
use super::resource::Resources;
use super::words::quoted;

mod read;

pub(super) use read::{Dialect, check_members};

/// One statement of a policy.
#[derive(Debug, Clone)]
pub struct Statement {
    sid: Option<Box<str>>,
    effect: Effect,
    index: usize,
    line: usize,
    column: usize,
    actions: Actions,
    resources: Resources,
    principals: Option<Principals>,
    conditions: Vec<Condition>,
    /// The context keys without which it applies to nothing.
    needed_keys: KeySet,
}

/// The entries of `Action`, or of `NotAction`.
#[derive(Debug, Clone)]
struct Actions {
    negated: bool,
    entries: Vec<ActionPattern>,
}

/// How a statement stands to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It applies; only because of a spelling, if one is given.
    Applies(Option<SpellingUsed<'a>>),
    /// Its actions are others.
    ActionDiffers,
    /// It is about other principals.
    PrincipalDiffers,
    /// Its resources are others.
    ResourceDiffers,
    /// A condition does not hold, the first of these.
    ConditionFails {
        /// The operator as written.
        operator: &'a str,
        /// The context key as written.
        key: &'a str,
    },
}

impl fmt::Display for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Applies(None) => f.write_str("applies"),
            Outcome::Applies(Some(spelling)) => write!(f, "applies ({spelling})"),
            Outcome::ActionDiffers => f.write_str("is about other actions"),
            Outcome::PrincipalDiffers => f.write_str("is about other principals"),
            Outcome::ResourceDiffers => f.write_str("is about other resources"),
            Outcome::ConditionFails { operator, key } => {
                write!(f, "condition {} on {} does not hold", quoted(operator), quoted(key))
            }
        }
    }
}

impl Statement {
    /// Returns what the statement does when it applies.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Returns the `Sid`, if there is one that is not empty.
    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    /// Returns the place among the statements of its document, counted from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the line in which the statement begins, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Returns the column in which the statement begins, in characters counted from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// Iterates over the entries of `Resource` or `NotResource` as written.
    pub fn resource_patterns(&self) -> impl Iterator<Item = &str> {
        self.resources.written()
    }

    /// Tells whether the resources are given as `NotResource`.
    pub fn is_not_resource(&self) -> bool {
        self.resources.is_negated()
    }

    /// Iterates over the entries of `Action` or `NotAction` as written.
    pub fn action_patterns(&self) -> impl Iterator<Item = &str> {
        self.actions.entries.iter().map(ActionPattern::written)
    }

    /// Tells whether the actions are given as `NotAction`.
    pub fn is_not_action(&self) -> bool {
        self.actions.negated
    }

    /// Iterates over the context keys that the statement asks for, in lower case.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        let of_conditions = self.conditions.iter().flat_map(Condition::keys);
        of_conditions.chain(self.resource_variables())
    }

    /// Whether it may apply to requests that have these context keys.
    pub(super) fn may_apply_with(&self, keys: KeySet) -> bool {
        self.needed_keys.may_be_within(keys)
    }

    /// Returns the conditions in the order of the document.
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// Returns how the statement stands to a request: checks action, principal, resource and
    /// conditions in this order. The result means nothing once the budget is used up.
    pub(super) fn outcome_within<'a>(
        &'a self,
        has_boundary: bool,
        request: &Request<'a>,
        budget: &StepBudget,
    ) -> Outcome<'a> {
        if !self.is_about_action(request.action) {
            return Outcome::ActionDiffers;
        }
        if !self.is_about_principal(request.principal, has_boundary) {
            return Outcome::PrincipalDiffers;
        }
        let mut spelling = None;
        match self.covers(request.resource, request.parents, request.context, budget) {
            Held::Yes => {}
            Held::BySpelling(used) => spelling = Some(used),
            Held::No => return Outcome::ResourceDiffers,
        }
        for condition in &self.conditions {
            match condition.held(request.context, self.effect, budget) {
                Held::Yes => {}
                Held::BySpelling(used) => spelling = spelling.or(Some(used)),
                Held::No => {
                    return Outcome::ConditionFails {
                        operator: condition.operator(),
                        key: condition.key(),
                    };
                }
            }
        }
        Outcome::Applies(spelling)
    }

    pub(super) fn is_about_action(&self, action: &str) -> bool {
        self.actions.entries.iter().any(|entry| entry.matches(action)) != self.actions.negated
    }

    pub(super) fn is_about_principal(&self, principal: &Principal<'_>, has_boundary: bool) -> bool {
        self.principals.is_none() || self.naming(principal, has_boundary).is_some()
    }

    /// Tells how directly a statement of a resource policy names the principal.
    pub(super) fn naming(&self, principal: &Principal<'_>, has_boundary: bool) -> Option<Naming> {
        self.principals.as_ref()?.naming(principal, self.effect, has_boundary)
    }

    /// Tells whether the statement is about the resource. A Deny is also about one that it names by
    /// an ARN of `parents` (decision 7).
    pub(super) fn covers<'a>(
        &self,
        resource: &str,
        parents: &'a [String],
        context: &Context<'_>,
        budget: &StepBudget,
    ) -> Held<'a> {
        if self.resources.cover(resource, context, budget) {
            return Held::Yes;
        }
        if self.effect == Effect::Allow || self.resources.is_negated() {
            return Held::No;
        }
        let parent = parents.iter().find(|parent| self.resources.cover(parent, context, budget));
        parent.map_or(Held::No, |parent| Held::BySpelling(SpellingUsed::Resource { parent }))
    }

    /// The context keys whose values the entries of `Resource` or `NotResource` hold.
    pub(super) fn resource_variables(&self) -> impl Iterator<Item = &str> {
        self.resources.variables()
    }
}
