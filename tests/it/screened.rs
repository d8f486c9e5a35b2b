//! When the decision at the end of the header section is not made again for the complete message.
//!
//! A decision that may take no step at all is told by that: it ends with too many steps.

use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::json;
use sesgate::address::Address;
use sesgate::authorize::{Authorizer, Client, Denial, Occasion, STEPS, Vpc};
use sesgate::identities::{Identities, Identity};
use sesgate::message::HeaderSection;
use sesgate::policy::{Policy, PolicyKind};
use sesgate::principals::Principal;
use sesgate::smtp::{Envelope, Transaction};
use uuid::Uuid;

use crate::support::{FULL_ACCESS, account, client, principal};

/// Everything that a decision depends on.
struct Case {
    authorizer: Arc<Authorizer>,
    client: Client,
    envelope: Arc<Envelope>,
    header: Arc<HeaderSection>,
}

impl Case {
    fn new(authorizer: Authorizer, user: Principal) -> Self {
        let address = |text: &str| Address::parse(text).unwrap();
        let envelope = Envelope {
            reverse_path: address("app@example.com"),
            forward_paths: vec![address("one@example.net")],
            ehlo: "client.test".to_owned(),
            body_8bit: false,
        };
        Self {
            authorizer: Arc::new(authorizer),
            client: client(Arc::new(user)),
            envelope: Arc::new(envelope),
            header: Arc::new(HeaderSection::parse(b"From: app@example.com\r\n\r\n").unwrap()),
        }
    }

    /// As it is, but for one thing.
    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = Self {
            authorizer: Arc::clone(&self.authorizer),
            client: self.client.clone(),
            envelope: Arc::clone(&self.envelope),
            header: Arc::clone(&self.header),
        };
        change(&mut changed);
        changed
    }

    /// Whether what is decided here at the end of the header section is taken for the complete message.
    fn is_taken_for(&self, complete: &Self) -> bool {
        let Self { authorizer, client, envelope, header } = self;
        let screened = authorizer.screen(client, envelope, header, occasion(STEPS)).unwrap();
        let transaction = Transaction {
            envelope: Arc::clone(&complete.envelope),
            header: Arc::clone(&complete.header),
            content: b"From: app@example.com\r\n\r\nHi.\r\n".to_vec(),
        };
        let Case { authorizer, client, .. } = complete;
        match authorizer.permit(client, transaction, occasion(0), screened) {
            Ok(permit) => {
                assert_eq!(permit.verdict().decision, "Allowed");
                true
            }
            Err(not) => {
                assert_eq!(not.denial, Denial::TooManySteps);
                false
            }
        }
    }
}

#[test]
fn a_decision_is_taken_while_nothing_has_changed() {
    let case = Case::new(authorizer(), principal("app", FULL_ACCESS));
    assert!(case.is_taken_for(&case));
    assert!(case.is_taken_for(&case.with(|_| {})));
}

#[test]
fn whatever_may_change_it_has_it_made_again() {
    let case = Case::new(authorizer(), principal("app", FULL_ACCESS));
    let changed = [
        ("the rules", case.with(|it| it.authorizer = Arc::new(authorizer()))),
        ("the user", case.with(|it| it.client.principal = Arc::new(principal("app", FULL_ACCESS)))),
        ("the peer", case.with(|it| it.client.peer = (Ipv4Addr::LOCALHOST, 40_001).into())),
        ("the address", case.with(|it| it.client.source_ip = Ipv4Addr::BROADCAST.into())),
        ("the VPC", case.with(|it| it.client.vpc = Some(Vpc::default()))),
        ("TLS as policies see it", case.with(|it| it.client.secure_transport = false)),
        ("TLS", case.with(|it| it.client.tls = Some("TLSv1.3"))),
        ("the listener", case.with(|it| it.client.listener = "127.0.0.1:2526".into())),
        ("the envelope", case.with(|it| it.envelope = Arc::new((*it.envelope).clone()))),
        ("the header section", case.with(|it| it.header = Arc::new((*it.header).clone()))),
    ];
    for (what, complete) in changed {
        assert!(!case.is_taken_for(&complete), "{what}");
    }
}

#[test]
fn where_a_policy_asks_for_the_time_it_is_made_again() {
    let allow = |kind, more: serde_json::Value| {
        let mut statement = json!({ "Effect": "Allow", "Action": "ses:*", "Resource": "*" });
        if kind == PolicyKind::Resource {
            statement["Resource"] =
                "arn:aws:ses:us-east-1:123456789012:identity/example.com".into();
            statement["Principal"] = "*".into();
            statement["Action"] = "ses:SendRawEmail".into();
        }
        for (key, value) in more.as_object().unwrap() {
            statement[key] = value.clone();
        }
        let text = json!({ "Version": "2012-10-17", "Statement": statement }).to_string();
        Arc::new(Policy::parse(kind, "time.json", &text).unwrap())
    };
    let asking = [
        json!({ "Condition": { "DateGreaterThan": { "aws:CurrentTime": "2020-01-01T00:00:00Z" } } }),
        json!({ "Condition": { "NumericGreaterThan": { "AWS:EpochTime": "1" } } }),
        json!({ "Condition": { "StringNotLike": { "aws:username": "${aws:currenttime}" } } }),
        json!({ "Condition": { "StringNotEquals": { "aws:username": ["x", "${aws:EpochTime}"] } } }),
        json!({
            "Effect": "Deny", "Resource": "arn:aws:ses:us-east-1:123456789012:identity/${aws:EpochTime}"
        }),
    ];
    for more in asking {
        let user = || principal("app", FULL_ACCESS);
        let of = |kind| vec![allow(kind, json!({})), allow(kind, more.clone())];
        let of_user =
            Case::new(authorizer(), Principal { policies: of(PolicyKind::Identity), ..user() });
        let boundary = Some(of(PolicyKind::Boundary));
        let of_boundary = Case::new(authorizer(), Principal { boundary, ..user() });
        let scps = vec![of(PolicyKind::ServiceControl)];
        let of_scps = Authorizer::new(account(), Identities::default(), scps);
        let mut cases =
            vec![("user", of_user), ("boundary", of_boundary), ("SCP", Case::new(of_scps, user()))];
        // A resource policy names its identity.
        if more.get("Resource").is_none() {
            let identity = Identity {
                name: "example.com".to_owned(),
                policies: of(PolicyKind::Resource),
                ..Identity::default()
            };
            let identities = Identities::new(vec![identity], false);
            let authorizer = Authorizer::new(account(), identities, Vec::new());
            cases.push(("identity", Case::new(authorizer, user())));
        }
        for (what, case) in cases {
            assert!(!case.is_taken_for(&case), "{what}: {more}");
        }
    }
}

fn authorizer() -> Authorizer {
    Authorizer::new(account(), Identities::default(), Vec::new())
}

fn occasion(steps: u64) -> Occasion {
    Occasion { id: Uuid::nil(), now: std::time::SystemTime::now(), steps }
}
