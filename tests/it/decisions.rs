//! `tests/decisions/*.json`: a message, a user with policies, and what the client is told, played with
//! `sesgate policy test`.
//!
//! Where `tests/policies` asks the engine, these cases ask the relay: claims, spellings, resources,
//! X-SES fields (decisions 6 to 11).

use std::time::SystemTime;

use serde_json::Value;
use sesgate::address::Address;
use sesgate::authorize::{Authorizer, Denial, Occasion, STEPS};
use sesgate::identities::{Account, Identities};
use sesgate::smtp::{Envelope, HeaderSection};

use crate::support::{account, client, path, principal, program};

#[test]
fn decisions() {
    let mut cases = 0;
    for entry in std::fs::read_dir(path("tests/decisions")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        cases += serde_json::from_str::<Vec<Value>>(&text).unwrap().len();
    }
    assert!(cases > 190, "only {cases} cases");
    let mut command = program();
    command.current_dir(path("")).args(["policy", "test", "tests/decisions"]);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let printed = (text(output.stdout), text(output.stderr));
    assert_eq!(printed, (format!("{cases} passed, 0 failed\n"), String::new()));
}

/// What no configuration says, and SES has not said yet: whether the account is in the sandbox.
#[test]
fn while_nobody_knows_of_the_sandbox_a_deny_on_the_recipient_counts() {
    const ALLOW: &str = r#"{ "Effect": "Allow", "Action": "ses:*",
        "Resource": "arn:aws:ses:us-east-1:123456789012:identity/app@example.com" }"#;
    const DENY: &str = r#"{ "Effect": "Deny", "Action": "ses:*",
        "Resource": "arn:aws:ses:us-east-1:123456789012:identity/one@example.org" }"#;
    let account = Account { sandbox: None, ..account() };
    let authorizer = Authorizer::new(account, Identities::default(), Vec::new());
    let decide = |statements: &str| {
        let policy = format!(r#"{{ "Statement": [{statements}] }}"#);
        let client = client(principal("app", &policy).into());
        let envelope = Envelope {
            reverse_path: Address::parse("app@example.com").unwrap(),
            forward_paths: vec![Address::parse("one@example.org").unwrap()],
            ehlo: "client.test".to_owned(),
            body_8bit: false,
        };
        let header = HeaderSection::parse(b"From: app@example.com\r\n\r\n").unwrap();
        let (id, now) = (uuid::Uuid::nil(), SystemTime::UNIX_EPOCH);
        authorizer.decide(&client, &envelope, &header, Occasion { id, now, steps: STEPS })
    };
    assert!(decide(ALLOW).is_ok(), "it need not be allowed");
    let denied = decide(&format!("{ALLOW}, {DENY}"));
    let Err(Denial::Policy { resource, .. }) = denied else { panic!("{denied:?}") };
    assert!(resource.ends_with(":identity/one@example.org"), "{resource}");
}
