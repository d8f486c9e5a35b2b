//! Every message of `tests/messages` and the facts that have to be read from it.
//!
//! `NAME.eml` holds the content as it was sent, CRLF line ends included, and `NAME.json` what follows:
//! `about` says why the case is there, then either the facts, those that are empty left out, or `error`,
//! the exact text. `removed` names the fields that must not be forwarded; all other bytes have to be.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use mail_parser::MessageParser;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use sesgate::message::{DisplayName, HeaderSection, Mailbox, XSes};

#[test]
fn every_message_gives_the_facts_beside_it() {
    let mut failures = Vec::new();
    let cases = cases();
    for (name, (content, expected)) in &cases {
        if let Err(failure) = check(content, expected) {
            failures.push(format!("{name}: {failure}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(cases.len() > 100, "only {} messages in tests/messages", cases.len());
}

#[test]
fn every_message_is_refused_without_its_blank_line_and_never_read_from_its_body() {
    for (name, (content, expected)) in cases() {
        if expected.get("error").is_some() {
            continue;
        }
        let section = HeaderSection::parse(&content).unwrap();
        let header = &content[..section.bytes()];
        assert_eq!(&header[header.len() - 4..], b"\r\n\r\n", "{name}");
        assert_eq!(facts(&HeaderSection::parse(header).unwrap()), facts(&section), "{name}");
        for cut in 0..header.len() {
            assert!(HeaderSection::parse(&header[..cut]).is_err(), "{name}: cut at {cut}");
        }
    }
}

fn cases() -> BTreeMap<String, (Vec<u8>, Value)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages");
    let paths: Vec<PathBuf> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap() != ".gitattributes")
        .collect();
    let mut cases = BTreeMap::new();
    for path in &paths {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let other = match path.extension().and_then(|extension| extension.to_str()) {
            Some("eml") => path.with_extension("json"),
            Some("json") => path.with_extension("eml"),
            _ => panic!("{} does not belong there", path.display()),
        };
        assert!(paths.contains(&other), "{} is missing", other.display());
        let content = fs::read(path.with_extension("eml")).unwrap();
        let json = fs::read(path.with_extension("json")).unwrap();
        let expected =
            serde_json::from_slice(&json).unwrap_or_else(|error| panic!("{name}.json: {error}"));
        cases.insert(name, (content, expected));
    }
    assert!(!cases.is_empty(), "no messages in {}", directory.display());
    cases
}

fn check(content: &[u8], expected: &Value) -> Result<(), String> {
    let mut expected = expected.as_object().ok_or("expectation is not an object")?.clone();
    let about = expected.shift_remove("about").unwrap_or_default();
    if about.as_str().unwrap_or_default().is_empty() {
        return Err("has no `about`".into());
    }
    let removed = expected.shift_remove("removed").unwrap_or_else(|| json!([]));
    let section = match HeaderSection::parse(content) {
        Ok(section) => section,
        Err(error) => {
            let text = error.to_string();
            if text.len() > 200 || !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
                return Err(format!("error is no short line of ASCII: {text}"));
            }
            return same(&json!({ "error": text }), &Value::Object(expected));
        }
    };
    same(&facts(&section), &Value::Object(expected))?;
    let names: Vec<&str> = removed
        .as_array()
        .ok_or("`removed` is no list")?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let forwarded = section.forwarded(content.to_vec());
    if forwarded != without(content, &names)? {
        return Err(format!("forwarded is\n{}", String::from_utf8_lossy(&forwarded)));
    }
    // What is sent says the same about its author, and asks SES for nothing.
    let sent = HeaderSection::parse(&forwarded).map_err(|error| format!("forwarded: {error}"))?;
    if sent.from() != section.from() || *sent.xses() != XSes::default() {
        return Err("forwarded has other facts".into());
    }
    Ok(())
}

fn same(actual: &Value, expected: &Value) -> Result<(), String> {
    if actual == expected {
        return Ok(());
    }
    Err(format!("expected {expected:#}\n  but it is {actual:#}"))
}

/// The content less the fields named, line by line.
fn without(content: &[u8], names: &[&str]) -> Result<Vec<u8>, String> {
    let end = content.windows(4).position(|four| four == b"\r\n\r\n").ok_or("no blank line")?;
    let (header, body) = content.split_at(end + 2);
    let mut kept = Vec::new();
    let mut dropped = vec![false; names.len()];
    let mut drops = false;
    for line in header.split_inclusive(|byte| *byte == b'\n') {
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            let at = names.iter().position(|named| named.as_bytes() == name);
            drops = at.is_some();
            at.into_iter().for_each(|at| dropped[at] = true);
        }
        if !drops {
            kept.extend_from_slice(line);
        }
    }
    kept.extend_from_slice(body);
    match dropped.iter().position(|dropped| !dropped) {
        Some(at) => Err(format!("`removed` names `{}`, which is not there", names[at])),
        None => Ok(kept),
    }
}

