//! Properties of the policy engine that hold for every policy and every request.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail where it stands"
)]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use sesgate::policy::{
    Context, Decision, Layers, Policy, PolicyKind, Principal, Request, Spelled, evaluate,
};

const USER: Principal<'static> =
    Principal::User { account: "111122223333", arn: "arn:aws:iam::111122223333:user/app" };
const RESOURCE: &str = "arn:aws:ses:us-east-1:111122223333:identity/example.com";

fn load(statements: &[Value]) -> Arc<Policy> {
    let document = json!({ "Version": "2012-10-17", "Statement": statements });
    let text = document.to_string();
    let policy = Policy::parse(PolicyKind::Identity, "test", &text);
    Arc::new(policy.unwrap_or_else(|errors| panic!("{text}\n{errors}")))
}

fn decide(policies: &[Arc<Policy>], context: &Context<'_>) -> &'static str {
    decide_by(&Layers { identity: policies, ..Layers::default() }, &[], context)
}

fn decide_by(layers: &Layers<'_>, parents: &[String], context: &Context<'_>) -> &'static str {
    let request = Request {
        action: "ses:SendRawEmail",
        resource: RESOURCE,
        parents,
        resource_account: "111122223333",
        principal: &USER,
        context,
    };
    match evaluate(layers, &request) {
        Decision::Allowed(_) => "allow",
        Decision::ExplicitlyDenied(_) => "explicit deny",
        Decision::ImplicitlyDenied => "implicit deny",
    }
}

fn condition_holds(operator: &str, key: &str, operand: &str, context: &Context<'_>) -> bool {
    let statement = json!({
        "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": { operator: { key: operand } }
    });
    decide(&[load(&[statement])], context) == "allow"
}

/// Matches wildcards over UTF-16 units in the slow, obvious way.
fn slow_match(pattern: &[u16], value: &[u16]) -> bool {
    // Row by row: which prefixes of the value does the pattern so far match?
    let mut reached = vec![false; value.len() + 1];
    reached[0] = true;
    for unit in pattern {
        let mut next = vec![false; value.len() + 1];
        for at in 0..=value.len() {
            next[at] = if *unit == u16::from(b'*') {
                reached[at] || (at > 0 && next[at - 1])
            } else {
                at > 0 && reached[at - 1] && (*unit == u16::from(b'?') || *unit == value[at - 1])
            };
        }
        reached = next;
    }
    reached[value.len()]
}

/// Matches the first fields of a resource in the slow way: every way to cut the value is tried.
fn slow_resource(pattern: &str, value: &str) -> bool {
    fn go(pattern: &[char], value: &[char], colons: usize) -> bool {
        match pattern {
            [] => value.is_empty(),
            ['*', rest @ ..] => {
                let ends_field = rest.first().is_none_or(|next| *next == ':');
                let crosses = colons >= 5 || ends_field;
                go(rest, value, colons)
                    || value.split_first().is_some_and(|(unit, left)| {
                        (crosses || *unit != ':') && go(pattern, left, colons)
                    })
            }
            ['?', rest @ ..] => value.split_first().is_some_and(|(unit, left)| {
                (colons >= 5 || *unit != ':') && go(rest, left, colons)
            }),
            [character, rest @ ..] => value.split_first().is_some_and(|(unit, left)| {
                unit == character && go(rest, left, colons + usize::from(*character == ':'))
            }),
        }
    }
    let units = |text: &str| text.chars().collect::<Vec<_>>();
    go(&units(pattern), &units(value), 0)
}

fn operator() -> impl Strategy<Value = String> {
    let bases = vec![
        "StringEquals",
        "StringNotEquals",
        "StringEqualsIgnoreCase",
        "StringNotEqualsIgnoreCase",
        "StringLike",
        "StringNotLike",
        "NumericEquals",
        "NumericNotEquals",
        "NumericLessThan",
        "NumericGreaterThanEquals",
        "DateEquals",
        "DateNotEquals",
        "DateLessThanEquals",
        "DateGreaterThan",
        "Bool",
        "BinaryEquals",
        "IpAddress",
        "NotIpAddress",
        "ArnEquals",
        "ArnNotLike",
    ];
    (select(vec!["", "ForAllValues:", "ForAnyValue:"]), select(bases), select(vec!["", "IfExists"]))
        .prop_map(|(qualifier, base, suffix)| format!("{qualifier}{base}{suffix}"))
}

