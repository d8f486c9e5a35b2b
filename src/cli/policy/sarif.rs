//! Findings of `lint` as SARIF 2.1.0, for code scanning and other readers of it.
//!
//! Times, absolute paths and the like are left out: the same policies give the same bytes.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};

use super::fingerprint;
use super::lint::Document;
use crate::build_info;
use crate::policy::lint::{Finding, RULES, Rule, Severity};
use crate::redact::printable_json;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// What relative paths are relative to: the top of the sources, by convention.
const BASE: &str = "%SRCROOT%";
/// Longer texts, in bytes, have no fingerprints; none that long is a policy.
const MOST_FINGERPRINTED: usize = 1 << 20;

/// Prints one log with one run. `unread` are files that could not be read, with the reason.
///
/// # Errors
/// When it cannot be written.
pub(super) fn print(documents: &[Document], unread: &[(PathBuf, String)]) -> io::Result<()> {
    let here = std::env::current_dir().unwrap_or_default();
    let mut documents: Vec<_> =
        documents.iter().map(|document| (location(&document.path, &here), document)).collect();
    documents.sort_by_key(|(location, _)| location.to_string());
    let results = documents.iter().flat_map(|(location, document)| results(location, document));
    let unread = unread.iter().map(|(path, error)| {
        json!({
            "level": "error",
            "message": { "text": format!("{}: {error}", path.display()) },
            "locations": [{ "physicalLocation": { "artifactLocation": location(path, &here) } }],
        })
    });
    let unread: Vec<Value> = unread.collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "sesgate",
                "fullName": "sesgate policy lint",
                "semanticVersion": build_info::VERSION,
                "rules": RULES.iter().map(rule).collect::<Value>(),
            } },
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": unread.is_empty(),
                "toolExecutionNotifications": unread,
            }],
            "results": results.collect::<Value>(),
        }],
    });
    writeln!(io::stdout(), "{}", printable_json(&format!("{log:#}")))
}

fn rule(rule: &Rule) -> Value {
    let (code, severity) = (rule.code, rule.severity);
    let about = sentence(rule.about);
    let meaning = match severity {
        Severity::Error => "IAM or sesgate refuses such a policy, or it can never do what it says.",
        Severity::SecurityWarning => "Such a policy probably permits more than was meant.",
        Severity::Warning => "Such a policy probably does something else than was meant.",
        Severity::Suggestion => "It could be written better; the decisions stay the same.",
    };
    let kind = match severity {
        Severity::SecurityWarning => "security",
        Severity::Suggestion => "maintainability",
        Severity::Error | Severity::Warning => "correctness",
    };
    let tags = ["iam", "policy", kind];
    let properties = match severity {
        // On the scale of CVSS, for readers that sort security findings by it: medium.
        Severity::SecurityWarning => {
            json!({ "tags": tags, "problem.severity": "warning", "security-severity": "6.0" })
        }
        Severity::Error => json!({ "tags": tags, "problem.severity": "error" }),
        Severity::Warning => json!({ "tags": tags, "problem.severity": "warning" }),
        Severity::Suggestion => json!({ "tags": tags, "problem.severity": "recommendation" }),
    };
    json!({
        "id": code,
        "shortDescription": { "text": about },
        "fullDescription": { "text": format!("{about} {meaning}") },
        "help": {
            "text": format!("{about} {meaning} Each finding says what to write instead."),
            "markdown": format!(
                "**`{code}`** ({severity}): {about}\n\n{meaning} Each finding says what to write \
                 instead.\n\n`sesgate policy lint --rules` lists every kind of finding."
            ),
        },
        "defaultConfiguration": { "level": level(severity) },
        "properties": properties,
    })
}

fn results(location: &Value, document: &Document) -> Vec<Value> {
    if document.findings.is_empty() {
        return Vec::new();
    }
    let fingerprints = match document.text.len() {
        0..=MOST_FINGERPRINTED => fingerprint::of_lines(&document.text),
        _ => Vec::new(),
    };
    let mut findings: Vec<&Finding> = document.findings.iter().collect();
    findings.sort_by_key(|it| (it.line(), it.column(), it.code(), it.message()));
    let result = |finding: &&Finding| {
        let text = match finding.fix() {
            "" => finding.message().to_owned(),
            fix => format!("{}; {fix}", finding.message()),
        };
        let index = RULES.iter().position(|rule| rule.code == finding.code());
        let line = finding.line().checked_sub(1).and_then(|index| fingerprints.get(index));
        let hashes = line.map(|hash| ("primaryLocationLineHash".to_owned(), json!(hash)));
        json!({
            "ruleId": finding.code(),
            "ruleIndex": index,
            "level": level(finding.severity()),
            "message": { "text": text },
            "locations": [{ "physicalLocation": {
                "artifactLocation": location,
                "region": { "startLine": finding.line(), "startColumn": finding.column() },
            } }],
            "partialFingerprints": hashes.into_iter().collect::<serde_json::Map<_, _>>(),
        })
    };
    findings.iter().map(result).collect()
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::SecurityWarning | Severity::Warning => "warning",
        Severity::Suggestion => "note",
    }
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|it| it.to_ascii_uppercase());
    first.into_iter().chain(characters).chain(['.']).collect()
}

/// Where a file is: relative to `here` when it is in there.
fn location(path: &Path, here: &Path) -> Value {
    let mut parts: Vec<Component<'_>> = Vec::new();
    let path = path.strip_prefix(here).unwrap_or(path);
    for part in path.components() {
        match (part, parts.last()) {
            (Component::CurDir, _) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    let is_absolute = path.is_absolute();
    let names = parts.iter().filter(|part| **part != Component::RootDir);
    let uri = names.map(|part| encoded(part.as_os_str().as_bytes())).collect::<Vec<_>>().join("/");
    if is_absolute {
        json!({ "uri": format!("file:///{uri}") })
    } else {
        json!({ "uri": uri, "uriBaseId": BASE })
    }
}

/// Percent-encodes everything but what RFC 3986 leaves unreserved.
fn encoded(bytes: &[u8]) -> String {
    let character = |byte: &u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(*byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    bytes.iter().map(character).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path as it is given in the folder `/w/top`, and the URI for it.
    const PLACES: [(&str, &str); 9] = [
        ("policies/a.json", "policies/a.json"),
        ("./policies//a.json", "policies/a.json"),
        ("/w/top/policies/a.json", "policies/a.json"),
        ("policies/../a.json", "a.json"),
        ("../a.json", "../a.json"),
        ("/etc/a.json", "file:///etc/a.json"),
        ("/w/topmost/a.json", "file:///w/topmost/a.json"),
        ("a b/50%:ü#?.json", "a%20b/50%25%3A%C3%BC%23%3F.json"),
        ("-", "-"),
    ];

    #[test]
    fn places() {
        for (path, wanted) in PLACES {
            let location = location(Path::new(path), Path::new("/w/top"));
            assert_eq!(location["uri"], wanted, "{path}");
            let is_relative = location.get("uriBaseId").is_some();
            assert_eq!(is_relative, !wanted.starts_with("file:"), "{path}");
        }
    }
}
