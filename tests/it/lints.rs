//! The findings of the linter: every code of its catalogue, the examples of the SES guide, the
//! command, and that it stands any text.
//!
//! A case in `tests/lints/` is a title, a policy, the findings it has, all of them, as
//! `> code line:column`, each perhaps with what its fix says (`= words`) and its message (`~ words`)
//! below, and the codes it is a counterexample of, as `! code`. The policy is given in
//! whole (`policy:`), by its only statement (`statement:`, then in line 2), by the condition of an
//! otherwise plain Allow or Deny (`allow if:`, `deny if:`, in line 2 as well), or by a file of the
//! repository (`file:`). Lines that begin with `|` continue it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use serde_json::Value;
use sesgate::policy::lint::{Attached, Finding, RULES, Severity, lint, names};
use sesgate::policy::{Policy, PolicyKind};

use crate::support::{pages, path, program};

struct Case {
    place: String,
    kind: PolicyKind,
    text: String,
    /// The ARN of the identity that it belongs to.
    identity: Option<String>,
    /// Codes with line and column, as in `missing-qualifier 2:10`.
    expected: Vec<String>,
    /// Parts of the text of a finding, by its number.
    words: Vec<(usize, String)>,
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
    let (mut words, mut identity) = (Vec::new(), None);
    for line in rest.lines().filter(|line| !line.is_empty()) {
        if let Some(finding) = line.strip_prefix("> ") {
            expected.push(finding.to_owned());
        } else if let Some(part) = line.strip_prefix("= ").or_else(|| line.strip_prefix("~ ")) {
            words.push((expected.len() - 1, part.to_owned()));
        } else if let Some(arn) = line.strip_prefix("identity: ") {
            identity = Some(arn.to_owned());
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
    Case { place, kind, text, identity, expected, words, counterexample_of }
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

fn findings(case: &Case) -> Vec<Finding> {
    let attached = Attached { kind: case.kind, identity: case.identity.as_deref() };
    lint(attached, "policy.json", &case.text, now())
}

fn found(findings: &[Finding]) -> Vec<String> {
    findings
        .iter()
        .map(|found| format!("{} {}:{}", found.code(), found.line(), found.column()))
        .collect()
}

#[test]
fn cases_have_exactly_their_findings() {
    let mut mistakes = String::new();
    for case in cases() {
        let all = findings(&case);
        let found = found(&all);
        if found != case.expected {
            writeln!(mistakes, "{}: {:?}, found {found:?}", case.place, case.expected).unwrap();
            continue;
        }
        for (number, words) in &case.words {
            let text = all[*number].to_string();
            if !text.contains(words) {
                writeln!(mistakes, "{}: no `{words}` in {text}", case.place).unwrap();
            }
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
    let mut found = 0;
    for entry in std::fs::read_dir(path("config/policies")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".json") {
            found += 1;
            assert!(cases.contains(&format!("file: config/policies/{name}\n")), "{name}");
        }
    }
    assert!(found > 8, "only {found} examples");
}

/// Every JSON object with statements in a text: policies in files, in Markdown and in YAML.
fn policies_in(text: &str) -> Vec<&str> {
    let starts = text.match_indices('{').map(|(at, _)| at);
    let mut found: Vec<&str> = Vec::new();
    let mut end = 0;
    for at in starts {
        let mut read = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
        if at >= end
            && let Some(Ok(value)) = read.next()
            && value.get("Statement").is_some()
        {
            end = at + read.byte_offset();
            found.push(&text[at..end]);
        }
    }
    found
}

/// A first run is about the reader's own policies.
#[test]
fn the_projects_own_examples_are_free_of_warnings() {
    let mut kinds = Vec::new();
    let mut files = pages();
    for folder in ["config/policies", "docker"] {
        files.extend(files_in(&path(folder)));
    }
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        // What is shown as naive is wrong on purpose; `policy_new.rs` says in which way.
        let sections = text.split("\n## ").map(|it| it.split("\nNaively:").next().unwrap_or(it));
        for policy in sections.flat_map(policies_in) {
            kinds.push((PolicyKind::Identity, file.clone(), policy.to_owned()));
        }
    }
    // Policies of the guide on sending authorization, as the engine's cases have them.
    let file = path("tests/policies/sending_authorization.json");
    let cases: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    for case in cases["cases"].as_array().unwrap() {
        let policy = case["resource_policy"].to_string();
        kinds.push((PolicyKind::Resource, file.clone(), policy));
    }
    assert!(kinds.len() > 30, "only {} policies", kinds.len());
    for (kind, file, policy) in kinds {
        let findings = lint(kind, &file.display().to_string(), &policy, now());
        let grave = findings.iter().find(|finding| finding.severity() != Severity::Suggestion);
        assert!(grave.is_none(), "{}\n{policy}", grave.unwrap());
    }
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        match file.is_dir() {
            true => found.extend(files_in(&file)),
            false => found.push(file),
        }
    }
    found
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

/// What the catalogue of keys says of mail is what the relay does.
#[test]
fn keys_are_supplied_as_the_catalogue_says() {
    let mut supplied = BTreeSet::new();
    for listener in ["33012", "33015", "33016"] {
        let mut command = program();
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command.args(["policy", "explain", "--json", "--config", "tests/explain/listeners.toml"]);
        command.args(["--from", "app@example.com", "--rcpt", "a@example.com", "--message"]);
        command.args(["tests/explain/sender.eml", "--listener", listener]);
        match listener {
            "33015" => command.args(["--user", "net"]),
            "33016" => command.args(["--vpc-endpoint", "vpce-0123456789abcdef0"]),
            _ => &mut command,
        };
        let output = command.output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        for request in answer["requests"].as_array().unwrap() {
            supplied.extend(request["context"].as_object().unwrap().keys().cloned());
        }
    }
    assert!(supplied.len() > 20, "{supplied:?}");
    let is_known_as_supplied = |key: &str| {
        let text = format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "ses:SendRawEmail",
                "Resource": "*", "Condition": {{"Null": {{"{key}": "false"}}}}}}}}"#
        );
        let found = lint(PolicyKind::Identity, "any", &text, now());
        let codes: Vec<_> = found.iter().map(Finding::code).collect();
        assert!(!codes.iter().any(|code| code.starts_with("unknown")), "{key}: {codes:?}");
        !codes.contains(&"key-not-supplied") && !codes.contains(&"key-not-available")
    };
    for key in &supplied {
        assert!(is_known_as_supplied(key), "{key} is supplied");
    }
    for (_, key, _) in names().filter(|(what, ..)| *what == "key") {
        // Of tags the ones of the example.
        let key = match key {
            "aws:PrincipalTag/" => "aws:PrincipalTag/team".to_owned(),
            "aws:ResourceTag/" => "aws:ResourceTag/stage".to_owned(),
            tag if tag.ends_with('/') => format!("{tag}a"),
            key => key.to_owned(),
        };
        let is_supplied = supplied.iter().any(|it| it.eq_ignore_ascii_case(&key));
        assert_eq!(is_known_as_supplied(&key), is_supplied, "{key}");
    }
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
3 suggestions\n";
    assert!(text.ends_with(expected), "{text}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn findings_that_are_alike_are_told_once() {
    let statement = |number: usize| {
        format!(
            r#"{{"Sid": "S{number}", "Effect": "Allow", "Action": "ses:SendRawEmail", "Resource": "*",
            "Condition": {{"StringEquals": {{"ses:FromAddress": "a{number}@example.com"}}}}}}"#
        )
    };
    let statements: Vec<_> = (0..25).map(statement).collect();
    let policy =
        format!(r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#, statements.join(",\n"));
    let text = String::from_utf8(run(&["-"], &policy).stdout).unwrap();
    assert_eq!(text.matches("broad-resource").count(), 1, "{text}");
    assert!(text.contains("= and 24 like it: 3:76, 5:76, "), "{text}");
    assert!(text.contains(", 41:77 and 4 more\n"), "{text}");
    assert!(text.ends_with("\n25 suggestions\n"), "{text}");
    let files = ["config/policies/send-only.json", "config/policies/full-access.json"];
    let text = String::from_utf8(run(&files, "").stdout).unwrap();
    assert!(text.contains("= and 1 like it: config/policies/full-access.json:9:19\n"), "{text}");
    let findings = run(&["--json", "-"], &policy).stdout;
    let findings: Value = serde_json::from_slice(&findings).unwrap();
    assert_eq!(findings.as_array().unwrap().len(), 25, "machines are told of each");
}

