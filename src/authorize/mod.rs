//! Mail terms to IAM terms: which requests a message makes, and whether all of them are allowed.
//!
//! The only source of a [`Permit`], without which nothing can be sent. Policies and identities are
//! plain values here; where they come from is left to `gateway`.

mod claims;
mod context;
mod delegates;
mod permit;
mod resources;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use uuid::Uuid;

pub use permit::{Parameters, Permit, Verdict};

use crate::address::Address;
use crate::identities::{Account, Identities, Unsure};
use crate::message::{HeaderSection, Mailbox, XSes};
use crate::policy::{self, Context, Decision, Layers, Policy, Request};
use crate::principals::{Chosen, Matched, Principal};
use crate::smtp::{Envelope, Transaction};
pub use claims::Claim;
use claims::Claims;
pub use context::principal_keys;
use delegates::Delegates;
use resources::Resource;

/// Who is at the other end of a connection, as policies see it (decision 8).
#[derive(Debug, Clone)]
pub struct Client {
    /// The user that logged in, or for whom the listener speaks.
    pub principal: Arc<Principal>,
    /// The password that it logged in with; none where the listener speaks for the user.
    pub password: Option<Matched>,
    /// The socket's peer.
    pub peer: SocketAddr,
    /// `aws:SourceIp`, or `aws:VpcSourceIp` behind a VPC endpoint: the peer's address, or what the
    /// listener states; never IPv4-mapped.
    pub source_ip: IpAddr,
    /// The VPC that the client came through, if it did: there is no `aws:SourceIp` then, as in AWS.
    pub vpc: Option<Vpc>,
    /// `aws:SecureTransport`: the state of the connection, or what the listener states.
    pub secure_transport: bool,
    /// The listener that it came to, as the log names it.
    pub listener: Arc<str>,
    /// The version of TLS; none without.
    pub tls: Option<&'static str>,
}

/// A VPC that a client came through, as a trusted PROXY header or the listener says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vpc {
    /// `aws:SourceVpce`.
    pub endpoint: Option<String>,
    /// `aws:SourceVpc`.
    pub id: Option<String>,
}

/// One decision: when it is made, and its name in reply and log.
#[derive(Debug, Clone, Copy)]
pub struct Occasion {
    /// The decision id.
    pub id: Uuid,
    /// `aws:CurrentTime`, one moment for all claims.
    pub now: SystemTime,
}

/// Why a message gets no permit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// A policy denies a request, or none allows it.
    #[error("{} on `{resource}`", verdict.decision)]
    Policy {
        /// The ARN of the user.
        user: String,
        /// The ARN of the resource, the first denied in the order of decision 13.
        resource: String,
        /// The combination of claims that was denied.
        claim: Box<Claim>,
        /// What settled it.
        verdict: Box<Verdict>,
    },
    /// An allowed address belongs to no identity of the account, whose list is complete.
    #[error("no identity of the account covers {}", identities.join(", "))]
    NotVerified {
        /// The region of the account.
        region: String,
        /// The addresses.
        identities: Vec<String>,
    },
    /// Nothing can be said about the message yet.
    #[error("identity `{}`: {}", .0.identity, .0.reason)]
    Unsure(Unsure),
    /// The message asks for something that the relay does not do for this user.
    #[error("{0}")]
    Unsupported(String),
}

/// One request of a message: a combination of claims, and a resource that it uses.
pub struct Asked<'a> {
    /// The author's mailbox.
    pub author: &'a Mailbox,
    /// The feedback address.
    pub feedback: &'a Address,
    /// The recipients.
    pub recipients: &'a [&'a Address],
    /// The policies that apply.
    pub layers: Layers<'a>,
    /// What they are asked.
    pub request: Request<'a>,
    /// Only what denies it counts: it may not be used at all.
    deny_alone: bool,
    /// Why nothing can be said about it.
    unsure: Option<&'a Unsure>,
    /// The place of the resource in the order of decision 13.
    rank: usize,
}

impl<'a> Asked<'a> {
    /// Asks the policies.
    #[must_use]
    pub fn decision(&self) -> Decision<'a> {
        policy::evaluate(&self.layers, &self.request)
    }
}

/// Decides about messages.
#[derive(Debug)]
pub struct Authorizer {
    account: Account,
    identities: Identities,
    service_control_policies: Vec<Vec<Arc<Policy>>>,
}

