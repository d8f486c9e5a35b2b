//! The policy engine and the slow evaluator of `reference` give the same answers.
//!
//! `SESGATE_REFERENCE_CASES` sets how many cases are compared, 200,000 or more; the first ones are
//! the same in every run. A case on which the two differ is made as small as possible and printed in
//! the form of `tests/policies/*.json`, with the answer of the reference.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail where it stands"
)]

use std::collections::BTreeMap;
use std::env;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use sesgate::policy::{
    Context, Decision, Layers, Policy, PolicyKind, Principal, Request, Spelled, evaluate,
};

use crate::reference::generate::Maker;
use crate::reference::words::Random;
use crate::reference::{self, Documents, Question, Seen, Who};

const CASES: usize = 200_000;
const QUESTIONS_A_ROUND: usize = 8;

#[test]
fn engine_and_reference_agree() {
    let cases = env::var("SESGATE_REFERENCE_CASES").map_or(CASES, |count| {
        count.parse::<usize>().expect("SESGATE_REFERENCE_CASES is a number").max(CASES)
    });
    let mut random = Random(20_121_017);
    let seen = Seen::default();
    let mut answers = BTreeMap::<&str, usize>::new();
    let mut differences = Vec::new();
    let mut count = 0;
    while count < cases && differences.len() < 5 {
        let mut maker = Maker::new(&mut random);
        let documents = maker.documents();
        let loaded = Loaded::load(&documents);
        let refused = refusal(&documents);
        if loaded.is_err() || refused.is_err() {
            count += 1;
            *answers.entry("refused").or_default() += 1;
            if loaded.is_ok() || refused.is_ok() {
                differences.push((documents, None));
            }
            continue;
        }
        let loaded = loaded.unwrap();
        for _ in 0..QUESTIONS_A_ROUND {
            let question = maker.question();
            let answer = reference::decide(&documents, &question, &seen);
            count += 1;
            *answers.entry(answer).or_default() += 1;
            if loaded.decide(&question) != answer {
                differences.push((documents.clone(), Some(question)));
                break;
            }
        }
    }
    let shown: Vec<String> =
        differences.into_iter().map(|(it, question)| show(it, question)).collect();
    assert!(shown.is_empty(), "the answers differ:\n{}", shown.join("\n"));
    println!("{count} cases: {answers:?}");
    for answer in ["allow", "explicit deny", "implicit deny"] {
        assert!(answers[answer] >= cases / 10, "{answer}: {answers:?}");
    }
    assert!(answers["refused"] >= cases / 100, "{answers:?}");
    check_seen(&seen.borrow());
}

/// Every operator, in every form, held and did not, in an Allow and in a Deny.
fn check_seen(seen: &BTreeMap<(bool, String), [u64; 2]>) {
    assert_eq!(seen.len(), 2 * (26 * 6 + 3), "forms of operators in Allow and in Deny");
    let rarest = seen.iter().min_by_key(|(_, held)| held.iter().min().copied()).unwrap();
    println!("the rarest condition (in a Deny?, operator; failed, held): {rarest:?}");
    for ((is_deny, operator), held) in seen {
        let least = held.iter().min().unwrap();
        assert!(
            *least >= 5,
            "{operator} in a {}: {held:?}",
            if *is_deny { "Deny" } else { "Allow" }
        );
    }
}

fn refusal(documents: &Documents) -> Result<(), String> {
    documents.all().try_for_each(|(kind, document)| reference::check(kind, document))
}

/// The documents as the engine reads them.
pub(crate) struct Loaded {
    identity: Vec<Arc<Policy>>,
    boundary: Option<Vec<Arc<Policy>>>,
    session: Option<Vec<Arc<Policy>>>,
    scps: Vec<Vec<Arc<Policy>>>,
    rcps: Vec<Arc<Policy>>,
    resource: Vec<Arc<Policy>>,
}

/// The one who asks, as the engine takes them.
pub(crate) fn principal(who: &Who) -> Principal<'_> {
    let account = who.account();
    match who {
        Who::User { arn } => Principal::User { account, arn },
        Who::Session { role, session } => {
            Principal::RoleSession { account, role_arn: role, session_arn: session }
        }
        Who::Root { .. } => Principal::Root { account },
    }
}

