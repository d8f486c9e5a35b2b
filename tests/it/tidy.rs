//! The direction of imports: each part of `src/` uses only the parts below it.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::path;

/// Which parts each part may use. A part that is not here is a mistake.
const MAY_USE: [(&str, &[&str]); 31] = [
    ("build", &[]),
    ("main", &["cli"]),
    (
        "cli",
        &[
            "address",
            "authorize",
            "build_info",
            "config",
            "gateway",
            "message",
            "otlp",
            "policy",
            "principals",
            "redact",
            "relay",
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
            "admin",
            "admission",
            "authorize",
            "build_info",
            "config",
            "connection",
            "decision_log",
            "identities",
            "inventory",
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
            "tls",
            "upstream",
        ],
    ),
    ("server", &["admission", "connection", "smtp"]),
    (
        "connection",
        &[
            "admission",
            "authorize",
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
            "authorize",
            "decision_log",
            "inventory",
            "memory",
            "message",
            "metrics",
            "pace",
            "redact",
            "rules",
            "smtp",
            "trace",
            "upstream",
        ],
    ),
    ("rules", &["authorize", "principals"]),
    ("upstream", &["authorize", "decision_log", "memory", "metrics", "pace", "redact", "trace"]),
    ("decision_log", &["redact"]),
    ("otlp", &["trace"]),
    ("trace", &["message"]),
    ("admission", &[]),
    ("memory", &[]),
    ("inventory", &["identities", "policy"]),
    ("pace", &[]),
    ("sockets", &[]),
    ("proxy_protocol", &[]),
    ("authorize", &["address", "identities", "message", "policy", "principals", "smtp"]),
    ("identities", &["address", "message", "policy"]),
    ("principals", &["message", "policy", "smtp"]),
    ("message", &["address"]),
    ("smtp", &["address", "message"]),
    ("address", &[]),
    ("policy", &[]),
    ("admin", &[]),
    ("metrics", &[]),
    ("tls", &[]),
    ("config", &["address", "redact"]),
    ("redact", &[]),
    ("build_info", &[]),
];

/// Parts that read no clock, socket, file or environment and write no log.
const PURE: [&str; 4] = ["smtp", "policy", "message", "address"];
const IMPURE: [&str; 8] = [
    "std::fs",
    "std::net::Tcp",
    "std::env",
    "SystemTime::now",
    "Instant::now",
    "tokio::",
    "tracing::",
    "println!",
];

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        if file.is_dir() {
            sources(&file, found);
        } else if file.extension().is_some_and(|extension| extension == "rs") {
            let relative = file.strip_prefix(path("src")).unwrap();
            let part = relative.components().next().unwrap().as_os_str().to_string_lossy();
            let text = std::fs::read_to_string(&file).unwrap();
            // What tests use is their own business.
            let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
            found.push((part.trim_end_matches(".rs").to_owned(), code));
        }
    }
}

fn all() -> Vec<(String, String)> {
    let mut found = Vec::new();
    sources(&path("src"), &mut found);
    assert!(found.len() > 40, "only {} files", found.len());
    found
}

#[test]
fn imports_point_downwards() {
    let mut mistakes = BTreeSet::new();
    for (part, code) in all() {
        if part == "lib" || part == "telemetry" {
            continue;
        }
        let allowed = MAY_USE.iter().find(|(name, _)| *name == part).map(|(_, allowed)| *allowed);
        let Some(allowed) = allowed else {
            mistakes.insert(format!("`{part}` is not in the table"));
            continue;
        };
        for marker in ["crate::", "sesgate::"] {
            for (at, _) in code.match_indices(marker) {
                let name = &code[at + marker.len()..];
                let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap();
                let used = &name[..end];
                if used != part && !allowed.contains(&used) {
                    mistakes.insert(format!("`{part}` uses `{used}`"));
                }
            }
        }
    }
    assert!(mistakes.is_empty(), "{mistakes:#?}");
}

#[test]
fn pure_parts_stay_pure() {
    for (part, code) in all().iter().filter(|(part, _)| PURE.contains(&part.as_str())) {
        for word in IMPURE {
            let used = code
                .lines()
                .any(|line| !line.trim_start().starts_with("//") && line.contains(word));
            assert!(!used, "`{part}` uses `{word}`");
        }
    }
}

/// Comments cite decisions by number. To somebody who runs the relay the number says nothing.
#[test]
fn what_an_operator_reads_cites_no_decision() {
    for (part, code) in all() {
        let told = code.lines().map(str::trim_start);
        let told = told.filter(|line| !line.starts_with("//") && !line.contains("reason = "));
        for line in told {
            let cited = line.split("decision ").skip(1);
            let is_cited =
                cited.into_iter().any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            assert!(!is_cited || line.contains(" // "), "`{part}`: {line}");
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
