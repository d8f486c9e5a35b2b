//! The requests that a message makes: each combination of claims with each resource that it uses.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::claims::Claims;
use super::resources::{self, Resource, Why};
use super::{Authorizer, Client, context};
use crate::address::Address;
use crate::identities::{Account, Unsure};
use crate::message::{DisplayName, HeaderSection, Mailbox, XSes};
use crate::policy::{
    self, Context, Decision, Family, Layers, Narrowed, Policy, Request, StepBudget,
    evaluate_narrowed,
};
use crate::smtp::Envelope;

/// What the SMTP endpoint of SES is authorized as.
const ACTION: &str = "ses:SendRawEmail";

/// What of a message decides its requests.
#[derive(Debug, Clone, Copy)]
pub struct Message<'m> {
    /// Its envelope.
    pub envelope: &'m Envelope,
    /// Its header section.
    pub header: &'m HeaderSection,
    /// What holds of its `X-SES-` fields (decision 11).
    pub x_ses: &'m XSes,
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
    pub(super) deny_alone: bool,
    /// Why nothing can be said about it.
    pub(super) unsure: Option<&'a Unsure>,
    /// The place of the resource in the order of decision 13.
    pub(super) rank: usize,
    narrowed: Layers<'a, Narrowed<'a>>,
    chosen: &'a [usize],
    budget: &'a StepBudget,
    resources: &'a [Resource<'a>],
    first_alike: &'a [usize],
}

impl<'a> Asked<'a> {
    /// Asks the policies; none when the steps are used up.
    #[must_use]
    pub fn decision(&'a self) -> Option<Decision<'a>> {
        evaluate_narrowed(&self.narrowed, &self.request, self.chosen, self.budget)
    }

    /// Says whether the resource is asked about for a recipient of an account in the sandbox alone.
    pub(super) fn is_sandbox(&self) -> bool {
        let resource = self.resources.get(self.rank);
        resource.is_some_and(|resource| matches!(resource.why, Why::Recipient(_)))
    }

    /// Says why the resource is asked about at all: what of the message, or of the account, uses it.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let &[_, feedback, author, rank] = self.chosen else { return Vec::new() };
        let alike = self.first_alike.get(rank);
        let same = self.resources.iter().zip(self.first_alike).filter(|(resource, first)| {
            Some(*first) == alike && resource.is_used_by(author, feedback)
        });
        let mut reasons: Vec<_> = same.map(|(resource, _)| resource.why.to_string()).collect();
        reasons.dedup();
        reasons
    }
}

