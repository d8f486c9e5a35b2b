//! The decision: all layers of policies against one request, combined as AWS combines them.

use std::fmt;
use std::sync::Arc;

use super::document::Policy;
use super::principal::{Naming, Principal};
use super::request::Request;
use super::statement::{Effect, Outcome, SpellingUsed, Statement};

/// The policies that apply to a request, by layer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Layers<'a> {
    /// Identity policies of the user and its groups, or of the role.
    pub identity: &'a [Arc<Policy>],
    /// The permissions boundary; one that is present but empty allows nothing.
    pub boundary: Option<&'a [Arc<Policy>]>,
    /// The session policies; present but empty allows nothing.
    pub session: Option<&'a [Arc<Policy>]>,
    /// Service control policies, one list a level: root, each organizational unit, account. Every
    /// level must allow. Empty for a management account and for service-linked roles.
    pub scps: &'a [Vec<Arc<Policy>>],
    /// Resource control policies of all levels. `RCPFullAWSAccess` is always attached, so that only
    /// their denies count.
    pub rcps: &'a [Arc<Policy>],
    /// Policies of the resource.
    pub resource: &'a [Arc<Policy>],
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
    policy: &'a Policy,
    statement: &'a Statement,
    spelling: Option<SpellingUsed<'a>>,
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
    if let Some(denied) = explicit_deny(layers, request) {
        return Decision::ExplicitlyDenied(denied);
    }
    let scps_allow = layers.scps.iter().all(|level| allow(level, request).is_some());
    if !scps_allow {
        return Decision::ImplicitlyDenied;
    }
    let limits_allow = [layers.boundary, layers.session]
        .iter()
        .flatten()
        .all(|policies| allow(policies, request).is_some());
    let own = if !limits_allow {
        None
    } else if matches!(request.principal, Principal::Root { .. }) {
        Some(None)
    } else {
        allow(layers.identity, request).map(Some)
    };
    let granted = if request.principal.account() == request.resource_account {
        own.or_else(|| {
            let furthest = if limits_allow { Naming::Role } else { Naming::Itself };
            grant(layers.resource, request, furthest).map(Some)
        })
    } else {
        own.filter(|_| grant(layers.resource, request, Naming::Account).is_some())
    };
    match granted {
        Some(settled) => Decision::Allowed(settled),
        None => Decision::ImplicitlyDenied,
    }
}

fn explicit_deny<'a>(layers: &Layers<'a>, request: &Request<'a>) -> Option<Settled<'a>> {
    let Layers { identity, boundary, session, scps, rcps, resource } = *layers;
    let scps = scps.iter().flatten();
    [identity, boundary.unwrap_or_default(), session.unwrap_or_default()]
        .into_iter()
        .flatten()
        .chain(scps)
        .chain(rcps)
        .chain(resource)
        .find_map(|policy| applying(policy, Effect::Deny, request).next())
}

fn allow<'a>(policies: &'a [Arc<Policy>], request: &Request<'a>) -> Option<Settled<'a>> {
    policies.iter().find_map(|policy| applying(policy, Effect::Allow, request).next())
}

/// Finds an Allow of a resource policy that names the principal at least as directly as `furthest`.
fn grant<'a>(
    policies: &'a [Arc<Policy>],
    request: &Request<'a>,
    furthest: Naming,
) -> Option<Settled<'a>> {
    policies.iter().find_map(|policy| {
        applying(policy, Effect::Allow, request).find(|settled| {
            settled.statement.naming(request).is_some_and(|naming| naming <= furthest)
        })
    })
}

fn applying<'a>(
    policy: &'a Policy,
    effect: Effect,
    request: &Request<'a>,
) -> impl Iterator<Item = Settled<'a>> {
    let statements = policy.statements().iter().filter(move |it| it.effect() == effect);
    statements.filter_map(move |statement| match statement.outcome(request) {
        Outcome::Applies(spelling) => Some(Settled { policy, statement, spelling }),
        _ => None,
    })
}
