//! What holds for any bytes, one function a fuzz target.
//!
//! The targets beside this file look for bytes that break a property; `tests/it/corpus.rs` plays the
//! corpora again in the ordinary tests. A property fails by panicking.

#[path = "properties/configuration.rs"]
mod configuration;
#[path = "properties/log_record.rs"]
mod log_record;
#[path = "properties/message.rs"]
mod message;

use std::sync::Arc;

pub(crate) use configuration::configuration;
pub(crate) use log_record::log_record;
pub(crate) use message::message;
use sesgate::address::Address;
use sesgate::message::{HeaderSection, XSes};
use sesgate::policy::{
    Context, Decision, Effect, Layers, Outcome, Policy, PolicyKind, Principal, Request, Spelled,
    evaluate, explain,
};
use sesgate::proxy_protocol::{LONGEST_BYTES, Parsed, parse};
use sesgate::smtp::content::{Decoder, Event};
use sesgate::smtp::{
    Auth, Authentication, BareLf, Reply, Session, SessionLimits, SessionSettings, Step,
};

/// A property by the name of its target.
pub(crate) type Property = (&'static str, fn(&[u8]));

/// All of them.
pub(crate) const ALL: [Property; 11] = [
    ("address", address),
    ("configuration", configuration),
    ("content", content),
    ("header_section", header_section),
    ("log_record", log_record),
    ("message", message),
    ("policy_document", policy_document),
    ("policy_evaluate", policy_evaluate),
    ("proxy_header", proxy_header),
    ("session", session),
    ("xses_values", xses_values),
];

/// An address that is taken is plain text of one reading, and so is each of its spellings.
pub(crate) fn address(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(address) = Address::parse(text) else { return };
    assert_eq!(address.as_str(), text);
    assert_eq!(format!("{}@{}", address.local_part(), address.domain()), text);
    assert!(text.len() <= 254 && text.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(!text.contains(['<', '>', '(', ')', ',', ';', ':', '\\']));
    let spellings = address.spellings();
    assert!(spellings.len() <= 5);
    for spelling in spellings {
        assert_ne!(spelling, text);
        assert!(spelling.replace('"', "").eq_ignore_ascii_case(&text.replace('"', "")));
        assert!(Address::parse(&spelling).is_ok(), "{spelling}");
    }
}

/// A header section that is taken is taken again as it is forwarded, with the same author and none
/// of the fields that are consumed (decisions 4 and 11).
pub(crate) fn header_section(content: &[u8]) {
    let Ok(section) = HeaderSection::parse(content) else { return };
    assert!(section.bytes() <= content.len());
    let forwarded = section.forwarded(content.to_vec());
    assert!(forwarded.ends_with(&content[section.bytes()..]));
    let sent = HeaderSection::parse(&forwarded).expect("what was taken is taken again");
    assert_eq!(sent.from(), section.from());
    assert_eq!(sent.sender(), section.sender());
    assert_eq!(sent.resent_from(), section.resent_from());
    assert_eq!(sent.return_path(), None);
    assert_eq!(*sent.xses(), XSes::default());
    assert_eq!(sent.forwarded(forwarded.clone()), forwarded);
}

/// What is read from X-SES fields is inside their grammar, and written again it is read again.
///
/// Each line is one field: the first byte picks its name, the rest is its value.
pub(crate) fn xses_values(bytes: &[u8]) {
    let read = |fields: &[(&str, &[u8])]| {
        let mut content = b"From: a@example.com\r\n".to_vec();
        for (name, value) in fields {
            content.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        content.extend(b"\r\nX-SES-TENANT: body\r\n");
        HeaderSection::parse(&content).map(|section| section.xses().clone())
    };
    let fields: Vec<(&str, &[u8])> = bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split_first())
        .map(|(pick, value)| (XSes::NAMES[usize::from(*pick) % XSes::NAMES.len()], value))
        .collect();
    let Ok(xses) = read(&fields) else { return };
    let mut given: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let mut found: Vec<&str> = xses.names().collect();
    given.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, given, "each field is there, and once");
    let is_name = |text: &str, most: usize| {
        let is_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        assert!((1..=most).contains(&text.len()) && text.bytes().all(is_byte), "{text}");
    };
    let mut again: Vec<(&str, String)> = Vec::new();
    let values =
        [("X-SES-CONFIGURATION-SET", &xses.configuration_set), ("X-SES-TENANT", &xses.tenant)];
    for (name, value) in values {
        if let Some(value) = value {
            is_name(value, 64);
            again.push((name, value.clone()));
        }
    }
    let arns = [
        ("X-SES-SOURCE-ARN", &xses.source_arn),
        ("X-SES-FROM-ARN", &xses.from_arn),
        ("X-SES-RETURN-PATH-ARN", &xses.return_path_arn),
    ];
    for (name, arn) in arns {
        if let Some(arn) = arn {
            let text = arn.as_str();
            let tail = format!(":ses:{}:{}:identity/{}", arn.region(), arn.account(), arn.name());
            assert!(text.starts_with("arn:") && text.ends_with(&tail), "{text}");
            assert!(
                text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains(['*', '?', ','])
            );
            again.push((name, text.to_owned()));
        }
    }
    assert!(
        xses.source_arn.is_none() || xses.from_arn.is_none() || xses.source_arn == xses.from_arn
    );
    if let Some(list) = &xses.list_management {
        is_name(&list.contact_list, 64);
        let topic = list.topic.as_ref().map(|topic| {
            is_name(topic, 64);
            format!("; topic={topic}")
        });
        let value = format!("{}{}", list.contact_list, topic.unwrap_or_default());
        again.push(("X-SES-LIST-MANAGEMENT-OPTIONS", value));
    }
    let tags = &xses.message_tags;
    assert!(tags.len() <= 50);
    for (at, (name, value)) in tags.iter().enumerate() {
        is_name(name, 256);
        is_name(value, 256);
        assert!(tags[..at].iter().all(|(other, _)| other != name));
    }
    if !tags.is_empty() {
        let tags: Vec<String> =
            tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
        again.push(("X-SES-MESSAGE-TAGS", tags.join(", ")));
    }
    let again: Vec<(&str, &[u8])> =
        again.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    assert_eq!(read(&again).expect("what was taken is taken again"), xses);
    assert_eq!(XSes::default().with(&xses), xses);
    assert_eq!(xses.clone().with(&XSes::default()), xses);
    assert!(XSes::NAMES.iter().all(|name| xses.agrees(&xses, name)));
}

/// Content in any pieces decodes to the same; stuffed again it decodes to itself.
///
/// The first byte picks what a bare LF does and the largest message, the second the pieces.
pub(crate) fn content(bytes: &[u8]) {
    let [options, size, input @ ..] = bytes else { return };
    let bare_lf = if options & 1 == 0 { BareLf::Refuse } else { BareLf::Normalize };
    let most = if options & 2 == 0 { 1 << 20 } else { usize::from(options >> 2) };
    let decode = |input: &[u8], size: usize| {
        let mut decoder = Decoder::new(bare_lf, most);
        let (mut events, mut used) = (Vec::new(), 0);
        for mut piece in input.chunks(size) {
            while !piece.is_empty() {
                let (taken, event) = decoder.decode(piece);
                piece = &piece[taken..];
                used += taken;
                assert!(taken > 0 && decoder.kept().len() <= most);
                match event {
                    Event::More => assert!(piece.is_empty()),
                    Event::End => {
                        events.push((used, event));
                        let state = (decoder.fault(), decoder.is_ambiguous());
                        return (events, used, state, decoder.take());
                    }
                    other => events.push((used, other)),
                }
            }
        }
        (events, used, (decoder.fault(), decoder.is_ambiguous()), decoder.take())
    };
    let whole = decode(input, input.len().max(1));
    assert_eq!(decode(input, 1), whole);
    assert_eq!(decode(input, usize::from(*size).max(1)), whole);
    let (events, used, (fault, is_ambiguous), kept) = whole;
    if fault.is_some() {
        assert!(kept.is_empty());
        return;
    }
    assert!(kept.len() <= most);
    if !events.iter().any(|(_, event)| *event == Event::End) {
        assert_eq!(used, input.len());
        return;
    }
    assert!(input[..used].ends_with(b".\r\n"));
    // Faults aside, only CRLF ends a line of what is kept.
    let lines = kept.split_inclusive(|byte| *byte == b'\n');
    let mut stuffed = Vec::new();
    for line in lines {
        let text = line.strip_suffix(b"\r\n").expect("each line ends in CRLF");
        assert!(is_ambiguous || !text.iter().any(|byte| b"\r\n\0".contains(byte)));
        if line.starts_with(b".") {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    stuffed.extend_from_slice(b".\r\n");
    let (_, used, state, again) = decode(&stuffed, stuffed.len());
    assert_eq!((used, state, again), (stuffed.len(), (None, false), kept));
}

const KINDS: [PolicyKind; 6] = [
    PolicyKind::Identity,
    PolicyKind::Boundary,
    PolicyKind::Session,
    PolicyKind::ServiceControl,
    PolicyKind::ResourceControl,
    PolicyKind::Resource,
];

/// A document has problems with places inside it, or one reading: laid out anew it is taken again,
/// statement by statement the same.
pub(crate) fn policy_document(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for kind in KINDS {
        let policy = match Policy::parse(kind, "fuzz", text) {
            Ok(policy) => policy,
            Err(problems) => {
                let count = problems.iter().count();
                assert!((1..=101).contains(&count), "{count} problems");
                for problem in problems.iter() {
                    let line = text.split('\n').nth(problem.line().wrapping_sub(1));
                    let line = line.unwrap_or_else(|| panic!("no such line: {problem}"));
                    let columns = line.chars().count() + 1;
                    assert!((1..=columns).contains(&problem.column()), "{problem}");
                    assert!(!problem.problem().is_empty());
                    assert!(problem.to_string().lines().count() == 1, "{problem}");
                }
                continue;
            }
        };
        assert!(!policy.statements().is_empty());
        let value: serde_json::Value = serde_json::from_str(text).expect("a document is JSON");
        let laid_out = format!("{value:#}");
        // A number would lose its digits, and a document may grow beyond what is read.
        if has_fraction(&value) || laid_out.len() > 64 * 1024 {
            continue;
        }
        let again = Policy::parse(kind, "fuzz", &laid_out).expect("what was taken is taken again");
        assert_eq!(again.statements().len(), policy.statements().len());
        for (again, statement) in again.statements().iter().zip(policy.statements()) {
            assert_eq!((again.sid(), again.effect()), (statement.sid(), statement.effect()));
            assert!(again.action_patterns().eq(statement.action_patterns()));
            assert!(again.resource_patterns().eq(statement.resource_patterns()));
            assert_eq!(again.conditions().len(), statement.conditions().len());
        }
    }
}

fn has_fraction(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Number(number) => number.is_f64(),
        serde_json::Value::Array(elements) => elements.iter().any(has_fraction),
        serde_json::Value::Object(members) => members.values().any(has_fraction),
        _ => false,
    }
}

const USER: &str = "arn:aws:iam::111122223333:user/app";
const ALLOW: &str = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
const DENY: &str = r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#;

/// A document, a line with `%` alone, and `key=value` lines of the context, with `action` and
/// `resource` among them: one more Deny denies, one more Allow does not deny, and other spellings
/// only make it stricter (decision 7).
pub(crate) fn policy_evaluate(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (document, lines) = text.split_once("\n%\n").unwrap_or((text, ""));
    let read = |kind, text: &str| Policy::parse(kind, "fuzz", text).ok().map(Arc::new);
    let mut keys: Vec<(&str, Vec<&str>)> = Vec::new();
    for (key, value) in lines.lines().filter_map(|line| line.split_once('=')) {
        match keys.iter_mut().find(|(other, _)| other.eq_ignore_ascii_case(key)) {
            Some((_, values)) => values.push(value),
            None => keys.push((key, vec![value])),
        }
    }
    let given = |name: &str| keys.iter().find(|(key, _)| *key == name).map(|(_, it)| it[0]);
    let context = |spellings: bool| {
        let mut context = Context::new();
        for (key, values) in &keys {
            let spelled = |value: &&'_ str| {
                let others = [value.to_lowercase(), value.replace('"', "")];
                let spelled = Spelled::from((*value).to_owned());
                if spellings { spelled.with_spellings(others).in_any_case() } else { spelled }
            };
            context.set_list(key, values.iter().map(spelled).collect());
        }
        context
    };
    let (plain, spelled) = (context(false), context(true));
    let parents = ["arn:aws:ses:us-east-1:111122223333:identity/com".to_owned()];
    let principal = Principal::User { account: "111122223333", arn: USER };
    let request = Request {
        action: given("action").unwrap_or("ses:SendRawEmail"),
        resource: given("resource")
            .unwrap_or("arn:aws:ses:us-east-1:111122223333:identity/example.com"),
        parents: &[],
        resource_account: "111122223333",
        principal: &principal,
        context: &plain,
    };
    let stricter = Request { parents: &parents, context: &spelled, ..request };
    if let Some(policy) = read(PolicyKind::Identity, document) {
        let allow = read(PolicyKind::Identity, ALLOW).expect("loads");
        let deny = read(PolicyKind::Identity, DENY).expect("loads");
        let alone = [Arc::clone(&policy)];
        let layers = Layers { identity: &alone, ..Layers::default() };
        let decision = evaluate(&layers, &request);
        let applies = |effect| {
            policy.statements().iter().any(|statement| {
                statement.effect() == effect
                    && matches!(statement.outcome(&layers, &request), Outcome::Applies(None))
            })
        };
        let wanted = match (applies(Effect::Deny), applies(Effect::Allow)) {
            (true, _) => "denied",
            (false, true) => "allowed",
            (false, false) => "not allowed",
        };
        assert_eq!(name(&decision), wanted);
        assert!(decision.settled().is_none_or(|settled| settled.spelling().is_none()));
        for explained in explain(&layers, &request) {
            assert_eq!(explained.outcome, explained.statement.outcome(&layers, &request));
        }

        let is_stricter = evaluate(&layers, &stricter);
        assert!(decision.is_allowed() || !is_stricter.is_allowed());
        assert!(wanted != "denied" || name(&is_stricter) == "denied");

        let with_deny = [Arc::clone(&policy), deny];
        let layers = Layers { identity: &with_deny, ..Layers::default() };
        assert_eq!(name(&evaluate(&layers, &request)), "denied");
        let with_allow = [Arc::clone(&allow), policy];
        let layers = Layers { identity: &with_allow, ..Layers::default() };
        let allowed = wanted != "denied";
        assert_eq!(evaluate(&layers, &request).is_allowed(), allowed);
    }
    if let Some(policy) = read(PolicyKind::Resource, document) {
        let allow = [read(PolicyKind::Identity, ALLOW).expect("loads")];
        let resource = [policy];
        let foreign = Request { resource_account: "999988887777", ..request };
        let both = Layers { identity: &allow, resource: &resource, ..Layers::default() };
        let alone = Layers { resource: &resource, ..Layers::default() };
        // Across accounts the resource policy is not enough.
        assert!(!evaluate(&alone, &foreign).is_allowed());
        let denies = name(&evaluate(&both, &request)) == "denied";
        assert_eq!(name(&evaluate(&both, &foreign)) == "denied", denies);
    }
}

fn name(decision: &Decision<'_>) -> &'static str {
    match decision {
        Decision::Allowed(_) => "allowed",
        Decision::ExplicitlyDenied(_) => "denied",
        Decision::ImplicitlyDenied => "not allowed",
    }
}

/// A PROXY header that is taken waits for all of its bytes, needs none behind them, and says nothing
/// that is not of one reading.
pub(crate) fn proxy_header(bytes: &[u8]) {
    let parsed = parse(bytes);
    // Once refused or taken nothing that follows makes a difference, and until then it waits.
    let settled = (0..=bytes.len().min(LONGEST_BYTES + 1))
        .find(|length| !matches!(parse(&bytes[..*length]), Ok(Parsed::Incomplete(_))));
    let Some(settled) = settled else {
        assert!(bytes.len() < LONGEST_BYTES);
        assert!(matches!(parsed, Ok(Parsed::Incomplete(1..=LONGEST_BYTES))));
        return;
    };
    assert_eq!(parse(&bytes[..settled]), parsed);
    let Ok(Parsed::Header(header)) = parsed else { return };
    assert_eq!(header.length, settled);
    for length in 0..settled {
        let Ok(Parsed::Incomplete(more)) = parse(&bytes[..length]) else { unreachable!() };
        assert!((1..=settled - length).contains(&more));
    }
    assert_eq!(header.source.is_some(), header.destination.is_some());
    assert!(!header.is_local || (header.source.is_none() && header.vpce.is_none()));
    for address in header.source.iter().chain(&header.destination) {
        assert_eq!(address.ip().to_canonical(), address.ip());
    }
    if let Some(id) = header.vpce {
        let digits = id.strip_prefix("vpce-").expect("an id begins so");
        assert!((8..=32).contains(&digits.len()));
        assert!(digits.bytes().all(|byte| b"0123456789abcdef".contains(&byte)));
    }
    // As text, an address has one form.
    if let (Some(source), Some(destination)) = (header.source, header.destination)
        && source.is_ipv4() == destination.is_ipv4()
    {
        let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        let line = format!(
            "PROXY {family} {} {} {} {}\r\n",
            source.ip(),
            destination.ip(),
            source.port(),
            destination.port(),
        );
        let Ok(Parsed::Header(again)) = parse(line.as_bytes()) else { panic!("{line}") };
        assert_eq!(
            (again.length, again.source, again.destination),
            (line.len(), header.source, header.destination),
        );
    }
}

/// What came out of a session.
#[derive(Debug, Default, PartialEq)]
struct Said {
    replies: Vec<String>,
    relayed: Vec<Vec<u8>>,
    is_closed: bool,
}

/// A session says the same however its lines are cut, relays only what a user may send, and never
/// more when lines come together.
///
/// The first byte picks listener and answers, the rest is what the client sends.
pub(crate) fn session(bytes: &[u8]) {
    let [options, input @ ..] = bytes else { return };
    let lines: Vec<&[u8]> = input.split_inclusive(|byte| *byte == b'\n').collect();
    let by_line = converse(*options, &lines);
    let bytewise: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(converse(*options, &bytewise), by_line);
    let halves: Vec<&[u8]> =
        lines.iter().flat_map(|line| <[_; 2]>::from(line.split_at(line.len() / 2))).collect();
    assert_eq!(converse(*options, &halves), by_line);
    // Lines behind STARTTLS and a refused AUTH or DATA end a session; up to there it is the same.
    let together = converse(*options, &[input]);
    assert!(by_line.relayed.starts_with(&together.relayed));
    let same = together.replies.len().saturating_sub(usize::from(together.is_closed));
    assert!(by_line.replies.starts_with(&together.replies[..same]));
}

fn converse(options: u8, pieces: &[&[u8]]) -> Said {
    let is = |bit: u8| options & (1 << bit) != 0;
    let settings = SessionSettings {
        hostname: "gate.test".to_owned(),
        message_bytes: if is(0) { 60 } else { 10_000 },
        starttls: !is(1),
        require_tls: false,
        auth: if is(2) { Auth::None } else { Auth::Offered { in_clear: is(3) } },
        bare_lf: if is(4) { BareLf::Normalize } else { BareLf::Refuse },
        limits: SessionLimits { errors: 5, messages: 3, recipients: 4, ..SessionLimits::default() },
    };
    let refusal = |bit: u8| if is(bit) { Err(Reply::temporary_failure()) } else { Ok(()) };
    let mut session = Session::new(Arc::new(settings), is(1));
    let mut said = Said::default();
    let mut may_send = is(2);
    for piece in [&b""[..]].iter().chain(pieces) {
        if said.is_closed {
            break;
        }
        let mut granted = session.content_bytes() + session.content_growth(piece.len());
        if !piece.is_empty() {
            session.receive(piece);
        }
        loop {
            match session.next_step() {
                Step::Read => {
                    assert!(session.content_bytes() <= granted, "memory was not foreseen");
                    break;
                }
                Step::Reply(reply) => said.replies.push(reply.to_string()),
                Step::StartTls(reply) => {
                    said.replies.push(reply.to_string());
                    session.tls_started();
                    may_send = is(2);
                }
                Step::Authenticate(credentials) => {
                    let is_right = credentials.password.as_str() == "secret";
                    may_send |= is_right;
                    session.authenticated(if is_right {
                        Authentication::Accepted
                    } else {
                        Authentication::Invalid
                    });
                }
                Step::Mail(_) => {
                    assert!(may_send, "a transaction of nobody");
                    session.mail_answered(Ok(()));
                }
                Step::Data(envelope) => {
                    assert!((1..=4).contains(&envelope.forward_paths.len()));
                    granted = session.content_growth(0);
                    session.data_answered(refusal(5));
                }
                Step::Header(_, header) => {
                    assert!(!header.from().is_empty());
                    session.header_answered(refusal(6));
                }
                Step::Relay(transaction) => {
                    assert!(may_send && !is(5) && !is(6));
                    let read = HeaderSection::parse(&transaction.content).expect("is readable");
                    assert_eq!(read.from(), transaction.header.from());
                    said.relayed.push(transaction.content);
                    session.relayed(if is(7) { Reply::temporary_failure() } else { Reply::ok() });
                }
                Step::Refused(_, reply) => assert!(reply.code() >= 500, "{reply}"),
                Step::Close(reply) => {
                    said.replies.extend(reply.map(|reply| reply.to_string()));
                    said.is_closed = true;
                    break;
                }
            }
        }
    }
    said
}
