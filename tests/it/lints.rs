//! The findings of the linter: every code of its catalogue, the examples of the SES guide, the
//! command, and that it stands any text.
//!
//! A case in `tests/lints/` is a title, a policy, the findings it has, all of them, as
//! `> code line:column`, and the codes it is a counterexample of, as `! code`. The policy is given in
//! whole (`policy:`), by its only statement (`statement:`, then in line 2), by the condition of an
//! otherwise plain Allow or Deny (`allow if:`, `deny if:`, in line 2 as well), or by a file of the
//! repository (`file:`). Lines that begin with `|` continue it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use sesgate::policy::lint::{RULES, Severity, lint};
use sesgate::policy::{Policy, PolicyKind};

use crate::support::path;

struct Case {
    place: String,
    kind: PolicyKind,
    text: String,
    /// Codes with line and column, as in `missing-qualifier 2:10`.
    expected: Vec<String>,
    counterexample_of: Vec<String>,
}

/// Reads all cases; a file without any is a mistake.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(path("tests/lints")).unwrap() {
        let file = entry.unwrap().path();
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy();
        let blocks: Vec<_> =
            format!("\n{text}").split("\n== ").skip(1).map(str::to_owned).collect();
        assert!(!blocks.is_empty(), "{name}: no case");
        cases.extend(blocks.iter().map(|block| read_case(&name, block)));
    }
    assert!(!cases.is_empty(), "no case");
    cases
}

fn read_case(file: &str, block: &str) -> Case {
    let (title, rest) = block.split_once('\n').unwrap();
    let place = format!("{file}: {title}");
    let (mut kind, mut form, mut given) = (PolicyKind::Identity, "", String::new());
    let (mut expected, mut counterexample_of) = (Vec::new(), Vec::new());
    for line in rest.lines().filter(|line| !line.is_empty()) {
        if let Some(finding) = line.strip_prefix("> ") {
            expected.push(finding.to_owned());
        } else if let Some(code) = line.strip_prefix("! ") {
            counterexample_of.push(code.to_owned());
        } else if let Some(more) = line.strip_prefix('|') {
            given.push('\n');
            given.push_str(more);
        } else if let Some(name) = line.strip_prefix("kind: ") {
            kind = kind_of(name);
        } else {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{place}: {line}"));
            (form, given) = (name, value.to_owned());
        }
    }
    let version = r#"{"Version": "2012-10-17", "Statement":"#;
    let plain = r#""Action": "ses:SendRawEmail", "Resource": "arn:aws:ses:us-east-1:123456789012:identity/example.com""#;
    let text = match form {
        "policy" => given,
        "statement" => format!("{version}\n{given}\n}}"),
        "allow if" => {
            format!("{version} {{\"Effect\": \"Allow\", {plain}, \"Condition\":\n{given}\n}}}}")
        }
        "deny if" => {
            format!("{version} {{\"Effect\": \"Deny\", {plain}, \"Condition\":\n{given}\n}}}}")
        }
        "file" => std::fs::read_to_string(path(&given)).unwrap(),
        other => panic!("{place}: what is `{other}`?"),
    };
    Case { place, kind, text, expected, counterexample_of }
}

fn kind_of(name: &str) -> PolicyKind {
    match name {
        "identity" => PolicyKind::Identity,
        "boundary" => PolicyKind::Boundary,
        "session" => PolicyKind::Session,
        "scp" => PolicyKind::ServiceControl,
        "rcp" => PolicyKind::ResourceControl,
        "resource" => PolicyKind::Resource,
        other => panic!("no kind `{other}`"),
    }
}

/// 2026-09-01.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_788_220_800)
}

fn found(case: &Case) -> Vec<String> {
    lint(case.kind, "policy.json", &case.text, now())
        .iter()
        .map(|found| format!("{} {}:{}", found.code(), found.line(), found.column()))
        .collect()
}

