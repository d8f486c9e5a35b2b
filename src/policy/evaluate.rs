//! The decision: all layers of policies against one request, combined as AWS combines them.

use std::fmt;
use std::sync::Arc;

use super::budget::StepBudget;
use super::document::Policy;
use super::effect::{Effect, SpellingUsed};
use super::principal::Naming;
use super::request::Principal;
use super::request::Request;
use super::statement::{Outcome, Statement};

/// The policies that apply to a request, by layer.
#[derive(Debug)]
pub struct Layers<'a, P = Arc<Policy>> {
    /// Identity policies of the user and its groups, or of the role.
    pub identity: &'a [P],
    /// The permissions boundary; one that is present but empty allows nothing.
    pub boundary: Option<&'a [P]>,
    /// The session policies; present but empty allows nothing.
    pub session: Option<&'a [P]>,
    /// Service control policies, one list a level: root, each organizational unit, account. Every
    /// level must allow. Empty for a management account and for service-linked roles.
    pub scps: &'a [Vec<P>],
    /// Resource control policies of all levels. `RCPFullAWSAccess` is always attached, so that only
    /// their denies count.
    pub rcps: &'a [P],
    /// Policies of the resource.
    pub resource: &'a [P],
}

impl<P> Clone for Layers<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Layers<'_, P> {}

impl<P> Layers<'_, P> {
    /// Tells whether the principal has a permissions boundary, empty ones included.
    pub(super) fn has_boundary(&self) -> bool {
        self.boundary.is_some()
    }
}

impl<P> Default for Layers<'_, P> {
    fn default() -> Self {
        Self { identity: &[], boundary: None, session: None, scps: &[], rcps: &[], resource: &[] }
    }
}

impl Statement {
    /// Returns how the statement stands to a request. Of the layers it matters whether there is a
    /// permissions boundary.
    pub fn outcome<'a, P>(&'a self, layers: &Layers<'_, P>, request: &Request<'a>) -> Outcome<'a> {
        self.outcome_within(layers.has_boundary(), request, &StepBudget::unbounded())
    }
}

/// What the policies say.
#[derive(Debug, Clone, Copy)]
pub enum Decision<'a> {
    /// It may. Without a statement when the root user of the account asks, who needs none.
    Allowed(Option<Settled<'a>>),
    /// It may not, because a statement denies it.
    ExplicitlyDenied(Settled<'a>),
    /// It may not, because a layer that must allow it does not.
    ImplicitlyDenied,
}

impl<'a> Decision<'a> {
    /// Tells whether it may.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Decision::Allowed(_))
    }

    /// Returns its name, in the words of AWS.
    pub fn name(&self) -> &'static str {
        match self {
            Decision::Allowed(_) => "Allowed",
            Decision::ExplicitlyDenied(_) => "ExplicitlyDenied",
            Decision::ImplicitlyDenied => "ImplicitlyDenied",
        }
    }

    /// Returns the statement that settled it, if one did.
    pub fn settled(&self) -> Option<&Settled<'a>> {
        match self {
            Decision::Allowed(settled) => settled.as_ref(),
            Decision::ExplicitlyDenied(settled) => Some(settled),
            Decision::ImplicitlyDenied => None,
        }
    }
}

impl fmt::Display for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decision::Allowed(Some(settled)) => write!(f, "allowed by {settled}"),
            Decision::Allowed(None) => f.write_str("allowed to the root user"),
            Decision::ExplicitlyDenied(settled) => write!(f, "explicitly denied by {settled}"),
            Decision::ImplicitlyDenied => f.write_str("implicitly denied"),
        }
    }
}

/// The statement that settled a decision. Of several, the first in the order of [`Layers`].
///
/// Displayed as ``name:line: statement `Sid` ``.
#[derive(Debug, Clone, Copy)]
pub struct Settled<'a> {
    pub(super) policy: &'a Policy,
    pub(super) statement: &'a Statement,
    pub(super) spelling: Option<SpellingUsed<'a>>,
}

