//! The identities that SES has beside those of the configuration.

use std::collections::{HashMap, HashSet};

use aws_sdk_sesv2::operation::get_email_identity::GetEmailIdentityOutput;
use aws_sdk_sesv2::types::{IdentityInfo, VerificationStatus};

use super::aws::{Api, Trouble, within};
use super::policies;
use super::report::Report;
use crate::config::{Config, Identity};
use crate::identities::folded;
use crate::ses_error::Class;

const CHECK: &str = "identities";
/// Identities that are looked at without `--all`.
const LOOKED_AT: usize = 20;
/// Pages of the list that are read, of [`PAGE`] identities each: SES has 10,000 a region at most.
const PAGES: usize = 20;
const PAGE: i32 = 1000;
/// Names that one line shows.
const SHOWN: usize = 10;

pub(super) async fn check(config: &Config, api: &mut Api, all: bool, report: &mut Report) {
    let listed = list(api, report).await;
    let known = &config.identities.known;
    if let Some(listed) = &listed {
        unlisted(config, listed, report);
        let seen =
            format!("SES has {} here, the configuration names {}", listed.len(), known.len());
        report.ok(CHECK, seen);
    }
    let most = if all { known.len() } else { LOOKED_AT };
    for (number, identity) in known.iter().take(most).enumerate() {
        let name = &identity.name.value;
        let of = known.len().min(most);
        report.progress(&format!("asking SES about {name} ({} of {of})", number + 1));
        let (client, patience) = api.turn().await;
        let asked = client.get_email_identity().email_identity(name).send();
        match within(patience, asked).await {
            Ok(found) => compare(config, identity, &found, report),
            Err(trouble) => {
                let ends = trouble.class == Class::Denied || trouble.class.is_of_credentials();
                failed(config, identity, &trouble, report);
                if ends {
                    return;
                }
            }
        }
    }
    if known.len() > most {
        let left = known.len() - most;
        let command = format!("sesgate doctor --all{}", config.origin.option());
        report.left_out(CHECK, format!("{left} more, to spare SES calls"), command);
    }
}

/// Every identity of the account and region, by its name as SES compares names.
async fn list(api: &mut Api, report: &mut Report) -> Option<HashMap<String, IdentityInfo>> {
    let mut found = HashMap::new();
    let mut next = None;
    for page in 0..PAGES {
        report.progress(&format!("listing the identities of SES, page {}", page + 1));
        let (client, patience) = api.turn().await;
        let asked = client.list_email_identities().page_size(PAGE).set_next_token(next).send();
        match within(patience, asked).await {
            Ok(output) => {
                next = output.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
                let named = output.email_identities.unwrap_or_default().into_iter();
                found.extend(named.filter_map(|it| Some((folded(it.identity_name()?), it))));
            }
            Err(trouble) if trouble.class == Class::Denied => {
                let seen = format!("the role may not list them: {}", trouble.said);
                report.warning(CHECK, seen, policies::reading());
                return None;
            }
            Err(trouble) => {
                let seen = format!("ListEmailIdentities: {}", trouble.said);
                report.failed(CHECK, seen, trouble.fix);
                return None;
            }
        }
        if next.is_none() {
            break;
        }
    }
    Some(found)
}

/// What SES has verified and a complete list lacks.
fn unlisted(config: &Config, listed: &HashMap<String, IdentityInfo>, report: &mut Report) {
    if !config.identities.authoritative {
        return;
    }
    let known = config.identities.known.iter().map(|it| folded(&it.name.value));
    let known: HashSet<_> = known.collect();
    let is_verified = |it: &IdentityInfo| {
        it.sending_enabled() || it.verification_status() == Some(&VerificationStatus::Success)
    };
    let missing = listed.iter().filter(|(name, it)| !known.contains(*name) && is_verified(it));
    let mut missing: Vec<_> = missing.filter_map(|(_, it)| it.identity_name()).collect();
    missing.sort_unstable();
    if !missing.is_empty() {
        let shown: Vec<_> = missing.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
        let more = missing.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let lines = missing.iter().take(SHOWN);
        let lines: Vec<_> =
            lines.map(|it| format!("[[identities.known]]\nname = {it:?}")).collect();
        report.warning(
            CHECK,
            format!(
                "the list is `authoritative` and lacks {}{more}, verified at SES: mail from there \
                 is refused",
                shown.join(", "),
            ),
            format!("{}: add\n{}", config.origin, lines.join("\n")),
        );
    }
}

