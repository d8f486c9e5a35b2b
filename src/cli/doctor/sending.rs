//! A mail to the mailbox simulator of SES: the one proof that the relay's role may send.

use aws_sdk_sesv2::primitives::Blob;
use aws_sdk_sesv2::types::{Destination, EmailContent, RawMessage};

use super::Arguments;
use super::aws::{Api, within};
use super::policies;
use super::report::Report;
use crate::config::Config;
use crate::ses_error::Class;

const CHECK: &str = "sending";
/// Takes every message, and counts for nothing but the quota (SES guide, mailbox simulator).
const SIMULATOR: &str = "success@simulator.amazonses.com";

pub(super) async fn check(
    config: &Config,
    api: &Api,
    arguments: &Arguments,
    caller_arn: Option<&str>,
    report: &mut Report,
) {
    let Some(from) = &arguments.send_from else {
        let known = config.identities.known.first().map(|it| it.name.value.as_str());
        let example = match known {
            Some(address) if address.contains('@') => address.to_owned(),
            Some(domain) => format!("sesgate@{domain}"),
            None => "ADDRESS".to_owned(),
        };
        let option = config.origin.option();
        let command = format!("sesgate doctor{option} --send-from {example}");
        let because = format!("because no mail is sent unasked; it goes to {SIMULATOR}");
        return report.left_out(CHECK, because, command);
    };
    report.progress(&format!("sending a mail to {SIMULATOR}"));
    let content = format!(
        "From: <{from}>\r\nTo: <{SIMULATOR}>\r\nSubject: sesgate doctor\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=us-ascii\r\n\r\nsesgate asks whether its role may send.\r\n"
    );
    let Ok(raw) = RawMessage::builder().data(Blob::new(content)).build() else {
        return report.skipped(CHECK, "because the message could not be made");
    };
    let (client, patience) = api.sender();
    // As the relay asks: without `FromEmailAddress`, whose place the header takes.
    let asked = client
        .send_email()
        .destination(Destination::builder().to_addresses(SIMULATOR).build())
        .feedback_forwarding_email_address(from)
        .content(EmailContent::builder().raw(raw).build())
        .send();
    let trouble = match within(patience, asked).await {
        Ok(output) => {
            let id = output.message_id().unwrap_or("none");
            return report.ok(CHECK, format!("SES took a mail from {from}, message id {id}"));
        }
        Err(trouble) => trouble,
    };
    let seen = format!("a mail from {from}: {}", trouble.said);
    let region = &config.account.region;
    match trouble.class {
        Class::Denied => {
            let resources = resources(config, from, &trouble.said);
            report.failed(CHECK, seen, policies::sending(&resources, caller_arn));
        }
        Class::Paused => {
            let command = "aws sesv2 put-account-sending-attributes --sending-enabled";
            report.failed(CHECK, seen, format!("`{command} --region {region}`"));
        }
        Class::Rejected => {
            let domain = from.rsplit_once('@').map_or(from.as_str(), |(_, domain)| domain);
            let command = format!("aws sesv2 create-email-identity --email-identity {domain}");
            report.failed(CHECK, seen, format!("`{command} --region {region}`"));
        }
        Class::Throttled | Class::Quota => report.warning(CHECK, seen, trouble.fix),
        _ => report.failed(CHECK, seen, trouble.fix),
    }
}

/// What must be allowed: the resource that the refusal names, the identity behind the address, and
/// its default configuration set.
fn resources(config: &Config, from: &str, said: &str) -> Vec<String> {
    let account = &config.account;
    let identity = covering(config, from);
    let named = said.split(['`', '\'', ' ']).filter(|it| it.starts_with("arn:"));
    let mut found: Vec<_> = named.filter(|it| it.contains(":ses:")).map(str::to_owned).collect();
    match identity {
        Some(identity) => {
            found.push(account.arn("identity", &identity.name.value));
            let set = identity.configuration_set.iter();
            found.extend(set.map(|set| account.arn("configuration-set", set)));
        }
        None if found.is_empty() => found.push(account.arn("identity", from)),
        None => {}
    }
    found.sort();
    found.dedup();
    found
}

/// The most specific configured identity: the address, its domain, or the nearest parent.
fn covering<'c>(config: &'c Config, from: &str) -> Option<&'c crate::config::Identity> {
    let known = &config.identities.known;
    let (local, domain) = from.rsplit_once('@')?;
    let is_address = |name: &str| {
        name.rsplit_once('@').is_some_and(|(l, d)| l == local && d.eq_ignore_ascii_case(domain))
    };
    let parents = std::iter::successors(Some(domain), |it| Some(it.split_once('.')?.1));
    known.iter().find(|it| is_address(&it.name.value)).or_else(|| {
        let mut parents = parents;
        parents
            .find_map(|parent| known.iter().find(|it| it.name.value.eq_ignore_ascii_case(parent)))
    })
}