/// Values that every family converts some of.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => select(vec![
            "a", "A", "ab", "a@example.com", "*", "?", "${aws:username}", "", "true", "false", "1",
            "1.0", "2", "2018", "2018-09-01", "2018-09-01T00:00:00Z", "1535760000", "192.0.2.1",
            "::ffff:192.0.2.1", "2001:db8::1", "YQ==", RESOURCE, "arn:aws:ses:::x", "😀", "ΟΣ",
        ]).prop_map(str::to_owned),
        1 => "[a-c*?:/${}]{0,8}",
        1 => any::<String>(),
    ]
}

/// An operand that loads under the operator.
fn operand(operator: &str) -> BoxedStrategy<String> {
    let of = |texts: &[&'static str]| select(texts.to_vec()).prop_map(str::to_owned).boxed();
    let base = operator.rsplit(':').next().unwrap();
    match base.get(..3).unwrap() {
        "Num" => of(&["1", "1.0", "-1e3", "2018", "9007199254740993"]),
        "Dat" => of(&["2018", "2018-09-01", "1535760000", "2018-09-01T00:00:00.001Z"]),
        "Bin" => of(&["YQ==", ""]),
        "IpA" | "Not" => of(&["192.0.2.0/24", "0.0.0.0/0", "::/0", "2001:db8::/32"]),
        "Arn" => of(&["*", RESOURCE, "arn:aws:ses:*:*:identity/*", "${a:two}", "arn:*:*:?:*:x"]),
        "Boo" => of(&["true", "false", "x"]),
        _ => prop_oneof![
            of(&[
                "a",
                "a*",
                "*",
                "?",
                "*@example.com",
                "${aws:username}",
                "${a:two, 'x'}*",
                "${*}"
            ]),
            "[a-c*?]{0,6}",
        ]
        .boxed(),
    }
}

fn condition() -> impl Strategy<Value = Value> {
    (operator(), select(vec!["aws:username", "a:two", "ses:Recipients"])).prop_flat_map(
        |(operator, key)| {
            let operands = prop::collection::vec(operand(&operator), 1..3);
            operands.prop_map(move |operands| json!({ &operator: { key: operands } }))
        },
    )
}

fn statement(effects: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let resources = vec!["*", RESOURCE, "arn:aws:ses:us*1:*:identity/*", "arn:aws:ses"];
    (
        select(effects.to_vec()),
        select(vec!["*", "ses:Send*", "ses:SendEmail"]),
        select(vec!["Action", "NotAction"]),
        select(resources),
        select(vec!["Resource", "NotResource"]),
        prop::option::of(condition()),
    )
        .prop_map(|(effect, action, action_name, resource, resource_name, condition)| {
            let mut statement =
                json!({ "Effect": effect, action_name: action, resource_name: resource });
            if let Some(condition) = condition {
                statement["Condition"] = condition;
            }
            statement
        })
}

fn statements() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(statement(&["Allow", "Allow", "Deny"]), 1..5)
}