/// The facts of a section, those that are empty left out.
fn facts(section: &HeaderSection) -> Value {
    let mut facts = Map::new();
    let mut add = |key: &str, value: Value| {
        let is_empty = match &value {
            Value::Null => true,
            Value::Array(values) => values.is_empty(),
            Value::Object(members) => members.is_empty(),
            _ => false,
        };
        if !is_empty {
            facts.insert(key.to_owned(), value);
        }
    };
    add("from", mailboxes(section.from()));
    add("sender", section.sender().map_or(Value::Null, mailbox));
    add("resent_from", mailboxes(section.resent_from()));
    add("resent_sender", mailboxes(section.resent_sender()));
    add("return_path", section.return_path().map_or(Value::Null, |path| json!(path.as_str())));
    let recipients: Vec<&str> =
        section.recipients().iter().map(|address| address.as_str()).collect();
    add("recipients", json!(recipients));
    add("xses", xses(section.xses()));
    Value::Object(facts)
}

fn mailboxes(mailboxes: &[Mailbox]) -> Value {
    mailboxes.iter().map(mailbox).collect()
}

/// `Name <address>`, with the name as it is shown; where it is written otherwise both stand in a list.
fn mailbox(mailbox: &Mailbox) -> Value {
    let with = |name: &str| format!("{name} <{}>", mailbox.address);
    match &mailbox.display_name {
        None => json!(mailbox.address.as_str()),
        Some(name) if name.decoded() == name.written() => json!(with(name.decoded())),
        Some(name) => json!([with(name.decoded()), with(name.written())]),
    }
}

fn xses(xses: &XSes) -> Value {
    let mut values = Map::new();
    let mut add = |key: &str, value: Option<Value>| {
        value.map(|value| values.insert(key.to_owned(), value));
    };
    let arn = |arn: &sesgate::message::IdentityArn| {
        json!([arn.as_str(), arn.region(), arn.account(), arn.name()])
    };
    add("configuration_set", xses.configuration_set.as_ref().map(|name| json!(name)));
    let tags: Vec<String> =
        xses.message_tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
    add("message_tags", (!tags.is_empty()).then(|| json!(tags)));
    add("source_arn", xses.source_arn.as_ref().map(arn));
    add("from_arn", xses.from_arn.as_ref().map(arn));
    add("return_path_arn", xses.return_path_arn.as_ref().map(arn));
    let list = xses.list_management.as_ref();
    add("contact_list", list.map(|list| json!(list.contact_list)));
    add("topic", list.and_then(|list| list.topic.as_ref()).map(|topic| json!(topic)));
    add("tenant", xses.tenant.as_ref().map(|name| json!(name)));
    Value::Object(values)
}

fn message(header: &str) -> Vec<u8> {
    format!("{header}\r\n\r\nbody\r\n").into_bytes()
}

fn error(header: &str) -> String {
    HeaderSection::parse(&message(header)).unwrap_err().to_string()
}

