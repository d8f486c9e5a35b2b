//! What the pages say, against the code and against each other: links lead somewhere, and every limit has the
//! default that the code has.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;
use sesgate::config::{Config, Sources};
use sesgate::login::FailureRule;
use sesgate::message;
use sesgate::proxy_protocol;
use sesgate::smtp;

use crate::support::{pages, path, sources};

/// The lines of a page outside of its blocks of code.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut in_block = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        in_block ^= is_fence;
        !in_block && !is_fence
    })
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = prose(page).filter(|line| line.starts_with('#'));
    let mut seen = BTreeMap::new();
    let anchor = |heading: &str| {
        let title = heading.trim_start_matches('#').trim().to_lowercase();
        let plain: String = title
            .chars()
            .filter(|&c| c.is_alphanumeric() || "_- ".contains(c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let earlier = seen.entry(plain.clone()).or_insert(0);
        *earlier += 1;
        if *earlier == 1 { plain } else { format!("{plain}-{}", *earlier - 1) }
    };
    headings.map(anchor).collect()
}

/// Where a page's links lead, those to other sites left out.
fn links(page: &str) -> Vec<String> {
    let text = prose(page).collect::<Vec<_>>().join("\n");
    // What stands between backticks is no link. An odd backtick ends with its paragraph.
    let text: String = text.split("\n\n").flat_map(|part| part.split('`').step_by(2)).collect();
    let targets = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
    let is_ours = |target: &&str| !target.starts_with("https:") && !target.starts_with("http:");
    targets.filter(is_ours).map(str::to_owned).collect()
}

/// The path without `..`, so that it can be compared.
fn resolved(file: &Path) -> PathBuf {
    file.components().fold(PathBuf::new(), |mut whole, part| {
        match part {
            Component::ParentDir => assert!(whole.pop(), "{}", file.display()),
            part => whole.push(part),
        }
        whole
    })
}

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    let pages: BTreeMap<_, _> = pages()
        .into_iter()
        .map(|file| {
            let text = std::fs::read_to_string(&file).unwrap();
            (file, text)
        })
        .collect();
    assert!(pages.len() > 15, "only {} pages", pages.len());
    let mut followed = 0;
    let mut wrong = Vec::new();
    for (file, text) in &pages {
        for link in links(text) {
            followed += 1;
            let (target, anchor) = match link.split_once('#') {
                Some((target, anchor)) => (target, Some(anchor)),
                None => (link.as_str(), None),
            };
            let target = match target {
                "" => file.clone(),
                target => resolved(&file.parent().unwrap().join(target)),
            };
            let is_there = match anchor {
                None => target.starts_with(path("")) && target.exists(),
                Some(anchor) => {
                    pages.get(&target).is_some_and(|page| anchors(page).contains(anchor))
                }
            };
            if !is_there {
                wrong.push(format!("{}: {link}", file.display()));
            }
        }
    }
    assert!(followed > 60, "only {followed} links");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A page that no page leads to is read by nobody.
#[test]
fn the_readme_links_to_each_page_of_the_manual() {
    let readme = std::fs::read_to_string(path("README.md")).unwrap();
    let links: BTreeSet<_> = links(&readme).into_iter().map(|link| path(&link)).collect();
    for page in pages().into_iter().filter(|page| page.starts_with(path("config"))) {
        assert!(links.contains(&page), "README.md does not link to {}", page.display());
    }
}

/// Comments and messages send the reader to pages.
#[test]
fn the_code_names_pages_that_exist() {
    let mut named = 0;
    for (file, code) in sources() {
        for word in code.split(|c: char| c.is_whitespace() || "`\"(),;".contains(c)) {
            let page = word.trim_end_matches(['.', ':']);
            if page.contains('/') && page.ends_with(".md") {
                named += 1;
                assert!(path(page).exists(), "{}: there is no {page}", file.display());
            }
        }
        let old = "the README";
        assert!(!code.contains(old), "{}: `{old}` is which page?", file.display());
    }
    assert!(named > 2, "only {named} pages");
}

/// The rows of the table below a heading, by their first cell; what is between backticks there, if anything is.
fn rows<'a>(page: &'a str, heading: &str) -> Vec<(&'a str, &'a str)> {
    let (_, section) = page
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("config/limits.md: no `{heading}`"));
    let table = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = table.take_while(|line| line.starts_with('|')).skip(2);
    let cells = |row: &'a str| {
        let mut cells = row.split('|').skip(1).map(str::trim);
        (cells.next().unwrap().trim_matches('`'), cells.next().unwrap())
    };
    rows.map(cells).collect()
}

