//! `sesgate policy replay`: what a log of decisions says of other policies.

use std::process::Output;

use serde_json::{Value, json};

use crate::support::{path, program};
use crate::told;

fn policy(arguments: &[&str]) -> Output {
    let root = env!("CARGO_MANIFEST_DIR");
    program().current_dir(root).arg("policy").args(arguments).output().unwrap()
}

#[test]
fn cases_are_told() {
    let played =
        told::play("tests/replay/cases.txt", |ask| policy(&ask.split(' ').collect::<Vec<_>>()));
    assert!(played > 10, "only {played} cases");
}

#[test]
fn json_holds_each_group_and_each_line_that_is_left_out() {
    let log = "tests/replay/damaged.jsonl";
    let output = policy(&["replay", "--log", log, "--format", "json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let counts = ["decided", "differ", "without_decision", "lost"];
    assert_eq!(counts.map(|name| answer[name].as_u64().unwrap()), [4, 1, 2, 3]);
    let left_out = &answer["left_out"];
    let counts = ["records", "not_decidable", "files"];
    assert_eq!(counts.map(|name| left_out[name].as_u64().unwrap()), [8, 5, 0]);
    let group = &answer["differences"][0];
    assert_eq!(group["count"], 1);
    assert_eq!(
        (&group["user"], &group["author"]),
        (&json!("gone"), &json!("marketing@example.com"))
    );
    assert_eq!(group["before"]["decision"], "Allowed");
    assert_eq!(group["after"], json!({ "decision": "no_user", "statement": null }));
    assert_eq!((&group["example"]["file"], &group["example"]["line"]), (&json!(log), &json!(14)));
    let lines: Vec<_> = left_out["because"].as_array().unwrap().iter().collect();
    assert_eq!(lines.len(), 6);
    let without = lines.iter().find(|it| it["count"] == 3).unwrap();
    assert_eq!(without["lines"], json!([[4, 5], [7, 7]]));
}

/// A log is read from a pipe as from a file, such as that of `zcat`.
#[test]
fn standard_input_is_a_log() {
    let log = std::fs::File::open(path("tests/replay/decisions.jsonl")).unwrap();
    let mut command = program();
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["policy", "replay", "--log", "-"]);
    let output = command.stdin(log).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, b"6 decisions come out as before, 0 records left out\n");
}

/// The examples of the page that begin with `sesgate policy replay`, with what they print below.
#[test]
fn the_page_shows_what_is_printed() {
    let page = std::fs::read_to_string(path("config/policies/README.md")).unwrap();
    let mut played = 0;
    for example in page.split("```sh\nsesgate policy replay ").skip(1) {
        let (arguments, rest) = example.split_once("\n```\n\n```text\n").unwrap();
        let (shown, _) = rest.split_once("```").unwrap();
        let (log, there) = ("decisions.jsonl", "tests/replay/decisions.jsonl");
        let arguments = arguments.replace(log, there);
        let arguments: Vec<_> = ["replay"].into_iter().chain(arguments.split(' ')).collect();
        let printed = String::from_utf8(policy(&arguments).stdout).unwrap();
        assert_eq!(printed.replace(there, log), shown);
        played += 1;
    }
    assert!(played > 0);
}
