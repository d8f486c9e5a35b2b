//! The SES identities of the account: which one an address belongs to, and its default settings.
//!
//! SES authorizes a message against the most specific identity that covers an address: the address
//! itself, else its domain, else the nearest parent domain (decision 9).

use std::collections::HashMap;
use std::sync::Arc;

use crate::address::Address;
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
    /// Whether recipients must be verified as well.
    pub sandbox: bool,
}

impl Account {
    /// Returns the ARN of an SES resource of the account, such as `identity/example.com`.
    #[must_use]
    pub fn arn(&self, resource: &str) -> String {
        format!("arn:{}:ses:{}:{}:{resource}", self.partition, self.region, self.id)
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
}

/// All known identities of the account.
#[derive(Debug, Default)]
pub struct Identities {
    known: HashMap<String, Identity>,
    authoritative: bool,
}

impl Identities {
    /// Puts identities together; `authoritative` says that there are no others.
    #[must_use]
    pub fn new(identities: Vec<Identity>, authoritative: bool) -> Self {
        let known =
            identities.into_iter().map(|identity| (key(&identity.name), identity)).collect();
        Self { known, authoritative }
    }

    /// Whether the list is complete.
    #[must_use]
    pub fn is_authoritative(&self) -> bool {
        self.authoritative
    }

    /// Returns the most specific identity that covers an address.
    ///
    /// Address identities are compared with the case of the local part, domains without it, as SES
    /// does. A label, `sender+label@`, is covered by `sender@`.
    #[must_use]
    pub fn covering(&self, address: &Address) -> Option<&Identity> {
        let domain = address.domain().to_ascii_lowercase();
        let by_address = |local: &str| self.known.get(&format!("{local}@{domain}"));
        by_address(address.local_part())
            .or_else(|| {
                let (local, _) = address.local_part().split_once('+')?;
                by_address(local)
            })
            .or_else(|| parents(&domain).find_map(|domain| self.known.get(domain)))
    }

    /// Returns whether an identity of that name is known.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Identity> {
        self.known.get(&key(name))
    }

    /// Returns every name under which a Deny may know the identity of an address (decision 7): the
    /// address and its spellings, without its label, its domain, and the parents of that.
    pub fn related(&self, address: &Address) -> impl Iterator<Item = String> + use<> {
        let domain = address.domain().to_ascii_lowercase();
        let local = address.local_part();
        let mut names = vec![address.as_str().to_owned(), format!("{local}@{domain}")];
        names.extend(local.split_once('+').map(|(local, _)| format!("{local}@{domain}")));
        names.extend(address.spellings());
        names.extend(parents(&domain).map(str::to_owned));
        names.dedup();
        names.into_iter()
    }
}

/// The domain itself and its parents, down to two labels.
fn parents(domain: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(domain), |domain| domain.split_once('.').map(|(_, parent)| parent))
        .filter(|domain| domain.contains('.'))
}

/// Domains are compared without letter case, local parts with it.
fn key(name: &str) -> String {
    match name.rsplit_once('@') {
        Some((local, domain)) => format!("{local}@{}", domain.to_ascii_lowercase()),
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
}
