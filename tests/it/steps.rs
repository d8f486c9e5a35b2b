//! What a decision may cost, whatever the message: counted in steps, or against another message.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sesgate::address::Address;
use sesgate::authorize::{Authorizer, Client, Denial, Occasion, STEPS};
use sesgate::identities::{Account, Identities};
use sesgate::message::HeaderSection;
use sesgate::smtp::Envelope;
use uuid::Uuid;

use crate::heavy::{Heavy, messages, policies};
use crate::support::{FULL_ACCESS, account, client, principal};

#[test]
fn the_heaviest_message_is_decided_within_the_steps() {
    for sandbox in [Some(false), Some(true), None] {
        let account = Account { sandbox, ..account() };
        let authorizer = Authorizer::new(account, Identities::default(), Vec::new());
        for (policies_name, policies) in policies() {
            for message in messages() {
                let case = format!("{policies_name}, {}, sandbox {sandbox:?}", message.name);
                let mut user = principal("app", FULL_ACCESS);
                user.policies.clone_from(&policies);
                let client = client(Arc::new(user));
                let decide = |steps| decide(&authorizer, &client, &message, steps);
                // Hundreds of labels in the domains of all authors: no mail is like that.
                let expected = if message.name == "deep" && policies_name.contains("resources") {
                    Err(Denial::TooManySteps)
                } else {
                    Ok("Allowed")
                };
                assert_eq!(decide(STEPS), expected, "{case}");
                assert_eq!(decide(1_000), Err(Denial::TooManySteps), "{case}");
            }
        }
    }
}

/// Names and parent domains are spelled out before any policy is asked: that counts too, and is not begun
/// where it takes too much.
#[test]
fn what_is_spelled_out_for_policies_costs_steps() {
    let authorizer = Authorizer::new(account(), Identities::default(), Vec::new());
    let client = client(Arc::new(principal("app", FULL_ACCESS)));
    // Where a message is served, a decision has so many steps.
    let quick = |message: &Heavy| decide(&authorizer, &client, message, 1_000_000);
    for message in messages() {
        let expected =
            if message.name == "deep" { Err(Denial::TooManySteps) } else { Ok("Allowed") };
        assert_eq!(quick(&message), expected, "{}", message.name);
    }
    let named = |name: &str| {
        let name = format!("=?utf-8?B?{}?=", STANDARD.encode(name));
        let header = format!("From: {name} <a@example.com>\r\n\r\n");
        let address = Address::parse("a@example.com").unwrap();
        Heavy {
            name: "named",
            envelope: Envelope {
                reverse_path: address.clone(),
                forward_paths: vec![address],
                ehlo: "client.test".to_owned(),
                body_8bit: false,
            },
            header: HeaderSection::parse(header.as_bytes()).unwrap(),
        }
    };
    assert_eq!(quick(&named(&"J\u{fc}rgen ".repeat(20))), Ok("Allowed"));
    // Each is eighteen characters in another spelling.
    let long = named(&"\u{fdfa}".repeat(3_000));
    assert_eq!(quick(&long), Err(Denial::TooManySteps));
    assert_eq!(decide(&authorizer, &client, &long, STEPS), Ok("Allowed"));
}

/// While nothing can be said about an identity, a refusal is not told anew for each of the requests.
#[test]
fn a_message_that_must_wait_costs_no_more_than_one_that_is_denied() {
    let account = Account { sandbox: Some(true), ..account() };
    let nothing = FULL_ACCESS.replace(r#""ses:*""#, r#""ses:GetAccount""#);
    let client = client(Arc::new(principal("app", &nothing)));
    let message = &messages()[0];
    let [known, unread] = [Identities::default(), Identities::default().unread("the account")]
        .map(|identities| Authorizer::new(account.clone(), identities, Vec::new()))
        .map(|authorizer| {
            let begun = Instant::now();
            let denial = decide(&authorizer, &client, message, STEPS).unwrap_err();
            (begun.elapsed(), denial)
        });
    assert!(matches!(known.1, Denial::Policy { .. }));
    assert!(matches!(unread.1, Denial::Unsure(_)));
    assert!(unread.0 < 10 * known.0, "{:?} and {:?}", unread.0, known.0);
}

fn decide(
    authorizer: &Authorizer,
    client: &Client,
    message: &Heavy,
    steps: u64,
) -> Result<&'static str, Denial> {
    #[expect(clippy::disallowed_methods, reason = "any moment")]
    let now = std::time::SystemTime::now();
    let occasion = Occasion { id: Uuid::nil(), now, steps };
    let verdict = authorizer.decide(client, &message.envelope, &message.header, occasion);
    verdict.map(|verdict| verdict.decision)
}