impl Authorizer {
    /// Goes through every request that a message makes, until the steps are used up.
    pub fn ask(
        &self,
        client: &Client,
        message: Message<'_>,
        now: SystemTime,
        budget: &StepBudget,
        mut each: impl FnMut(&Asked<'_>),
    ) {
        let Message { envelope, header, x_ses } = message;
        let principal = &client.principal;
        let claims = Claims::new(envelope, header, principal.envelope_recipients_only);
        budget.spend(preparation(&claims, &self.account, envelope));
        if budget.is_used_up() {
            return;
        }
        let resources = resources::of(&self.account, &self.identities, &claims, envelope, x_ses);
        let who = policy::Principal::User { account: &principal.account, arn: &principal.arn };

        let shared = context::of_message(client, &envelope.ehlo, now, &self.account, x_ses);
        let recipients: Vec<_> =
            claims.recipients.iter().map(|them| context::of_recipients(them)).collect();
        let feedback: Vec<_> =
            claims.feedback.iter().map(|address| context::of_feedback(address)).collect();
        let authors: Vec<_> =
            claims.authors.iter().map(|mailbox| context::of_author(mailbox)).collect();
        let of_resources: Vec<_> =
            resources.iter().map(|it| context::of_resource(it, &self.account)).collect();
        let targets =
            resources.iter().zip(&of_resources).map(|(resource, context)| policy::Resource {
                arn: &resource.judged.arn,
                parents: &resource.judged.parents,
                context,
            });
        let parts = [recipients.as_slice(), feedback.as_slice(), authors.as_slice()];
        let layers = self.layers(principal, &[]);
        let has_boundary = layers.boundary.is_some();
        let family = Family::new(ACTION, &who, has_boundary, &shared, &parts, targets.collect());
        let mut narrowing = Narrowing { family: &family, budget, done: HashMap::new() };
        let identity = narrowing.all(layers.identity);
        let boundary = layers.boundary.map(|policies| narrowing.all(policies));
        let scps: Vec<_> = layers.scps.iter().map(|level| narrowing.all(level)).collect();
        let own: Vec<_> = resources
            .iter()
            .map(|it| (narrowing.all(&it.judged.denying), narrowing.all(it.judged.policies)))
            .collect();

        let first_alike = first_alike(&resources);
        let claims_of_senders = claims.feedback.iter().enumerate().flat_map(|(at, feedback)| {
            claims.authors.iter().enumerate().map(move |(of, author)| (at, *feedback, of, *author))
        });
        let claims_of_senders: Vec<_> = claims_of_senders.collect();
        for (to, recipients_claimed) in claims.recipients.iter().enumerate() {
            for &(at, feedback_claimed, of, author) in &claims_of_senders {
                let mut asked_before = vec![false; resources.len()];
                for (rank, resource) in resources.iter().enumerate() {
                    // The budget is used up, or it is the same question again.
                    if budget.is_used_up() {
                        return;
                    }
                    let alike =
                        first_alike.get(rank).and_then(|first| asked_before.get_mut(*first));
                    let (Some(before), Some((denying, policies))) = (alike, own.get(rank)) else {
                        continue;
                    };
                    if !resource.is_used_by(of, at) || std::mem::replace(before, true) {
                        continue;
                    }
                    let contexts = [
                        recipients.get(to),
                        feedback.get(at),
                        authors.get(of),
                        of_resources.get(rank),
                        Some(&shared),
                    ];
                    let context = Context::joined(contexts.into_iter().flatten());
                    let judged = &resource.judged;
                    let request = Request {
                        action: ACTION,
                        resource: &judged.arn,
                        parents: &judged.parents,
                        resource_account: judged.account,
                        principal: &who,
                        context: &context,
                    };
                    let mut layers = self.layers(principal, judged.policies);
                    layers.rcps = &judged.denying;
                    each(&Asked {
                        author,
                        feedback: feedback_claimed,
                        recipients: recipients_claimed,
                        layers,
                        request,
                        deny_alone: resource.deny_alone,
                        unsure: judged.unsure.as_ref(),
                        rank,
                        narrowed: Layers {
                            identity: &identity,
                            boundary: boundary.as_deref(),
                            session: None,
                            scps: &scps,
                            rcps: denying,
                            resource: policies,
                        },
                        chosen: &[to, at, of, rank],
                        budget,
                        resources: &resources,
                        first_alike: &first_alike,
                    });
                }
            }
        }
    }
}

/// The steps that it takes to spell out what policies are asked about, before any of them is: names,
/// addresses, and identities with their parent domains.
fn preparation(claims: &Claims<'_>, account: &Account, envelope: &Envelope) -> usize {
    let identity = |address: &Address| 500 * address.domain().split('.').count();
    let name = |name: &DisplayName| {
        // One character may become eighteen (NFKC), of which each is folded.
        let per_byte = if name.decoded().is_ascii() { 5 } else { 600 };
        per_byte * name.decoded().len()
    };
    let names = claims.authors.iter().filter_map(|mailbox| mailbox.display_name.as_ref());
    let authors = claims.authors.iter().map(|mailbox| &mailbox.address);
    let judged = authors.chain(claims.feedback.iter().copied());
    let recipients = envelope.forward_paths.iter().filter(|_| account.sandbox != Some(false));
    names.map(name).sum::<usize>()
        + judged.chain(recipients).map(identity).sum::<usize>()
        + 100 * claims.recipients.iter().map(Vec::len).sum::<usize>()
}

/// Narrows each policy once, however many resources it belongs to.
struct Narrowing<'a> {
    family: &'a Family<'a>,
    budget: &'a StepBudget,
    done: HashMap<*const Policy, Narrowed<'a>>,
}

impl<'a> Narrowing<'a> {
    /// Narrows policies, less those of which nothing is left.
    fn all(&mut self, policies: &'a [Arc<Policy>]) -> Vec<Narrowed<'a>> {
        let narrowed = policies.iter().map(|policy| {
            let narrow = || Narrowed::new(policy, self.family, self.budget);
            self.done.entry(Arc::as_ptr(policy)).or_insert_with(narrow).clone()
        });
        narrowed.filter(|narrowed| !narrowed.is_empty()).collect()
    }
}

/// For each resource the first about which the same would be asked.
fn first_alike(resources: &[Resource<'_>]) -> Vec<usize> {
    let mut first = HashMap::new();
    let resources = resources.iter().enumerate();
    resources
        .map(|(rank, it)| {
            let judged = &it.judged;
            *first.entry((judged.arn.as_str(), judged.parents.as_slice())).or_insert(rank)
        })
        .collect()
}
