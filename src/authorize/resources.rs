//! The SES resources that a message uses: identities and configuration sets (decision 9).

use std::sync::Arc;

use super::claims::Claims;
use super::delegates::Delegates;
use crate::address::Address;
use crate::identities::{Account, Delegated, Identities, Identity, Unsure, related};
use crate::message::{IdentityArn, XSes};
use crate::policy::Policy;
use crate::smtp::Envelope;

/// One resource, and the claims that it is asked about.
pub(super) struct Resource<'m> {
    pub(super) arn: String,
    /// Whose it is.
    pub(super) account: &'m str,
    /// ARNs of identities above it and of its other spellings, for Deny alone (decision 7).
    pub(super) parents: Vec<String>,
    /// Sending authorization policies of the identity.
    pub(super) policies: &'m [Arc<Policy>],
    /// Those of related identities, of which only a Deny counts (decision 7).
    pub(super) denying: Vec<Arc<Policy>>,
    /// Why it cannot be judged.
    pub(super) unsure: Option<Unsure>,
    /// Tags of the identity, by context key.
    pub(super) tags: &'m [(String, String)],
    /// It may not be used at all: only what denies it counts.
    pub(super) deny_alone: bool,
    concerns: Concern,
}

/// Which claims a resource is asked about.
enum Concern {
    /// Those of this author, by its number among the claims.
    Author(usize),
    /// Those of this feedback address.
    Feedback(usize),
    Everything,
}

impl<'m> Resource<'m> {
    /// Whether claims of these authors and feedback addresses, by their numbers, use this resource.
    pub(super) fn is_used_by(&self, author: usize, feedback: usize) -> bool {
        match self.concerns {
            Concern::Author(number) => number == author,
            Concern::Feedback(number) => number == feedback,
            Concern::Everything => true,
        }
    }

    /// The identity of another account that an address is sent with.
    fn delegated(
        account: &'m Account,
        identities: &'m Identities,
        delegated: &'m Delegated,
        address: &Address,
        concerns: Concern,
    ) -> Self {
        let arn = &delegated.arn;
        let own = Self::of_address(account, identities, address, concerns);
        // What a Deny says of the address counts, whoever lends the identity (decision 7).
        let owner = Account { id: arn.account().to_owned(), ..account.clone() };
        let there = related(address.as_str());
        let there = there.iter().map(|name| owner.arn(&format!("identity/{name}")));
        let parents = own.parents.iter().cloned().chain([own.arn.clone()]).chain(there);
        Self {
            arn: arn.as_str().to_owned(),
            account: arn.account(),
            parents: parents.collect(),
            policies: &delegated.policies,
            tags: &[],
            ..own
        }
    }

    /// The identity that an address is judged as.
    fn of_address(
        account: &'m Account,
        identities: &'m Identities,
        address: &Address,
        concerns: Concern,
    ) -> Self {
        let covering = identities.covering(address);
        Self::identity(account, identities, covering, address.as_str(), concerns)
    }

    /// An identity, known or not, that a message calls `name`.
    fn identity(
        account: &'m Account,
        identities: &'m Identities,
        known: Option<&'m Identity>,
        name: &str,
        concerns: Concern,
    ) -> Self {
        let related = related(name);
        let arn = |name: &str| account.arn(&format!("identity/{name}"));
        Self {
            arn: arn(known.map_or(name, |identity| &identity.name)),
            account: &account.id,
            parents: related.iter().map(|name| arn(name)).collect(),
            policies: known.map_or(&[], |identity| &identity.policies),
            denying: identities.policies_of(&related),
            unsure: identities.unsure(&related),
            tags: known.map_or(&[], |identity| &identity.tags),
            deny_alone: false,
            concerns,
        }
    }

    fn named(account: &'m Account, resource: &str) -> Self {
        Self {
            arn: account.arn(resource),
            account: &account.id,
            parents: Vec::new(),
            policies: &[],
            denying: Vec::new(),
            unsure: None,
            tags: &[],
            deny_alone: false,
            concerns: Concern::Everything,
        }
    }
}

/// All resources in the order in which a refusal names them (decision 13): From, other authors,
/// feedback addresses, identity ARNs, configuration sets, and in a sandbox account the recipients.
pub(super) fn of<'m>(
    account: &'m Account,
    identities: &'m Identities,
    claims: &Claims<'m>,
    envelope: &Envelope,
    x_ses: &XSes,
) -> Vec<Resource<'m>> {
    let delegates = Delegates { account, identities };
    let identity = |address: &Address, delegated: Option<&'m Delegated>, concerns| match delegated {
        Some(delegated) => Resource::delegated(account, identities, delegated, address, concerns),
        None => Resource::of_address(account, identities, address, concerns),
    };
    let mut resources: Vec<Resource<'m>> = Vec::new();
    for (number, mailbox) in claims.authors.iter().enumerate() {
        let delegated = delegates.of_author(x_ses, &mailbox.address);
        resources.push(identity(&mailbox.address, delegated, Concern::Author(number)));
    }
    for (number, feedback) in claims.feedback.iter().enumerate() {
        let delegated = delegates.of_feedback(x_ses, feedback);
        resources.push(identity(feedback, delegated, Concern::Feedback(number)));
    }
    let arns = [&x_ses.source_arn, &x_ses.from_arn, &x_ses.return_path_arn];
    let own = |arn: &&IdentityArn| arn.account() == account.id;
    for name in arns.into_iter().flatten().filter(own).map(IdentityArn::name) {
        let (known, all) = (identities.find(name), Concern::Everything);
        resources.push(Resource::identity(account, identities, known, name, all));
    }
    for set in sets(identities, claims, x_ses) {
        resources.push(Resource::named(account, &format!("configuration-set/{set}")));
    }
    if account.sandbox != Some(false) {
        for recipient in &envelope.forward_paths {
            let resource = identity(recipient, None, Concern::Everything);
            resources.push(Resource { deny_alone: account.sandbox.is_none(), ..resource });
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
    // One of another account has no set here, but a namesake may: the stricter reading.
    let named = named.map(|arn| identities.find(arn.name()));
    let mut sets: Vec<&str> = Vec::new();
    for identity in authors.chain(named).flatten() {
        let set = identity.configuration_set.as_deref();
        sets.extend(set.filter(|set| !sets.contains(set)));
    }
    sets
}