/// The numbers of a cell, in bytes and seconds where it has larger units. Words between backticks are none.
fn numbers(cell: &str) -> Vec<u64> {
    let cell: String = cell.split('`').step_by(2).collect();
    let words: Vec<_> = cell
        .split(|c: char| c == ' ' || ",;:".contains(c))
        .filter(|word| !word.is_empty())
        .collect();
    let number = |at: usize| {
        let number: u64 = words[at].parse().ok()?;
        let unit = match words.get(at + 1) {
            Some(&"KiB") => 1024,
            Some(&"MiB") => 1024 * 1024,
            Some(&"minutes") => 60,
            _ => 1,
        };
        Some(number * unit)
    };
    (0..words.len()).filter_map(number).collect()
}

/// The settings that have a default, by section and key, where nothing is configured but SES.
fn defaults() -> BTreeMap<String, Value> {
    let variables = [
        ("AWS_REGION", "eu-west-1"),
        ("SESGATE_UPSTREAM_KIND", "ses"),
        ("SESGATE_USER_NAME", "app"),
        ("SESGATE_USER_ARN", "arn:aws:iam::123456789012:user/app"),
    ];
    let variables = variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let sources = Sources::without_file(variables, Vec::new());
    let (config, settings, problems) = Config::read_settings(&sources);
    assert!(config.is_some() && problems.is_empty(), "{problems:?}");
    let settings = settings.to_json();
    let of_default = |setting: &Value| {
        let key = setting["key"].as_str().unwrap().to_owned();
        (setting["from"] == "default").then(|| (key, setting["value"].clone()))
    };
    settings.as_array().unwrap().iter().filter_map(of_default).collect()
}

/// The keys that a function of `src/config/schema.rs` reads.
fn keys_of(function: &str) -> Vec<String> {
    let code = std::fs::read_to_string(path("src/config/schema.rs")).unwrap();
    let body = code.split(&format!("\nfn {function}(")).nth(1).unwrap();
    let calls = body.split("\n}\n").next().unwrap().split("table").skip(1);
    calls.filter_map(|call| call.split('"').nth(1)).map(str::to_owned).collect()
}

#[test]
fn the_page_of_limits_has_each_default() {
    let page = std::fs::read_to_string(path("config/limits.md")).unwrap();
    let file = std::fs::read_to_string(path("config/sesgate.toml")).unwrap();
    let defaults = defaults();
    let mut compared = 0;
    for section in ["limits", "rate", "upstream", "server", "users"] {
        let heading =
            if section == "users" { "### `[[users]]`" } else { &format!("### `[{section}]`") };
        let rows = rows(&page, heading);
        for (key, cell) in &rows {
            assert!(file.contains(&format!("{key} = ")), "config/limits.md: no such key: `{key}`");
            let first = || numbers(cell).first().copied();
            // A default begins the cell; one that depends on the machine or on SES begins with words.
            let begins_with_number = cell.starts_with(|c: char| c.is_ascii_digit());
            let is_right = match defaults.get(&format!("{section}.{key}")) {
                Some(Value::Number(number)) => begins_with_number && first() == number.as_u64(),
                Some(Value::Bool(flag)) => cell.starts_with(&flag.to_string()),
                Some(Value::Array(list)) => list.is_empty() && *cell == "none",
                None => !begins_with_number && !cell.starts_with("true"),
                other => panic!("`{key}`: {other:?}"),
            };
            assert!(is_right, "config/limits.md, `{key}` of {section}: {cell}");
            compared += 1;
        }
        let named = |key: &str| rows.iter().any(|(named, _)| *named == key);
        for key in defaults.iter().filter(|(_, value)| value.is_number()) {
            if let Some(key) = key.0.strip_prefix(&format!("{section}.")) {
                assert!(named(key), "config/limits.md: no `{key}` of {section}");
            }
        }
        let functions: &[_] = match section {
            "limits" => &["limits", "logins"],
            "rate" => &["rate"],
            _ => &[],
        };
        for key in functions.iter().flat_map(|function| keys_of(function)) {
            assert!(named(&key), "config/limits.md: no `{key}` of {section}");
        }
    }
    assert!(compared > 30, "only {compared} keys");
    // Defaults that depend on others.
    let cell = |key| rows(&page, "### `[limits]`").into_iter().find(|row| row.0 == key).unwrap().1;
    let mib = constant("src/gateway/service.rs", "MEMORY") / 1024 / 1024;
    assert_eq!(numbers(cell("memory_mib")), [mib]);
    assert!(cell("connections_per_client").contains("four times as many on loopback"));
    assert_eq!(constant("src/admission.rs", "LOOPBACK"), 4);
}

