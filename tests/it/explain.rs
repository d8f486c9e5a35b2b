//! `sesgate policy explain`: what an operator is told about a refusal.

use std::process::Output;

use serde_json::{Value, json};

use crate::support::{path, program};
use crate::told;

fn explain(config: &str, arguments: &[&str]) -> Output {
    program()
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["policy", "explain", "--config", &format!("tests/explain/{config}.toml")])
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn cases_are_explained() {
    let played = told::play("tests/explain/cases.txt", |ask| {
        let (config, arguments) = ask.split_once(": ").unwrap();
        explain(config, &arguments.split(' ').collect::<Vec<_>>())
    });
    assert!(played > 40, "only {played} cases");
}

#[test]
fn json_holds_every_request_with_its_context() {
    let output = explain(
        "sesgate",
        &["--user", "recipients", "--from", "a@example.com", "--rcpt", "x@example.net", "--json"],
    );
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["allowed"], false);
    assert_eq!(answer["uncovered"], serde_json::json!([]));
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
    assert_eq!(
        requests[0]["statements"][0]["parts"][0]["requires"],
        "every value like `*@example.com`"
    );
    assert_eq!(requests[0]["refused_by"], json!(["the user's policies"]));
    assert_eq!(requests[0]["why"].as_array().unwrap().len(), 2);
    assert_eq!(answer["client"]["user"], "recipients");
    assert_eq!(answer["assumed"], json!([]));
}

#[test]
fn json_says_what_a_bare_call_assumed() {
    let output = explain("bare", &["--from", "a@example.com", "--rcpt", "x@example.net", "--json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["assumed"][0], "the client is `app`, the only user: --user");
    assert_eq!(answer["assumed"].as_array().unwrap().len(), 7);
}

#[test]
fn json_says_of_each_resource_why_it_is_asked_about() {
    let arguments =
        ["--user", "app", "--from", "a@example.com", "--rcpt", "x@example.net", "--json"];
    let answer: Value = serde_json::from_slice(&explain("layers", &arguments).stdout).unwrap();
    let requests = answer["requests"].as_array().unwrap();
    let why = |at: usize| {
        let why = requests[at]["why"].as_array().unwrap().iter();
        why.map(|it| it.as_str().unwrap().split(' ').take(3).collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    assert_eq!(why(0), ["the message is", "bounces go to"]);
    assert_eq!(why(1), ["it is the"]);
    assert_eq!(why(2), ["`x@example.net` is a"]);
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
        let output = explain("sesgate", &[&["--user", "marketing"], arguments.as_slice()].concat());
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{errors}");
        assert!(errors.starts_with(expected), "{errors}");
    }
}

/// A message with many authors makes a request for each pair with a recipient list.
#[test]
fn of_many_requests_alike_some_are_explained_and_the_others_counted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("many.eml");
    let authors: Vec<_> = (0..50).map(|at| format!("N{at} <a{at}@example.com>")).collect();
    let text = format!("From: {}\r\nTo: other@example.net\r\n\r\n", authors.join(",\r\n "));
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let question = ["--user", "app", "--from", "a@example.com", "--rcpt", "x@example.net"];
    let arguments = [&question[..], &["--message", file]].concat();
    let shown = String::from_utf8(explain("layers", &arguments).stdout).unwrap();
    let arguments = [&arguments[..], &["--json"]].concat();
    let answer: Value = serde_json::from_slice(&explain("layers", &arguments).stdout).unwrap();
    let (explained, more) = (
        answer["requests"].as_array().unwrap().len(),
        answer["requests_not_explained"].as_u64().unwrap(),
    );
    assert!((20..=40).contains(&explained) && more > 50, "{explained} and {more}");
    let last = format!("\nand {more} more requests, which end as these do\n");
    assert!(shown.ends_with(&last), "{shown}");
}
