//! The context keys of one message (decision 8).

use std::time::SystemTime;

use super::Client;
use super::claims::spelled;
use super::resources::Resource;
use crate::address::Address;
use crate::identities::{Account, Organization};
use crate::message::{Mailbox, XSes};
use crate::policy::{Context, Spelled};
use crate::principals::Principal;

/// The keys that a client has, whatever its messages say.
pub(super) fn of_client<'m>(
    client: &'m Client,
    ehlo: &'m str,
    now: SystemTime,
    account: &'m Account,
) -> Context<'m> {
    let mut context = Context::new();
    context.set("ses:ApiVersion", "2");
    context.set_time(now);
    let source_ip = client.source_ip.to_string();
    match &client.vpc {
        None => context.set("aws:SourceIp", source_ip),
        Some(vpc) => {
            context.set("aws:VpcSourceIp", source_ip);
            if let Some(endpoint) = &vpc.endpoint {
                context.set("aws:SourceVpce", endpoint.as_str());
            }
            if let Some(id) = &vpc.id {
                context.set("aws:SourceVpc", id.as_str());
            }
        }
    }
    context.set("aws:SecureTransport", if client.secure_transport { "true" } else { "false" });
    context.set("aws:UserAgent", ehlo);
    context.set("aws:RequestedRegion", account.region.as_str());
    context.set("aws:PrincipalIsAWSService", "false");
    context.set("aws:ViaAWSService", "false");
    principal_keys(&mut context, &client.principal);
    if client.principal.account == account.id
        && let Some(organization) = &account.organization
    {
        context.set("aws:PrincipalOrgID", organization.id.as_str());
        context.set_list("aws:PrincipalOrgPaths", paths(organization));
    }
    context
}

fn paths(organization: &Organization) -> Vec<Spelled<'_>> {
    organization.paths.iter().map(|path| path.as_str().into()).collect()
}

/// Sets the keys that say whose a resource is.
pub(super) fn owner_keys<'m>(context: &mut Context<'m>, owner: &'m str, account: &'m Account) {
    context.set("aws:ResourceAccount", owner);
    if owner == account.id
        && let Some(organization) = &account.organization
    {
        context.set("aws:ResourceOrgID", organization.id.as_str());
        context.set_list("aws:ResourceOrgPaths", paths(organization));
    }
}

/// The keys that are the same for all requests of a message: of its client, and what it is passed to
/// SES with.
pub(super) fn of_message<'m>(
    client: &'m Client,
    ehlo: &'m str,
    now: SystemTime,
    account: &'m Account,
    x_ses: &'m XSes,
) -> Context<'m> {
    let mut context = of_client(client, ehlo, now, account);
    if let Some(tenant) = &x_ses.tenant {
        context.set_spelled("ses:TenantName", Spelled::from(tenant.as_str()).in_any_case());
    }
    context
}

/// Sets the keys that say who asks.
pub fn principal_keys<'m>(context: &mut Context<'m>, principal: &'m Principal) {
    context.set("aws:username", principal.user_name.as_str());
    if let Some(user_id) = &principal.user_id {
        context.set("aws:userid", user_id.as_str());
    }
    context.set("aws:PrincipalArn", principal.arn.as_str());
    context.set("aws:PrincipalAccount", principal.account.as_str());
    context.set("aws:PrincipalType", "User");
    for (key, value) in &principal.tags {
        context.set(&format!("aws:PrincipalTag/{key}"), value.as_str());
    }
}

/// The keys of an author.
pub(super) fn of_author(author: &Mailbox) -> Context<'_> {
    let mut context = Context::new();
    context.set_spelled("ses:FromAddress", spelled(&author.address));
    if let Some(name) = &author.display_name {
        context.set_spelled(
            "ses:FromDisplayName",
            Spelled::from(name.decoded()).with_spellings(name.spellings()).in_any_case(),
        );
    }
    context
}

/// The key of a feedback address.
pub(super) fn of_feedback(feedback: &Address) -> Context<'_> {
    let mut context = Context::new();
    context.set_spelled("ses:FeedbackAddress", spelled(feedback));
    context
}

/// The keys of a resource.
pub(super) fn of_resource<'m>(resource: &'m Resource<'m>, account: &'m Account) -> Context<'m> {
    let mut context = Context::new();
    owner_keys(&mut context, resource.judged.account, account);
    for (key, value) in resource.judged.tags {
        context.set(key, value.as_str());
    }
    context
}

/// The key of recipients.
pub(super) fn of_recipients<'m>(recipients: &[&'m Address]) -> Context<'m> {
    let mut context = Context::new();
    let recipients = recipients.iter().map(|address| spelled(address)).collect();
    context.set_list("ses:Recipients", recipients);
    context
}
