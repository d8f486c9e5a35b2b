//! Every policy that a configuration names, with what it is attached to.

use crate::config::{Config, Document, Placed, User};
use crate::policy::PolicyKind;

/// A policy as the configuration uses it.
#[derive(Debug, Clone)]
pub struct Used<'c> {
    /// What it is attached to.
    pub kind: PolicyKind,
    /// The document.
    pub document: &'c Placed<Document>,
    /// The ARN of the identity that it is attached to, if it is.
    pub identity: Option<String>,
    /// For whose mail it counts.
    pub by: By<'c>,
}

/// For whose mail a policy counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By<'c> {
    /// Everybody's.
    All,
    /// That of the user of this name.
    User(&'c str),
    /// That of the users of the group of this name.
    Group(&'c str),
}

impl By<'_> {
    /// Whether it counts for the mail of a user.
    #[must_use]
    pub fn counts_for(self, user: &User) -> bool {
        match self {
            By::All => true,
            By::User(name) => user.name.value == name,
            By::Group(name) => user.groups.iter().any(|group| group.value == name),
        }
    }
}

/// Returns every policy of a configuration: service control policies, identities, users, groups.
#[must_use]
pub fn documents(config: &Config) -> Vec<Used<'_>> {
    let account = &config.account;
    let used = |kind, by| move |document| Used { kind, document, identity: None, by };
    // Of an account that is not known nothing is said.
    let is_known = !account.id.is_empty() && !account.region.is_empty();
    let attached = |identity: String| {
        move |document| Used {
            kind: PolicyKind::Resource,
            document,
            identity: is_known.then(|| identity.clone()),
            by: By::All,
        }
    };
    let mut all = Vec::new();
    let scps = config.service_control_policies.iter().flat_map(|level| &level.value);
    all.extend(scps.map(used(PolicyKind::ServiceControl, By::All)));
    for identity in &config.identities.known {
        all.extend(
            identity.policies.iter().map(attached(account.arn("identity", &identity.name.value))),
        );
    }
    for identity in &config.identities.delegated {
        all.extend(identity.policies.iter().map(attached(identity.arn.value.clone())));
    }
    for user in &config.users {
        let by = By::User(&user.name.value);
        all.extend(user.policies.iter().map(used(PolicyKind::Identity, by)));
        all.extend(user.boundary.iter().map(used(PolicyKind::Boundary, by)));
    }
    for group in &config.groups {
        let by = By::Group(&group.name.value);
        all.extend(group.policies.iter().map(used(PolicyKind::Identity, by)));
    }
    all
}
