//! `sesgate policy new`: what it prints of wishes, and that the policies do what was wished.

use std::fs;
use std::path::Path;
use std::process::Output;

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