#[test]
fn cases_have_exactly_their_findings() {
    let mut mistakes = String::new();
    for case in cases() {
        let found = found(&case);
        if found != case.expected {
            writeln!(mistakes, "{}: {:?}, found {found:?}", case.place, case.expected).unwrap();
        }
        for code in &case.counterexample_of {
            assert!(
                !found.iter().any(|found| found.split(' ').next() == Some(code)),
                "{}: {code}",
                case.place
            );
        }
    }
    assert!(mistakes.is_empty(), "{mistakes}");
}

#[test]
fn every_code_has_a_case_and_a_counterexample() {
    let cases = cases();
    let code = |finding: &String| finding.split(' ').next().unwrap().to_owned();
    let shown: BTreeSet<_> = cases.iter().flat_map(|case| case.expected.iter().map(code)).collect();
    let countered: BTreeSet<_> =
        cases.iter().flat_map(|case| case.counterexample_of.iter().cloned()).collect();
    // Stands for the rest of very many problems; see the hostile documents.
    let all = || RULES.iter().map(|rule| rule.code).filter(|code| *code != "refused");
    let without: Vec<_> = all().filter(|code| !shown.contains(*code)).collect();
    assert!(without.is_empty(), "no case: {without:?}");
    let without: Vec<_> = all().filter(|code| !countered.contains(*code)).collect();
    assert!(without.is_empty(), "no counterexample: {without:?}");
    let known: BTreeSet<_> = RULES.iter().map(|rule| rule.code.to_owned()).collect();
    assert_eq!(known.len(), RULES.len(), "codes are unique");
    let unknown: Vec<_> = shown.union(&countered).filter(|code| !known.contains(*code)).collect();
    assert!(unknown.is_empty(), "no such code: {unknown:?}");
}

#[test]
fn every_example_of_the_guide_has_a_case() {
    let cases = std::fs::read_to_string(path("tests/lints/examples.txt")).unwrap();
    for entry in std::fs::read_dir(path("config/policies")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_case = format!("file: config/policies/{name}\n");
        assert!(name == "cases" || cases.contains(&is_case), "{name}");
    }
}

/// Codes for which a policy is refused, and which no policy that loads has: those before the first
/// that is about what SES has.
fn refusing_codes() -> BTreeSet<&'static str> {
    let codes = RULES.iter().map(|rule| rule.code);
    // Both say what cannot be read, and what SES does not have.
    codes.take_while(|code| *code != "invalid-action").collect()
}

fn check_any(kind: PolicyKind, text: &str) -> Result<(), TestCaseError> {
    let findings = lint(kind, "any.json", text, now());
    let parsed = Policy::parse(kind, "any.json", text);
    let refusing = refusing_codes();
    let refused = findings.iter().find(|found| refusing.contains(found.code()));
    match parsed {
        Ok(_) => prop_assert!(refused.is_none(), "{}\n{}", text, refused.unwrap()),
        Err(_) => {
            let worst = findings.iter().map(|found| found.severity()).max();
            prop_assert_eq!(worst, Some(Severity::Error), "{}", text);
        }
    }
    prop_assert!(!findings.iter().any(|found| found.code() == "refused"), "{}", text);
    for found in &findings {
        let line = text.split('\n').nth(found.line() - 1);
        let width = line.map(|line| line.chars().count()).unwrap_or_default();
        prop_assert!(found.column() <= width + 1, "{} beyond its line", found);
        prop_assert!(!found.to_string().contains('\n'), "{:?}", found.to_string());
    }
    Ok(())
}