fn context() -> impl Strategy<Value = Context<'static>> {
    let optional = || prop::option::of(value());
    (optional(), optional(), prop::collection::vec(value(), 0..3)).prop_map(
        |(username, two, recipients)| {
            let mut context = Context::new();
            for (key, value) in [("aws:username", username), ("a:two", two)] {
                if let Some(value) = value {
                    context.set(key, value);
                }
            }
            let recipients = recipients.into_iter().map(Into::into).collect();
            context.set_list("ses:Recipients", recipients);
            context
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn order_never_matters(statements in statements(), context in context(), seed in any::<usize>()) {
        let together = decide(&[load(&statements)], &context);
        let mut turned = statements.clone();
        turned.rotate_left(seed % statements.len());
        turned.reverse();
        prop_assert_eq!(decide(&[load(&turned)], &context), together);
        let apart: Vec<_> = turned.chunks(1).map(load).collect();
        prop_assert_eq!(decide(&apart, &context), together);
    }

    #[test]
    fn one_more_deny_never_allows(
        statements in statements(), deny in statement(&["Deny"]), context in context(),
    ) {
        let before = decide(&[load(&statements)], &context);
        let after = decide(&[load(&statements), load(&[deny])], &context);
        prop_assert!(after == before || after == "explicit deny", "{} became {}", before, after);
    }

    #[test]
    fn one_more_allow_never_denies(
        statements in statements(), allow in statement(&["Allow"]), context in context(),
    ) {
        let before = decide(&[load(&statements)], &context);
        let after = decide(&[load(&statements), load(&[allow])], &context);
        prop_assert!(after == before || (before == "implicit deny" && after == "allow"));
    }

    #[test]
    fn spellings_and_parents_only_deny(
        statements in statements(), context in context(), spelling in value(),
    ) {
        let policies = [load(&statements)];
        let before = decide(&policies, &context);
        let mut spelled = Context::new();
        for (key, values) in context.iter() {
            let values = values.iter().map(|value| {
                Spelled::from(value.text()).with_spellings([spelling.clone()]).in_any_case()
            });
            spelled.set_list(key, values.collect());
        }
        let parents = ["arn:aws:ses:us-west-1:111122223333:identity/com".to_owned()];
        let layers = Layers { identity: &policies, ..Layers::default() };
        let after = decide_by(&layers, &parents, &spelled);
        prop_assert!(after == before || after == "explicit deny", "{} became {}", before, after);
    }

    #[test]
    fn limits_never_allow(
        statements in statements(), limit in statements(), context in context(), which in 0..4,
    ) {
        let policies = [load(&statements)];
        let before = decide(&policies, &context);
        let limit = [load(&limit)];
        let level = [limit.to_vec()];
        let mut layers = Layers { identity: &policies, ..Layers::default() };
        match which {
            0 => layers.boundary = Some(&limit),
            1 => layers.session = Some(&limit),
            2 => layers.scps = &level,
            _ => layers.rcps = &limit,
        }
        let after = decide_by(&layers, &[], &context);
        prop_assert!(after == before || before != "explicit deny" && after != "allow");
    }

    #[test]
    fn an_empty_set_denies(context in context()) {
        prop_assert_eq!(decide(&[], &context), "implicit deny");
    }

    #[test]
    fn what_a_variable_stands_for_is_literal(
        inserted in any::<String>(), before in "[a-c]{0,3}", after in "[a-c]{0,3}", other in value(),
    ) {
        let operand = format!("{before}${{aws:username}}{after}");
        let mut context = Context::new();
        context.set("aws:username", inserted.clone());
        let whole = format!("{before}{inserted}{after}");
        for operator in ["StringEquals", "StringLike"] {
            context.set("a:two", whole.clone());
            prop_assert!(condition_holds(operator, "a:two", &operand, &context));
            context.set("a:two", other.clone());
            prop_assert_eq!(condition_holds(operator, "a:two", &operand, &context), other == whole);
        }
    }

    #[test]
    fn the_matcher_agrees_with_a_slow_one(
        pattern in "[ab*?é😀]{0,8}", value in "[abé😀]{0,8}",
    ) {
        let mut context = Context::new();
        context.set("a:two", value.clone());
        let units = |text: &str| text.encode_utf16().collect::<Vec<_>>();
        prop_assert_eq!(
            condition_holds("StringLike", "a:two", &pattern, &context),
            slow_match(&units(&pattern), &units(&value)),
        );
    }

    #[test]
    fn resources_agree_with_a_slow_one(
        pattern in "arn:a:s:[ab*?]{0,4}:[ab*?]{0,4}:[ab*?:]{0,4}", value in "arn:a:s:[ab:]{0,9}",
    ) {
        let statement = json!({ "Effect": "Allow", "Action": "*", "Resource": pattern });
        let policies = [load(&[statement])];
        let layers = Layers { identity: &policies, ..Layers::default() };
        let request = Request {
            action: "ses:SendRawEmail",
            resource: &value,
            parents: &[],
            resource_account: "111122223333",
            principal: &USER,
            context: &Context::new(),
        };
        prop_assert_eq!(evaluate(&layers, &request).is_allowed(), slow_resource(&pattern, &value));
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        for kind in KINDS {
            let _ = Policy::parse(kind, "test", &text);
        }
    }

    #[test]
    fn no_broken_policy_panics(
        statements in statements(), cut in any::<prop::sample::Index>(), insert in "[\\[\\]{}\":,\\\\a0é]{0,3}",
    ) {
        let mut text = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
        let at = (0..=cut.index(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        text.insert_str(at, &insert);
        for kind in KINDS {
            if let Err(errors) = Policy::parse(kind, "test", &text) {
                prop_assert!(errors.to_string().starts_with("test:1:"));
            }
        }
    }

    #[test]
    fn time_is_told_in_both_forms_alike(seconds in 0_u64..250_000_000_000) {
        let mut context = Context::new();
        context.set_time(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let operand = seconds.to_string();
        for key in ["aws:CurrentTime", "aws:EpochTime"] {
            // Four digits alone are a year.
            prop_assume!(operand.len() != 4);
            prop_assert!(condition_holds("DateEquals", key, &operand, &context));
        }
    }
}

const KINDS: [PolicyKind; 6] = [
    PolicyKind::Identity,
    PolicyKind::Boundary,
    PolicyKind::Session,
    PolicyKind::ServiceControl,
    PolicyKind::ResourceControl,
    PolicyKind::Resource,
];

#[test]
fn hostile_patterns_stay_fast() {
    let value = "a".repeat(20_000);
    let mut context = Context::new();
    context.set("a:two", value.clone());
    for pattern in [
        format!("{}b*", "*a".repeat(400)),
        format!("*{}b*", "a".repeat(1_000)),
        format!("{}b*", "*?".repeat(400)),
        format!("{}b", "*a".repeat(400)),
    ] {
        assert!(!condition_holds("StringLike", "a:two", &pattern, &context), "{pattern}");
    }
    let resource = format!("arn:aws:ses:{}b*:*:x", "*a".repeat(400));
    let statement = json!({ "Effect": "Allow", "Action": "*", "Resource": resource });
    let policies = [load(&[statement])];
    let layers = Layers { identity: &policies, ..Layers::default() };
    let resource = format!("arn:aws:ses:{value}");
    let request = Request {
        action: "ses:SendRawEmail",
        resource: &resource,
        parents: &[],
        resource_account: "111122223333",
        principal: &USER,
        context: &Context::new(),
    };
    assert!(!evaluate(&layers, &request).is_allowed());
}

#[test]
fn documents_are_bounded() {
    let problem = |text: &str| {
        let errors = Policy::parse(PolicyKind::Identity, "big", text).unwrap_err();
        errors.to_string().lines().next().unwrap().to_owned()
    };
    let small = json!({ "Statement": { "Effect": "Deny", "Action": "*", "Resource": "*" } });
    let small = small.to_string();
    let padded = |bytes: usize| format!("{small}{}", " ".repeat(bytes - small.len()));
    assert!(Policy::parse(PolicyKind::Identity, "big", &padded(65_536)).is_ok());
    assert!(problem(&padded(65_537)).starts_with("big:1:1: larger than 65536 bytes"));
    assert!(problem(&"[".repeat(60_000)).starts_with("big:1:33: nested deeper than 32 levels"));
    let numbers = format!("[{}]", vec!["0"; 32_000].join(","));
    let many = format!("{{\"Statement\":{numbers}}}");
    let errors = Policy::parse(PolicyKind::Identity, "big", &many).unwrap_err();
    assert_eq!(errors.iter().count(), 101);
    assert!(errors.to_string().ends_with("more problems follow; mend the ones listed first"));
}
