//! What holds for the files themselves: each part of `src/` uses only the parts below it, and the pages for
//! whoever changes something name what exists, and all of it.

mod files;

use std::collections::BTreeSet;

use crate::support::path;

/// Which parts each part may use. A part that is not here is a mistake.
const MAY_USE: [(&str, &[&str]); 38] = [
    ("build", &[]),
    ("main", &["cli"]),
    (
        "cli",
        &[
            "address",
            "authorize",
            "build_info",
            "causes",
            "clock",
            "config",
            "decision_log",
            "gateway",
            "identities",
            "message",
            "otlp",
            "policy",
            "principals",
            "redact",
            "relay",
            "ses_error",
            "smtp",
            "sockets",
            "telemetry",
            "tls",
            "upstream",
        ],
    ),
    (
        "gateway",
        &[
            "address",
            "admin",
            "admission",
            "authorize",
            "build_info",
            "causes",
            "clock",
            "config",
            "connection",
            "decision_log",
            "identities",
            "inventory",
            "login",
            "memory",
            "message",
            "metrics",
            "pace",
            "policy",
            "principals",
            "redact",
            "relay",
            "rules",
            "server",
            "smtp",
            "sockets",
            "text",
            "tls",
            "upstream",
        ],
    ),
    ("server", &["admission", "clock", "connection", "smtp"]),
    (
        "connection",
        &[
            "admission",
            "authorize",
            "clock",
            "login",
            "memory",
            "principals",
            "proxy_protocol",
            "relay",
            "smtp",
            "trace",
        ],
    ),
    (
        "relay",
        &[
            "address",
            "authorize",
            "clock",
            "decision_log",
            "inventory",
            "memory",
            "message",
            "metrics",
            "pace",
            "policy",
            "principals",
            "redact",
            "rules",
            "smtp",
            "trace",
            "upstream",
        ],
    ),
    ("rules", &["authorize", "login", "message", "principals", "smtp"]),
    ("login", &["clock", "log_limit", "principals", "smtp"]),
    (
        "upstream",
        &[
            "authorize",
            "causes",
            "clock",
            "decision_log",
            "memory",
            "metrics",
            "pace",
            "redact",
            "ses_error",
            "trace",
        ],
    ),
    ("decision_log", &["clock"]),
    ("otlp", &["clock", "log_limit", "text", "trace"]),
    ("telemetry", &["clock", "decision_log", "redact", "relay", "text", "trace"]),
    ("trace", &["clock", "message", "text"]),
    ("admission", &["log_limit"]),
    ("memory", &[]),
    ("inventory", &["causes", "clock", "identities", "policy", "ses_error"]),
    ("pace", &["clock"]),
    ("sockets", &[]),
    ("proxy_protocol", &[]),
    ("authorize", &["clock", "address", "identities", "message", "policy", "principals", "smtp"]),
    ("identities", &["address", "message", "policy"]),
    ("principals", &["message", "policy"]),
    ("message", &["address"]),
    ("smtp", &["address", "message"]),
    ("address", &[]),
    ("policy", &[]),
    ("admin", &[]),
    ("metrics", &[]),
    ("tls", &[]),
    ("config", &["address", "admission", "connection", "identities", "login", "redact"]),
    ("causes", &["redact", "text"]),
    ("redact", &["text"]),
    ("ses_error", &[]),
    ("build_info", &[]),
    ("clock", &[]),
    ("log_limit", &[]),
    ("text", &[]),
];

/// Parts that read no clock, socket, file or environment and write no log.
const PURE: [&str; 4] = ["smtp", "policy", "message", "address"];
const IMPURE: [&str; 9] = [
    "std::fs",
    "std::net::Tcp",
    "std::env",
    "SystemTime::now",
    "Instant::now",
    "clock::",
    "tokio::",
    "tracing::",
    "println!",
];

#[test]
fn imports_point_downwards() {
    let mut mistakes = BTreeSet::new();
    for file in files::all().iter().filter(|file| file.part() != "lib") {
        let part = file.part();
        let allowed = MAY_USE.iter().find(|(name, _)| *name == part).map(|(_, allowed)| *allowed);
        let Some(allowed) = allowed else {
            mistakes.insert(format!("`{part}` is not in the table"));
            continue;
        };
        for used in file.paths(&["crate::", "sesgate::"]).iter().map(|path| path[0].as_str()) {
            if used != part && !allowed.contains(&used) {
                mistakes.insert(format!("`{part}` uses `{used}`"));
            }
        }
    }
    assert!(mistakes.is_empty(), "{mistakes:#?}");
}

