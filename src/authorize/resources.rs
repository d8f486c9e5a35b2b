//! The SES resources that a message uses: identities and configuration sets (decision 9).

use std::sync::Arc;

use super::claims::Claims;
use crate::address::Address;
use crate::identities::{Account, Identities};
use crate::message::{Mailbox, XSes};
use crate::policy::Policy;
use crate::smtp::Envelope;

/// One resource, and the claims that it is asked about.
pub(super) struct Resource<'m> {
    pub(super) arn: String,
    /// ARNs of identities above it and of its other spellings, for Deny alone (decision 7).
    pub(super) parents: Vec<String>,
    /// Sending authorization policies of the identity.
    pub(super) policies: &'m [Arc<Policy>],
    /// Tags of the identity, by context key.
    pub(super) tags: &'m [(String, String)],
    concerns: Concern<'m>,
}

/// Which claims a resource is asked about.
enum Concern<'m> {
    Author(&'m Mailbox),
    Feedback(&'m Address),
    Everything,
}

impl<'m> Resource<'m> {
    /// Whether a combination of claims uses this resource.
    pub(super) fn is_used_by(&self, author: &Mailbox, feedback: &Address) -> bool {
        match self.concerns {
            Concern::Author(mailbox) => mailbox == author,
            Concern::Feedback(address) => address == feedback,
            Concern::Everything => true,
        }
    }

    /// Whether asking about the other one would be the same question again.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.arn == other.arn && self.parents == other.parents
    }

    fn identity(
        account: &Account,
        identities: &'m Identities,
        address: &Address,
        concerns: Concern<'m>,
    ) -> Self {
        let covering = identities.covering(address);
        let name = covering.map_or(address.as_str(), |identity| identity.name.as_str());
        let related = identities.related(address);
        Self {
            arn: account.arn(&format!("identity/{name}")),
            parents: related.map(|name| account.arn(&format!("identity/{name}"))).collect(),
            policies: covering.map_or(&[], |identity| &identity.policies),
            tags: covering.map_or(&[], |identity| &identity.tags),
            concerns,
        }
    }

    fn named(account: &Account, resource: &str) -> Self {
        Self {
            arn: account.arn(resource),
            parents: Vec::new(),
            policies: &[],
            tags: &[],
            concerns: Concern::Everything,
        }
    }
}

/// All resources in the order in which a refusal names them (decision 13): From, other authors,
/// feedback addresses, identity ARNs, configuration sets, and in a sandbox account the recipients.
pub(super) fn of<'m>(
    account: &Account,
    identities: &'m Identities,
    claims: &Claims<'m>,
    envelope: &Envelope,
    x_ses: &XSes,
) -> Vec<Resource<'m>> {
    let identity =
        |address: &Address, concerns| Resource::identity(account, identities, address, concerns);
    let mut resources: Vec<Resource<'m>> = Vec::new();
    for mailbox in claims.authors.iter().copied() {
        resources.push(identity(&mailbox.address, Concern::Author(mailbox)));
    }
    for feedback in claims.feedback.iter().copied() {
        resources.push(identity(feedback, Concern::Feedback(feedback)));
    }
    for arn in [&x_ses.source_arn, &x_ses.from_arn, &x_ses.return_path_arn].into_iter().flatten() {
        let known = identities.find(arn.name());
        resources.push(Resource {
            policies: known.map_or(&[], |identity| &identity.policies),
            tags: known.map_or(&[], |identity| &identity.tags),
            ..Resource::named(account, &format!("identity/{}", arn.name()))
        });
    }
    for set in sets(identities, claims, x_ses.configuration_set.as_deref()) {
        resources.push(Resource::named(account, &format!("configuration-set/{set}")));
    }
    if account.sandbox {
        for recipient in &envelope.forward_paths {
            resources.push(identity(recipient, Concern::Everything));
        }
    }
    resources
}

/// The configuration set that the message names, else the defaults of its authors' identities.
fn sets<'a>(
    identities: &'a Identities,
    claims: &Claims<'_>,
    named: Option<&'a str>,
) -> Vec<&'a str> {
    if let Some(named) = named {
        return vec![named];
    }
    let mut sets: Vec<&str> = Vec::new();
    for mailbox in &claims.authors {
        let identity = identities.covering(&mailbox.address);
        let set = identity.and_then(|identity| identity.configuration_set.as_deref());
        sets.extend(set.filter(|set| !sets.contains(set)));
    }
    sets
}
