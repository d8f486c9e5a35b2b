//! The requests of one message, decided together.
//!
//! A message makes one request for each combination of what it says and each resource that it uses:
//! thousands, where it has many authors and recipients. They are alike but for a few independent parts
//! (an author, a feedback address, a list of recipients, a resource), and most statements ask about one
//! part at a time. So each condition is evaluated once for each variant of its part; statements that
//! apply to no variant are left out; and what remains for a combination is to look the answers up.

use std::rc::Rc;

use smallvec::SmallVec;

use super::budget::StepBudget;
use super::condition::{Condition, Held};
use super::document::Policy;
use super::effect::{Effect, SpellingUsed};
use super::evaluate::{Decision, Layers, Settled, combine};
use super::keys::KeySet;
use super::request::Principal;
use super::request::{Context, Request};
use super::statement::Statement;

/// Requests that are alike but for some parts, each with its variants.
#[derive(Debug)]
pub struct Family<'a> {
    action: &'a str,
    principal: &'a Principal<'a>,
    has_boundary: bool,
    shared: &'a Context<'a>,
    /// For each part the contexts of its variants, with the shared keys; the resources are the last.
    parts: Vec<Vec<Context<'a>>>,
    resources: Vec<Resource<'a>>,
    /// Each key that a variant sets, with the number of its part.
    part_of_key: Vec<(&'a str, usize)>,
    /// The keys that any of the requests has.
    keys: KeySet,
}

/// A resource that requests of a family are about.
#[derive(Debug, Clone, Copy)]
pub struct Resource<'a> {
    /// As in [`Request`].
    pub arn: &'a str,
    /// As in [`Request`].
    pub parents: &'a [String],
    /// The keys that this resource has.
    pub context: &'a Context<'a>,
}

/// What of a policy may apply to a request of a family.
#[derive(Debug, Clone)]
pub struct Narrowed<'a> {
    policy: &'a Policy,
    statements: Rc<[Candidate<'a>]>,
}

/// A statement that applies to some variants.
#[derive(Debug)]
struct Candidate<'a> {
    statement: &'a Statement,
    /// The spelling without which a condition on shared keys would not hold.
    spelling: Option<SpellingUsed<'a>>,
    /// For each part that the statement asks about, what came of it for each variant.
    answers: Vec<(usize, Vec<Held<'a>>)>,
    /// Conditions that ask about several parts at once, by a variable.
    mixed: Vec<&'a Condition>,
    /// `Resource` holds variables of other parts.
    mixed_resource: bool,
}

/// What of a family something asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    /// Only what is the same for all requests.
    Nothing,
    /// One part.
    Part(usize),
    /// Several parts at once.
    Several,
}

impl<'a> Family<'a> {
    /// Puts requests together. No two parts set the same key, and none sets one of `shared`.
    /// `has_boundary` says whether a permissions boundary is among the layers.
    #[must_use]
    pub fn new(
        action: &'a str,
        principal: &'a Principal<'a>,
        has_boundary: bool,
        shared: &'a Context<'a>,
        parts: &[&'a [Context<'a>]],
        resources: Vec<Resource<'a>>,
    ) -> Self {
        let of_resources = resources.iter().map(|resource| resource.context).collect();
        let parts = parts.iter().map(|variants| variants.iter().collect());
        let parts: Vec<Vec<&'a Context<'a>>> = parts.chain([of_resources]).collect();
        let mut part_of_key: Vec<_> = parts
            .iter()
            .enumerate()
            .flat_map(|(part, variants)| {
                variants.iter().flat_map(move |own| own.own_keys().map(move |key| (key, part)))
            })
            .collect();
        part_of_key.sort_unstable();
        part_of_key.dedup();
        let variants = parts.iter().flatten().copied();
        let keys =
            variants.chain([shared]).map(Context::key_set).fold(KeySet::default(), KeySet::with);
        let whole = |own: &&'a Context<'a>| Context::joined([*own, shared]);
        let parts = parts.iter().map(|variants| variants.iter().map(whole).collect()).collect();
        Self { action, principal, has_boundary, shared, parts, resources, part_of_key, keys }
    }

    /// Whether one part sets these keys, or several do.
    fn asks_about<'k>(&self, keys: impl Iterator<Item = &'k str>) -> About {
        let mut about = About::Nothing;
        for key in keys {
            let from = self.part_of_key.partition_point(|(known, _)| *known < key);
            let same = self.part_of_key.iter().skip(from).take_while(|(known, _)| *known == key);
            for (_, part) in same {
                match about {
                    About::Nothing => about = About::Part(*part),
                    About::Part(known) if known == *part => {}
                    _ => return About::Several,
                }
            }
        }
        about
    }

    fn resource_part(&self) -> usize {
        self.parts.len().saturating_sub(1)
    }
}

impl<'a> Narrowed<'a> {
    /// Finds what of a policy may apply. Void when the budget is used up.
    #[must_use]
    pub fn new(policy: &'a Policy, family: &'a Family<'a>, budget: &StepBudget) -> Self {
        let statements = policy.statements().iter();
        let statements = statements.filter_map(|it| Candidate::new(it, family, budget)).collect();
        Self { policy, statements }
    }