/// Values of a key, as the engine takes them.
pub(crate) fn spelled(values: &[reference::Spelled]) -> Vec<Spelled<'static>> {
    let one = |value: &reference::Spelled| {
        let spelled = Spelled::from(value.text.clone()).with_spellings(value.spellings.clone());
        if value.in_any_case { spelled.in_any_case() } else { spelled }
    };
    values.iter().map(one).collect()
}

impl Loaded {
    pub(crate) fn load(documents: &Documents) -> Result<Self, String> {
        let all = |kind, documents: &[Value]| -> Result<Vec<Arc<Policy>>, String> {
            let load = |document: &Value| {
                let policy = Policy::parse(kind, "policy", &document.to_string());
                policy.map(Arc::new).map_err(|errors| errors.to_string())
            };
            documents.iter().map(load).collect()
        };
        let scps = documents.scps.iter().map(|level| all(PolicyKind::ServiceControl, level));
        let optional = |kind, documents: &Option<Vec<Value>>| {
            documents.as_deref().map(|documents| all(kind, documents)).transpose()
        };
        Ok(Loaded {
            identity: all(PolicyKind::Identity, &documents.identity)?,
            boundary: optional(PolicyKind::Boundary, &documents.boundary)?,
            session: optional(PolicyKind::Session, &documents.session)?,
            scps: scps.collect::<Result<_, _>>()?,
            rcps: all(PolicyKind::ResourceControl, &documents.rcps)?,
            resource: all(PolicyKind::Resource, &documents.resource)?,
        })
    }

    pub(crate) fn layers(&self) -> Layers<'_> {
        Layers {
            identity: &self.identity,
            boundary: self.boundary.as_deref(),
            session: self.session.as_deref(),
            scps: &self.scps,
            rcps: &self.rcps,
            resource: &self.resource,
        }
    }

    fn decide(&self, question: &Question) -> &'static str {
        let mut context = Context::new();
        for (key, values) in &question.context {
            context.set_list(key, spelled(values));
        }
        let principal = principal(&question.who);
        let request = Request {
            action: &question.action,
            resource: &question.resource,
            parents: &question.parents,
            resource_account: &question.resource_account,
            principal: &principal,
            context: &context,
        };
        name(&evaluate(&self.layers(), &request))
    }
}

/// The name of a decision in cases.
pub(crate) fn name(decision: &Decision<'_>) -> &'static str {
    match decision {
        Decision::Allowed(_) => "allow",
        Decision::ExplicitlyDenied(_) => "explicit deny",
        Decision::ImplicitlyDenied => "implicit deny",
    }
}

/// How the two answer: the engine, then the reference.
fn answers(
    documents: &Documents,
    question: Option<&Question>,
) -> [Result<&'static str, String>; 2] {
    let loaded = Loaded::load(documents);
    let refused = refusal(documents);
    match question {
        None => [loaded.map(|_| "loads"), refused.map(|()| "loads")],
        Some(question) => [
            loaded.map(|loaded| loaded.decide(question)),
            refused.map(|()| reference::decide(documents, question, &Seen::default())),
        ],
    }
}

/// Whether they differ, and still in the way they should: in whether it loads, or in the decision.
fn differ(documents: &Documents, question: Option<&Question>) -> bool {
    match answers(documents, question) {
        [Ok(engine), Ok(reference)] => engine != reference,
        [Err(_), Err(_)] => false,
        [_, _] => question.is_none(),
    }
}

/// Takes away whatever the difference does not need, and writes the rest as a case.
fn show(mut documents: Documents, mut question: Option<Question>) -> String {
    'smaller: loop {
        for smaller in smaller_documents(&documents) {
            if differ(&smaller, question.as_ref()) {
                documents = smaller;
                continue 'smaller;
            }
        }
        for smaller in question.iter().flat_map(smaller_questions).collect::<Vec<_>>() {
            if differ(&documents, Some(&smaller)) {
                question = Some(smaller);
                continue 'smaller;
            }
        }
        break;
    }
    let [engine, reference] = answers(&documents, question.as_ref());
    let mut case = Map::new();
    case.insert("name".to_owned(), json!(format!("here the engine says: {engine:?}")));
    let layers = [
        ("policies", json!(documents.identity)),
        ("boundary", json!(documents.boundary)),
        ("session_policy", json!(documents.session)),
        ("scps", json!(documents.scps)),
        ("rcps", json!(documents.rcps)),
        ("resource_policy", json!(documents.resource)),
    ];
    let is_absent = |name: &str, value: &Value| {
        value.is_null() || (*value == json!([]) && !["boundary", "session_policy"].contains(&name))
    };
    for (name, value) in layers {
        if !is_absent(name, &value) {
            case.insert(name.to_owned(), value);
        }
    }
    if let Some(question) = &question {
        case.insert("request".to_owned(), request(question));
    }
    let expect = match reference {
        Ok(decision) => json!({ "decision": decision }),
        Err(reason) => json!({ "error": reason }),
    };
    case.insert("expect".to_owned(), expect);
    serde_json::to_string_pretty(&case).unwrap()
}

