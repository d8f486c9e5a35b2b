//! Findings about the names of identities in resources. SES asks about the most specific identity
//! that is verified: mostly a domain, whichever the address is.

use super::super::kind::PolicyKind;
use super::super::words::quoted;
use super::arn::SesArn;
use super::parts::FILLED;
use super::view::Text;
use super::{Check, rules};

const WILD: [char; 2] = ['*', '?'];

/// Checks the identities that a statement names; `arns` are its entries that are ARNs of SES.
pub(super) fn check(check: &mut Check<'_, '_>, arns: &[(&Text, SesArn)]) {
    let names: Vec<_> =
        arns.iter().filter_map(|(entry, arn)| Some((*entry, arn.identity()?))).collect();
    for (entry, name) in &names {
        check_name(check, entry, name, &names);
    }
    if check.document.kind == PolicyKind::Resource {
        check_authorization(check, &names);
    }
}

fn check_name(check: &mut Check<'_, '_>, entry: &Text, name: &str, names: &[(&Text, &str)]) {
    let statement = check.statement;
    let (local, domain) = match name.rsplit_once('@') {
        Some((local, domain)) => (Some(local), domain),
        None => (None, name),
    };
    let shown = quoted(&format!("identity/{}", name.replace(FILLED, "…")));
    let literal = domain.trim_matches(WILD).trim_start_matches('.');
    if local.is_none() && name.contains('/') {
        let domain = name.split('/').next().unwrap_or_default();
        check.findings.add(
            rules::IDENTITY_NAME,
            entry.at,
            format!(
                "{shown} matches nothing: an identity is a domain or an address, without a slash"
            ),
            format!("write {}", quoted(&format!("identity/{domain}"))),
        );
        return;
    }
    if domain.chars().any(|c| c.is_ascii_uppercase()) {
        let lower = domain.to_ascii_lowercase();
        let lower = local.map_or_else(|| lower.clone(), |local| format!("{local}@{lower}"));
        let lower = format!("identity/{lower}");
        check.findings.add(
            rules::IDENTITY_NAME,
            entry.at,
            format!(
                "{shown} matches nothing: SES has domains in lower case, and letter case counts"
            ),
            format!("write {}", quoted(&lower.replace(FILLED, "…"))),
        );
        return;
    }
    // Where what matches is permitted: in `Resource` of an Allow, in `NotResource` of a Deny.
    if statement.allows() == statement.resources.negated || literal.is_empty() {
        return;
    }
    let is_filled = literal.contains(FILLED);
    if local.is_some_and(|local| local.contains(WILD)) && !is_filled {
        let is_there = names.iter().any(|(_, other)| *other == literal || *other == "*");
        if !is_there {
            check.findings.add(
                rules::IDENTITY_OF_ADDRESS,
                entry.at,
                format!(
                    "{shown} matches identities of single addresses alone; mail from a verified domain \
                     is judged as `identity/{literal}`"
                ),
                format!("write `identity/{literal}`, and say which addresses with `ses:FromAddress`"),
            );
        }
        return;
    }
    let open_right = domain.ends_with(WILD) && literal.contains(['.', FILLED]);
    let open_left = domain.starts_with(WILD) && !domain.trim_start_matches(WILD).starts_with('.');
    if (open_right || open_left) && !is_filled {
        let fix = match literal.strip_suffix('.') {
            Some(_) => "end it with the whole domain, as in `identity/example.com`".to_owned(),
            None => {
                format!("write `identity/{literal}`, and `identity/*.{literal}` for its subdomains")
            }
        };
        check.findings.add(
            rules::OPEN_IDENTITY,
            entry.at,
            format!("{shown} matches identities of other domains"),
            fix,
        );
    }
}

/// A sending authorization policy belongs to one identity and names that one. SES guide, policy anatomy.
fn check_authorization(check: &mut Check<'_, '_>, names: &[(&Text, &str)]) {
    let &mut Check { document, statement, .. } = check;
    let list = &statement.resources;
    let own = document.identity;
    let fix = match own {
        Some(own) => format!("write {}", quoted(own)),
        None => "write the ARN of the identity that the policy belongs to".to_owned(),
    };
    if list.negated {
        return;
    }
    // What the first statement names is taken for the identity's own where nobody says it.
    let first = || {
        let all = document.statements.iter().flat_map(|it| &it.resources.entries);
        all.map(|entry| entry.text.as_str()).find(|text| text.contains(":identity/"))
    };
    for entry in &list.entries {
        let is_wild = entry.text.contains(WILD);
        let is_identity = names.iter().any(|(other, _)| other.at == entry.at);
        let message = if is_wild || !is_identity {
            format!("{} is not the ARN of one identity, which SES wants here", quoted(&entry.text))
        } else if let Some(other) = own.or_else(first).filter(|own| *own != entry.text) {
            let whose = if own.is_some() { "the policy belongs to" } else { "it also names" };
            format!("{} is another identity: {whose} {}", quoted(&entry.text), quoted(other))
        } else {
            continue;
        };
        check.findings.add(rules::AUTHORIZATION_RESOURCE, entry.at, message, fix.clone());
    }
}