fn any_kind() -> impl Strategy<Value = PolicyKind> {
    prop::sample::select(vec![
        PolicyKind::Identity,
        PolicyKind::Boundary,
        PolicyKind::Session,
        PolicyKind::ServiceControl,
        PolicyKind::ResourceControl,
        PolicyKind::Resource,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_looked_at(kind in any_kind(), text in any::<String>()) {
        check_any(kind, &text)?;
    }

    /// A case with a part of it replaced by a part of another one.
    #[test]
    fn any_mixture_of_policies_is_looked_at(
        kind in any_kind(),
        one in prop::sample::select(cases().into_iter().map(|case| case.text).collect::<Vec<_>>()),
        other in prop::sample::select(cases().into_iter().map(|case| case.text).collect::<Vec<_>>()),
        cut in prop::collection::vec(any::<prop::sample::Index>(), 2),
    ) {
        let strings = |text: &str| text.split('"').map(str::to_owned).collect::<Vec<_>>();
        let (mut mixed, other) = (strings(&one), strings(&other));
        let part = cut[1].get(&other).clone();
        let at = cut[0].index(mixed.len());
        mixed[at] = part;
        check_any(kind, &mixed.join("\""))?;
    }
}

#[test]
fn a_hostile_document_ends_soon_and_has_few_findings() {
    let entries = |entry: &str| vec![entry; 64_000 / (entry.len() + 3)].join("\",\"");
    let stars = "*a".repeat(30_000);
    for (member, entries) in [
        ("Action", entries("ses:?*")),
        ("Action", (0..5000).map(|n| format!("ses:*{n}")).collect::<Vec<_>>().join("\",\"")),
        ("Action", format!("ses:{stars}")),
        ("Resource", entries("arn:aws:ses:*:1:*/")),
        ("Resource", format!("arn:aws:ses:*:*:identity/{stars}")),
    ] {
        let other = if member == "Action" { "Resource" } else { "Action" };
        let text = format!(
            r#"{{"Statement":{{"Effect":"Allow","{member}":["{entries}"],"{other}":"*"}}}}"#
        );
        let started = std::time::Instant::now();
        let findings = lint(PolicyKind::Identity, "hostile.json", &text, now());
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        assert!(findings.len() <= 500, "{}", findings.len());
        assert!(!findings.is_empty());
    }
    let text = format!(r#"{{"Statement": [{}]}}"#, vec!["5"; 1000].join(","));
    let findings = lint(PolicyKind::Identity, "hostile.json", &text, now());
    assert_eq!(findings.iter().filter(|found| found.severity() == Severity::Error).count(), 101);
    assert!(findings.iter().any(|found| found.code() == "refused"));
}

fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sesgate"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["policy", "lint"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have ended without reading, where its arguments say so.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn the_command_shows_place_and_fix() {
    let output = run(&["config/policies/display-name-marketing.json"], "");
    let text = String::from_utf8(output.stdout).unwrap();
    let expected = "config/policies/display-name-marketing.json:13:34: \
                    suggestion[like-without-wildcard]: `Marketing` has no wildcard, so only that text matches\n   \
                    13 |           \"ses:FromDisplayName\": \"Marketing\"\n      \
                    |                                  ^\n      \
                    = write `*Marketing*` to match a part, or `StringEquals`\n\
                    1 security warning, 2 suggestions\n";
    assert!(text.ends_with(expected), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_command_exits_by_the_worst_finding() {
    let denied = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "ses:*", "Resource": "*"}}"#;
    let without_version = denied.replace(r#""Version": "2012-10-17", "#, "");
    for (arguments, input, status) in [
        (&["-"][..], denied, 0),
        (&["config/policies/send-only.json"], "", 0),
        (&["config/policies/send-only.json", "-"], &without_version, 1),
        (&["--deny-warnings", "-"], &without_version, 2),
        (&["--deny-warnings", "config/policies/send-only.json"], "", 0),
        (&["-"], "{", 2),
        (&["none.json"], "", 2),
        (&["--kind", "resource", "-"], denied, 2),
        (&["--kind", "scp", "-"], denied, 0),
        (&["--rules"], "", 0),
        (&[], "", 2),
    ] {
        let output = run(arguments, input);
        assert_eq!(output.status.code(), Some(status), "{arguments:?} {output:?}");
    }
}

#[test]
fn the_command_gives_json() {
    let output = run(&["--json", "-"], "{\"Statement\": []}");
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = serde_json::json!([
        {
            "code": "missing-version", "severity": "warning", "file": "-", "line": 1, "column": 1,
            "message": "no `Version`, which means 2008-10-17, without variables",
            "fix": "write \"Version\": \"2012-10-17\"",
        },
        {
            "code": "missing-statement", "severity": "error", "file": "-", "line": 1, "column": 15,
            "message": "`Statement` is empty", "fix": "write at least one statement",
        },
    ]);
    assert_eq!(findings, expected);
}