/// A number that only its own file knows: a product, or seconds.
fn constant(file: &str, name: &str) -> u64 {
    let code = std::fs::read_to_string(path(file)).unwrap();
    let declared = code.split(&format!("const {name}: ")).nth(1);
    let declared = declared.unwrap_or_else(|| panic!("{file} has no `{name}`"));
    let value = declared.split(';').next().unwrap().split_once("= ").unwrap().1;
    let value = value.strip_prefix("Duration::from_secs(").unwrap_or(value).trim_end_matches(')');
    value.split(" * ").map(|factor| factor.replace('_', "").parse::<u64>().unwrap()).product()
}

#[test]
fn the_page_of_limits_has_each_fixed_limit() {
    let session = smtp::SessionLimits::default();
    let number = |number: usize| u64::try_from(number).unwrap();
    let service = "src/connection/service.rs";
    let expected = [
        ("recipients of a message", vec![number(smtp::RECIPIENTS)]),
        ("RCPT commands accepted", vec![number(session.recipients)]),
        (
            "header section",
            [message::HEADER_BYTES, message::HEADER_LINES, message::FIELD_BYTES]
                .map(number)
                .to_vec(),
        ),
        ("authors", vec![number(message::HEADER_AUTHORS)]),
        ("addresses in To, Cc and Bcc", vec![number(message::HEADER_RECIPIENTS)]),
        ("`Received` fields", vec![number(message::RECEIVED_FIELDS)]),
        ("X-SES message tags", vec![constant("src/message/xses.rs", "TAGS")]),
        (
            "command line, AUTH line",
            [session.command_line_bytes, session.auth_line_bytes].map(number).to_vec(),
        ),
        ("commands without effect between messages", vec![session.idle_commands.into()]),
        ("unknown commands before login", vec![session.unknown_before_auth.into()]),
        ("failed logins of a connection", vec![session.auth_failures.into()]),
        (
            "failed logins are counted",
            [FailureRule::NETWORK, FailureRule::USER].map(|rule| rule.window.as_secs()).to_vec(),
        ),
        ("a correct password", vec![constant("src/login/credential_cache.rs", "REMEMBERED")]),
        ("slow content", vec![constant(service, "RATE"), constant(service, "SLOW")]),
        ("waiting for memory", vec![constant("src/gateway/service.rs", "MEMORY_TIMEOUT")]),
        ("waiting for a call to SES", vec![constant("src/upstream/ses/mod.rs", "TURN")]),
        ("PROXY header", vec![number(proxy_protocol::LONGEST_BYTES)]),
        ("attempts at SES", vec![constant("src/upstream/ses/client.rs", "ATTEMPTS")]),
    ];
    let page = std::fs::read_to_string(path("config/limits.md")).unwrap();
    let stated = rows(&page, "## Fixed");
    let stated: Vec<_> = stated.into_iter().map(|(name, cell)| (name, numbers(cell))).collect();
    let expected: Vec<_> =
        expected.into_iter().map(|(name, numbers)| (name.trim_matches('`'), numbers)).collect();
    assert_eq!(stated, expected);
}
