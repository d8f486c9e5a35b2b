//! Why a request is decided as it is: which layer refused, and how each statement stands to the
//! request, what of it does not fit, what was seen there, what it requires, and what was nearly right.

mod hint;
mod nearest;
mod requires;

use std::fmt;
use std::sync::Arc;

use super::budget::StepBudget;
use super::condition::{Condition, Held};
use super::document::Policy;
use super::effect::Effect;
use super::evaluate::Layers;
use super::kind::PolicyKind;
use super::request::{Context, Request};
use super::statement::{Outcome, Statement};
pub use nearest::{Nearest, nearest};

/// Returns the name of the layer that policies of a kind make, as the log and `policy explain` have it.
#[must_use]
pub fn layer_name(layer: PolicyKind) -> &'static str {
    match layer {
        PolicyKind::Identity => "identity",
        PolicyKind::Boundary => "boundary",
        PolicyKind::Session => "session",
        PolicyKind::ServiceControl => "service control",
        // Decision 7: of these only a Deny counts, which is how the engine takes such a layer.
        PolicyKind::ResourceControl => "sending authorization of a related identity",
        PolicyKind::Resource => "sending authorization",
    }
}

/// How one statement stands to a request.
#[derive(Debug, Clone)]
pub struct Explained<'a> {
    /// The layer that holds the policy.
    pub layer: PolicyKind,
    /// The policy that holds the statement.
    pub policy: &'a Policy,
    /// The statement.
    pub statement: &'a Statement,
    /// Whether it applies, or what failed first.
    pub outcome: Outcome<'a>,
    /// Each part of the statement: its actions, principals, resources, and every condition.
    pub checks: Vec<Check<'a>>,
}

/// One part of a statement, and how it stands to the request.
#[derive(Debug, Clone)]
pub struct Check<'a> {
    /// The part.
    pub part: Part<'a>,
    /// Whether it fits.
    pub holds: bool,
    /// What was seen: the action, the principal, the resource, or the values of the key.
    pub seen: String,
    /// What it requires, in words.
    pub requires: String,
    /// What was nearly right, and what to write.
    pub hint: Option<String>,
}

/// A part of a statement.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// `Action` or `NotAction`.
    Action,
    /// `Principal` or `NotPrincipal`.
    Principal,
    /// `Resource` or `NotResource`.
    Resource,
    /// A condition.
    Condition(&'a Condition),
}

/// A layer that must allow a request and does not.
#[derive(Debug, Clone, Copy)]
pub struct Lacking<'a> {
    /// The layer.
    pub layer: PolicyKind,
    /// Its policies; of service control policies those of one level.
    pub policies: &'a [Arc<Policy>],
}

/// What does not fit: the end of a sentence about a statement.
impl fmt::Display for Check<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.part, self.holds) {
            (Part::Condition(condition), true) => {
                write!(f, "condition `{}` on `{}` holds", condition.operator(), condition.key())
            }
            (_, true) => f.write_str("fits"),
            (Part::Action, false) => Outcome::ActionDiffers.fmt(f),
            (Part::Principal, false) => Outcome::PrincipalDiffers.fmt(f),
            (Part::Resource, false) => Outcome::ResourceDiffers.fmt(f),
            (Part::Condition(condition), false) => {
                let (operator, key) = (condition.operator(), condition.key());
                Outcome::ConditionFails { operator, key }.fmt(f)
            }
        }
    }
}

impl<'a> Explained<'a> {
    /// Iterates over what does not fit.
    pub fn mismatches(&self) -> impl Iterator<Item = &Check<'a>> {
        self.checks.iter().filter(|check| !check.holds)
    }

    /// How far the statement is from applying: the nearest first.
    #[must_use]
    pub fn distance(&self) -> usize {
        // A statement about something else altogether is no near miss, however little differs.
        let weight = |check: &Check<'_>| match check.part {
            Part::Action | Part::Principal => 1000,
            Part::Resource | Part::Condition(_) => 1,
        };
        self.mismatches().map(weight).sum()
    }
}

