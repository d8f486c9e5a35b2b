//! Requests decided together, as those of one message are, come out as each would by itself.
//!
//! Documents and context values are those of `reference::generate`. The keys are dealt out to the parts
//! of a family at random, so that conditions and variables ask about one part, about several, and about
//! what all requests share.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail where it stands"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use sesgate::policy::{
    Context, Decision, Family, Layers, Narrowed, Policy, Request, Resource, StepBudget, evaluate,
    evaluate_narrowed,
};

use crate::reference::Question;
use crate::reference::generate::Maker;
use crate::reference::words::Random;
use crate::reference_agreement::{Loaded, name, principal, spelled};

const REQUESTS: usize = 60_000;
/// Recipients, feedback addresses and authors; the resources are one more part.
const PARTS: usize = 3;
const SHARED: usize = PARTS + 1;

#[test]
fn requests_decided_together_come_out_as_each_by_itself() {
    let mut random = Random(20_121_017);
    let mut answers = BTreeMap::<&str, usize>::new();
    let mut requests = 0;
    while requests < REQUESTS {
        let (documents, questions, dealt) = {
            let mut maker = Maker::new(&mut random);
            let documents = maker.documents();
            let questions: Vec<Question> = (0..6).map(|_| maker.question()).collect();
            (documents, questions, random.below(usize::MAX))
        };
        let Ok(loaded) = Loaded::load(&documents) else { continue };
        for answer in compare(&loaded, &questions, dealt) {
            requests += 1;
            *answers.entry(answer).or_default() += 1;
        }
    }
    println!("{requests} requests: {answers:?}");
    for answer in ["allow", "explicit deny", "implicit deny"] {
        assert!(answers[answer] >= requests / 10, "{answer}: {answers:?}");
    }
}

/// Decides every combination of variants both ways, and returns the decisions.
fn compare(loaded: &Loaded, questions: &[Question], dealt: usize) -> Vec<&'static str> {
    let who = principal(&questions[0].who);
    // Each variant has the values of one question for the keys of its part.
    let of_part = |part: usize, question: &Question| {
        let mut context = Context::new();
        for (key, values) in &question.context {
            if part_of(key, dealt) == part {
                context.set_list(key, spelled(values));
            }
        }
        context
    };
    let shared = of_part(SHARED, &questions[0]);
    let variants = |part: usize| -> Vec<Context<'_>> {
        let count = 1 + (dealt >> (8 + part)) % 2;
        (0..count).map(|at| of_part(part, &questions[(part + at) % questions.len()])).collect()
    };
    let parts: Vec<_> = (0..PARTS).map(variants).collect();
    let targets = &questions[..3];
    let of_resources: Vec<_> = targets.iter().map(|it| of_part(PARTS, it)).collect();
    let resources = targets.iter().zip(&of_resources);
    let resources = resources.map(|(it, context)| Resource {
        arn: &it.resource,
        parents: &it.parents,
        context,
    });

    let layers = loaded.layers();
    let slices: Vec<&[Context<'_>]> = parts.iter().map(Vec::as_slice).collect();
    let action = questions[0].action.as_str();
    let has_boundary = layers.boundary.is_some();
    let family = Family::new(action, &who, has_boundary, &shared, &slices, resources.collect());
    let budget = StepBudget::unbounded();
    let narrow = |policies| narrow(policies, &family, &budget);
    let (identity, rcps) = (narrow(layers.identity), narrow(layers.rcps));
    let (boundary, session) = (layers.boundary.map(narrow), layers.session.map(narrow));
    let scps: Vec<_> = layers.scps.iter().map(|level| narrow(level.as_slice())).collect();
    let resource = narrow(layers.resource);
    let narrowed = Layers {
        identity: &identity,
        boundary: boundary.as_deref(),
        session: session.as_deref(),
        scps: &scps,
        rcps: &rcps,
        resource: &resource,
    };

    let mut names = Vec::new();
    for chosen in combinations(&slices, targets.len()) {
        let own = slices.iter().zip(&chosen).map(|(variants, at)| &variants[*at]);
        let target = chosen[PARTS];
        let all = own.chain([&of_resources[target], &shared]);
        let context = Context::joined(all);
        let question = &targets[target];
        let request = Request {
            action,
            resource: &question.resource,
            parents: &question.parents,
            resource_account: &question.resource_account,
            principal: &who,
            context: &context,
        };
        let alone = evaluate(&layers, &request);
        let together = evaluate_narrowed(&narrowed, &request, &chosen, &budget).unwrap();
        assert_eq!(told(&together), told(&alone), "{chosen:?} of {dealt}: {questions:#?}");
        names.push(name(&alone));
    }
    names
}

/// What of policies may apply; what may apply to nothing is left out, as for a message.
fn narrow<'a>(
    policies: &'a [Arc<Policy>],
    family: &'a Family<'a>,
    budget: &StepBudget,
) -> Vec<Narrowed<'a>> {
    let narrowed = policies.iter().map(|policy| Narrowed::new(policy, family, budget));
    narrowed.filter(|narrowed| !narrowed.is_empty()).collect()
}

/// The part of a key: any of them, or what is shared.
fn part_of(key: &str, dealt: usize) -> usize {
    // Spread over all bits by the key's bytes; the same in every run.
    let mixed = key.bytes().fold(dealt, |mixed, byte| {
        (mixed ^ usize::from(byte)).wrapping_mul(0x0100_0000_01B3).rotate_left(17)
    });
    mixed % (SHARED + 1)
}

/// All choices of one variant of each part and one resource.
fn combinations(parts: &[&[Context<'_>]], resources: usize) -> Vec<Vec<usize>> {
    let counts = parts.iter().map(|variants| variants.len()).chain([resources]);
    counts.fold(vec![Vec::new()], |chosen, count| {
        let with = |chosen: &Vec<usize>, at| [chosen.as_slice(), &[at]].concat();
        chosen.iter().flat_map(|it| (0..count).map(move |at| with(it, at))).collect()
    })
}

/// A decision with what settled it: the place of the statement, and whether a spelling did.
fn told(decision: &Decision<'_>) -> (&'static str, Option<(*const Policy, usize, bool)>) {
    let settled = decision.settled().map(|settled| {
        let policy: *const Policy = settled.policy();
        (policy, settled.statement().index(), settled.spelling().is_some())
    });
    (name(decision), settled)
}
