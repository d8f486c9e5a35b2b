//! The heaviest messages that the limits admit, against policies with many patterns.

use std::sync::Arc;

use serde_json::{Value, json};
use sesgate::address::Address;
use sesgate::message::HeaderSection;
use sesgate::policy::{Policy, PolicyKind};
use sesgate::smtp::Envelope;

/// Fifty authors, a Return-Path, 999 recipients in the header and fifty more in the envelope.
pub(crate) struct Heavy {
    pub(crate) name: &'static str,
    pub(crate) envelope: Envelope,
    pub(crate) header: HeaderSection,
}

/// Such messages: plain ones, and such whose addresses have many spellings or many parent domains.
pub(crate) fn messages() -> Vec<Heavy> {
    let deep = "a.".repeat(90);
    [
        ("plain", "", "example.com", "x.example"),
        ("capitals", "Ab", "Example.COM", "X.Example"),
        ("deep", "", &format!("{deep}example.com"), "x.example"),
    ]
    .map(|(name, prefix, domain, elsewhere)| {
        let authors: Vec<_> = (0..50).map(|at| format!("N{at} <{prefix}a{at}@{domain}>")).collect();
        let to = |from: usize| -> String {
            (from..from + 332).map(|at| format!("{prefix}r{at}@{elsewhere},\r\n ")).collect()
        };
        let header = format!(
            "From: {}\r\nReturn-Path: <bounce@{domain}>\r\n\
             To: {to}{prefix}r@{elsewhere}\r\nCc: {cc}c@{elsewhere}\r\nBcc: {bcc}b@{elsewhere}\r\n\r\n",
            authors.join(",\r\n "),
            to = to(0).replace("\r\n ", " "),
            cc = to(332).replace("\r\n ", " "),
            bcc = to(664).replace("\r\n ", " "),
        );
        let address = |text: String| Address::parse(&text).unwrap();
        let envelope = Envelope {
            reverse_path: address(format!("{prefix}a0@{domain}")),
            forward_paths: (0..50).map(|at| address(format!("{prefix}e{at}@{domain}"))).collect(),
            ehlo: "client.test".to_owned(),
            body_8bit: false,
        };
        let header = HeaderSection::parse(header.as_bytes()).unwrap();
        Heavy { name, envelope, header }
    })
    .into()
}

/// Policies of twenty statements with a hundred patterns each, of which no Deny holds for
/// [`messages`], and one statement that allows.
pub(crate) fn policies() -> Vec<(&'static str, Vec<Arc<Policy>>)> {
    let on = |operator: &str, key: &str, pattern: fn(usize) -> String| {
        let statements = (0..20).map(|statement| {
            let patterns: Vec<_> = (0..100).map(|at| pattern(100 * statement + at)).collect();
            let mut condition = json!({});
            condition[operator] = json!({ key: patterns });
            json!({ "Effect": "Deny", "Action": "ses:*", "Resource": "*", "Condition": condition })
        });
        documents(statements)
    };
    let resources = |resource: fn(usize) -> String| {
        let statements = (0..20).map(|statement| {
            let patterns: Vec<_> = (0..100).map(|at| resource(100 * statement + at)).collect();
            json!({ "Effect": "Deny", "Action": "ses:*", "Resource": patterns })
        });
        documents(statements)
    };
    let any = "ForAnyValue:StringLike";
    let (to, from) = ("ses:Recipients", "ses:FromAddress");
    vec![
        ("suffixes", on(any, to, |at| format!("*@blocked{at}.example"))),
        ("prefixes", on(any, to, |at| format!("blocked{at}@*"))),
        ("infixes", on(any, to, |at| format!("*word{at}*"))),
        ("wildcards", on(any, to, |at| format!("*@*.b{at}.example"))),
        ("texts", on("ForAnyValue:StringEquals", to, |at| format!("b{at}@example.com"))),
        (
            "texts in any case",
            on("ForAnyValue:StringEqualsIgnoreCase", to, |at| format!("b{at}@example.com")),
        ),
        ("not the recipients", on("ForAllValues:StringNotLike", to, |_| "*".to_owned())),
        ("authors", on("StringLike", from, |at| format!("*b{at}@*"))),
        ("suffixes in capitals", on(any, to, |at| format!("*@BLOCKED{at}.example"))),
        (
            "texts in capitals",
            on("ForAnyValue:StringEquals", to, |at| format!("B{at}@example.com")),
        ),
        ("names in capitals", on("StringLike", "ses:FromDisplayName", |at| format!("*CEO{at}*"))),
        ("names", on("StringLike", "ses:FromDisplayName", |at| format!("*ceo{at}*"))),
        ("feedback", on("StringLike", "ses:FeedbackAddress", |at| format!("*b{at}*@*"))),
        ("resources", resources(|at| format!("arn:aws:ses:*:*:identity/b{at}.example"))),
        ("wild resources", resources(|at| format!("arn:aws:ses:*:*:identity/*b{at}.example"))),
    ]
}

/// A policy for each statement, and one that allows.
fn documents(denying: impl Iterator<Item = Value>) -> Vec<Arc<Policy>> {
    let allowing = json!({ "Effect": "Allow", "Action": "ses:SendRawEmail", "Resource": "*" });
    let policy = |statement| {
        let text = json!({ "Version": "2012-10-17", "Statement": statement }).to_string();
        Arc::new(Policy::parse(PolicyKind::Identity, "heavy.json", &text).unwrap())
    };
    denying.chain([allowing]).map(policy).collect()
}
