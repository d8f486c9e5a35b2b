//! `sesgate policy explain`: what an operator is told about a refusal.

use std::process::Output;

use serde_json::{Value, json};

use crate::support::{path, program};

fn explain(user: &str, arguments: &[&str]) -> Output {
    program()
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["policy", "explain", "--config", "tests/explain/sesgate.toml", "--user", user])
        .args(arguments)
        .output()
        .unwrap()
}

/// User, command line, exit status, and what the text holds.
const CASES: [(&str, &str, i32, &[&str]); 13] = [
    (
        "marketing",
        "--from marketing@example.com --rcpt a@b.test",
        0,
        &["allowed", "from-marketing.json:4: statement 1"],
    ),
    (
        "marketing",
        "--from Marketing@example.com --rcpt a@b.test",
        1,
        &[
            "refused 554 Access denied: User `arn:aws:iam::123456789012:user/marketing' is not \
             authorized to perform `ses:SendRawEmail' on resource \
             `arn:aws:ses:us-east-1:123456789012:identity/example.com'\n",
            "condition `StringEquals` on `ses:FromAddress` does not hold",
            "seen Marketing@example.com",
            "hint differs only in letter case from `marketing@example.com`",
        ],
    ),
    (
        "recipients",
        "--from a@example.com --rcpt x@EXAMPLE.com",
        1,
        &["hint differs only in letter case from `*@example.com`"],
    ),
    (
        "unqualified",
        "--from a@example.com --rcpt x@example.com",
        1,
        &[
            "hint `ses:Recipients` is a list: a condition on it never holds without `ForAllValues:` or `ForAnyValue:`",
        ],
    ),
    (
        "send-email",
        "--from a@example.com --rcpt x@example.com",
        1,
        &[
            "seen ses:SendRawEmail",
            "hint mail over SMTP is `ses:SendRawEmail`, never `ses:SendEmail`",
        ],
    ),
    (
        "resource-case",
        "--from a@example.com --rcpt x@example.com",
        1,
        &[
            "is about other resources",
            "hint differs only in letter case from `arn:aws:ses:us-east-1:123456789012:identity/Example.com`",
        ],
    ),
    (
        "display-name",
        "--message tests/explain/team.eml --from a@example.com --rcpt x@example.com",
        1,
        &[
            "seen Marketing Team",
            "hint `StringLike` compares the whole value; write `*Marketing*` for a part of it",
        ],
    ),
    (
        "wildcard",
        "--from a@example.com --rcpt x@example.com",
        1,
        &["hint `StringEquals` takes `*` and `?` literally; `StringLike` has wildcards"],
    ),
    (
        "deny",
        "--from A@EXAMPLE.COM --rcpt x@example.com",
        1,
        &[
            "ExplicitlyDenied",
            "by a spelling: ses:FromAddress `A@EXAMPLE.COM` read as `a@example.com`",
        ],
    ),
    (
        "secure",
        "--no-tls --from a@example.com --rcpt x@example.com",
        1,
        &["condition `Bool` on `aws:SecureTransport` does not hold", "seen false"],
    ),
    ("marketing", "--context ses:FromAddress=marketing@example.com", 0, &["allowed"]),
    (
        "marketing",
        "--context ses:FromAddress=x@example.com --action ses:SendEmail",
        1,
        &["seen x@example.com"],
    ),
    ("nobody", "--from a@example.com --rcpt x@example.com", 64, &[]),
];

#[test]
fn refusals_are_explained_with_the_near_miss() {
    for (user, arguments, status, expected) in CASES {
        let arguments: Vec<_> = arguments.split(' ').collect();
        let output = explain(user, &arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{user} {arguments:?}\n{text}{errors}");
        for part in expected {
            assert!(text.contains(part), "{user} {arguments:?}: no `{part}` in\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "no colours but on a terminal");
    }
}

#[test]
fn json_holds_every_request_with_its_context() {
    let output =
        explain("recipients", &["--from", "a@example.com", "--rcpt", "x@example.net", "--json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["allowed"], false);
    let requests = answer["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 1, "author and feedback are the same question");
    assert_eq!(requests[0]["decision"], "ImplicitlyDenied");
    assert_eq!(requests[0]["context"]["ses:Recipients"], json!(["x@example.net"]));
    assert_eq!(requests[0]["context"]["aws:username"], json!(["recipients"]));
    assert_eq!(requests[0]["statements"][0]["seen"], "x@example.net");
    for whose in ["Principal", "Resource"] {
        let value = |key: &str| requests[0]["context"][format!("aws:{whose}{key}")].clone();
        assert_eq!(value("OrgID"), json!(["o-a1b2c3d4e5"]));
        let paths = ["o-a1b2c3d4e5/r-ab12/", "o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/"];
        assert_eq!(value("OrgPaths"), json!(paths));
    }
}

#[test]
fn what_cannot_be_asked_says_why() {
    let unreadable = path("tests/configs/empty.toml").display().to_string();
    for (arguments, expected) in [
        (vec!["--from", "a", "--rcpt", "x@example.com"], "`a` is no address: "),
        (vec!["--message", "none.eml", "--from", "a@b.test", "--rcpt", "x@b.test"], "none.eml: "),
        (
            vec!["--message", &unreadable, "--from", "a@b.test", "--rcpt", "x@b.test"],
            "the message cannot be read: ",
        ),
        (vec!["--context", "ses:FromAddress"], "`ses:FromAddress` is no context key"),
    ] {
        let output = explain("marketing", &arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{errors}");
        assert!(errors.starts_with(expected), "{errors}");
    }
}
