//! Addresses and domains as wishes name them.

use std::fmt;

use crate::address::{Address, AddressError, check_domain};

/// The variable that stands for the name of the user, and the user of the cases.
const VARIABLE: &str = "${aws:username}";
const USER: &str = "app";

/// Whom a message is from, or where its bounces go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sender {
    /// As it is written in the policy, perhaps with the variable.
    Address(String),
    Domain(String),
}

/// Who may not be a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Recipient {
    Address(String),
    /// With the domains below it.
    Domain(String),
}

impl Sender {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(text) = text.strip_prefix("*@").or_else(|| text.strip_prefix('@')) {
            return Ok(Sender::Domain(domain(text)?));
        }
        if text.contains(['*', '?']) {
            return Err("write an address, or @DOMAIN for every address of a domain".to_owned());
        }
        let address = text.replace(VARIABLE, USER);
        if address.contains("${") {
            return Err(format!("the only variable here is `{VARIABLE}`"));
        }
        if text.contains('"') {
            return Err("a policy sees the address without quotes: leave them out".to_owned());
        }
        match Address::parse(&address) {
            Ok(_) => Ok(Sender::Address(text.to_owned())),
            Err(error) => Err(told(&error, "write app@example.com, or @example.com for all")),
        }
    }

    /// What a condition compares with.
    pub(super) fn operand(&self) -> String {
        match self {
            Sender::Address(text) => text.clone(),
            Sender::Domain(domain) => format!("*@{domain}"),
        }
    }

    /// An address that it stands for.
    pub(super) fn example(&self) -> String {
        match self {
            Sender::Address(text) => text.replace(VARIABLE, USER),
            Sender::Domain(domain) => format!("{USER}@{domain}"),
        }
    }

    fn is(&self, address: &str) -> bool {
        match self {
            Sender::Address(_) => self.example() == address,
            Sender::Domain(domain) => address.rsplit_once('@').is_some_and(|it| it.1 == domain),
        }
    }

    /// An address that it does not stand for, though it looks alike.
    fn counterexample(&self) -> String {
        match self {
            Sender::Address(_) => {
                let example = self.example();
                let domain = example.rsplit_once('@').map_or("", |it| it.1);
                format!("somebody.else@{domain}")
            }
            Sender::Domain(domain) => format!("{USER}@not{domain}"),
        }
    }
}

/// Addresses that none of them stands for, the ones that look alike first; at least one.
pub(super) fn others(senders: &[Sender]) -> Vec<String> {
    let alike = senders.iter().map(Sender::counterexample);
    let far = ["elsewhere.example", "elsewhere.test"].map(|domain| format!("{USER}@{domain}"));
    let is_other = |address: &String| {
        Address::parse(address).is_ok() && !senders.iter().any(|sender| sender.is(address))
    };
    let mut others: Vec<String> = alike.filter(is_other).collect();
    if others.is_empty() {
        others.extend(far.into_iter().find(is_other));
    }
    let mut seen = Vec::new();
    others.retain(|address| {
        let is_new = !seen.contains(address);
        seen.push(address.clone());
        is_new
    });
    others
}

impl Recipient {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with(['@', '*']) || !text.contains('@') {
            return Ok(Recipient::Domain(domain(text)?));
        }
        if text.contains(['*', '?']) || text.contains("${") {
            return Err("write a domain, or an address as it is".to_owned());
        }
        match Address::parse(text) {
            Ok(_) => Ok(Recipient::Address(text.to_owned())),
            Err(error) => Err(told(&error, "write you@example.com, or example.com for all")),
        }
    }

    pub(super) fn is(&self, address: &str) -> bool {
        match self {
            Recipient::Address(text) => text.eq_ignore_ascii_case(address),
            Recipient::Domain(domain) => {
                address.rsplit_once('@').is_some_and(|it| is_below(it.1, domain))
            }
        }
    }
}

/// Whether a domain is another or below it.
fn is_below(domain: &str, other: &str) -> bool {
    domain.strip_suffix(other).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Reads a domain, in lower case as mail has it.
pub(super) fn domain(text: &str) -> Result<String, String> {
    let text = text.strip_prefix("*@").or_else(|| text.strip_prefix('@')).unwrap_or(text);
    let domain = text.to_ascii_lowercase();
    if !domain.is_ascii() {
        return Err("write the domain in Punycode (xn--…), as mail has it".to_owned());
    }
    check_domain(&domain).map_err(|error| told(&error, "write a domain such as example.com"))?;
    Ok(domain)
}

/// What is wrong with an address, as part of a sentence, and what to do.
fn told(error: &AddressError, instead: &str) -> String {
    format!("{}; {instead}", error.to_string().trim_end_matches('.'))
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sender::Address(text) => f.write_str(text),
            Sender::Domain(domain) => write!(f, "@{domain}"),
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Recipient::Address(text) | Recipient::Domain(text) => f.write_str(text),
        }
    }
}