/// Explains every statement of every layer, in the order of [`Layers`].
#[must_use]
pub fn explain<'a>(layers: &Layers<'a>, request: &Request<'a>) -> Vec<Explained<'a>> {
    let none: &[_] = &[];
    let scps = layers.scps.iter().flatten();
    let all = (layers.identity.iter().map(|policy| (PolicyKind::Identity, policy)))
        .chain(layers.boundary.unwrap_or(none).iter().map(|policy| (PolicyKind::Boundary, policy)))
        .chain(layers.session.unwrap_or(none).iter().map(|policy| (PolicyKind::Session, policy)))
        .chain(scps.map(|policy| (PolicyKind::ServiceControl, policy)))
        .chain(layers.rcps.iter().map(|policy| (PolicyKind::ResourceControl, policy)))
        .chain(layers.resource.iter().map(|policy| (PolicyKind::Resource, policy)));
    all.flat_map(|(layer, policy)| {
        policy.statements().iter().map(move |statement| {
            let outcome = statement.outcome(layers, request);
            let checks = checks(statement, outcome, request);
            Explained { layer, policy, statement, outcome, checks }
        })
    })
    .collect()
}

/// Returns the layers without whose Allow a request that nothing denies is refused.
#[must_use]
pub fn lacking<'a>(layers: &Layers<'a>, request: &Request<'a>) -> Vec<Lacking<'a>> {
    let allows = |policies: &&'a [Arc<Policy>]| {
        let statements = policies.iter().flat_map(|policy| policy.statements());
        statements.into_iter().any(|it| {
            it.effect() == Effect::Allow
                && matches!(it.outcome(layers, request), Outcome::Applies(_))
        })
    };
    let is_foreign = request.principal.account() != request.resource_account;
    let scps = layers.scps.iter().map(|level| (PolicyKind::ServiceControl, level.as_slice()));
    let all = scps
        .chain(layers.boundary.map(|policies| (PolicyKind::Boundary, policies)))
        .chain(layers.session.map(|policies| (PolicyKind::Session, policies)))
        .chain([(PolicyKind::Identity, layers.identity)])
        .chain(is_foreign.then_some((PolicyKind::Resource, layers.resource)));
    all.filter(|(_, policies)| !allows(policies))
        .map(|(layer, policies)| Lacking { layer, policies })
        .collect()
}

fn checks<'a>(
    statement: &'a Statement,
    outcome: Outcome<'a>,
    request: &Request<'a>,
) -> Vec<Check<'a>> {
    let budget = &StepBudget::unbounded();
    let mut checks = Vec::new();
    let is_about_action = statement.is_about_action(request.action);
    checks.push(Check {
        part: Part::Action,
        holds: is_about_action,
        seen: request.action.to_owned(),
        requires: requires::entries(statement.action_patterns(), statement.is_not_action()),
        hint: (!is_about_action).then(|| hint::action(statement)).flatten(),
    });
    if outcome == Outcome::PrincipalDiffers {
        checks.push(Check {
            part: Part::Principal,
            holds: false,
            seen: request.principal.shown().to_owned(),
            requires: "the principals that it names".to_owned(),
            hint: None,
        });
    }
    let (resource, parents, context) = (request.resource, request.parents, request.context);
    let covers = statement.covers(resource, parents, context, budget) != Held::No;
    checks.push(Check {
        part: Part::Resource,
        holds: covers,
        seen: resource.to_owned(),
        requires: requires::entries(statement.resource_patterns(), statement.is_not_resource()),
        hint: (!covers).then(|| hint::resource(statement, request)).flatten(),
    });
    checks.extend(statement.conditions().iter().map(|condition| {
        let holds = condition.held(context, statement.effect(), budget) != Held::No;
        let values = values(context, condition.key());
        let hint = match holds {
            true => hint::held(condition, values.as_deref()),
            false => hint::failed(condition, values.as_deref(), context),
        };
        Check {
            part: Part::Condition(condition),
            holds,
            seen: values.map_or_else(|| "(absent)".to_owned(), |values| values.join(", ")),
            requires: requires::condition(condition),
            hint,
        }
    }));
    checks
}

fn values(context: &Context<'_>, key: &str) -> Option<Vec<String>> {
    let (_, values) = context.iter().find(|(name, _)| name.eq_ignore_ascii_case(key))?;
    Some(values.iter().map(|value| value.text().to_owned()).collect())
}
