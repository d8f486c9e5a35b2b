//! How long the policy engine takes, and how often it allocates: `cargo bench --bench policy`.
//!
//! Wanted on one core: below 1 µs for a policy of the SES guide and below 5 µs for the policies of a
//! usual user, both without an allocation; below 150 µs for 1,000 statements; below 200 ms to read
//! 1,000 policy files.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use divan::{AllocProfiler, Bencher, black_box};
use serde_json::{Value, json};
use sesgate::policy::{Context, Layers, Policy, PolicyKind, Principal, Request, Spelled, evaluate};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const RESOURCE: &str = "arn:aws:ses:us-east-1:111122223333:identity/example.com";
const USER: Principal<'_> =
    Principal::User { account: "111122223333", arn: "arn:aws:iam::111122223333:user/app" };

/// The context keys of a message as the relay sets them.
fn context(from: &'static str) -> Context<'static> {
    let mut context = Context::new();
    context.set_time(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    for (key, value) in [
        ("aws:PrincipalAccount", "111122223333"),
        ("aws:PrincipalArn", "arn:aws:iam::111122223333:user/app"),
        ("aws:PrincipalType", "User"),
        ("aws:SecureTransport", "true"),
        ("aws:SourceIp", "192.0.2.17"),
        ("aws:UserAgent", "app.example.com"),
        ("aws:username", "app"),
        ("ses:ApiVersion", "2"),
        ("ses:FeedbackAddress", "feedback@example.com"),
        ("ses:FromAddress", from),
        ("ses:FromDisplayName", "Marketing"),
    ] {
        context.set(key, value);
    }
    let recipients = ["anna@example.com", "Bert@example.com", "carla@example.com"];
    let spelled = |text: &'static str| Spelled::from(text).with_spellings([text.to_lowercase()]);
    context.set_list("ses:Recipients", recipients.map(spelled).into());
    context
}

fn read(name: &str) -> Policy {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/policies").join(name);
    Policy::parse(PolicyKind::Identity, name, &fs::read_to_string(path).unwrap()).unwrap()
}

fn policies(documents: &[Value]) -> Vec<Arc<Policy>> {
    let read = |document: &Value| {
        Arc::new(Policy::parse(PolicyKind::Identity, "policy", &document.to_string()).unwrap())
    };
    documents.iter().map(read).collect()
}

fn document(statements: Vec<Value>) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// Times one evaluation, whose decision must be the one expected.
fn time(bencher: Bencher<'_, '_>, identity: &[Arc<Policy>], from: &'static str, is_allowed: bool) {
    let layers = Layers { identity, ..Layers::default() };
    let context = context(from);
    let request = Request {
        action: "ses:SendRawEmail",
        resource: RESOURCE,
        parents: &[],
        resource_account: "111122223333",
        principal: &USER,
        context: &context,
    };
    let decision = evaluate(&layers, &request);
    assert_eq!(decision.is_allowed(), is_allowed, "{decision}");
    bencher.bench_local(|| evaluate(black_box(&layers), black_box(&request)).is_allowed());
}

/// Each policy of the SES guide that has a condition.
#[divan::bench(args = [
    "api-version-2-only.json",
    "display-name-marketing.json",
    "feedback-address.json",
    "from-marketing.json",
    "recipients-example-com.json",
    "september-2018.json",
])]
fn guide(bencher: Bencher<'_, '_>, name: &str) {
    time(bencher, &[Arc::new(read(name))], "marketing@example.com", name != "september-2018.json");
}