#[test]
fn findings_are_allowed_by_their_code() {
    let file = "tests/explain/policies/mfa.json";
    for (arguments, status, out) in [
        (&[file][..], 1, "1 warning, 1 suggestion\n"),
        (&[file, "--allow", "key-not-supplied"], 0, "1 suggestion (1 finding allowed)\n"),
        (
            &[file, "--allow", "key-not-supplied", "--allow", "broad-resource"],
            0,
            "nothing found (2 findings allowed)\n",
        ),
        (&[file, "--allow", "api-version-excludes-smtp"], 1, "1 warning, 1 suggestion\n"),
        (&["--config", "tests/explain/allowed.toml"], 0, "1 suggestion (1 finding allowed)\n"),
        (
            &["--config", "tests/explain/allowed.toml", file],
            0,
            "1 suggestion (1 finding allowed)\n",
        ),
        (&["--config", "tests/configs/lint.toml"], 2, ""),
    ] {
        let output = run(arguments, "");
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?} {text}");
        assert!(text.ends_with(out), "{arguments:?} {text}");
    }
    for (code, error) in [
        ("key-not-suplied", "did you mean `key-not-supplied`?"),
        ("mfa.json", "there is no kind of finding `mfa.json`"),
        ("json-syntax", "such a policy is refused"),
    ] {
        let output = run(&[file, "--allow", code], "");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{code}");
        assert!(errors.contains(error), "{errors}");
    }
}