    /// Whether no statement of the policy may apply.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    fn applying(
        &'a self,
        effect: Effect,
        chosen: &'a [usize],
        request: &Request<'a>,
        budget: &'a StepBudget,
    ) -> impl Iterator<Item = Settled<'a>> {
        let (policy, request) = (self.policy, *request);
        let statements = self.statements.iter().filter(move |it| it.statement.effect() == effect);
        statements.filter_map(move |candidate| {
            let spelling = candidate.applies(chosen, &request, budget)?;
            Some(Settled { policy, statement: candidate.statement, spelling })
        })
    }
}

impl<'a> Candidate<'a> {
    fn new(statement: &'a Statement, family: &'a Family<'a>, budget: &StepBudget) -> Option<Self> {
        budget.spend(20);
        if budget.is_used_up()
            || !statement.may_apply_with(family.keys)
            || !statement.is_about_action(family.action)
            || !statement.is_about_principal(family.principal, family.has_boundary)
        {
            return None;
        }
        let mut candidate = Self {
            statement,
            spelling: None,
            answers: Vec::new(),
            mixed: Vec::new(),
            mixed_resource: family.asks_about(statement.resource_variables()) != About::Nothing,
        };
        let effect = statement.effect();
        let mut of_parts = SmallVec::<[_; 4]>::new();
        for condition in statement.conditions() {
            match family.asks_about(condition.keys()) {
                About::Nothing => match condition.held(family.shared, effect, budget) {
                    Held::Yes => {}
                    Held::BySpelling(used) => {
                        candidate.spelling = candidate.spelling.or(Some(used))
                    }
                    Held::No => return None,
                },
                About::Part(part) => of_parts.push((part, condition)),
                About::Several => candidate.mixed.push(condition),
            }
        }
        if !candidate.mixed_resource {
            let resources = family.resources.iter().map(|resource| {
                statement.covers(resource.arn, resource.parents, family.shared, budget)
            });
            candidate.restrict(family.resource_part(), resources)?;
        }
        for (part, condition) in of_parts {
            let variants = family.parts.get(part)?.iter();
            let held = variants.map(|context| condition.held(context, effect, budget));
            candidate.restrict(part, held)?;
        }
        Some(candidate)
    }

    /// Notes what came of one more question about a part; `None` when no variant is left.
    fn restrict(&mut self, part: usize, held: impl Iterator<Item = Held<'a>>) -> Option<()> {
        let known = self.answers.iter_mut().find(|(known, _)| *known == part);
        let answers = match known {
            None => {
                let mut held = held;
                let first = held.next()?;
                let mut alike = 1;
                let other = held.find(|held| {
                    alike += usize::from(*held == first);
                    *held != first
                });
                match (first, other) {
                    // Nothing to look up later: so it is with most statements.
                    (Held::No, None) => return None,
                    (Held::Yes, None) => return Some(()),
                    _ => {}
                }
                let mut answers = vec![first; alike];
                answers.extend(other.into_iter().chain(held));
                self.answers.push((part, answers));
                return Some(());
            }
            Some((_, answers)) => answers,
        };
        for (answer, held) in answers.iter_mut().zip(held) {
            *answer = answer.and(held);
        }
        answers.iter().any(|answer| *answer != Held::No).then_some(())
    }

    /// Tells whether the statement applies, and by which spelling if it needs one. `chosen` are the
    /// variants of the request, in the order of the parts.
    fn applies(
        &self,
        chosen: &[usize],
        request: &Request<'a>,
        budget: &StepBudget,
    ) -> Option<Option<SpellingUsed<'a>>> {
        budget.spend(5);
        let effect = self.statement.effect();
        let mut all = self.spelling.map_or(Held::Yes, Held::BySpelling);
        for (part, answers) in &self.answers {
            let answer = chosen.get(*part).and_then(|variant| answers.get(*variant));
            all = all.and(answer.copied().unwrap_or(Held::No));
        }
        if all != Held::No && self.mixed_resource {
            let Request { resource, parents, context, .. } = *request;
            all = all.and(self.statement.covers(resource, parents, context, budget));
        }
        for condition in &self.mixed {
            if all != Held::No {
                all = all.and(condition.held(request.context, effect, budget));
            }
        }
        match all {
            Held::No => None,
            Held::Yes => Some(None),
            Held::BySpelling(used) => Some(Some(used)),
        }
    }
}

/// Decides one request of a family, as [`evaluate`](super::evaluate()) would with the whole policies.
///
/// `chosen` are the numbers of its variants, in the order of the parts, the resource last. `None` when
/// the budget is used up.
#[must_use]
pub fn evaluate_narrowed<'a>(
    layers: &Layers<'a, Narrowed<'a>>,
    request: &Request<'a>,
    chosen: &'a [usize],
    budget: &'a StepBudget,
) -> Option<Decision<'a>> {
    budget.spend(20);
    let applying =
        |policy: &'a Narrowed<'a>, effect| policy.applying(effect, chosen, request, budget);
    let decision = combine(layers, request.principal, request.resource_account, applying);
    (!budget.is_used_up()).then_some(decision)
}
