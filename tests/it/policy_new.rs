//! `sesgate policy new`: what it prints of wishes, and that the policies do what was wished.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::program;
use crate::told;

fn policy(folder: &Path, arguments: &[&str]) -> Output {
    program().current_dir(folder).arg("policy").args(arguments).output().unwrap()
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The words of a line, with blanks in those between `'`.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for character in line.chars() {
        match character {
            '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words
}

fn new(line: &str) -> Output {
    let words = words(line);
    let words: Vec<&str> = ["new"].into_iter().chain(words.iter().map(String::as_str)).collect();
    policy(here(), &words)
}

#[test]
fn wishes_are_written_as_the_cases_say() {
    let played = told::play("tests/new/cases.txt", new);
    assert!(played > 30, "only {played} cases");
}

/// Each wish, once with one value and once with two.
const WISHES: [(&str, &str, &str); 7] = [
    ("--from", "app@example.com", "@shop.example"),
    ("--display-name", "Marketing", "日本語の Büro \\ \"x\""),
    ("--feedback", "bounces@example.com", "@bounces.example"),
    ("--to-domain", "example.com", "example.org"),
    ("--deny-to", "rival.example", "boss@example.com"),
    ("--hours", "2100-03-01T08:00Z/2100-03-01T18:00Z", ""),
    ("--network", "192.0.2.0/24", "2001:db8::/32"),
];

/// Whatever is wished together: the linter has no objection, every case passes, and there is one for
/// every statement and every operand.
#[test]
fn every_mixture_of_wishes_holds_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    for mixture in 1..1_usize << WISHES.len() {
        let mut arguments = vec!["new"];
        for (number, (flag, one, another)) in WISHES.iter().enumerate() {
            if mixture & (1 << number) != 0 {
                arguments.extend([flag, one]);
                // So that each stands alone in some mixtures and with another in others.
                if mixture % 3 == number % 3 && !another.is_empty() {
                    arguments.extend([flag, another]);
                }
            }
        }
        let file = format!("{mixture}.json");
        arguments.extend(["--write", &file]);
        let made = policy(folder.path(), &arguments);
        let told = String::from_utf8_lossy(&made.stdout).into_owned();
        assert!(made.status.success(), "{arguments:?}: {made:?}");
        let wanted = format!(
            "wrote {file}, for `policies` of the user\nwrote cases/{file}, for `sesgate policy test`\n"
        );
        assert_eq!(told, wanted);
    }
    let linted = policy(folder.path(), &["lint", "--deny-warnings", "."]);
    assert!(linted.status.success(), "{}", String::from_utf8_lossy(&linted.stdout));
    let played = policy(folder.path(), &["test", "--coverage=100", "cases"]);
    let told = String::from_utf8_lossy(&played.stdout).into_owned();
    assert!(played.status.success(), "{told}");
    assert!(told.starts_with("coverage 100.0 %"), "{told}");
}

/// What is printed and not written is the same, in one file.
#[test]
fn what_is_printed_can_be_played() {
    let folder = tempfile::tempdir().unwrap();
    let made = new("--from app@example.com --deny-to rival.example");
    fs::write(folder.path().join("all.json"), made.stdout).unwrap();
    let played = policy(folder.path(), &["test", "all.json"]);
    assert_eq!(String::from_utf8_lossy(&played.stdout), "5 passed, 0 failed\n");
}

#[test]
fn neither_file_is_written_where_one_is_there() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("cases")).unwrap();
    fs::write(folder.path().join("cases/app.json"), "mine").unwrap();
    let made = policy(folder.path(), &["new", "--from", "@example.com", "--write", "app.json"]);
    assert_eq!(made.status.code(), Some(1));
    assert_eq!(made.stdout, b"");
    assert!(String::from_utf8_lossy(&made.stderr).starts_with("cases/app.json: File exists"));
    assert!(!folder.path().join("app.json").exists());
    assert_eq!(fs::read(folder.path().join("cases/app.json")).unwrap(), b"mine");
}

/// A policy that AWS would not take is not printed.
#[test]
fn what_the_linter_objects_to_is_not_printed() {
    let senders: Vec<String> = (0..400).map(|number| format!("app{number}@example.com")).collect();
    let flags = senders.iter().flat_map(|sender| ["--from", sender]);
    let arguments: Vec<&str> = ["new"].into_iter().chain(flags).collect();
    let made = policy(here(), &arguments);
    assert_eq!((made.status.code(), made.stdout.as_slice()), (Some(1), &b""[..]));
    assert!(String::from_utf8_lossy(&made.stderr).contains("warning[policy-size]"));
}

