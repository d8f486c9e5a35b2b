//! The SES identities of the account: which one an address belongs to, and its default settings.
//!
//! SES authorizes a message against the most specific identity that covers an address: the address
//! itself, else its domain, else the nearest parent domain (decision 9).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::address::Address;
use crate::message::IdentityArn;
use crate::policy::Policy;

/// The account that mail is sent from.
#[derive(Debug, Clone)]
pub struct Account {
    /// Twelve digits.
    pub id: String,
    /// For example `eu-west-1`.
    pub region: String,
    /// For example `aws`.
    pub partition: String,
    /// Whether recipients must be verified as well; none is not known, and what denies them counts.
    pub sandbox: Option<bool>,
    /// The organization that it is a member of, as far as that is known.
    pub organization: Option<Organization>,
}

/// An organization of accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// For example `o-a1b2c3d4e5`.
    pub id: String,
    /// Where in it the account is, for example `o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/`.
    pub paths: Vec<String>,
}

impl Account {
    /// Returns the ARN of an SES resource of the account: its kind, such as `identity`, and its name.
    #[must_use]
    pub fn arn(&self, kind: &str, name: &str) -> String {
        // A message asks for a dozen; `format!` takes five times as long.
        ["arn:", &self.partition, ":ses:", &self.region, ":", &self.id, ":", kind, "/", name]
            .concat()
    }
}

/// One identity.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// A domain or an address, as SES knows it.
    pub name: String,
    /// The configuration set that applies when a message names none.
    pub configuration_set: Option<String>,
    /// Sending authorization policies.
    pub policies: Vec<Arc<Policy>>,
    /// Tags, each under its whole context key: `aws:ResourceTag/KEY`.
    pub tags: Vec<(String, String)>,
    /// Why nothing can be said about messages that depend on it: its configuration set and policies
    /// are not known (decision 3).
    pub unsure: Option<String>,
}

/// An identity that nothing can be said about, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsure {
    /// Its name; empty when that is all identities of the account.
    pub identity: String,
    /// What is not known.
    pub reason: String,
}

impl fmt::Display for Unsure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.identity.is_empty() {
            write!(f, "identity `{}`: ", self.identity)?;
        }
        f.write_str(&self.reason)
    }
}

/// An identity of another account, whose owner lets this account send from it.
#[derive(Debug, Clone)]
pub struct Delegated {
    /// Its ARN.
    pub arn: IdentityArn,
    /// The sending authorization policies of its owner: the owner's half of the decision.
    pub policies: Vec<Arc<Policy>>,
}

impl Delegated {
    /// Returns whether an address may be sent from with this identity.
    #[must_use]
    pub fn covers(&self, address: &Address) -> bool {
        let name = folded(self.arn.name());
        find_name(address, |candidate| (candidate == name).then_some(())).is_some()
    }
}

/// All known identities of the account, and those of others that it may use.
#[derive(Debug, Default)]
pub struct Identities {
    known: HashMap<String, Identity>,
    delegated: Vec<Delegated>,
    authoritative: bool,
    unread: Option<&'static str>,
    /// Whether any known identity has a policy, and whether any is unsure: mostly none.
    has_policies: bool,
    has_unsure: bool,
}

impl Identities {
    /// Puts identities together; `authoritative` says that there are no others.
    #[must_use]
    pub fn new(identities: Vec<Identity>, authoritative: bool) -> Self {
        let has_policies = identities.iter().any(|identity| !identity.policies.is_empty());
        let has_unsure = identities.iter().any(|identity| identity.unsure.is_some());
        let known =
            identities.into_iter().map(|identity| (folded(&identity.name), identity)).collect();
        let delegated = Vec::new();
        Self { known, delegated, authoritative, unread: None, has_policies, has_unsure }
    }

    /// Says what of the account is not known, without which no message can be judged.
    #[must_use]
    pub fn unread(mut self, what: &'static str) -> Self {
        self.unread = Some(what);
        self
    }

    /// Returns why a message that depends on identities of these names cannot be judged.
    #[must_use]
    pub fn unsure(&self, names: &[String]) -> Option<Unsure> {
        if let Some(reason) = self.unread {
            return Some(Unsure { identity: String::new(), reason: reason.to_owned() });
        }
        if !self.has_unsure {
            return None;
        }
        names.iter().filter_map(|name| self.find(name)).find_map(|identity| {
            let reason = identity.unsure.clone()?;
            Some(Unsure { identity: identity.name.clone(), reason })
        })
    }

    /// Adds identities of other accounts.
    #[must_use]
    pub fn with_delegated(mut self, delegated: Vec<Delegated>) -> Self {
        self.delegated = delegated;
        self
    }

    /// Returns the identity of another account with that ARN.
    #[must_use]
    pub fn delegated(&self, arn: &IdentityArn) -> Option<&Delegated> {
        let same = |known: &&Delegated| {
            known.arn.account() == arn.account() && folded(known.arn.name()) == folded(arn.name())
        };
        self.delegated.iter().find(same)
    }

    /// Iterates over the sending authorization policies of all identities.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<Policy>> {
        let own = self.known.values().flat_map(|identity| &identity.policies);
        own.chain(self.delegated.iter().flat_map(|delegated| &delegated.policies))
    }

    /// Whether the list is complete.
    #[must_use]
    pub fn is_authoritative(&self) -> bool {
        self.authoritative
    }

    /// Returns the most specific identity that covers an address.
    ///
    /// Address identities are compared with the case of the local part and without needless quotes,
    /// domains without case, as SES does. A label, `sender+label@`, is covered by `sender@`.
    #[must_use]
    pub fn covering(&self, address: &Address) -> Option<&Identity> {
        find_name(address, |name| self.known.get(name))
    }

    /// Returns whether an identity of that name is known.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Identity> {
        self.known.get(&folded(name))
    }

    /// Returns the policies of every known identity under one of these names.
    #[must_use]
    pub fn policies_of(&self, names: &[String]) -> Vec<Arc<Policy>> {
        if !self.has_policies {
            return Vec::new();
        }
        let known = names.iter().filter_map(|name| self.find(name));
        known.flat_map(|identity| identity.policies.iter().cloned()).collect()
    }
}