impl Authorizer {
    /// Puts account, identities and service control policies (levels, root first) together.
    #[must_use]
    pub fn new(
        account: Account,
        identities: Identities,
        service_control_policies: Vec<Vec<Arc<Policy>>>,
    ) -> Self {
        Self { account, identities, service_control_policies }
    }

    /// Decides about a message whose content is still to come.
    ///
    /// # Errors
    /// When any of its requests is not allowed, or it asks for what cannot be done.
    pub fn decide(
        &self,
        client: &Client,
        envelope: &Envelope,
        header: &HeaderSection,
        occasion: Occasion,
    ) -> Result<Verdict, Denial> {
        let chosen = self.chosen(client, envelope, header)?;
        let mut allowed = None;
        let mut denied: Option<(usize, Denial)> = None;
        let mut unsure = None;
        self.ask(client, envelope, header, &chosen.x_ses, occasion.now, |asked| {
            if unsure.is_none() {
                unsure = asked.unsure.cloned();
            }
            let explicitly = |denial: &Denial| {
                matches!(denial, Denial::Policy { verdict, .. } if verdict.is_explicit())
            };
            if denied.as_ref().is_some_and(|(rank, denial)| {
                // What is not known may still allow: only an explicit Deny is sure then.
                if unsure.is_some() { explicitly(denial) } else { *rank <= asked.rank }
            }) {
                return;
            }
            let decision = asked.decision();
            if asked.deny_alone && matches!(decision, Decision::ImplicitlyDenied) {
                return;
            }
            if decision.is_allowed() {
                allowed.get_or_insert_with(|| Verdict::of(&decision));
            } else {
                let denial = Denial::Policy {
                    user: client.principal.arn.clone(),
                    resource: asked.request.resource.to_owned(),
                    claim: Box::new(Claim::new(asked.author, asked.feedback, asked.recipients)),
                    verdict: Box::new(Verdict::of(&decision)),
                };
                denied = Some((asked.rank, denial));
            }
        });
        match (denied, unsure) {
            (Some((_, Denial::Policy { verdict, .. })), Some(unsure)) if !verdict.is_explicit() => {
                return Err(Denial::Unsure(unsure));
            }
            (Some((_, denial)), _) => return Err(denial),
            (None, Some(unsure)) => return Err(Denial::Unsure(unsure)),
            (None, None) => {}
        }
        self.verified(envelope, header, &chosen.x_ses)?;
        // There is a request for each author, and at least one author.
        allowed.ok_or_else(|| Denial::Unsupported("Missing required header 'From'.".to_owned()))
    }

    /// Says whether a message may go with these parameters, which a permit of earlier rules gave it.
    #[must_use]
    pub fn confirms(
        &self,
        client: &Client,
        envelope: &Envelope,
        header: &HeaderSection,
        occasion: Occasion,
        parameters: &Parameters,
    ) -> bool {
        let chosen = self.chosen(client, envelope, header);
        chosen.is_ok_and(|chosen| Parameters::of(chosen.x_ses) == *parameters)
            && self.decide(client, envelope, header, occasion).is_ok()
    }

