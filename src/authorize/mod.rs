//! Mail terms to IAM terms: which requests a message makes, and whether all of them are allowed.
//!
//! The only source of a [`Permit`], without which nothing can be sent. Policies and identities are
//! plain values here; where they come from is left to `gateway`.

mod claims;
mod clients;
mod context;
mod delegates;
mod permit;
mod requests;
mod resources;
mod screened;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use uuid::Uuid;

pub use permit::{Nearest, Parameters, Permit, Verdict};
pub use requests::{Asked, Message};
pub use screened::Screened;

use crate::address::Address;
use crate::identities::{Account, Identities, Unsure};
use crate::message::{HeaderSection, XSes};
use crate::policy::{self, Context, Decision, Layers, Policy, StepBudget};
use crate::principals::{Chosen, Matched, Principal};
use crate::smtp::reply::Unsupported;
use crate::smtp::{Envelope, Transaction};
pub use claims::Claim;
use claims::Claims;
pub use clients::{Clients, Connected, NotNamed};
pub use context::principal_keys;
use delegates::Delegates;

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
    /// How many steps it may take; [`STEPS`] at most.
    pub steps: u64,
}

/// The most steps that a decision takes: 10 to 20 ms.
///
/// The largest message that the limits of `message` and `smtp` admit needs less against a score of
/// statements with a hundred patterns each. What needs more is refused.
pub const STEPS: u64 = 10_000_000;

/// Of that, what it takes to tell which statement came nearest to allowing.
const NEAREST_STEPS: u64 = 200_000;

/// A complete message that got no permit.
#[derive(Debug)]
pub struct NotPermitted {
    /// Why.
    pub denial: Denial,
    /// The message, with which another decision can be asked for.
    pub transaction: Transaction,
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
        /// Whether it is a recipient's identity, which counts in the sandbox alone (decision 9).
        is_sandbox: bool,
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
    /// The decision takes more steps than it may.
    #[error("the policies take too long to evaluate: the message has too many addresses for them")]
    TooManySteps,
    /// Nothing can be said about the message yet.
    #[error("{0}")]
    Unsure(Unsure),
    /// The message asks for something that the relay does not do for this user.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
}

/// Decides about messages.
#[derive(Debug)]
pub struct Authorizer {
    account: Account,
    identities: Identities,
    service_control_policies: Vec<Vec<Arc<Policy>>>,
    /// Whether any policy but those of users asks what time it is.
    asks_for_time: bool,
    /// Tells these rules from all others.
    rules: Arc<()>,
}

impl Authorizer {
    /// Puts account, identities and service control policies (levels, root first) together.
    #[must_use]
    pub fn new(
        account: Account,
        identities: Identities,
        service_control_policies: Vec<Vec<Arc<Policy>>>,
    ) -> Self {
        let all = service_control_policies.iter().flatten().chain(identities.policies());
        let asks_for_time = all.map(AsRef::as_ref).any(Policy::asks_for_time);
        let rules = Arc::default();
        Self { account, identities, service_control_policies, asks_for_time, rules }
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
        let budget = StepBudget::of(occasion.steps);
        let message = Message { envelope, header, x_ses: &chosen.x_ses };
        self.ask(client, message, occasion.now, &budget, |asked| {
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
            let Some(decision) = asked.decision() else { return };
            if asked.deny_alone && matches!(decision, Decision::ImplicitlyDenied) {
                return;
            }
            if decision.is_allowed() {
                allowed.get_or_insert_with(|| Verdict::of(&decision));
            } else if denied.is_none()
                || unsure.is_none()
                || matches!(decision, Decision::ExplicitlyDenied(_))
            {
                // Telling takes as long as there are recipients, for thousands of requests.
                let denial = Denial::Policy {
                    user: client.principal.arn.clone(),
                    resource: asked.request.resource.to_owned(),
                    is_sandbox: asked.is_sandbox(),
                    claim: Box::new(Claim::new(asked.author, asked.feedback, asked.recipients)),
                    verdict: Box::new(Verdict::of(&decision)),
                };
                denied = Some((asked.rank, denial));
            }
        });
        if budget.is_used_up() {
            return Err(Denial::TooManySteps);
        }
        match (denied, unsure) {
            (Some((_, Denial::Policy { verdict, .. })), Some(unsure)) if !verdict.is_explicit() => {
                return Err(Denial::Unsure(unsure));
            }
            (Some((rank, mut denial)), _) => {
                if let Denial::Policy { claim, verdict, .. } = &mut denial
                    && !verdict.is_explicit()
                {
                    verdict.nearest = self.nearest(client, message, occasion.now, (rank, claim));
                }
                return Err(denial);
            }
            (None, Some(unsure)) => return Err(Denial::Unsure(unsure)),
            (None, None) => {}
        }
        self.verified(envelope, header, &chosen.x_ses)?;
        // There is a request for each author, and at least one author.
        allowed.ok_or_else(|| Unsupported::NoAuthor.into())
    }