#[test]
fn the_limits_are_those_that_are_told() {
    let from = "From: a@example.com";
    let lines = |count: usize| format!("{from}{}", "\r\nX: y".repeat(count - 1));
    assert!(HeaderSection::parse(&message(&lines(1000))).is_ok());
    assert_eq!(error(&lines(1001)), "Header section has more than 1000 lines.");
    let folds = |count: usize| format!("{from}\r\nX: y{}", "\r\n y".repeat(count - 2));
    assert!(HeaderSection::parse(&message(&folds(1000))).is_ok());
    assert_eq!(error(&folds(1001)), "Header section has more than 1000 lines.");

    let field =
        |bytes: usize| format!("{from}\r\nX-Long: {}", "y".repeat(bytes - "X-Long: \r\n".len()));
    assert!(HeaderSection::parse(&message(&field(16 * 1024))).is_ok());
    assert_eq!(error(&field(16 * 1024 + 1)), "Header 'X-Long' is longer than 16 KiB.");

    let section = |bytes: usize| {
        let most = format!("\r\nX: {}", "y".repeat(16 * 1024 - 5)).repeat(7);
        let left = bytes - from.len() - most.len() - 4 - "\r\nX: ".len();
        format!("{from}{most}\r\nX: {}", "y".repeat(left))
    };
    let fits = message(&section(128 * 1024));
    assert_eq!(HeaderSection::parse(&fits).unwrap().bytes(), 128 * 1024);
    assert_eq!(error(&section(128 * 1024 + 1)), "Header section is longer than 128 KiB.");
    // Told as soon as it is known: the session hands over one byte more than the limit.
    let long = "X: y\r\n".repeat(30_000);
    let error_of = |bytes: &[u8]| HeaderSection::parse(bytes).unwrap_err().to_string();
    assert_eq!(error_of(&[b'y'; 128 * 1024 + 1]), "Header section is longer than 128 KiB.");
    assert_eq!(error_of(long.as_bytes()), "Header section has more than 1000 lines.");

    let received = |count: usize| format!("{from}{}", "\r\nreceived: by x".repeat(count));
    assert!(HeaderSection::parse(&message(&received(50))).is_ok());
    assert_eq!(
        error(&received(51)),
        "Message has more than 50 'Received' headers: it may be in a loop."
    );

    let authors = |count: usize| {
        format!(
            "{from}{}\r\nSender: s@example.com\r\nResent-From: r@example.com",
            ", a@example.com".repeat(count - 3)
        )
    };
    assert!(HeaderSection::parse(&message(&authors(50))).is_ok());
    assert_eq!(
        error(&authors(51)),
        "Headers 'From', 'Sender', 'Resent-From' and 'Resent-Sender' name more than 50 authors."
    );

    let many = |count: usize| {
        let addresses: Vec<String> = (0..count).map(|at| format!("u{at}@x.example")).collect();
        let fields: Vec<String> =
            addresses.chunks(500).map(|some| format!("\r\nTo: {}", some.join(", "))).collect();
        format!("{from}{}", fields.concat())
    };
    assert_eq!(HeaderSection::parse(&message(&many(1000))).unwrap().recipients().len(), 1000);
    assert_eq!(error(&many(1001)), "Headers 'To', 'Cc' and 'Bcc' name more than 1000 recipients.");
}

#[test]
fn deep_comments_and_thousands_of_pieces_are_read_at_once() {
    let deep = format!("{}{}", "(".repeat(4_000), ")".repeat(4_000));
    let open = |character: char| format!("Header 'To' has '{character}' without its end.");
    let broken = "Header 'To' has an encoded word that cannot be decoded safely: '=?utf-8?Q?a'.";
    let cases = [
        (format!("{deep} b@example.com {deep}"), ""),
        (format!("({}) b@example.com", "\\(".repeat(8_000)), ""),
        (",".repeat(16_000), ""),
        ("a:;,".repeat(4_000), ""),
        (format!("{} <b@example.com>", "=?utf-8?Q?a?= ".repeat(1_100)), ""),
        (format!("\"{}\" <b@example.com>", "\\\"".repeat(8_000)), ""),
        ("\"".repeat(16_001), &open('"')),
        ("(".repeat(16_000), &open('(')),
        ("<".repeat(16_000), &open('<')),
        (format!("{} <b@example.com>", "=?utf-8?Q?a ".repeat(1_300)), broken),
        (format!("\"{}\" <b@example.com>", "=?utf-8?Q?a ".repeat(1_300)), broken),
        (format!("({}) b@example.com", "=?utf-8?Q?a ".repeat(1_300)), broken),
    ];
    for (value, expected) in cases {
        let header = format!("From: a@example.com{}", format!("\r\nTo: {value}").repeat(7));
        let read = HeaderSection::parse(&message(&header));
        let error = read.map_or_else(|error| error.to_string(), |_| String::new());
        assert_eq!(error, expected, "{}", value.get(..20).unwrap_or_default());
    }
    let from = format!("From: {} <a@example.com>", "=?utf-8?Q?a?= ".repeat(1_100));
    let section = HeaderSection::parse(&message(&from)).unwrap();
    let name = section.from()[0].display_name.as_ref().map(DisplayName::decoded);
    assert_eq!(name, Some("a".repeat(1_100).as_str()));
}

#[test]
fn a_thousand_fields_are_removed_from_a_large_message() {
    let header =
        "X-SES-Note: y\r\nX: z\r\n".repeat(499) + "From: a@example.com\r\nBcc: b@example.com";
    let mut content = message(&header);
    content.resize(8 * 1024 * 1024, b'=');
    let section = HeaderSection::parse(&content).unwrap();
    let kept = message(&("X: z\r\n".repeat(499) + "From: a@example.com"));
    let forwarded = section.forwarded(content);
    assert!(forwarded.starts_with(&kept));
    let removed = 499 * "X-SES-Note: y\r\n".len() + "Bcc: b@example.com\r\n".len();
    assert_eq!(forwarded.len(), 8 * 1024 * 1024 - removed);
    assert!(forwarded[kept.len()..].iter().all(|byte| *byte == b'='));
}

