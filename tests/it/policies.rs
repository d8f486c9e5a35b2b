//! Plays `tests/policies/*.json` against the policy engine.
//!
//! A file is a list of cases, or an object with `cases` and members that every case of it has
//! unless it says otherwise. A case has a `name`, an `expect`, a `request` and policies:
//!
//! - `policies`, `boundary`, `session_policy`, `rcps`, `resource_policy`: one document or a list;
//!   `scps`: a list of levels, each one document or a list. A document is an object, a string
//!   that holds its text to the byte, or `{"file": …}` with a path from the top of the repository.
//! - `condition` instead of `policies`: one statement `Under` with that condition that allows
//!   everything, or denies it with `effect` set to `Deny`, next to a statement `Rest` that allows
//!   everything. `version` sets its version.
//! - `holds` and `fails` instead of `request` and `expect`: contexts in which the condition holds
//!   or does not, each a case of its own.
//! - `request`: `action`, `resource`, `resource_account`, `principal`, `context`, `parents`, each
//!   with a default. `principal` is a user's or root's ARN, or an object of `role` and `session`. A
//!   value with other spellings is an object of `text` and `spellings`, and of `in_any_case` where a
//!   Deny does not mind its letter case.
//! - `expect`: `decision` (`allow`, `explicit deny`, `implicit deny`), with `statement` (its Sid,
//!   or its number from 1) and `spelling` (the one that settled it; without it none may have),
//!   `text` (how the decision is shown), `outcomes` (how each statement of `policies` stands to the
//!   request); or `error`, one or several texts that all occur in the problems, and `problems`,
//!   their number.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail where it stands"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use sesgate::policy::{
    Context, Decision, Layers, Policy, PolicyKind, Principal, Request, Spelled, SpellingUsed,
    evaluate,
};

const ACCOUNT: &str = "111122223333";
const USER: &str = "arn:aws:iam::111122223333:user/app";
const RESOURCE: &str = "arn:aws:ses:us-east-1:111122223333:identity/example.com";

#[test]
fn every_case_comes_out_as_it_says() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policies");
    let mut failures = Vec::new();
    let mut count = 0;
    for path in files(&directory) {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let cases = cases(&path);
        assert!(!cases.is_empty(), "{file} has no cases");
        for case in cases {
            count += 1;
            if let Err(failure) = play(&case) {
                failures.push(format!("{file}: {}: {failure}", case["name"]));
            }
        }
    }
    println!("{count} cases of policies");
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_policy_shipped_loads() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/policies");
    for path in files(&directory) {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        Policy::parse(PolicyKind::Identity, &name, &text).unwrap();
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    assert!(!files.is_empty(), "{} has no files", directory.display());
    files.sort();
    files
}

fn cases(path: &Path) -> Vec<Map<String, Value>> {
    let text = fs::read_to_string(path).unwrap();
    let value: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (mut shared, cases) = match value {
        Value::Array(cases) => (Map::new(), cases),
        Value::Object(mut file) => {
            let cases = file.remove("cases").expect("cases");
            (file, cases.as_array().expect("a list of cases").clone())
        }
        other => panic!("{}: {other}", path.display()),
    };
    shared.remove("about");
    let with_shared = |case: Value| {
        let mut whole = shared.clone();
        whole.extend(case.as_object().expect("a case is an object").clone());
        whole
    };
    cases.into_iter().map(with_shared).flat_map(by_context).collect()
}

/// Makes a case of each context under `holds` and `fails`.
fn by_context(mut case: Map<String, Value>) -> Vec<Map<String, Value>> {
    let decisions = [
        ("holds", json!({ "decision": "allow", "statement": "Under" })),
        ("fails", json!({ "decision": "implicit deny" })),
    ];
    let contexts = decisions.map(|(member, expect)| (case.remove(member), expect));
    if contexts.iter().all(|(contexts, _)| contexts.is_none()) {
        return vec![case];
    }
    assert!(case.contains_key("condition"), "{}: no condition", case["name"]);
    let mut cases = Vec::new();
    for (contexts, expect) in contexts {
        for context in list(contexts.as_ref()) {
            let mut one = case.clone();
            one.insert("name".to_owned(), json!(format!("{} with {context}", case["name"])));
            one.insert("request".to_owned(), json!({ "context": context }));
            one.insert("expect".to_owned(), expect.clone());
            cases.push(one);
        }
    }
    cases
}