fn failed(config: &Config, identity: &Identity, trouble: &Trouble, report: &mut Report) {
    let name = &identity.name.value;
    let region = &config.account.region;
    match trouble.class {
        Class::NotFound => report.failed(
            CHECK,
            format!("`{name}` is not there in {region}"),
            format!(
                "`aws sesv2 create-email-identity --region {region} --email-identity {name}`, or \
                 take it out: {}",
                line(config, identity),
            ),
        ),
        Class::Denied => {
            let seen = format!("the role may not look at `{name}`: {}", trouble.said);
            report.warning(CHECK, seen, policies::reading());
        }
        _ => report.failed(CHECK, format!("`{name}`: {}", trouble.said), trouble.fix),
    }
}

fn compare(
    config: &Config,
    identity: &Identity,
    found: &GetEmailIdentityOutput,
    report: &mut Report,
) {
    let name = &identity.name.value;
    let line = line(config, identity);
    let before = report.problems();
    // Either says so: a subdomain inherits, and some answers leave one of them out.
    let status = found.verification_status();
    if !found.verified_for_sending_status() && status != Some(&VerificationStatus::Success) {
        let status = status.map_or("unknown", VerificationStatus::as_str);
        let region = &config.account.region;
        let ask = format!("aws sesv2 get-email-identity --region {region} --email-identity {name}");
        let fix = if name.contains('@') {
            "follow the link in the mail that SES sent to this address".to_owned()
        } else {
            format!("publish the CNAME records of `{ask} --query DkimAttributes.Tokens`")
        };
        report.failed(CHECK, format!("`{name}` is not verified for sending ({status})"), fix);
    }
    let theirs = found.configuration_set_name().filter(|set| !set.is_empty());
    let ours = identity.configuration_set.as_deref();
    if theirs != ours {
        let shown = |set: Option<&str>| set.map_or("none".to_owned(), |set| format!("`{set}`"));
        let seen = format!(
            "`{name}`: its default configuration set is {} at SES, {} in the configuration",
            shown(theirs),
            shown(ours),
        );
        let fix = match theirs {
            Some(set) => format!("{line}: `configuration_set = \"{set}\"`"),
            None => format!("{line}: take `configuration_set` out"),
        };
        report.warning(CHECK, seen, fix);
    }
    tags(identity, found, &line, report);
    authorization(identity, found, &line, report);
    if report.problems() == before {
        report.ok(CHECK, format!("`{name}`: verified, set and policies as configured"));
    }
}

fn tags(identity: &Identity, found: &GetEmailIdentityOutput, line: &str, report: &mut Report) {
    let theirs = found.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned()));
    let mut theirs: Vec<_> = theirs.collect();
    let mut ours = identity.tags.clone();
    theirs.sort();
    ours.sort();
    if theirs != ours {
        let shown = theirs.iter().map(|(key, value)| format!("{key:?} = {value:?}"));
        let shown: Vec<_> = shown.collect();
        let seen = format!("`{}`: its tags at SES are others", identity.name.value);
        report.warning(CHECK, seen, format!("{line}: `tags = {{ {} }}`", shown.join(", ")));
    }
}

/// Sending authorization policies, which count whatever their names.
fn authorization(
    identity: &Identity,
    found: &GetEmailIdentityOutput,
    line: &str,
    report: &mut Report,
) {
    let name = &identity.name.value;
    let mut theirs: Vec<_> = found.policies().into_iter().flatten().collect();
    theirs.sort();
    let is_ours =
        |text: &str| identity.policies.iter().any(|it| policies::is_same(text, &it.value));
    for (policy, _) in theirs.iter().filter(|(_, text)| !is_ours(text)) {
        report.warning(
            CHECK,
            format!("`{name}`: SES has the policy `{policy}`, the configuration has none like it"),
            format!(
                "`aws sesv2 get-email-identity-policies --email-identity {name} --query \
                 'Policies.\"{policy}\"' --output text > policies/{policy}.json`, then {line}: \
                 `policies = [\"policies/{policy}.json\"]`",
            ),
        );
    }
    for file in &identity.policies {
        if !theirs.iter().any(|(_, text)| policies::is_same(text, &file.value)) {
            let file = &file.value;
            report.warning(
                CHECK,
                format!("`{name}`: SES has no policy like `{file}`"),
                format!(
                    "take it out of `policies`: {line}; or `aws sesv2 \
                     create-email-identity-policy --email-identity {name} --policy-name NAME \
                     --policy file://{file}`",
                ),
            );
        }
    }
}

fn line(config: &Config, identity: &Identity) -> String {
    config.origin.at(identity.name.place)
}
