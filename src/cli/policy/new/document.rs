//! The policy that says what is wished.
//!
//! All that is wished stands in one statement, since statements are alternatives of each other; only a
//! time has a statement of its own for each of its parts. What is never to be is a Deny.

use super::layout::Json;
use super::sender::{Recipient, Sender};
use super::wishes::{Hours, Wishes};

/// The Sid of the first statement that allows.
pub(super) const SEND: &str = "Send";
/// The Sids of the statements that deny.
pub(super) const NEVER_TO_DOMAINS: &str = "NeverToDomains";
pub(super) const NEVER_TO_ADDRESSES: &str = "NeverToAddresses";

/// Writes the policy.
pub(super) fn policy(wishes: &Wishes) -> Json {
    let mut statements = Vec::new();
    let conditions = conditions(wishes);
    if wishes.hours.is_empty() {
        statements.push(statement(SEND.to_owned(), "Allow", conditions.clone()));
    }
    for (number, hours) in wishes.hours.iter().enumerate() {
        let conditions = conditions.iter().cloned().chain(dates(hours)).collect();
        statements.push(statement(sid(number), "Allow", conditions));
    }
    let domains = wishes.deny_to.iter().filter_map(|it| match it {
        Recipient::Domain(domain) => Some([format!("*@{domain}"), format!("*@*.{domain}")]),
        Recipient::Address(_) => None,
    });
    let addresses = wishes.deny_to.iter().filter_map(|it| match it {
        Recipient::Address(address) => Some(address.clone()),
        Recipient::Domain(_) => None,
    });
    let never = [
        (NEVER_TO_DOMAINS, "ForAnyValue:StringLike", domains.flatten().collect::<Vec<_>>()),
        (NEVER_TO_ADDRESSES, "ForAnyValue:StringEquals", addresses.collect()),
    ];
    for (sid, operator, patterns) in never {
        if !patterns.is_empty() {
            let conditions = vec![(operator, "ses:Recipients", patterns)];
            statements.push(statement(sid.to_owned(), "Deny", conditions));
        }
    }
    Json::Object(vec![("Version", Json::text("2012-10-17")), ("Statement", Json::List(statements))])
}

/// The Sid of the statement for the time of that number.
pub(super) fn sid(number: usize) -> String {
    if number == 0 { SEND.to_owned() } else { format!("{SEND}{}", number + 1) }
}

/// An operator, a key, and the operands.
type Condition = (&'static str, &'static str, Vec<String>);

fn conditions(wishes: &Wishes) -> Vec<Condition> {
    let senders = |key, senders: &[Sender]| {
        let is_like = senders.iter().any(|it| matches!(it, Sender::Domain(_)));
        let operator = if is_like { "StringLike" } else { "StringEquals" };
        (operator, key, senders.iter().map(Sender::operand).collect())
    };
    let to = wishes.to_domain.iter().map(|domain| format!("*@{domain}")).collect();
    let networks = wishes.network.iter().map(ToString::to_string).collect();
    let all: [Condition; 5] = [
        senders("ses:FromAddress", &wishes.from),
        ("StringEquals", "ses:FromDisplayName", wishes.display_name.clone()),
        senders("ses:FeedbackAddress", &wishes.feedback),
        ("ForAllValues:StringLike", "ses:Recipients", to),
        ("IpAddress", "aws:SourceIp", networks),
    ];
    all.into_iter().filter(|(.., operands)| !operands.is_empty()).collect()
}

fn dates(hours: &Hours) -> [Condition; 2] {
    [
        ("DateGreaterThanEquals", "aws:CurrentTime", vec![hours.begin()]),
        ("DateLessThan", "aws:CurrentTime", vec![hours.end()]),
    ]
}

fn statement(sid: String, effect: &str, conditions: Vec<Condition>) -> Json {
    let mut members = vec![
        ("Sid", Json::Text(sid)),
        ("Effect", Json::text(effect)),
        ("Action", Json::texts(&["ses:SendEmail", "ses:SendRawEmail"])),
        ("Resource", Json::text("*")),
    ];
    let mut block: Vec<(&'static str, Json)> = Vec::new();
    for (operator, key, operands) in conditions {
        let operands = match operands.as_slice() {
            [one] => Json::text(one.as_str()),
            several => Json::texts(several),
        };
        match block.iter_mut().find(|(name, _)| *name == operator) {
            Some((_, Json::Object(keys))) => keys.push((key, operands)),
            _ => block.push((operator, Json::Object(vec![(key, operands)]))),
        }
    }
    if !block.is_empty() {
        members.push(("Condition", Json::Object(block)));
    }
    Json::Object(members)
}