fn play(case: &Map<String, Value>) -> Result<(), String> {
    const MEMBERS: [&str; 12] = [
        "name",
        "policies",
        "condition",
        "effect",
        "version",
        "boundary",
        "session_policy",
        "scps",
        "rcps",
        "resource_policy",
        "request",
        "expect",
    ];
    only(case, &MEMBERS)?;
    let expect = case.get("expect").and_then(Value::as_object).ok_or("expects nothing")?;
    only(expect, &["decision", "statement", "spelling", "text", "outcomes", "error", "problems"])?;
    let policies = match Policies::load(case) {
        Ok(policies) => policies,
        Err(problems) => return check_problems(expect, &problems),
    };
    if expect.contains_key("error") {
        return Err("loads, which it should not".to_owned());
    }
    let empty = json!({});
    let request = case.get("request").unwrap_or(&empty).as_object().ok_or("request")?;
    only(request, &["action", "resource", "resource_account", "principal", "context", "parents"])?;
    let text = |name: &str, default: &'static str| {
        request.get(name).map_or(default, |value| value.as_str().expect("a string")).to_owned()
    };
    let resource = text("resource", RESOURCE);
    let owner = resource.split(':').nth(4).filter(|account| !account.is_empty()).unwrap_or(ACCOUNT);
    let resource_account = request.get("resource_account").and_then(Value::as_str).unwrap_or(owner);
    let context = context(request.get("context"));
    let principal_value = request.get("principal").cloned().unwrap_or(json!(USER));
    let principal = principal(&principal_value);
    let parents: Vec<String> = list(request.get("parents"))
        .iter()
        .map(|parent| parent.as_str().unwrap().to_owned())
        .collect();
    let action = text("action", "ses:SendRawEmail");
    let request = Request {
        action: &action,
        resource: &resource,
        parents: &parents,
        resource_account,
        principal: &principal,
        context: &context,
    };
    let layers = policies.layers();
    if let Some(wanted) = expect.get("outcomes") {
        let statements = policies.identity.iter().flat_map(|policy| policy.statements());
        let outcomes: Vec<String> =
            statements.map(|statement| statement.outcome(&layers, &request).to_string()).collect();
        if *wanted != json!(outcomes) {
            return Err(format!("outcomes {outcomes:?}"));
        }
    }
    check_decision(expect, &evaluate(&layers, &request))
}

fn only(object: &Map<String, Value>, members: &[&str]) -> Result<(), String> {
    match object.keys().find(|key| !members.contains(&key.as_str())) {
        Some(unknown) => Err(format!("unknown member {unknown}")),
        None => Ok(()),
    }
}

fn check_problems(expect: &Map<String, Value>, problems: &[String]) -> Result<(), String> {
    let all = problems.join("\n");
    let wanted = list(expect.get("error"));
    if wanted.is_empty() {
        return Err(format!("does not load:\n{all}"));
    }
    for text in wanted {
        let text = text.as_str().unwrap();
        if !all.contains(text) {
            return Err(format!("no problem has `{text}`:\n{all}"));
        }
    }
    match expect.get("problems").and_then(Value::as_u64) {
        Some(count) if count != problems.len() as u64 => {
            Err(format!("{} problems instead of {count}:\n{all}", problems.len()))
        }
        _ => Ok(()),
    }
}

fn check_decision(expect: &Map<String, Value>, decision: &Decision<'_>) -> Result<(), String> {
    let name = match decision {
        Decision::Allowed(_) => "allow",
        Decision::ExplicitlyDenied(_) => "explicit deny",
        Decision::ImplicitlyDenied => "implicit deny",
    };
    let by = decision.settled().map_or_else(String::new, |settled| format!(" by {settled}"));
    if expect.get("decision").and_then(Value::as_str) != Some(name) {
        return Err(format!("{name}{by}"));
    }
    let settled = decision.settled();
    let is_wanted = match expect.get("statement") {
        None => true,
        Some(Value::String(sid)) => settled.and_then(|it| it.statement().sid()) == Some(sid),
        Some(number) => settled.map(|it| it.statement().index() as u64 + 1) == number.as_u64(),
    };
    if !is_wanted {
        return Err(format!("{name}, but{by}"));
    }
    if let Some(text) = expect.get("text")
        && *text != json!(decision.to_string())
    {
        return Err(format!("shown as `{decision}`"));
    }
    let spelling = settled.and_then(|it| it.spelling()).map(|used| match used {
        SpellingUsed::Value { spelling, .. } => spelling,
        SpellingUsed::Resource { parent } => parent,
    });
    if spelling != expect.get("spelling").and_then(Value::as_str) {
        return Err(format!("{name}{by}, with the spelling {spelling:?}"));
    }
    Ok(())
}

struct Policies {
    identity: Vec<Arc<Policy>>,
    boundary: Option<Vec<Arc<Policy>>>,
    session: Option<Vec<Arc<Policy>>>,
    scps: Vec<Vec<Arc<Policy>>>,
    rcps: Vec<Arc<Policy>>,
    resource: Vec<Arc<Policy>>,
}

