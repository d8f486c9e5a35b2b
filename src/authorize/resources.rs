//! The SES resources that a message uses: identities and configuration sets (decision 9).

use std::sync::Arc;

use super::claims::Claims;
use crate::address::Address;
use crate::identities::{Account, Identities};
use crate::message::{HeaderSection, Mailbox};
use crate::policy::Policy;

/// One resource, and the claims that it is asked about.
pub(super) struct Resource<'m> {
    pub(super) arn: String,
    /// ARNs of identities above it and of its other spellings, for Deny alone (decision 7).
    pub(super) parents: Vec<String>,
    /// Sending authorization policies of the identity.
    pub(super) policies: &'m [Arc<Policy>],
    concerns: Concern<'m>,
}

/// Which claims a resource is asked about.
#[derive(Clone, Copy)]
enum Concern<'m> {
    Author(&'m Mailbox),
    Feedback(&'m Address),
    Everything,
}

type Combination<'m> = (&'m Mailbox, &'m Address, &'m [&'m Address]);

impl<'m> Resource<'m> {
    /// The combinations of claims that concern this resource.
    pub(super) fn combinations<'c>(
        &self,
        claims: &'c Claims<'m>,
    ) -> impl Iterator<Item = Combination<'c>> + use<'c, 'm> {
        let concerns = self.concerns;
        let authors = claims.authors.iter().copied();
        authors
            .filter(move |author| match concerns {
                Concern::Author(mailbox) => mailbox == *author,
                _ => true,
            })
            .flat_map(move |author| {
                let feedback = claims.feedback.iter().copied();
                feedback
                    .filter(move |feedback| match concerns {
                        Concern::Feedback(address) => address == *feedback,
                        _ => true,
                    })
                    .flat_map(move |feedback| {
                        claims
                            .recipients
                            .iter()
                            .map(move |recipients| (author, feedback, recipients.as_slice()))
                    })
            })
    }
}

/// All resources in the order in which a refusal names them (decision 13): From, other authors,
/// feedback addresses, configuration sets, and in a sandbox account the recipients.
pub(super) fn of<'m>(
    account: &Account,
    identities: &'m Identities,
    claims: &Claims<'m>,
    header: &'m HeaderSection,
) -> Vec<Resource<'m>> {
    let identity = |address: &'m Address, concerns: Concern<'m>| {
        let covering = identities.covering(address);
        let name = covering.map_or(address.as_str(), |identity| identity.name.as_str());
        let above = identities.related(address);
        Resource {
            arn: account.arn(&format!("identity/{name}")),
            parents: above.map(|name| account.arn(&format!("identity/{name}"))).collect(),
            policies: covering.map_or(&[], |identity| &identity.policies),
            concerns,
        }
    };
    let named = |name: &str| Resource {
        arn: account.arn(name),
        parents: Vec::new(),
        policies: &[],
        concerns: Concern::Everything,
    };
    let mut resources: Vec<Resource<'m>> = Vec::new();
    for mailbox in claims.authors.iter().copied() {
        resources.push(identity(&mailbox.address, Concern::Author(mailbox)));
    }
    for feedback in claims.feedback.iter().copied() {
        resources.push(identity(feedback, Concern::Feedback(feedback)));
    }
    let xses = header.xses();
    for arn in [&xses.source_arn, &xses.from_arn, &xses.return_path_arn].into_iter().flatten() {
        resources.push(named(&format!("identity/{}", arn.name())));
    }
    for set in sets(identities, claims, xses.configuration_set.as_deref()) {
        resources.push(named(&format!("configuration-set/{set}")));
    }
    if account.sandbox {
        for recipient in claims.recipients.iter().flatten().copied() {
            resources.push(identity(recipient, Concern::Everything));
        }
    }
    resources
}

/// The configuration set that the message names, else the defaults of its authors' identities.
fn sets<'m>(
    identities: &'m Identities,
    claims: &Claims<'m>,
    named: Option<&'m str>,
) -> Vec<&'m str> {
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