/// A file is what the configuration says that it is, whatever the command line says of others.
#[test]
fn a_configuration_knows_what_its_policies_are() {
    let codes = |arguments: &[&str], file: &str| {
        let output = run(&[&["--json"], arguments].concat(), "");
        let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = findings.as_array().unwrap().clone();
        let of_file = findings.iter().filter(|it| it["file"].as_str().unwrap().ends_with(file));
        of_file.map(|it| it["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let folder = "tests/explain/policies/";
    let lent = "lent-to-somebody.json";
    assert_eq!(codes(&[&format!("{folder}{lent}")], lent), ["unsupported-combination"]);
    let config = ["--config", "tests/explain/layers.toml"];
    assert_eq!(codes(&config, lent), Vec::<String>::new());
    assert_eq!(codes(&[&config[..], &[folder]].concat(), lent), Vec::<String>::new());
    // In a boundary and a service control policy much is allowed by nature.
    let as_user = ["broad-action", "broad-resource", "holds-for-other-actions"];
    assert_eq!(codes(&[folder], "scp.json"), as_user);
    assert_eq!(codes(&config, "scp.json"), ["holds-for-other-actions"]);
    assert_eq!(codes(&[folder], "boundary.json"), ["broad-resource"]);
    assert_eq!(codes(&config, "boundary.json"), Vec::<String>::new());
    // Of others the command line says it.
    let other = [&config[..], &["--kind", "scp", "tests/explain/policies/net.json"]].concat();
    assert_eq!(codes(&other, "net.json"), ["private-address"]);
    let output = run(&["--config", "tests/explain/unfinished.toml"], "");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(errors.contains("tests/explain/policies/absent.json: No such file"), "{errors}");
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
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
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
