//! How long the decision about a whole message takes: `cargo bench --bench decision`.
//!
//! Wanted on one core: below 20 ms for the heaviest messages that the limits admit, against twenty
//! statements of a hundred patterns each, refusals for too many steps included; below 10 µs for a
//! usual mail.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a benchmark fails by panicking, and has a clock"
)]

#[path = "../it/heavy.rs"]
mod heavy;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::SystemTime;

use divan::{Bencher, black_box};
use sesgate::address::Address;
use sesgate::authorize::{Authorizer, Client, Occasion, STEPS};
use sesgate::identities::{Account, Identities, Identity};
use sesgate::message::HeaderSection;
use sesgate::policy::{Policy, PolicyKind};
use sesgate::principals::Principal;
use sesgate::smtp::Envelope;
use uuid::Uuid;

fn main() {
    divan::main();
}

fn client(policies: Vec<Arc<Policy>>) -> Client {
    let principal = Principal {
        name: "app".to_owned(),
        arn: "arn:aws:iam::123456789012:user/app".to_owned(),
        account: "123456789012".to_owned(),
        user_name: "app".to_owned(),
        policies,
        ..Principal::default()
    };
    Client {
        principal: Arc::new(principal),
        password: None,
        peer: (Ipv4Addr::LOCALHOST, 40_000).into(),
        source_ip: Ipv4Addr::LOCALHOST.into(),
        vpc: None,
        secure_transport: true,
        listener: "".into(),
        tls: None,
    }
}

fn authorizer(sandbox: bool) -> Authorizer {
    let account = Account {
        id: "123456789012".to_owned(),
        region: "us-east-1".to_owned(),
        partition: "aws".to_owned(),
        sandbox: Some(sandbox),
        organization: None,
    };
    let identity = Identity { name: "example.com".to_owned(), ..Identity::default() };
    Authorizer::new(account, Identities::new(vec![identity], false), Vec::new())
}

/// Times the decision about a message, whatever it is.
fn time(
    bencher: Bencher<'_, '_>,
    authorizer: &Authorizer,
    policies: Vec<Arc<Policy>>,
    (envelope, header): (&Envelope, &HeaderSection),
) {
    let client = client(policies);
    let occasion = Occasion { id: Uuid::nil(), now: SystemTime::now(), steps: STEPS };
    bencher
        .bench_local(|| authorizer.decide(black_box(&client), envelope, header, occasion).is_ok());
}

#[divan::bench(sample_count = 5, sample_size = 1, args = cases())]
fn heaviest(bencher: Bencher<'_, '_>, case: &str) {
    let message = heavy::messages().into_iter().find(|message| case.ends_with(message.name));
    let named = heavy::policies().into_iter().filter(|(name, _)| case.starts_with(name));
    let policies = named.max_by_key(|(name, _)| name.len());
    let message = message.unwrap();
    let parts = (&message.envelope, &message.header);
    time(bencher, &authorizer(case.contains("sandbox")), policies.unwrap().1, parts);
}

fn cases() -> Vec<String> {
    let mut cases = Vec::new();
    for (policies, _) in heavy::policies() {
        for message in heavy::messages() {
            cases.push(format!("{policies} {}", message.name));
            cases.push(format!("{policies} sandbox {}", message.name));
        }
    }
    cases
}

#[divan::bench]
fn usual(bencher: Bencher<'_, '_>) {
    let policy = r#"{ "Version": "2012-10-17", "Statement": { "Effect": "Allow",
        "Action": ["ses:SendEmail", "ses:SendRawEmail"], "Resource": "*",
        "Condition": { "StringLike": { "ses:FromAddress": "*@example.com" } } } }"#;
    let policy = Policy::parse(PolicyKind::Identity, "usual.json", policy).unwrap();
    let address = |text: &str| Address::parse(text).unwrap();
    let envelope = Envelope {
        reverse_path: address("app@example.com"),
        forward_paths: vec![address("you@example.net")],
        ehlo: "client.test".to_owned(),
        body_8bit: false,
    };
    let header = "From: App <app@example.com>\r\nTo: you@example.net\r\nSubject: Hello\r\n\r\n";
    let header = HeaderSection::parse(header.as_bytes()).unwrap();
    time(bencher, &authorizer(false), vec![Arc::new(policy)], (&envelope, &header));
}
