//! The command as an operator meets it: exit statuses and what is printed.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::{path, program};

fn sesgate(arguments: &[&str]) -> Command {
    let mut command = program();
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn output(arguments: &[&str]) -> Output {
    sesgate(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The default configuration on free ports, with its policies, in a folder of its own.
fn copy_of_the_default(folder: &Path, admin: &str) -> String {
    let text = std::fs::read_to_string(path("config/sesgate.toml")).unwrap();
    let text = text
        .replace("127.0.0.1:2525", "127.0.0.1:0")
        .replace("127.0.0.1:2465", "127.0.0.1:0")
        .replace("127.0.0.1:2526", "127.0.0.1:0")
        .replace("127.0.0.1:8025", admin)
        .replace("\"policies/", &format!("\"{}/", path("config/policies").display()));
    let file = folder.join("sesgate.toml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn check_accepts_the_default_file() {
    let file = path("config/sesgate.toml").display().to_string();
    let checked = output(&["check", "--config", &file]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    assert!(text(&checked.stderr).ends_with("3 listeners, 2 users: ready to serve\n"));
}

#[test]
fn check_and_serve_refuse_a_broken_file_alike() {
    let file = path("tests/configs/mistakes.toml").display().to_string();
    let checked = output(&["check", "--config", &file]);
    let served = output(&["serve", "--config", &file]);
    for refused in [&checked, &served] {
        assert_eq!(refused.status.code(), Some(78));
        assert_eq!(text(&refused.stdout), "");
    }
    let lines = text(&checked.stderr);
    // Serving also looks at what is outside the process.
    let serving = text(&served.stderr);
    let others = serving.strip_prefix(&lines).unwrap();
    assert!(others.lines().all(|line| line.contains("cannot listen on `")), "{others}");
    assert!(lines.lines().count() > 5, "{lines}");
    assert!(
        lines.lines().all(|line| line.contains(".toml:") || line.contains(".json:")),
        "{lines}"
    );
}

#[test]
fn a_missing_file_names_the_option() {
    let served = output(&["serve", "--config", "no/such/file.toml"]);
    assert_eq!(served.status.code(), Some(78));
    assert!(text(&served.stderr).contains("no/such/file.toml: cannot be read"));
    assert!(text(&served.stderr).contains("--config"));
}

#[test]
fn a_hash_is_made_of_the_first_line() {
    let mut child = sesgate(&["user", "hash-password"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"secret\nmore\n").unwrap();
    let made = child.wait_with_output().unwrap();
    assert_eq!(made.status.code(), Some(0));
    let hash = text(&made.stdout);
    let stored = sesgate::principals::StoredPassword::parse(hash.trim_end()).unwrap();
    assert!(stored.verify("secret"));
    let refused = output(&["user", "hash-password"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("empty"));
}

#[test]
fn a_password_of_ses_is_made_of_a_secret_access_key() {
    let mut child = sesgate(&["user", "import-ses", "--region", "eu-central-1"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"some+secret+key\n").unwrap();
    let made = child.wait_with_output().unwrap();
    assert_eq!(made.status.code(), Some(0));
    let stored = sesgate::principals::StoredPassword::parse(text(&made.stdout).trim_end()).unwrap();
    assert!(stored.verify("BMXhUYlu5Z3gSXVQORxlVa7XPaz91aGWdfHxvkOZdWZ2"));
}

#[test]
fn serve_tells_health_and_drains_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let file = copy_of_the_default(folder.path(), &free.to_string());
    let not_yet = output(&["healthcheck", "--config", &file]);
    assert_eq!(not_yet.status.code(), Some(1));
    let mut child = sesgate(&["serve", "--config", &file]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let started = lines.by_ref().map(Result::unwrap).find(|line| line.contains("told over HTTP"));
    assert!(started.is_some_and(|line| line.contains(&free.to_string())));
    let mut healthy = false;
    for _ in 0..100 {
        healthy = output(&["healthcheck", "--config", &file]).status.success();
        if healthy {
            break;
        }
    }
    assert!(healthy);
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(lines.map(Result::unwrap).any(|line| line.contains("drained")));
}

/// Files, cases and statements that are named so that they clear the screen, write backwards, and begin
/// a line that CI takes for a command.
#[test]
fn names_of_others_do_nothing_to_a_terminal() {
    const HOSTILE: &str = "a\u{1b}[2Jb\u{9b}3mc\u{202e}d\u{2066}\r\n::e";
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(HOSTILE).join(name);
    let name = |name: &str| at(name).display().to_string();
    std::fs::create_dir_all(at("policies")).unwrap();
    std::fs::create_dir_all(at("cases")).unwrap();
    let policy = serde_json::json!({ "Version": "2012-10-17", "Statement": [
        { "Sid": HOSTILE, "Effect": "Allow", "Action": "ses:SendRawEmail", "Resource": HOSTILE },
        { "Effect": "Deny", "Action": "ses:SendRawEmail", "Resource": "*",
          "Condition": { "StringLike": { "ses:FromAddress": HOSTILE } } },
    ] });
    let case = serde_json::json!([{ "name": HOSTILE, "policies": [policy],
        "request": { "action": "ses:SendRawEmail", "resource": HOSTILE },
        "expect": { "decision": "allow", "statement": HOSTILE, "text": HOSTILE } }]);
    let usable = serde_json::json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "ses:SendRawEmail", "Resource": "*",
          "Condition": { "StringLike": { "ses:FromAddress": HOSTILE } } },
    ] });
    std::fs::write(at(&format!("policies/{}.json", HOSTILE)), policy.to_string()).unwrap();
    std::fs::write(at(&format!("cases/{}.json", HOSTILE)), case.to_string()).unwrap();
    std::fs::write(at("usable.json"), usable.to_string()).unwrap();
    std::fs::write(at("message"), format!("From: {HOSTILE}\n\n")).unwrap();
    let config = |policy: &str| {
        let quoted = serde_json::to_string(policy).unwrap();
        format!(
            "[account]\nid = \"123456789012\"\nregion = \"us-east-1\"\n\
             [upstream]\nkind = \"outbox\"\ndirectory = \"outbox\"\n[admin]\nenabled = false\n\
             [[listeners]]\naddress = \"127.0.0.1:0\"\ntls = \"off\"\nuser = \"app\"\n\
             [[users]]\nname = \"app\"\npolicies = [{quoted}]\n"
        )
    };
    std::fs::write(at("good.toml"), config("usable.json")).unwrap();
    std::fs::write(at("bad.toml"), config(&format!("policies/{HOSTILE}.json"))).unwrap();
    let (good, bad, none) = (name("good.toml"), name("bad.toml"), name("none.toml"));
    let (policies, cases, message) = (name("policies"), name("cases"), name("message"));
    let explain = ["policy", "explain", "--config", &good, "--user"];
    let app = [&explain[..], &["app", "--from", "app@example.com", "--rcpt", "a@b.test"]].concat();
    let context = format!("ses:FromAddress={HOSTILE}");
    let commands: [&[&str]; 22] = [
        &["check", "--config", &good],
        &["check", "--config", &bad],
        &["check", "--config", &none],
        &["serve", "--config", &none],
        &["config", "print", "--config", &good],
        &["config", "print", "--config", &good, "--json"],
        &["doctor", "--config", &bad],
        &["doctor", "--config", &bad, "--format", "json"],
        &["healthcheck", "--config", &none],
        &["man", &good],
        &["policy", "lint", &policies],
        &["policy", "lint", &none],
        &["policy", "lint", &policies, "--format", "json"],
        &["policy", "lint", &policies, "--format", "sarif"],
        &["policy", "test", &cases],
        &["policy", "test", &none, &policies],
        &["policy", "test", &cases, "--format", "junit"],
        &[&explain[..], &[HOSTILE, "--context", &context]].concat(),
        &[&explain[..], &["app", "--context", &context, "--resource", HOSTILE]].concat(),
        &[&explain[..], &["app", "--context", &context, "--json"]].concat(),
        &[&app[..], &["--message", &message]].concat(),
        &[&app[..], &["--message", &none]].concat(),
    ];
    for command in commands {
        let ended = output(command);
        let told = text(&ended.stdout) + &text(&ended.stderr);
        assert!(
            !told.contains(|c: char| sesgate::redact::is_unprintable(c) && c != '\n'),
            "{command:?}: {told:?}"
        );
        assert!(!told.lines().any(|line| line.starts_with("::")), "{command:?}: {told}");
        assert!(!told.is_empty(), "{command:?}");
    }
}