impl Policies {
    fn load(case: &Map<String, Value>) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let mut documents = |member: &str, kind, value: Option<&Value>| -> Vec<Arc<Policy>> {
            let mut loaded = Vec::new();
            for document in list(value) {
                let text = document_text(&document);
                match Policy::parse(kind, member, &text) {
                    Ok(policy) => loaded.push(Arc::new(policy)),
                    Err(errors) => problems.extend(errors.iter().map(ToString::to_string)),
                }
            }
            loaded
        };
        let shorthand = shorthand(case);
        let identity = shorthand.as_ref().or_else(|| case.get("policies"));
        let identity = documents("policy", PolicyKind::Identity, identity);
        let mut optional =
            |member: &str, kind| case.get(member).map(|value| documents(member, kind, Some(value)));
        let boundary = optional("boundary", PolicyKind::Boundary);
        let session = optional("session_policy", PolicyKind::Session);
        let rcps = optional("rcps", PolicyKind::ResourceControl).unwrap_or_default();
        let resource = optional("resource_policy", PolicyKind::Resource).unwrap_or_default();
        let scps = list(case.get("scps"))
            .iter()
            .map(|level| documents("scps", PolicyKind::ServiceControl, Some(level)))
            .collect();
        if problems.is_empty() {
            Ok(Policies { identity, boundary, session, scps, rcps, resource })
        } else {
            Err(problems)
        }
    }

    fn layers(&self) -> Layers<'_> {
        Layers {
            identity: &self.identity,
            boundary: self.boundary.as_deref(),
            session: self.session.as_deref(),
            scps: &self.scps,
            rcps: &self.rcps,
            resource: &self.resource,
        }
    }
}

fn document_text(document: &Value) -> String {
    match (document, document.get("file")) {
        (_, Some(Value::String(file))) => {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"))
        }
        (Value::String(text), _) => text.clone(),
        (object, _) => serde_json::to_string_pretty(object).unwrap(),
    }
}

fn shorthand(case: &Map<String, Value>) -> Option<Value> {
    let condition = case.get("condition")?;
    let effect = case.get("effect").and_then(Value::as_str).unwrap_or("Allow");
    let version = case.get("version").and_then(Value::as_str).unwrap_or("2012-10-17");
    let mut statements = vec![json!({
        "Sid": "Under", "Effect": effect, "Action": "*", "Resource": "*", "Condition": condition
    })];
    if effect == "Deny" {
        statements
            .push(json!({ "Sid": "Rest", "Effect": "Allow", "Action": "*", "Resource": "*" }));
    }
    Some(json!({ "Version": version, "Statement": statements }))
}

fn principal(value: &Value) -> Principal<'_> {
    let account = |arn: &'_ str| arn.split(':').nth(4).unwrap().len();
    match value {
        Value::String(arn) => {
            assert_eq!(account(arn), 12, "{arn}");
            let account = arn.split(':').nth(4).unwrap();
            if arn.ends_with(":root") {
                Principal::Root { account }
            } else {
                Principal::User { account, arn }
            }
        }
        session => {
            let role_arn = session["role"].as_str().expect("role");
            Principal::RoleSession {
                account: role_arn.split(':').nth(4).unwrap(),
                role_arn,
                session_arn: session["session"].as_str().expect("session"),
            }
        }
    }
}

fn context(value: Option<&Value>) -> Context<'static> {
    let mut context = Context::new();
    for (key, value) in value.and_then(Value::as_object).into_iter().flatten() {
        match value {
            Value::Array(values) => context.set_list(key, values.iter().map(spelled).collect()),
            single => context.set_spelled(key, spelled(single)),
        }
    }
    context
}

fn spelled(value: &Value) -> Spelled<'static> {
    match value {
        Value::String(text) => text.clone().into(),
        Value::Object(object) => {
            let spellings = list(object.get("spellings"));
            let spellings = spellings.iter().map(|spelling| spelling.as_str().unwrap().to_owned());
            let text = object["text"].as_str().unwrap().to_owned();
            let spelled = Spelled::from(text).with_spellings(spellings);
            if object.get("in_any_case") == Some(&json!(true)) {
                spelled.in_any_case()
            } else {
                spelled
            }
        }
        other => other.to_string().into(),
    }
}

/// Takes one value or a list of them.
fn list(value: Option<&Value>) -> Vec<Value> {
    match value {
        None => Vec::new(),
        Some(Value::Array(values)) => values.clone(),
        Some(single) => vec![single.clone()],
    }
}