#[test]
fn no_part_is_allowed_what_leads_back_to_it() {
    let table = MAY_USE.iter().map(|(part, used)| (*part, used.iter().copied().collect()));
    let circles = files::circles(&table.collect());
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn no_file_uses_what_leads_back_to_it() {
    let circles = files::circles(&files::uses(&files::all()));
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn pure_parts_stay_pure() {
    for file in files::all().iter().filter(|file| PURE.contains(&file.part())) {
        for word in IMPURE {
            assert!(!file.code.contains(word), "`{}` uses `{word}`", file.module.join("/"));
        }
    }
}

/// Comments cite decisions by number. To somebody who runs the relay the number says nothing.
#[test]
fn what_an_operator_reads_cites_no_decision() {
    for file in files::all() {
        for line in file.code.lines().filter(|line| !line.contains("reason = ")) {
            let cited = line.split("decision ").skip(1);
            let is_cited =
                cited.into_iter().any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            assert!(!is_cited || line.contains(" // "), "{}: {line}", file.module.join("/"));
        }
    }
}

#[test]
fn the_page_of_the_tests_names_each_file() {
    let page = std::fs::read_to_string(path("tests/README.md")).unwrap();
    let mut missing = Vec::new();
    for folder in ["tests", "tests/it", "tests/clients"] {
        for entry in std::fs::read_dir(path(folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let is_made = name.starts_with(['.', '_']) || name == "README.md";
            // Files of a folder of `it` are parts of the file of the same name.
            let is_part = folder != "tests" && entry.file_type().unwrap().is_dir();
            if !is_made && !is_part && !page.contains(&name) {
                missing.push(format!("{folder}/{name}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// A place that a page names: a file or folder, and a function in it.
fn places(page: &str) -> Vec<(String, Option<String>)> {
    let roots = ["src/", "tests/", "config/", "docker/", ".ci/", ".github/"];
    let words = page.split(|c: char| c.is_whitespace() || "`(),;|".contains(c));
    let named = words.filter(|word| roots.iter().any(|root| word.starts_with(root)));
    let place = |word: &str| {
        let word = word.trim_end_matches(['.', ':']);
        match word.split_once("::") {
            Some((file, function)) => (file.to_owned(), Some(function.to_owned())),
            None => (word.to_owned(), None),
        }
    };
    named.map(place).collect()
}

/// The mistakes of a page: places that are not there, and too few places to have read it rightly.
fn wrong_places(page: &str, at_least: usize) -> Vec<String> {
    let places = places(&std::fs::read_to_string(path(page)).unwrap());
    assert!(places.len() >= at_least, "{page}: only {} places", places.len());
    let mut wrong = Vec::new();
    for (file, function) in places {
        let full = path(&file);
        let is_there = match &function {
            None => full.exists(),
            Some(function) => std::fs::read_to_string(&full).is_ok_and(|text| {
                ["(", "<"].iter().any(|next| text.contains(&format!("fn {function}{next}")))
            }),
        };
        if !is_there {
            wrong.push(match function {
                Some(function) => format!("{page}: {file} has no function `{function}`"),
                None => format!("{page}: there is no {file}"),
            });
        }
    }
    wrong
}

#[test]
fn the_map_names_what_exists() {
    let mut wrong = wrong_places("src/README.md", 100);
    wrong.extend(wrong_places(".github/CONTRIBUTING.md", 10));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_map_names_each_part() {
    let map = std::fs::read_to_string(path("src/README.md")).unwrap();
    for part in files::all().iter().map(files::File::part) {
        let is_named = [format!("src/{part}/"), format!("src/{part}.rs")];
        assert!(
            is_named.iter().any(|name| map.contains(name)),
            "src/README.md leaves out `{part}`"
        );
    }
}

/// All files of a folder, those below it included, in one text.
fn texts(folder: &str) -> String {
    let mut texts = String::new();
    for entry in std::fs::read_dir(path(folder)).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            texts.push_str(&self::texts(&format!("{folder}/{}", entry.file_name().display())));
        } else {
            texts.push_str(&std::fs::read_to_string(entry.path()).unwrap());
        }
    }
    texts
}

/// What stands between quotes from there on, put together where the line goes on.
fn quoted(code: &str) -> String {
    let mut lines = code.split('"').nth(1).unwrap().split("\\\n");
    let first = lines.next().unwrap().to_owned();
    lines.fold(first, |text, line| text + line.trim_start())
}

#[test]
fn ci_runs_each_part() {
    let script = std::fs::read_to_string(path(".ci/run")).unwrap();
    let parts: Vec<_> = script
        .lines()
        .filter_map(|line| line.strip_prefix("#   .ci/run "))
        .filter_map(|line| line.trim_start().split_once(' '))
        .map(|(part, _)| part)
        // For a release, says CONTRIBUTING.md.
        .filter(|part| !["everything", "long"].contains(part))
        .collect();
    assert!(parts.len() > 3, "{parts:?}");
    let workflow = std::fs::read_to_string(path(".github/workflows/ci.yml")).unwrap();
    let matrix = format!("part: [{}]", parts.join(", "));
    assert!(workflow.contains(&matrix), ".github/workflows/ci.yml does not say `{matrix}`");
    let dockerfile = std::fs::read_to_string(path("docker/Dockerfile")).unwrap();
    let rust = dockerfile.lines().find_map(|line| line.strip_prefix("FROM rust:")).unwrap();
    let image = format!("image: rust:{}\n", rust.trim_end_matches(" AS build"));
    assert!(workflow.contains(&image), "docker/Dockerfile has another Rust than ci.yml");
}

/// Of a reply with words of others in it the cases cannot be told by its text.
#[test]
fn every_reply_has_a_case() {
    let code = std::fs::read_to_string(path("src/smtp/reply.rs")).unwrap();
    let cases = ["tests/dialogues", "tests/clients/ses_dialogues"].map(texts).concat();
    let sockets = std::fs::read_to_string(path("tests/it/sockets.rs")).unwrap();
    let mut missing = Vec::new();
    let replies: Vec<_> = code.split("Reply::fixed(").skip(1).collect();
    assert!(replies.len() > 40, "only {} replies", replies.len());
    for reply in replies {
        let (number, rest) = reply.split_once(',').unwrap();
        let words = format!("{} {}", number.trim(), quoted(rest));
        if !cases.contains(&words) && !sockets.contains(&words) {
            missing.push(words);
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
