//! What a user's rules make of `X-SES-` fields, from the configuration to the call (decision 11).

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use sesgate::address::Address;
use sesgate::authorize::Client;
use sesgate::config::Config;
use sesgate::gateway;
use sesgate::login::{Guard, GuardSettings};
use sesgate::relay::Relay;
use sesgate::smtp::Envelope;
use sesgate::trace::TransactionTimes;
use tokio_util::sync::CancellationToken;

use crate::support::{self, manner, memory, outbox, pace, path};
use crate::upstream::transaction;

/// Rules, fields of the message, and the reply or what the outbox records.
fn cases() -> Vec<(&'static str, &'static str, Result<Value, &'static str>)> {
    let none =
        json!({ "configuration_set": null, "message_tags": [], "tenant": null, "overruled": [] });
    let record = |changes: Value| {
        let mut record = none.clone();
        for (key, value) in changes.as_object().unwrap() {
            record[key] = value.clone();
        }
        Ok(record)
    };
    vec![
        ("", "", Ok(none.clone())),
        ("", "X-SES-CONFIGURATION-SET: mine\r\n", record(json!({ "configuration_set": "mine" }))),
        (
            "",
            "X-SES-TENANT: acme\r\n",
            Err("554 Transaction failed: X-SES-TENANT is not allowed for this user."),
        ),
        (
            "forbid = [\"X-SES-FROM-ARN\"]",
            "X-SES-SOURCE-ARN: arn:aws:ses:us-east-1:123456789012:identity/example.com\r\n",
            Err("554 Transaction failed: X-SES-SOURCE-ARN is not allowed for this user."),
        ),
        (
            "allow = [\"X-SES-TENANT\"]",
            "X-SES-TENANT: acme\r\n",
            record(json!({ "tenant": "acme" })),
        ),
        (
            "forbid = [\"x-ses-configuration-set\"]",
            "X-SES-CONFIGURATION-SET: mine\r\n",
            Err("554 Transaction failed: X-SES-CONFIGURATION-SET is not allowed for this user."),
        ),
        (
            "forbid = [\"X-SES-MESSAGE-TAGS\"], force = { X-SES-MESSAGE-TAGS = \"team=growth, app=${aws:username}\" }",
            "",
            record(json!({ "message_tags": [
                { "name": "team", "value": "growth" }, { "name": "app", "value": "app" } ] })),
        ),
        (
            "force = { X-SES-CONFIGURATION-SET = \"${aws:PrincipalTag/team}\" }",
            "X-SES-CONFIGURATION-SET: mine\r\n",
            record(
                json!({ "configuration_set": "growth", "overruled": ["X-SES-CONFIGURATION-SET"] }),
            ),
        ),
        (
            "force = { X-SES-CONFIGURATION-SET = \"mine\" }",
            "X-SES-CONFIGURATION-SET: mine\r\n",
            record(json!({ "configuration_set": "mine" })),
        ),
        (
            "force = { X-SES-TENANT = \"acme\" }",
            "X-SES-TENANT: other\r\n",
            record(json!({ "tenant": "acme", "overruled": ["X-SES-TENANT"] })),
        ),
        (
            "force = { X-SES-CONFIGURATION-SET = \"denied\" }",
            "",
            Err(
                "554 Access denied: User `arn:aws:iam::123456789012:user/app' is not authorized to perform \
                 `ses:SendRawEmail' on resource `arn:aws:ses:us-east-1:123456789012:configuration-set/denied'",
            ),
        ),
    ]
}

/// What the operator says of identities of other accounts reaches SES without a field of the message.
#[tokio::test]
async fn a_lent_identity_is_named_for_the_user() {
    let folder = tempfile::tempdir().unwrap();
    let (relay, client) = relay(folder.path(), "");
    let message = "From: app@example.com\r\n\r\nHi.\r\n";
    let mut transaction = transaction(message);
    let lent = Address::parse("bounces@lent.example").unwrap();
    transaction.envelope =
        Arc::new(Envelope { reverse_path: lent, ..(*transaction.envelope).clone() });
    let reply = relay
        .carry_out(
            &client,
            transaction,
            None,
            memory().share_of("app"),
            &CancellationToken::new(),
            TransactionTimes::now(),
        )
        .await
        .to_string();
    let id = reply.strip_prefix("250 Ok ").unwrap_or_else(|| panic!("{reply}"));
    let file = folder.path().join(format!("{id}.json"));
    let record: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(record["from_identity_arn"], Value::Null);
    assert_eq!(
        record["feedback_identity_arn"],
        "arn:aws:ses:us-east-1:111122223333:identity/lent.example"
    );
}

#[tokio::test]
async fn rules_hold_for_every_message() {
    for (rules, fields, expected) in cases() {
        let folder = tempfile::tempdir().unwrap();
        let relay = relay(folder.path(), rules);
        let message = format!("From: app@example.com\r\n{fields}\r\nHi.\r\n");
        let reply = relay
            .0
            .carry_out(
                &relay.1,
                transaction(&message),
                None,
                memory().share_of("app"),
                &CancellationToken::new(),
                TransactionTimes::now(),
            )
            .await
            .to_string();
        match expected {
            Ok(expected) => {
                let id =
                    reply.strip_prefix("250 Ok ").unwrap_or_else(|| panic!("{rules}: {reply}"));
                let file = folder.path().join(format!("{id}.json"));
                let record: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
                for (key, value) in expected.as_object().unwrap() {
                    assert_eq!(&record[key], value, "{rules} {fields}: {key}");
                }
                let sent =
                    std::fs::read_to_string(folder.path().join(format!("{id}.eml"))).unwrap();
                assert_eq!(sent, "From: app@example.com\r\n\r\nHi.\r\n", "{rules}");
            }
            Err(expected) => assert!(reply.starts_with(expected), "{rules} {fields}: {reply}"),
        }
    }
}

fn relay(folder: &Path, rules: &str) -> (Relay, Client) {
    let text = format!(
        "[account]\nid = \"123456789012\"\nregion = \"us-east-1\"\n\
         [upstream]\nkind = \"ses\"\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\nuser = \"app\"\n\
         [[identities.delegated]]\n\
         arn = \"arn:aws:ses:us-east-1:111122223333:identity/lent.example\"\n\
         policies = [\"tests/explain/policies/lent.json\"]\n\
         [[users]]\nname = \"app\"\narn = \"arn:aws:iam::123456789012:user/app\"\n\
         delegated = [\"arn:aws:ses:us-east-1:111122223333:identity/lent.example\"]\n\
         tags = {{ team = \"growth\" }}\npolicies = [\"tests/explain/policies/all-but-one-set.json\"]\n\
         x_ses = {{ {rules} }}\n"
    );
    let (config, problems) = Config::parse(&path("sesgate.toml"), &text);
    assert_eq!(problems, Vec::new(), "{rules}");
    let config = config.unwrap();
    let loaded = gateway::load(&config);
    assert_eq!(loaded.problems, Vec::new(), "{rules}");
    let rules = loaded.parts.into_rules(Arc::new(Guard::new(GuardSettings::default()).unwrap()));
    let client = support::client(Arc::clone(rules.principals.find("app").unwrap()));
    (Relay::new(rules, outbox(folder), pace(), manner()), client)
}
