//! The SES resources that a message uses: identities and configuration sets (decision 9).

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
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
    /// What it is judged as. Several claims may use one.
    pub(super) judged: Rc<Judged<'m>>,
    /// It may not be used at all: only what denies it counts.
    pub(super) deny_alone: bool,
    concerns: Concern,
    pub(super) why: Why<'m>,
}

/// An identity or a configuration set, as policies are asked about it.
#[derive(Clone)]
pub(super) struct Judged<'m> {
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
}

/// Why a resource is asked about at all.
#[derive(Debug, Clone, Copy)]
pub(super) enum Why<'m> {
    /// The message is from this address.
    Author(&'m Address),
    /// Bounces go to this address.
    Feedback(&'m Address),
    /// A field names it.
    Named(&'static str),
    /// It is the default configuration set of this identity.
    DefaultSet(&'m str),
    /// It is a recipient's, of an account in the sandbox.
    Recipient(&'m Address),
    /// The same of an account of which nobody knows whether it is.
    PerhapsRecipient(&'m Address),
}

/// The end of a sentence that begins with "asked because".
impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Author(address) => {
                write!(f, "the message is from `{address}` (From, Sender or a Resent field)")
            }
            Self::Feedback(address) => {
                write!(f, "bounces go to `{address}` (MAIL FROM or Return-Path)")
            }
            Self::Named(field) => {
                write!(f, "{field} names it, in the message or forced for the user")
            }
            Self::DefaultSet(identity) => {
                write!(f, "it is the default configuration set of identity `{identity}`")
            }
            Self::Recipient(address) => {
                write!(f, "`{address}` is a recipient, and the account is in the sandbox")
            }
            Self::PerhapsRecipient(address) => write!(
                f,
                "`{address}` is a recipient, and the account may be in the sandbox: a Deny counts"
            ),
        }
    }
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
    fn new(judged: Rc<Judged<'m>>, concerns: Concern, why: Why<'m>) -> Self {
        Self { judged, deny_alone: false, concerns, why }
    }

    /// Whether claims of these authors and feedback addresses, by their numbers, use this resource.
    pub(super) fn is_used_by(&self, author: usize, feedback: usize) -> bool {
        match self.concerns {
            Concern::Author(number) => number == author,
            Concern::Feedback(number) => number == feedback,
            Concern::Everything => true,
        }
    }
}

/// Finds what the resources of a message are judged as, each address once.
struct Judging<'m, 'c> {
    account: &'m Account,
    identities: &'m Identities,
    of_addresses: HashMap<&'c str, Rc<Judged<'m>>>,
}

impl<'m, 'c> Judging<'m, 'c> {
    /// The identity that an address is judged as.
    fn of_address(&mut self, address: &'c Address) -> Rc<Judged<'m>> {
        if let Some(known) = self.of_addresses.get(address.as_str()) {
            return Rc::clone(known);
        }
        let covering = self.identities.covering(address);
        let judged = Rc::new(self.identity(covering, address.as_str()));
        self.of_addresses.insert(address.as_str(), Rc::clone(&judged));
        judged
    }

    /// The identity of another account that an address is sent with.
    fn delegated(&mut self, delegated: &'m Delegated, address: &'c Address) -> Rc<Judged<'m>> {
        let arn = &delegated.arn;
        let own = self.of_address(address);
        // What a Deny says of the address counts, whoever lends the identity (decision 7).
        let owner = Account { id: arn.account().to_owned(), ..self.account.clone() };
        let there = related(address.as_str());
        let there = there.iter().map(|name| owner.arn("identity", name));
        let parents = own.parents.iter().cloned().chain([own.arn.clone()]).chain(there);
        Rc::new(Judged {
            arn: arn.as_str().to_owned(),
            account: arn.account(),
            parents: parents.collect(),
            policies: &delegated.policies,
            tags: &[],
            ..Judged::clone(&own)
        })
    }

    /// An identity, known or not, that a message calls `name`.
    fn identity(&self, known: Option<&'m Identity>, name: &str) -> Judged<'m> {
        let related = related(name);
        let arn = |name: &str| self.account.arn("identity", name);
        Judged {
            arn: arn(known.map_or(name, |identity| &identity.name)),
            account: &self.account.id,
            parents: related.iter().map(|name| arn(name)).collect(),
            policies: known.map_or(&[], |identity| &identity.policies),
            denying: self.identities.policies_of(&related),
            unsure: self.identities.unsure(&related),
            tags: known.map_or(&[], |identity| &identity.tags),
        }
    }

    fn configuration_set(&self, name: &str) -> Judged<'m> {
        Judged {
            arn: self.account.arn("configuration-set", name),
            account: &self.account.id,
            parents: Vec::new(),
            policies: &[],
            denying: Vec::new(),
            unsure: None,
            tags: &[],
        }
    }
}

/// All resources in the order in which a refusal names them (decision 13): From, other authors,
/// feedback addresses, identity ARNs, configuration sets, and in a sandbox account the recipients.
pub(super) fn of<'m>(
    account: &'m Account,
    identities: &'m Identities,
    claims: &Claims<'m>,
    envelope: &'m Envelope,
    x_ses: &XSes,
) -> Vec<Resource<'m>> {
    let delegates = Delegates { account, identities };
    let mut judging = Judging { account, identities, of_addresses: HashMap::new() };
    let mut resources: Vec<Resource<'m>> = Vec::new();
    for (number, mailbox) in claims.authors.iter().enumerate() {
        let judged = match delegates.of_author(x_ses, &mailbox.address) {
            Some(delegated) => judging.delegated(delegated, &mailbox.address),
            None => judging.of_address(&mailbox.address),
        };
        let why = Why::Author(&mailbox.address);
        resources.push(Resource::new(judged, Concern::Author(number), why));
    }
    for (number, feedback) in claims.feedback.iter().enumerate() {
        let judged = match delegates.of_feedback(x_ses, feedback) {
            Some(delegated) => judging.delegated(delegated, feedback),
            None => judging.of_address(feedback),
        };
        resources.push(Resource::new(judged, Concern::Feedback(number), Why::Feedback(feedback)));
    }
    let arns = [
        ("X-SES-SOURCE-ARN", &x_ses.source_arn),
        ("X-SES-FROM-ARN", &x_ses.from_arn),
        ("X-SES-RETURN-PATH-ARN", &x_ses.return_path_arn),
    ];
    for (field, arn) in arns {
        let Some(name) = arn.as_ref().filter(|arn| arn.account() == account.id) else { continue };
        let name = IdentityArn::name(name);
        let judged = Rc::new(judging.identity(identities.find(name), name));
        resources.push(Resource::new(judged, Concern::Everything, Why::Named(field)));
    }
    for (set, why) in sets(identities, claims, x_ses) {
        let judged = Rc::new(judging.configuration_set(set));
        resources.push(Resource::new(judged, Concern::Everything, why));
    }
    if account.sandbox != Some(false) {
        for recipient in &envelope.forward_paths {
            let deny_alone = account.sandbox.is_none();
            let why = if deny_alone { Why::PerhapsRecipient } else { Why::Recipient };
            let judged = judging.of_address(recipient);
            let resource = Resource::new(judged, Concern::Everything, why(recipient));
            resources.push(Resource { deny_alone, ..resource });
        }
    }
    resources
}

/// The configuration set that the message names, else the defaults of the identities that it is
/// sent with: those of its authors, and those that it names; each with why.
fn sets<'m: 'x, 'x>(
    identities: &'m Identities,
    claims: &Claims<'_>,
    x_ses: &'x XSes,
) -> Vec<(&'x str, Why<'m>)> {
    if let Some(named) = &x_ses.configuration_set {
        return vec![(named, Why::Named("X-SES-CONFIGURATION-SET"))];
    }
    let authors = claims.authors.iter().map(|mailbox| identities.covering(&mailbox.address));
    let named = [&x_ses.source_arn, &x_ses.from_arn].into_iter().flatten();
    // One of another account has no set here, but a namesake may: the stricter reading.
    let named = named.map(|arn| identities.find(arn.name()));
    let mut sets: Vec<(&str, Why<'m>)> = Vec::new();
    for identity in authors.chain(named).flatten() {
        let set = identity.configuration_set.as_deref();
        let set = set.filter(|set| !sets.iter().any(|(known, _)| known == set));
        sets.extend(set.map(|set| (set, Why::DefaultSet(&identity.name))));
    }
    sets
}