/// Tries every name of an identity that covers an address, the most specific first.
fn find_name<T>(address: &Address, found: impl Fn(&str) -> Option<T>) -> Option<T> {
    let domain = address.domain().to_ascii_lowercase();
    let local = unquoted(address.local_part());
    let mut addresses = [Some(local), unlabelled(local)].into_iter().flatten();
    addresses
        .find_map(|local| found(&[local, "@", &domain].concat()))
        .or_else(|| parents(&domain).find_map(&found))
}

/// Brings together what SES and the configuration say of identities.
///
/// SES applies its own default configuration set and tags, so that these count where it has any;
/// policies of both count.
#[must_use]
pub fn merged(from_ses: Vec<Identity>, listed: &[Identity]) -> Vec<Identity> {
    let mut all: HashMap<String, Identity> =
        from_ses.into_iter().map(|identity| (folded(&identity.name), identity)).collect();
    for mine in listed {
        match all.get_mut(&folded(&mine.name)) {
            Some(known) => {
                known.policies.extend(mine.policies.iter().cloned());
                if known.configuration_set.is_none() {
                    known.configuration_set.clone_from(&mine.configuration_set);
                }
                if known.tags.is_empty() {
                    known.tags.clone_from(&mine.tags);
                }
            }
            None => {
                all.insert(folded(&mine.name), mine.clone());
            }
        }
    }
    all.into_values().collect()
}

/// Returns every name under which a Deny may know an identity (decision 7): an address in all its
/// spellings, with and without its label, and a domain with its parents.
#[must_use]
pub fn related(name: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    if let Ok(address) = Address::parse(name) {
        names.extend(address.spellings());
        let without: Vec<_> = names.iter().filter_map(|name| unlabelled_address(name)).collect();
        names.extend(without);
    }
    let domain = name.rsplit_once('@').map_or(name, |(_, domain)| domain).to_ascii_lowercase();
    names.extend(parents(&domain).map(str::to_owned));
    names.sort();
    names.dedup();
    names
}

/// The local part without quotes; `message` lets only needless ones through.
fn unquoted(local: &str) -> &str {
    local.strip_prefix('"').and_then(|local| local.strip_suffix('"')).unwrap_or(local)
}

/// What is before the label of a local part.
fn unlabelled(local: &str) -> Option<&str> {
    local.split_once('+').map(|(local, _)| local).filter(|local| !local.is_empty())
}

fn unlabelled_address(address: &str) -> Option<String> {
    let (local, domain) = address.rsplit_once('@')?;
    Some(format!("{}@{domain}", unlabelled(unquoted(local))?))
}

/// The domain itself and its parents, down to two labels.
fn parents(domain: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(domain), |domain| domain.split_once('.').map(|(_, parent)| parent))
        .filter(|domain| domain.contains('.'))
}

/// Returns the name of an identity as SES compares names: domains without letter case, local parts with
/// it.
#[must_use]
pub fn folded(name: &str) -> String {
    match name.rsplit_once('@') {
        Some((local, domain)) => [local, "@", &domain.to_ascii_lowercase()].concat(),
        None => name.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_identity_covers() {
        let names = ["example.com", "a@example.com", "Mixed@Example.com", "sub.example.com"];
        let identities = Identities::new(
            names.map(|name| Identity { name: name.to_owned(), ..Identity::default() }).to_vec(),
            false,
        );
        let cases = [
            ("a@example.com", Some("a@example.com")),
            ("a@EXAMPLE.com", Some("a@example.com")),
            ("a+label@example.com", Some("a@example.com")),
            ("A@example.com", Some("example.com")),
            ("Mixed@example.com", Some("Mixed@Example.com")),
            ("b@example.com", Some("example.com")),
            ("\"a\"@example.com", Some("a@example.com")),
            ("\"a+label\"@example.com", Some("a@example.com")),
            ("+label@example.com", Some("example.com")),
            ("b@sub.example.com", Some("sub.example.com")),
            ("b@deep.sub.example.com", Some("sub.example.com")),
            ("b@other.example.com", Some("example.com")),
            ("b@badexample.com", None),
            ("b@example.org", None),
        ];
        for (address, expected) in cases {
            let address = Address::parse(address).unwrap();
            let covering = identities.covering(&address).map(|identity| identity.name.as_str());
            assert_eq!(covering, expected, "{address}");
        }
    }
    #[test]
    fn a_deny_knows_an_identity_under_every_name() {
        let cases = [
            (
                "CEO+x@Mail.Example.com",
                vec![
                    "CEO+x@Mail.Example.com",
                    "CEO+x@mail.example.com",
                    "CEO@Mail.Example.com",
                    "CEO@mail.example.com",
                    "ceo+x@mail.example.com",
                    "ceo@mail.example.com",
                    "example.com",
                    "mail.example.com",
                ],
            ),
            ("SECRET.com", vec!["SECRET.com", "secret.com"]),
        ];
        for (name, expected) in cases {
            assert_eq!(related(name), expected);
        }
        let quoted = related("\"CEO+x\"@example.com");
        for name in ["ceo@example.com", "CEO@example.com", "example.com"] {
            assert!(quoted.iter().any(|known| known == name), "{name} in {quoted:?}");
        }
    }
}