/// What mail-parser finds in From. It looks at no other field: of a broken Date it takes the line
/// after it as well.
fn second_opinion(content: &[u8]) -> Vec<String> {
    let parser = MessageParser::new().default_header_ignore().header_address("From");
    let message = parser.parse_headers(content).unwrap();
    let from = message.header_values("From").filter_map(|value| value.as_address());
    from.flat_map(|addresses| addresses.iter())
        .map(|addr| once(addr.address().unwrap_or_default()).to_owned())
        .collect()
}

/// mail-parser joins a name and the address that it repeats where a line ends between them; no address
/// is mistaken for that, since there are two `@` in it.
fn once(address: &str) -> &str {
    let halves = [0, 2].map(|quotes| address.split_at_checked((address.len() + quotes) / 2));
    let mut halves = halves.into_iter().flatten();
    let joined = halves.find(|(name, rest)| name.trim_matches('\'') == *rest && rest.contains('@'));
    joined.map_or(address, |(_, rest)| rest)
}

static CONTENTS: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| cases().into_values().map(|(content, _)| content).collect());

/// What is put in place of a byte.
fn change() -> impl Strategy<Value = Vec<u8>> {
    let bytes = [
        "", "\"", "\\", "<", ">", "(", ")", "@", ",", ":", ";", "=", "?", ".", "\r\n", "\r\n ", " ",
    ];
    prop_oneof![
        proptest::sample::select(bytes.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        any::<u8>().prop_map(|byte| vec![byte]),
    ]
}

/// Pieces that mean something in an address field, so that many of the messages are taken.
fn piece() -> impl Strategy<Value = String> {
    let pieces = [
        "a@example.com",
        "<b@example.com>",
        "'b@example.com'",
        "b@example.com <b@example.com>",
        "\"admin\"@example.com",
        "<\"c\"@example.com>",
        ", ",
        ",",
        " ",
        "\r\n ",
        "\t",
        "Name",
        "\"Quoted, Name\"",
        "\"",
        "\\",
        "(comment)",
        "(",
        ")",
        "J. R.",
        "=?utf-8?Q?J=C3=BCrgen?=",
        "=?utf-8?B?SsO8cmdlbg==?=",
        "=?iso-8859-1?Q?=FC?=",
        "=?",
        "?=",
        ":",
        ";",
        "Group:",
        "<",
        ">",
        "@",
        ".",
        "=0D=0A",
        "\r\nFrom: e@example.com",
        "\r\nTo: ",
        "\u{fc}",
        "\r\nSender: s@example.com",
        "\r\nCc: c@example.com",
        "\r\nX-SES-TENANT: t",
        "\r\nBcc: d@x.org",
    ];
    prop_oneof![
        8 => proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned),
        1 => ".{0,3}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = HeaderSection::parse(&bytes);
        let mut header = b"From: a@example.com\r\nTo: ".to_vec();
        header.extend(bytes.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)));
        header.extend(b"\r\n\r\n");
        let _ = HeaderSection::parse(&header);
    }

    #[test]
    fn a_message_with_changed_bytes_is_refused_or_read_alike(
        at in any::<proptest::sample::Index>(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), change()), 1..4),
    ) {
        let mut content = at.get(&CONTENTS).clone();
        for (place, bytes) in changes {
            let place = place.index(content.len() + 1);
            let end = content.len().min(place + 1);
            content.splice(place..end, bytes);
        }
        if let Ok(section) = HeaderSection::parse(&content) {
            let ours: Vec<&str> = section.from().iter().map(|from| from.address.as_str()).collect();
            prop_assert_eq!(second_opinion(&content), ours);
        }
    }

    #[test]
    fn what_is_taken_has_one_reading(pieces in proptest::collection::vec(piece(), 0..8)) {
        let content = message(&format!("From: {}", pieces.concat()));
        if let Ok(section) = HeaderSection::parse(&content) {
            let ours: Vec<&str> = section.from().iter().map(|from| from.address.as_str()).collect();
            prop_assert_eq!(&second_opinion(&content), &ours);
            let forwarded = section.forwarded(content);
            prop_assert_eq!(&second_opinion(&forwarded), &ours);
            let sent = HeaderSection::parse(&forwarded).unwrap();
            prop_assert_eq!(sent.from(), section.from());
        }
    }
}
