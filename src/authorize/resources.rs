//! The SES resources that a message uses: identities and configuration sets (decision 9).

use std::sync::Arc;

use super::claims::Claims;
use crate::address::Address;
use crate::identities::{Account, Identities, Identity, related};
use crate::message::{IdentityArn, Mailbox, XSes};
use crate::policy::Policy;
use crate::smtp::Envelope;

/// One resource, and the claims that it is asked about.
pub(super) struct Resource<'m> {
    pub(super) arn: String,
    /// ARNs of identities above it and of its other spellings, for Deny alone (decision 7).
    pub(super) parents: Vec<String>,
    /// Sending authorization policies of the identity.
    pub(super) policies: &'m [Arc<Policy>],
    /// Those of related identities, of which only a Deny counts (decision 7).
    pub(super) denying: Vec<Arc<Policy>>,
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

    /// The identity that an address is judged as.
    fn of_address(
        account: &Account,
        identities: &'m Identities,
        address: &Address,
        concerns: Concern<'m>,
    ) -> Self {
        let covering = identities.covering(address);
        Self::identity(account, identities, covering, address.as_str(), concerns)
    }

    /// An identity, known or not, that a message calls `name`.
    fn identity(
        account: &Account,
        identities: &'m Identities,
        known: Option<&'m Identity>,
        name: &str,
        concerns: Concern<'m>,
    ) -> Self {
        let related = related(name);
        let arn = |name: &str| account.arn(&format!("identity/{name}"));
        Self {
            arn: arn(known.map_or(name, |identity| &identity.name)),
            parents: related.iter().map(|name| arn(name)).collect(),
            policies: known.map_or(&[], |identity| &identity.policies),
            denying: identities.policies_of(&related),
            tags: known.map_or(&[], |identity| &identity.tags),
            concerns,
        }
    }

    fn named(account: &Account, resource: &str) -> Self {
        Self {
            arn: account.arn(resource),
            parents: Vec::new(),
            policies: &[],
            denying: Vec::new(),
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
        |address: &Address, concerns| Resource::of_address(account, identities, address, concerns);
    let mut resources: Vec<Resource<'m>> = Vec::new();
    for mailbox in claims.authors.iter().copied() {
        resources.push(identity(&mailbox.address, Concern::Author(mailbox)));
    }
    for feedback in claims.feedback.iter().copied() {
        resources.push(identity(feedback, Concern::Feedback(feedback)));
    }
    let arns = [&x_ses.source_arn, &x_ses.from_arn, &x_ses.return_path_arn];
    for name in arns.into_iter().flatten().map(IdentityArn::name) {
        let (known, all) = (identities.find(name), Concern::Everything);
        resources.push(Resource::identity(account, identities, known, name, all));
    }
    for set in sets(identities, claims, x_ses) {
        resources.push(Resource::named(account, &format!("configuration-set/{set}")));
    }
    if account.sandbox {
        for recipient in &envelope.forward_paths {
            resources.push(identity(recipient, Concern::Everything));
        }
    }
    resources
}

/// The configuration set that the message names, else the defaults of the identities that it is
/// sent with: those of its authors, and those that it names.
fn sets<'a>(identities: &'a Identities, claims: &Claims<'_>, x_ses: &'a XSes) -> Vec<&'a str> {
    if let Some(named) = &x_ses.configuration_set {
        return vec![named];
    }
    let authors = claims.authors.iter().map(|mailbox| identities.covering(&mailbox.address));
    let named = [&x_ses.source_arn, &x_ses.from_arn].into_iter().flatten();
    let named = named.map(|arn| identities.find(arn.name()));
    let mut sets: Vec<&str> = Vec::new();
    for identity in authors.chain(named).flatten() {
        let set = identity.configuration_set.as_deref();
        sets.extend(set.filter(|set| !sets.contains(set)));
    }
    sets
}
