//! What a decision may cost, whatever the message: counted in steps, so that nothing here is timed.

use std::net::Ipv4Addr;
use std::sync::Arc;

use sesgate::authorize::{Authorizer, Client, Denial, Occasion, STEPS};
use sesgate::identities::{Account, Identities};
use uuid::Uuid;

use crate::heavy::{messages, policies};
use crate::support::{FULL_ACCESS, account, principal};

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
                let client = client(user);
                let decide = |steps| {
                    #[expect(clippy::disallowed_methods, reason = "any moment")]
                    let now = std::time::SystemTime::now();
                    let occasion = Occasion { id: Uuid::nil(), now, steps };
                    let verdict =
                        authorizer.decide(&client, &message.envelope, &message.header, occasion);
                    verdict.map(|verdict| verdict.decision)
                };
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

fn client(user: sesgate::principals::Principal) -> Client {
    Client {
        principal: Arc::new(user),
        password: None,
        peer: (Ipv4Addr::LOCALHOST, 40_000).into(),
        source_ip: Ipv4Addr::LOCALHOST.into(),
        vpc: None,
        secure_transport: true,
        listener: "".into(),
        tls: None,
    }
}