/// A wish of the page: what it is about, the command, what that prints, and the naive form.
fn wishes_of_the_page() -> Vec<(String, [String; 3])> {
    let page = fs::read_to_string(here().join("config/policies/wishes.md")).unwrap();
    let blocks = |wish: &str| -> Vec<String> {
        let blocks = wish.split("\n```").skip(1).step_by(2);
        blocks.map(|block| block.split_once('\n').unwrap().1.to_owned()).collect()
    };
    let wishes = page.split("\n## ").skip(1);
    let wish = |wish: &str| (wish.to_owned(), blocks(wish).try_into().expect("three blocks"));
    wishes.map(wish).collect()
}

#[test]
fn the_page_has_ten_wishes_as_they_are_printed() {
    let wishes = wishes_of_the_page();
    assert_eq!(wishes.len(), 10);
    for (_, [command, printed, _]) in wishes {
        let made = new(command.strip_prefix("sesgate policy new ").unwrap());
        assert_eq!(String::from_utf8_lossy(&made.stdout).trim_end(), printed, "{command}");
    }
}

/// Each naive form does what its cases say, and they are mails of which the right policy decides
/// otherwise. What the page says of the linter holds as well.
#[test]
fn the_page_shows_what_goes_wrong_in_the_naive_form() {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, value: &Value| {
        fs::write(folder.path().join(file), value.to_string()).unwrap();
    };
    for (wish, [command, printed, naive]) in wishes_of_the_page() {
        let mut naive: Value = serde_json::from_str(&naive).unwrap();
        let right: Value = serde_json::from_str(&printed).unwrap();
        let count = naive["cases"].as_array().unwrap().len();
        write("naive.json", &naive);
        write("policy.json", &naive["policies"]);
        let played = policy(folder.path(), &["test", "naive.json"]);
        let told = String::from_utf8_lossy(&played.stdout).into_owned();
        assert_eq!(told, format!("{count} passed, 0 failed\n"), "{command}");

        let linted = policy(folder.path(), &["lint", "--json", "policy.json"]);
        let found: Value = serde_json::from_slice(&linted.stdout).unwrap();
        let found = found.as_array().unwrap().iter();
        let found: Vec<&str> = found.map(|it| it["code"].as_str().unwrap()).collect();
        match wish.replace('\n', " ").split_once("The linter: `") {
            Some((_, rest)) => assert!(found.contains(&rest.split('`').next().unwrap()), "{wish}"),
            None => {
                assert!(wish.replace('\n', " ").contains("The linter finds nothing"), "{wish}");
                assert!(found.iter().all(|code| *code == "broad-resource"), "{found:?}: {wish}");
            }
        }

        naive["policies"] = right["policies"].clone();
        for case in naive["cases"].as_array_mut().unwrap() {
            let is_allowed = case["expect"]["decision"] == "Allowed";
            case["expect"] = json!({"decision": if is_allowed { "Denied" } else { "Allowed" }});
        }
        write("right.json", &naive);
        let played = policy(folder.path(), &["test", "right.json"]);
        let told = String::from_utf8_lossy(&played.stdout).into_owned();
        assert_eq!(told, format!("{count} passed, 0 failed\n"), "{command}");
    }
}

#[test]
fn the_first_example_of_the_page_writes_what_it_says() {
    let page = fs::read_to_string(here().join("config/policies/README.md")).unwrap();
    let (_, start) = page.split_once("\n## Start with a wish\n").unwrap();
    let (_, block) = start.split_once("\n```sh\n").unwrap();
    let command = block.split_once("\n```\n").unwrap().0;
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("config/policies")).unwrap();
    let arguments: Vec<&str> =
        command.strip_prefix("sesgate policy ").unwrap().split(' ').collect();
    assert!(policy(folder.path(), &arguments).status.success());
    assert!(folder.path().join("config/policies/app.json").is_file());
    let played = policy(folder.path(), &["test", "config/policies/cases/app.json"]);
    assert_eq!(String::from_utf8_lossy(&played.stdout), "4 passed, 0 failed\n");
}
