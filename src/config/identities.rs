//! The SES identities that the file names.

use std::collections::HashSet;

use super::reader::Reader;
use super::{Delegated, Identities, Identity};
use crate::address::{Address, check_domain};

pub(super) fn identities(mut table: Reader<'_, '_>) -> Identities {
    let identities = Identities {
        authoritative: table.flag("authoritative", false),
        from_ses: table.choice("source", &[("config", false), ("ses", true)]).unwrap_or(false),
        cache: table.path("cache").map(|directory| directory.value),
        known: table.sections("known").into_iter().map(identity).collect(),
        delegated: table.sections("delegated").into_iter().map(delegated).collect(),
    };
    let mut names = HashSet::new();
    for identity in &identities.known {
        if !identity.name.value.is_empty() && !names.insert(folded(&identity.name.value)) {
            table.source().note_at(
                identity.name.place,
                format!("identity `{}` is there twice", identity.name.value),
            );
        }
    }
    let mut arns = HashSet::new();
    for delegated in &identities.delegated {
        if !delegated.arn.value.is_empty() && !arns.insert(folded(&delegated.arn.value)) {
            table.source().note_at(
                delegated.arn.place,
                format!("identity `{}` is there twice", delegated.arn.value),
            );
        }
    }
    table.finish();
    identities
}

fn identity(mut table: Reader<'_, '_>) -> Identity {
    let name = table.required("name");
    if !name.value.is_empty() && !is_identity(&name.value) {
        table.source().note_at(
            name.place,
            format!("`name` must be a domain or an address, not `{}`", name.value),
        );
    }
    let set = table.string("configuration_set");
    if let Some(set) = &set
        && !is_set_name(&set.value)
    {
        table.source().note_at(
            set.place,
            "`configuration_set` must be 1 to 64 letters, digits, `-` and `_`".to_owned(),
        );
    }
    let identity = Identity {
        name,
        configuration_set: set.map(|set| set.value),
        tags: table.tags(),
        policies: table.policies(),
    };
    table.finish();
    identity
}

fn delegated(mut table: Reader<'_, '_>) -> Delegated {
    let delegated = Delegated { arn: table.required("arn"), policies: table.policies() };
    table.finish();
    delegated
}

fn is_identity(name: &str) -> bool {
    if name.contains('@') { Address::parse(name).is_ok() } else { check_domain(name).is_ok() }
}

/// As SES compares identities: domains without letter case, local parts with it.
fn folded(name: &str) -> String {
    let (local, domain) = name.rsplit_once('@').unwrap_or(("", name));
    format!("{local}@{}", domain.to_ascii_lowercase())
}

fn is_set_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