fn request(question: &Question) -> Value {
    let principal = match &question.who {
        Who::User { arn } => json!(arn),
        Who::Session { role, session } => json!({ "role": role, "session": session }),
        Who::Root { account } => json!(format!("arn:aws:iam::{account}:root")),
    };
    let mut context = Map::new();
    for (key, values) in &question.context {
        let value = |value: &reference::Spelled| match (&value.spellings[..], value.in_any_case) {
            ([], false) => json!(value.text),
            (spellings, in_any_case) => json!({
                "text": value.text, "spellings": spellings, "in_any_case": in_any_case,
            }),
        };
        let values: Vec<Value> = values.iter().map(value).collect();
        context.insert(key.clone(), json!(values));
    }
    json!({
        "action": question.action,
        "resource": question.resource,
        "parents": question.parents,
        "resource_account": question.resource_account,
        "principal": principal,
        "context": context,
    })
}

/// The documents without one of them, or with one of them smaller.
fn smaller_documents(documents: &Documents) -> Vec<Documents> {
    let mut all = Vec::new();
    all.push(Documents { boundary: None, ..documents.clone() });
    all.push(Documents { session: None, ..documents.clone() });
    for at in 0..documents.scps.len() {
        let mut smaller = documents.clone();
        smaller.scps.remove(at);
        all.push(smaller);
    }
    for at in 0..sets(&mut documents.clone()).len() {
        let set = sets(&mut documents.clone())[at].clone();
        for smaller_set in smaller_values(&Value::Array(set)) {
            let mut smaller = documents.clone();
            *sets(&mut smaller)[at] = smaller_set.as_array().unwrap().clone();
            all.push(smaller);
        }
    }
    all.retain(|smaller| smaller != documents);
    all
}

fn sets(documents: &mut Documents) -> Vec<&mut Vec<Value>> {
    let mut sets = vec![&mut documents.identity, &mut documents.rcps, &mut documents.resource];
    sets.extend(&mut documents.boundary);
    sets.extend(&mut documents.session);
    sets.extend(&mut documents.scps);
    sets
}

/// The value without one of its parts, at any depth.
fn smaller_values(value: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    match value {
        Value::Array(values) => {
            for at in 0..values.len() {
                let mut smaller = values.clone();
                let part = smaller.remove(at);
                all.push(json!(smaller));
                for part in smaller_values(&part) {
                    let mut smaller = values.clone();
                    smaller[at] = part;
                    all.push(json!(smaller));
                }
            }
        }
        Value::Object(members) => {
            for (name, part) in members {
                let mut smaller = members.clone();
                smaller.shift_remove(name);
                all.push(json!(smaller));
                for part in smaller_values(part) {
                    let mut smaller = members.clone();
                    smaller.insert(name.clone(), part);
                    all.push(json!(smaller));
                }
            }
        }
        _ => {}
    }
    all
}

fn smaller_questions(question: &Question) -> Vec<Question> {
    let mut all = Vec::new();
    for at in 0..question.parents.len() {
        let mut smaller = question.clone();
        smaller.parents.remove(at);
        all.push(smaller);
    }
    for at in 0..question.context.len() {
        let mut smaller = question.clone();
        smaller.context.remove(at);
        all.push(smaller);
        let values = &question.context[at].1;
        for (value_at, value) in values.iter().enumerate() {
            if values.len() > 1 {
                let mut smaller = question.clone();
                smaller.context[at].1.remove(value_at);
                all.push(smaller);
            }
            if value.in_any_case {
                let mut smaller = question.clone();
                smaller.context[at].1[value_at].in_any_case = false;
                all.push(smaller);
            }
            for spelling_at in 0..value.spellings.len() {
                let mut smaller = question.clone();
                smaller.context[at].1[value_at].spellings.remove(spelling_at);
                all.push(smaller);
            }
        }
    }
    all
}