/// Five policies with four statements each: what may be sent, from where, when, and what never.
fn usual_user() -> Vec<Arc<Policy>> {
    let send = json!(["ses:SendEmail", "ses:SendRawEmail"]);
    let team = |name: &str| {
        document(vec![
            json!({ "Sid": "From", "Effect": "Allow", "Action": send, "Resource": RESOURCE,
                "Condition": { "StringEquals": { "ses:FromAddress": format!("{name}@example.com") } } }),
            json!({ "Sid": "Names", "Effect": "Allow", "Action": send, "Resource": RESOURCE,
                "Condition": {
                    "StringLike": { "ses:FromAddress": format!("{name}+*@example.com") },
                    "ForAllValues:StringLike": { "ses:Recipients": ["*@example.com", "*@example.org"] },
                    "Null": { "ses:Recipients": "false" } } }),
            json!({ "Sid": "NotOthers", "Effect": "Deny", "Action": "ses:*", "Resource": "*",
                "Condition": { "ForAnyValue:StringLike": {
                    "ses:Recipients": [format!("*@{name}.test"), format!("*@*.{name}.test")] } } }),
            json!({ "Sid": "Office", "Effect": "Deny", "Action": "ses:*", "Resource": "*",
                "Condition": {
                    "NotIpAddress": { "aws:SourceIp": ["192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32"] },
                    "Bool": { "aws:SecureTransport": "true" },
                    "DateGreaterThan": { "aws:CurrentTime": "2020-01-01T00:00:00Z" } } }),
        ])
    };
    policies(&["anna", "billing", "support", "news", "marketing"].map(team))
}

#[divan::bench]
fn usual_user_allowed(bencher: Bencher<'_, '_>) {
    time(bencher, &usual_user(), "marketing@example.com", true);
}

#[divan::bench]
fn usual_user_denied(bencher: Bencher<'_, '_>) {
    time(bencher, &usual_user(), "other@example.com", false);
}

/// Ten policies with a hundred statements each, of which only the last allows.
#[divan::bench]
fn thousand_statements(bencher: Bencher<'_, '_>) {
    let statement = |number: usize| {
        let (effect, from) = match number {
            999 => ("Allow", "marketing@example.com".to_owned()),
            _ if number.is_multiple_of(5) => ("Deny", format!("user{number}@example.net")),
            _ => ("Allow", format!("user{number}@example.com")),
        };
        json!({ "Sid": format!("S{number}"), "Effect": effect, "Action": "ses:SendRawEmail",
            "Resource": [format!("arn:aws:ses:*:*:identity/{number}.example.com"), RESOURCE],
            "Condition": { "StringLike": { "ses:FromAddress": [from, format!("*@{number}.example.com")] } } })
    };
    let documents: Vec<Value> =
        (0..10).map(|at| document((at * 100..at * 100 + 100).map(statement).collect())).collect();
    time(bencher, &policies(&documents), "marketing@example.com", true);
}

/// A pattern that backtracking never ends on, against a long value.
#[divan::bench(args = [100, 1_000, 10_000])]
fn hostile_pattern(bencher: Bencher<'_, '_>, signs: usize) {
    let pattern = format!("{}b", "*a".repeat(signs));
    let identity = policies(&[document(vec![json!({ "Effect": "Allow", "Action": "*",
        "Resource": "*", "Condition": { "StringLike": { "ses:FromAddress": pattern } } })])]);
    let from: &'static str = "a".repeat(signs * 2).leak();
    time(bencher, &identity, from, false);
}

/// Reads and compiles the policies of a user as they are written in a file.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn load_thousand_files(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().unwrap();
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/policies");
    let mut texts: Vec<String> = fs::read_dir(guide)
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    let large = (0..20).map(|number| {
        json!({ "Sid": format!("S{number}"), "Effect": "Allow", "Action": "ses:SendRawEmail",
            "Resource": RESOURCE, "Condition": { "StringLike": {
                "ses:FromAddress": [format!("app{number}@example.com"), "*@example.org"] } } })
    });
    texts.push(format!("{:#}", document(large.collect())));
    let paths: Vec<PathBuf> = (0..1_000)
        .map(|number| {
            let path = folder.path().join(format!("{number}.json"));
            fs::write(&path, &texts[number % texts.len()]).unwrap();
            path
        })
        .collect();
    bencher.bench_local(|| {
        let load = |path: &PathBuf| {
            let text = fs::read_to_string(path).unwrap();
            Policy::parse(PolicyKind::Identity, "policy", &text).unwrap()
        };
        paths.iter().map(load).collect::<Vec<_>>()
    });
}
