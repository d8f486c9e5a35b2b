//! The SES identities that the file names.

use std::collections::HashSet;

use super::reader::Reader;
use super::{Delegated, Identities, Identity};
use crate::address::{Address, check_domain};
use crate::identities::folded;

pub(super) fn identities(mut table: Reader<'_, '_>) -> Identities {
    let identities = Identities {
        authoritative: table.flag("authoritative", false),
        from_ses: table.choice("source", ("config", false), &[("ses", true)]),
        cache: table.path("cache").map(|directory| directory.value),
        known: table.sections("known").into_iter().map(identity).collect(),
        delegated: table.sections("delegated").into_iter().map(delegated).collect(),
    };
    let mut names = HashSet::new();
    let known = identities.known.iter().map(|identity| &identity.name);
    for name in known.chain(identities.delegated.iter().map(|identity| &identity.arn)) {
        if !name.value.is_empty() && !names.insert(folded(&name.value)) {
            table.report_at(name.place, format!("identity `{}` is there twice", name.value));
        }
    }
    table.finish();
    identities
}

fn identity(mut table: Reader<'_, '_>) -> Identity {
    let name = table.required("name");
    table.must("name", "be a domain or an address", &name, |it| it.is_empty() || is_identity(it));
    let set = table.string("configuration_set");
    if let Some(set) = &set
        && !is_set_name(&set.value)
    {
        table.source().report_at(
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

fn is_set_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