impl<'a> Settled<'a> {
    /// Returns the policy that holds the statement.
    pub fn policy(&self) -> &'a Policy {
        self.policy
    }

    /// Returns the statement.
    pub fn statement(&self) -> &'a Statement {
        self.statement
    }

    /// Returns the spelling without which the Deny would not have applied (decision 7).
    pub fn spelling(&self) -> Option<SpellingUsed<'a>> {
        self.spelling
    }
}

impl fmt::Display for Settled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: statement ", self.policy.name(), self.statement.line())?;
        match self.statement.sid() {
            Some(sid) => write!(f, "`{sid}`")?,
            None => write!(f, "{}", self.statement.index() + 1)?,
        }
        match self.spelling {
            Some(spelling) => write!(f, " ({spelling})"),
            None => Ok(()),
        }
    }
}

/// Decides a request. Neither the order of statements nor that of documents matters.
///
/// An explicit deny in any layer denies. Otherwise every level of the SCPs must allow, and, within
/// one account, either identity policies, boundary and session policy each, or a resource policy
/// that names the principal itself (one that names its role is still limited by boundary and
/// session policy; one that names its account grants nothing by itself). From another account both
/// the principal's policies and a resource policy must allow.
pub fn evaluate<'a>(layers: &Layers<'a>, request: &Request<'a>) -> Decision<'a> {
    let applying = |policy: &'a Arc<Policy>, effect| {
        let statements = policy.statements().iter().filter(move |it| it.effect() == effect);
        statements.filter_map(move |statement| match statement.outcome(layers, request) {
            Outcome::Applies(spelling) => Some(Settled { policy, statement, spelling }),
            _ => None,
        })
    };
    combine(layers, request.principal, request.resource_account, applying)
}

/// Combines the layers; `applying` finds the statements of a policy that apply.
pub(super) fn combine<'a, P, S: Iterator<Item = Settled<'a>>>(
    layers: &Layers<'a, P>,
    principal: &Principal<'_>,
    resource_account: &str,
    applying: impl Fn(&'a P, Effect) -> S,
) -> Decision<'a> {
    let first = |policies: &'a [P], effect| {
        policies.iter().find_map(|policy| applying(policy, effect).next())
    };
    let allow = |policies| first(policies, Effect::Allow);
    // An Allow of a resource policy that names the principal at least as directly as `furthest`.
    let grant = |furthest| {
        let names = |settled: &Settled<'a>| {
            let naming = settled.statement.naming(principal, layers.has_boundary());
            naming.is_some_and(|naming| naming <= furthest)
        };
        layers.resource.iter().find_map(|policy| applying(policy, Effect::Allow).find(names))
    };
    let Layers { identity, boundary, session, scps, rcps, resource } = *layers;
    let limits = [boundary, session];
    let everything = [identity, boundary.unwrap_or_default(), session.unwrap_or_default()]
        .into_iter()
        .chain(scps.iter().map(Vec::as_slice))
        .chain([rcps, resource]);
    for policies in everything {
        if let Some(denied) = first(policies, Effect::Deny) {
            return Decision::ExplicitlyDenied(denied);
        }
    }
    let scps_allow = scps.iter().all(|level| allow(level).is_some());
    if !scps_allow {
        return Decision::ImplicitlyDenied;
    }
    let limits_allow = limits.into_iter().flatten().all(|policies| allow(policies).is_some());
    let own = if !limits_allow {
        None
    } else if matches!(principal, Principal::Root { .. }) {
        Some(None)
    } else {
        allow(identity).map(Some)
    };
    let granted = if principal.account() == resource_account {
        own.or_else(|| {
            let furthest = if limits_allow { Naming::Role } else { Naming::Itself };
            grant(furthest).map(Some)
        })
    } else {
        own.filter(|_| grant(Naming::Account).is_some())
    };
    match granted {
        Some(settled) => Decision::Allowed(settled),
        None => Decision::ImplicitlyDenied,
    }
}