    /// Finds the Allow that came nearest, of the request of that rank and claim. That it is told must
    /// not cost more than the decision did.
    fn nearest(
        &self,
        client: &Client,
        message: Message<'_>,
        now: SystemTime,
        (rank, claim): (usize, &Claim),
    ) -> Option<Nearest> {
        let budget = StepBudget::of(NEAREST_STEPS);
        let mut found = None;
        self.ask(client, message, now, &budget, |asked| {
            let is_it = found.is_none()
                && asked.rank == rank
                && claim.is(asked.author, asked.feedback, asked.recipients);
            if is_it {
                found = Some(
                    policy::nearest(&asked.layers, &asked.request, &budget)
                        .map(|it| Nearest { statement: it.to_string(), hint: it.hint }),
                );
            }
        });
        found.flatten()
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

    /// Decides about a complete message and hands out the permit to send it. What was decided at the
    /// end of its header section is not decided again where it would come out the same.
    ///
    /// # Errors
    /// As [`Authorizer::decide`].
    pub fn permit(
        &self,
        client: &Client,
        transaction: Transaction,
        occasion: Occasion,
        screened: Option<Screened>,
    ) -> Result<Permit, Box<NotPermitted>> {
        let Transaction { envelope, header, .. } = &transaction;
        let decided = screened.and_then(|it| it.holds_for(self, client, &transaction));
        let decided = decided.map_or_else(
            || {
                let verdict = self.decide(client, envelope, header, occasion)?;
                Ok((verdict, self.chosen(client, envelope, header)?))
            },
            Ok,
        );
        match decided {
            Ok((verdict, chosen)) => {
                Ok(Permit::new(client, transaction, occasion, verdict, chosen))
            }
            Err(denial) => Err(Box::new(NotPermitted { denial, transaction })),
        }
    }

    /// Returns the context keys that do not depend on a message.
    #[must_use]
    pub fn context<'m>(
        &'m self,
        client: &'m Client,
        ehlo: &'m str,
        now: SystemTime,
    ) -> Context<'m> {
        let mut context = context::of_client(client, ehlo, now, &self.account);
        context::owner_keys(&mut context, &self.account.id, &self.account);
        context
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
        let mut chosen = client.principal.x_ses.apply(header.xses()).map_err(Unsupported::Field)?;
        let delegates = Delegates { account: &self.account, identities: &self.identities };
        let granted = &client.principal.delegated;
        delegates.settle(&mut chosen.x_ses, granted, &client.principal.x_ses, envelope, header)?;
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
        let identities = self.uncovered_senders(envelope, header, x_ses);
        if identities.is_empty() {
            return Ok(());
        }
        Err(Denial::NotVerified { region: self.account.region.clone(), identities })
    }

    /// Returns the addresses of a message that no known identity covers, and that SES takes only once it
    /// has verified one that does: those of authors and feedback, and in the sandbox of recipients.
    #[must_use]
    pub fn uncovered(&self, message: Message<'_>) -> Vec<String> {
        let Message { envelope, header, x_ses } = message;
        let mut addresses = self.uncovered_senders(envelope, header, x_ses);
        if self.account.sandbox == Some(true) {
            for path in &envelope.forward_paths {
                self.note_uncovered(path, &mut addresses);
            }
        }
        addresses
    }

    fn uncovered_senders(
        &self,
        envelope: &Envelope,
        header: &HeaderSection,
        x_ses: &XSes,
    ) -> Vec<String> {
        let claims = Claims::new(envelope, header, true);
        let delegates = Delegates { account: &self.account, identities: &self.identities };
        let authors = claims.authors.iter().map(|mailbox| &mailbox.address);
        let authors = authors.filter(|address| delegates.of_author(x_ses, address).is_none());
        let feedback = claims.feedback.iter().copied();
        let feedback = feedback.filter(|address| delegates.of_feedback(x_ses, address).is_none());
        let mut addresses = Vec::new();
        for address in authors.chain(feedback) {
            self.note_uncovered(address, &mut addresses);
        }
        addresses
    }

    fn note_uncovered(&self, address: &Address, addresses: &mut Vec<String>) {
        let is_new = |known: &String| known != address.as_str();
        if self.identities.covering(address).is_none() && addresses.iter().all(is_new) {
            addresses.push(address.as_str().to_owned());
        }
    }
}
