//! `tests/decisions/*.json`: a message, a user with policies, and what the client is told.
//!
//! Where `tests/policies` asks the engine, these cases ask the relay: claims, spellings, resources,
//! X-SES fields (decisions 6 to 11). `expect` is `allowed` or the reply without its decision id.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use sesgate::address::Address;
use sesgate::authorize::{Authorizer, Client, Vpc};
use sesgate::identities::{Account, Delegated, Identities, Identity, Organization};
use sesgate::login::Principals;
use sesgate::message::{IdentityArn, XSes};
use sesgate::policy::{Policy, PolicyKind};
use sesgate::principals::{User, XSesRules};
use sesgate::relay::Relay;
use sesgate::rules::Rules;
use sesgate::smtp::{Envelope, HeaderSection};
use sesgate::trace::TransactionTimes;

use crate::support::{account, manner, outbox, pace, path, principal};

const KEYS: [&str; 21] = [
    "name",
    "identities",
    "authoritative",
    "sandbox",
    "statements",
    "boundary",
    "user",
    "user_id",
    "client",
    "from",
    "to",
    "header",
    "recipients",
    "expect",
    "tags",
    "delegated",
    "granted",
    "x_ses_allowed",
    "x_ses_forced",
    "scps",
    "organization",
];

#[test]
fn decisions() {
    let mut played = 0;
    let mut failures = Vec::new();
    for entry in std::fs::read_dir(path("tests/decisions")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let cases: Vec<Value> = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for case in cases {
            played += 1;
            let got = play(&case);
            let expected = string(&case["expect"]);
            if got != expected {
                let name = string(&case["name"]);
                failures.push(format!(
                    "{}: {name}\n  expected {expected}\n  got      {got}",
                    file.display()
                ));
            }
        }
    }
    assert!(played > 40, "only {played} cases");
    assert!(failures.is_empty(), "{} of {played} fail:\n{}", failures.len(), failures.join("\n"));
}

fn play(case: &Value) -> String {
    for key in case.as_object().unwrap().keys() {
        assert!(KEYS.contains(&key.as_str()), "unknown key `{key}` in {}", case["name"]);
    }
    let header = list(&case["header"]).map(|line| format!("{line}\r\n")).collect::<String>();
    let header = match HeaderSection::parse(format!("{header}\r\n").as_bytes()) {
        Ok(header) => header,
        Err(error) => return format!("unreadable: {error}"),
    };
    let account = Account {
        sandbox: case.get("sandbox").map_or(Some(false), Value::as_bool),
        organization: case.get("organization").map(|it| Organization {
            id: string(&it["id"]).to_owned(),
            paths: list(&it["paths"]).map(str::to_owned).collect(),
        }),
        ..account()
    };
    let known = case["identities"].as_array().into_iter().flatten().map(|identity| Identity {
        unsure: None,
        name: string(identity.get("name").unwrap_or(identity)).to_owned(),
        configuration_set: identity["configuration_set"].as_str().map(str::to_owned),
        policies: identity["policy"]
            .as_array()
            .map(|statements| document(PolicyKind::Resource, statements))
            .into_iter()
            .collect(),
        tags: identity["tags"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| (format!("aws:ResourceTag/{key}"), string(value).to_owned()))
            .collect(),
    });
    let delegated = case["delegated"].as_array().into_iter().flatten().map(|it| Delegated {
        arn: IdentityArn::parse(string(&it["arn"])).unwrap(),
        policies: vec![document(PolicyKind::Resource, it["policy"].as_array().unwrap())],
    });
    let identities = Identities::new(known.collect(), case["authoritative"] == true)
        .with_delegated(delegated.collect());
    let folder = tempfile::tempdir().unwrap();
    // A list of levels, each a list of documents, which are lists of statements.
    let scps = case["scps"].as_array().into_iter().flatten().map(|level| {
        let documents = level.as_array().unwrap().iter();
        documents.map(|it| document(PolicyKind::ServiceControl, it.as_array().unwrap())).collect()
    });
    let authorizer = Authorizer::new(account, identities, scps.collect());
    let client = client(case);
    let user = User { principal: (*client.principal).clone(), passwords: Vec::new() };
    let principals = Arc::new(Principals::new(vec![user], 1).unwrap());
    let rules = Rules { authorizer, principals };
    let relay = Relay::new(rules, outbox(folder.path()), pace(), manner());
    match relay.screen(
        &client,
        &Arc::new(envelope(case)),
        &Arc::new(header),
        TransactionTimes::now(),
    ) {
        Ok(_) => "allowed".to_owned(),
        Err(reply) => {
            let text = reply.to_string();
            match text.rsplit_once(" [") {
                Some((text, id)) if id.len() == 37 => text.to_owned(),
                _ => text,
            }
        }
    }
}

fn client(case: &Value) -> Client {
    let mut user = principal(
        case["user"].as_str().unwrap_or("app"),
        r#"{ "Statement":
        { "Effect": "Allow", "Action": "ses:Nothing", "Resource": "*" } }"#,
    );
    user.policies = vec![document(PolicyKind::Identity, case["statements"].as_array().unwrap())];
    user.boundary = case["boundary"]
        .as_array()
        .map(|statements| vec![document(PolicyKind::Boundary, statements)]);
    user.envelope_recipients_only = case["recipients"] == "envelope";
    user.user_id = case["user_id"].as_str().map(str::to_owned);
    user.x_ses = x_ses_rules(case);
    let granted = case["granted"].as_array().into_iter().flatten();
    user.delegated = granted.map(|arn| IdentityArn::parse(string(arn)).unwrap()).collect();
    user.tags = case["tags"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), string(value).to_owned()))
        .collect();
    let source_ip: IpAddr =
        case["client"]["source_ip"].as_str().unwrap_or("192.0.2.1").parse().unwrap();
    Client {
        principal: Arc::new(user),
        password: None,
        peer: (source_ip, 40_000).into(),
        source_ip,
        vpc: case["client"].get("vpc").map(|vpc| Vpc {
            endpoint: vpc["endpoint"].as_str().map(str::to_owned),
            id: vpc["id"].as_str().map(str::to_owned),
        }),
        secure_transport: case["client"]["secure_transport"] != false,
        listener: "".into(),
        tls: None,
    }
}

/// What the operator says of X-SES fields: names of those that are allowed, and lines that hold
/// whatever the message says.
fn x_ses_rules(case: &Value) -> XSesRules {
    let names = |key: &str| case[key].as_array().into_iter().flatten().map(string);
    let known = |name: &str| XSes::NAMES.into_iter().find(|known| *known == name).unwrap();
    let allowed: Vec<_> = names("x_ses_allowed").map(known).collect();
    let forced: String = names("x_ses_forced").map(|line| format!("{line}\r\n")).collect();
    let section = format!("From: a@b.test\r\n{forced}\r\n");
    let forced = HeaderSection::parse(section.as_bytes()).unwrap().xses().clone();
    XSesRules::new(&allowed, &[], forced)
}

fn document(kind: PolicyKind, statements: &[Value]) -> Arc<Policy> {
    let text = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
    Arc::new(Policy::parse(kind, "case.json", &text).unwrap_or_else(|error| panic!("{error}")))
}

fn envelope(case: &Value) -> Envelope {
    let address = |text: &str| Address::parse(text).unwrap();
    Envelope {
        reverse_path: address(string(&case["from"])),
        forward_paths: list(&case["to"]).map(address).collect(),
        ehlo: case["client"]["ehlo"].as_str().unwrap_or("client.test").to_owned(),
        body_8bit: false,
    }
}

fn list(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list")).iter().map(string)
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no string"))
}
