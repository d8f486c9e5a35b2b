//! Statements, and whether one applies to a request. Reading them is in `statement/read.rs`.

use std::fmt;

use super::action::ActionPattern;
use super::condition::{Condition, Held};
use super::error::quoted;
use super::principal::{Naming, Principals};
use super::request::Request;
use super::resource::ResourcePattern;

mod read;

pub(super) use read::{Dialect, check_members};

/// What a statement does when it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It allows.
    Allow,
    /// It denies, whatever allows.
    Deny,
}

/// One statement of a policy.
#[derive(Debug, Clone)]
pub struct Statement {
    sid: Option<Box<str>>,
    effect: Effect,
    index: usize,
    line: usize,
    column: usize,
    actions: List<ActionPattern>,
    resources: List<ResourcePattern>,
    principals: Option<Principals>,
    conditions: Vec<Condition>,
}

/// A list of entries, or everything but them.
#[derive(Debug, Clone)]
struct List<T> {
    negated: bool,
    entries: Vec<T>,
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

/// A spelling, other than what was written, that made a Deny apply (decision 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpellingUsed<'a> {
    /// Of a value of a context key.
    Value {
        /// The context key.
        key: &'a str,
        /// The value as written.
        text: &'a str,
        /// The spelling that matched.
        spelling: &'a str,
    },
    /// Of the resource: the identity of a parent domain.
    Resource {
        /// The ARN that matched.
        parent: &'a str,
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

impl fmt::Display for SpellingUsed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpellingUsed::Value { key, text, spelling } => {
                write!(f, "{key} {} read as {}", quoted(text), quoted(spelling))
            }
            SpellingUsed::Resource { parent } => write!(f, "resource read as {}", quoted(parent)),
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
        self.resources.entries.iter().map(ResourcePattern::written)
    }

    /// Tells whether the resources are given as `NotResource`.
    pub fn is_not_resource(&self) -> bool {
        self.resources.negated
    }

    /// Iterates over the entries of `Action` or `NotAction` as written.
    pub fn action_patterns(&self) -> impl Iterator<Item = &str> {
        self.actions.entries.iter().map(ActionPattern::written)
    }

    /// Tells whether the actions are given as `NotAction`.
    pub fn is_not_action(&self) -> bool {
        self.actions.negated
    }

    /// Returns the conditions in the order of the document.
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// Tells how the statement stands to a request; looks at action, principal, resource and
    /// conditions in this order.
    pub fn outcome<'a>(&'a self, request: &Request<'a>) -> Outcome<'a> {
        let is_action = |entry: &ActionPattern| entry.matches(request.action);
        if self.actions.entries.iter().any(is_action) == self.actions.negated {
            return Outcome::ActionDiffers;
        }
        if self.principals.is_some() && self.naming(request).is_none() {
            return Outcome::PrincipalDiffers;
        }
        let mut spelling = None;
        if !self.covers(request.resource, request) {
            let parents = if self.effect == Effect::Deny && !self.resources.negated {
                request.parents
            } else {
                &[]
            };
            match parents.iter().find(|parent| self.covers(parent, request)) {
                Some(parent) => spelling = Some(SpellingUsed::Resource { parent }),
                None => return Outcome::ResourceDiffers,
            }
        }
        for condition in &self.conditions {
            match condition.held(request.context, self.effect) {
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

    /// Tells how directly a statement of a resource policy names the principal.
    pub(super) fn naming(&self, request: &Request<'_>) -> Option<Naming> {
        self.principals.as_ref()?.naming(request.principal, self.effect)
    }

    fn covers(&self, resource: &str, request: &Request<'_>) -> bool {
        let entries = &self.resources.entries;
        entries.iter().any(|entry| entry.matches(resource, request.context))
            != self.resources.negated
    }
}