    /// Goes through every request that a message makes: each combination of claims with each
    /// resource that it uses. `x_ses` is what holds of its `X-SES-` fields.
    pub fn ask(
        &self,
        client: &Client,
        envelope: &Envelope,
        header: &HeaderSection,
        x_ses: &XSes,
        now: SystemTime,
        mut each: impl FnMut(&Asked<'_>),
    ) {
        let principal = &client.principal;
        let claims = Claims::new(envelope, header, principal.envelope_recipients_only);
        let resources = resources::of(&self.account, &self.identities, &claims, envelope, x_ses);
        let who = policy::Principal::User { account: &principal.account, arn: &principal.arn };
        let mut context = self.context(client, &envelope.ehlo, now);
        for recipients in &claims.recipients {
            context::set_recipients(&mut context, recipients);
            for feedback in claims.feedback.iter().copied() {
                context::set_feedback(&mut context, feedback);
                for author in claims.authors.iter().copied() {
                    context::set_author(&mut context, author);
                    for (rank, resource) in resources.iter().enumerate() {
                        let used = |resource: &Resource<'_>| resource.is_used_by(author, feedback);
                        let mut earlier = resources.iter().take(rank);
                        if !used(resource)
                            || earlier.any(|earlier| earlier.is_same_as(resource) && used(earlier))
                        {
                            continue;
                        }
                        for (key, value) in resource.tags {
                            context.set(key, value.as_str());
                        }
                        context.set("aws:ResourceAccount", resource.account);
                        let request = Request {
                            action: ACTION,
                            resource: &resource.arn,
                            parents: &resource.parents,
                            resource_account: resource.account,
                            principal: &who,
                            context: &context,
                        };
                        let mut layers = self.layers(principal, resource.policies);
                        layers.rcps = &resource.denying;
                        let unsure = resource.unsure.as_ref();
                        each(&Asked {
                            author,
                            feedback,
                            recipients,
                            layers,
                            request,
                            deny_alone: resource.deny_alone,
                            unsure,
                            rank,
                        });
                        for (key, _) in resource.tags {
                            context.remove(key);
                        }
                    }
                }
            }
        }
    }

    /// Decides about a complete message and hands out the permit to send it.
    ///
    /// # Errors
    /// As [`Authorizer::decide`].
    pub fn permit(
        &self,
        client: &Client,
        transaction: Transaction,
        occasion: Occasion,
    ) -> Result<Permit, Denial> {
        let verdict = self.decide(client, &transaction.envelope, &transaction.header, occasion)?;
        let chosen = self.chosen(client, &transaction.envelope, &transaction.header)?;
        Ok(Permit::new(client, transaction, occasion, verdict, chosen))
    }

    /// Returns the context keys that do not depend on a message.
    #[must_use]
    pub fn context<'m>(
        &'m self,
        client: &'m Client,
        ehlo: &'m str,
        now: SystemTime,
    ) -> Context<'m> {
        context::of_client(client, ehlo, now, &self.account)
    }

    /// Returns the policies that apply to a user; `resource` are those of an identity.
    #[must_use]
    pub fn layers<'p>(
        &'p self,
        principal: &'p Principal,
        resource: &'p [Arc<Policy>],
    ) -> Layers<'p> {
        Layers {
            identity: &principal.policies,
            boundary: principal.boundary.as_deref(),
            session: None,
            scps: &self.service_control_policies,
            rcps: &[],
            resource,
        }
    }

    /// Returns what holds of the `X-SES-` fields of a message (decision 11): what it says, what the
    /// operator forces, and the identities of other accounts that it is sent with.
    ///
    /// # Errors
    /// When a field is not allowed for the user, or names an identity that cannot be used.
    pub fn chosen(
        &self,
        client: &Client,
        envelope: &Envelope,
        header: &HeaderSection,
    ) -> Result<Chosen, Denial> {
        let mut chosen = client.principal.x_ses.apply(header.xses()).map_err(|field| {
            Denial::Unsupported(format!("{field} is not allowed for this user."))
        })?;
        let delegates = Delegates { account: &self.account, identities: &self.identities };
        let granted = &client.principal.delegated;
        delegates
            .settle(&mut chosen.x_ses, granted, &client.principal.x_ses, envelope, header)
            .map_err(Denial::Unsupported)?;
        Ok(chosen)
    }

    /// With a complete list, what SES would refuse for want of an identity is refused here.
    fn verified(
        &self,
        envelope: &Envelope,
        header: &HeaderSection,
        x_ses: &XSes,
    ) -> Result<(), Denial> {
        if !self.identities.is_authoritative() {
            return Ok(());
        }
        let claims = Claims::new(envelope, header, true);
        let delegates = Delegates { account: &self.account, identities: &self.identities };
        let authors = claims.authors.iter().map(|mailbox| &mailbox.address);
        let authors = authors.filter(|address| delegates.of_author(x_ses, address).is_none());
        let feedback = claims.feedback.iter().copied();
        let feedback = feedback.filter(|address| delegates.of_feedback(x_ses, address).is_none());
        let mut identities: Vec<String> = Vec::new();
        for address in authors.chain(feedback) {
            if self.identities.covering(address).is_none()
                && !identities.iter().any(|known| known == address.as_str())
            {
                identities.push(address.as_str().to_owned());
            }
        }
        if identities.is_empty() {
            return Ok(());
        }
        Err(Denial::NotVerified { region: self.account.region.clone(), identities })
    }
}

/// What the SMTP endpoint of SES is authorized as.
const ACTION: &str = "ses:SendRawEmail";
