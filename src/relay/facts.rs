//! What of a message policies are asked about, as a record keeps it, and the message as policies see it
//! made of a record again.
//!
//! What comes back has been through [`HeaderSection::parse`] like every message, and is compared with
//! the record: where it is not the same, nothing is decided.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::address::Address;
use crate::authorize::{Client, Vpc};
use crate::decision_log::{Author, Facts, Recorded, VpcFacts};
use crate::message::{HeaderSection, Mailbox, XSes};
use crate::policy;
use crate::principals::Principal;
use crate::redact::ADDRESSES;
use crate::smtp::Envelope;

/// The longest display names that a record keeps, in bytes, all of one message together.
const NAME_BYTES: usize = 4096;

/// Returns what a record keeps of a message.
#[must_use]
pub fn facts<'a>(client: &Client, envelope: &'a Envelope, header: &'a HeaderSection) -> Facts<'a> {
    let known: HashSet<_> = envelope.forward_paths.iter().collect();
    let is_new = |address: &&Address| !known.contains(address);
    let beside = header.recipients().iter().filter(is_new).take(ADDRESSES + 1);
    let header_recipients: Vec<Cow<'_, str>> = beside.map(|it| it.as_str().into()).collect();
    let authors: Vec<_> = mailboxes(header).map(author).collect();
    let names = authors.iter().flat_map(|it| it.name.iter().chain(&it.written));
    if header_recipients.len() > ADDRESSES || names.map(|it| it.len()).sum::<usize>() > NAME_BYTES {
        return Facts { too_long: true, ..Facts::default() };
    }
    let is_tls = client.tls.is_some();
    Facts {
        authors,
        return_path: header.return_path().map(|path| path.as_str().into()),
        header_recipients,
        x_ses: values(header.xses()),
        source_ip: Some(client.source_ip).filter(|ip| *ip != client.peer.ip()),
        secure_transport: Some(client.secure_transport).filter(|said| *said != is_tls),
        vpc: client.vpc.as_ref().map(|vpc| VpcFacts {
            id: vpc.id.clone().map(Cow::Owned),
            endpoint: vpc.endpoint.clone().map(Cow::Owned),
        }),
        too_long: false,
    }
}

/// Everybody that a message says it is from, From first.
fn mailboxes(header: &HeaderSection) -> impl Iterator<Item = &Mailbox> {
    let others = header.sender().into_iter().chain(header.resent_from());
    header.from().iter().chain(others).chain(header.resent_sender())
}

fn author(mailbox: &Mailbox) -> Author<'_> {
    let name = mailbox.display_name.as_ref();
    let written = name.filter(|name| name.written() != name.decoded());
    Author {
        address: mailbox.address.as_str().into(),
        name: name.map(|name| name.decoded().into()),
        written: written.map(|name| name.written().into()),
    }
}

/// The fields that are there, with the values that decide something.
fn values(x_ses: &XSes) -> BTreeMap<Cow<'_, str>, Cow<'_, str>> {
    let value = |name| x_ses.decisive(name).unwrap_or_default().into();
    x_ses.names().map(|name| (name.into(), value(name))).collect()
}

/// A message as policies see it, made of its record.
#[derive(Debug)]
pub struct Mail {
    /// Its envelope.
    pub envelope: Envelope,
    /// What its header section said.
    pub header: HeaderSection,
    /// The moment of the decision, give or take some milliseconds.
    pub at: SystemTime,
    client: SocketAddr,
    source_ip: IpAddr,
    secure_transport: bool,
    vpc: Option<Vpc>,
}

/// Why nothing can be decided about a message by its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum NotDecidable {
    /// An older sesgate wrote it, or addresses are not shown.
    #[error(
        "it lacks `facts`, what policies are asked about: it was written by an older sesgate, or \
         without `addresses = \"full\"` in `[log]`"
    )]
    NoFacts,
    /// The message said more than a record holds.
    #[error("its message says more than a record holds")]
    TooLong,
    /// What is there makes no message, or another one.
    #[error("what it says of its message does not make that message again")]
    NotTheSame,
}

impl Mail {
    /// Makes a message of its record.
    ///
    /// # Errors
    /// When that does not say enough.
    pub fn of(record: &Recorded) -> Result<Self, NotDecidable> {
        let facts = record.facts.as_ref().ok_or(NotDecidable::NoFacts)?;
        if facts.too_long {
            return Err(NotDecidable::TooLong);
        }
        Self::made(record, facts).ok_or(NotDecidable::NotTheSame)
    }

    fn made(record: &Recorded, facts: &Facts<'_>) -> Option<Self> {
        let header = HeaderSection::parse(section(facts, record.from.len())?.as_bytes()).ok()?;
        let forward_paths = record.recipients.iter().map(|path| Address::parse(path).ok());
        let envelope = Envelope {
            reverse_path: Address::parse(&record.reverse_path).ok()?,
            forward_paths: forward_paths.collect::<Option<_>>()?,
            ehlo: record.ehlo.clone(),
            body_8bit: false,
        };
        let client: SocketAddr = record.client.parse().ok()?;
        let is_tls = record.tls != "none";
        let vpc = facts.vpc.as_ref().map(|vpc| Vpc {
            endpoint: vpc.endpoint.as_deref().map(str::to_owned),
            id: vpc.id.as_deref().map(str::to_owned),
        });
        // When it was written, less what came after the decision.
        let after = record.elapsed_ms.saturating_sub(record.waited_ms);
        let at = policy::moment(&record.timestamp)?.checked_sub(Duration::from_millis(after))?;
        let mail = Self {
            envelope,
            header,
            at,
            client,
            source_ip: facts.source_ip.unwrap_or(client.ip()),
            secure_transport: facts.secure_transport.unwrap_or(is_tls),
            vpc,
        };
        mail.says(facts, record.from.len()).then_some(mail)
    }

    /// Whether it is what was recorded.
    fn says(&self, facts: &Facts<'_>, from: usize) -> bool {
        let Self { envelope, header, .. } = self;
        let new = header.recipients().iter().map(Address::as_str);
        header.from().len() == from
            && mailboxes(header).map(author).eq(facts.authors.iter().cloned())
            && header.return_path().map(Address::as_str) == facts.return_path.as_deref()
            && new.eq(facts.header_recipients.iter().map(AsRef::as_ref))
            && values(header.xses()) == facts.x_ses
            && !envelope.forward_paths.is_empty()
    }

    /// Returns whose mail it is, as policies see it.
    #[must_use]
    pub fn client(&self, principal: &Arc<Principal>) -> Client {
        Client {
            principal: Arc::clone(principal),
            password: None,
            peer: self.client,
            source_ip: self.source_ip,
            vpc: self.vpc.clone(),
            secure_transport: self.secure_transport,
            listener: "".into(),
            tls: None,
        }
    }
}

/// A header section that says what was recorded; the first `from` authors are those of From.
fn section(facts: &Facts<'_>, from: usize) -> Option<String> {
    let (from, others) = facts.authors.split_at_checked(from)?;
    let mut section = String::new();
    let mut field = |name: &str, value: &str| {
        // Writing to memory does not fail.
        let _ = write!(section, "{name}: {value}\r\n");
    };
    field("From", &listed(from));
    if !others.is_empty() {
        field("Resent-From", &listed(others));
    }
    if let Some(path) = &facts.return_path {
        field("Return-Path", &format!("<{path}>"));
    }
    if !facts.header_recipients.is_empty() {
        let all: Vec<_> = facts.header_recipients.iter().map(|it| format!("<{it}>")).collect();
        field("To", &all.join(", "));
    }
    for (name, value) in &facts.x_ses {
        let any = if value.is_empty() { XSes::example(name) } else { value };
        field(name, any);
    }
    section.push_str("\r\n");
    Some(section)
}

fn listed(authors: &[Author<'_>]) -> String {
    let mailbox = |author: &Author<'_>| {
        let name = author.written.as_ref().or(author.name.as_ref());
        let words = name.map(|name| name.split(' ').map(word).collect::<Vec<_>>().join(" "));
        format!("{} <{}>", words.unwrap_or_default(), author.address)
    };
    authors.iter().map(mailbox).collect::<Vec<_>>().join(", ")
}

/// A word of a display name in the one form that reads as this word alone (RFC 5322 section 3.2.4).
fn word(text: &str) -> Cow<'_, str> {
    let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    // A dot is no atom, and stands in many an encoded word (RFC 2047 section 2).
    let is_encoded = text.starts_with("=?") && text.ends_with("?=");
    if text.chars().all(|c| is_atom(c) || is_encoded && c == '.') {
        return text.into();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")).into()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use uuid::Uuid;

    use super::*;
    use crate::decision_log::{Event, Record};

    fn client() -> Client {
        Client {
            principal: Arc::default(),
            password: None,
            peer: ([192, 0, 2, 1], 40_000).into(),
            source_ip: [192, 0, 2, 1].into(),
            vpc: None,
            secure_transport: true,
            listener: "".into(),
            tls: Some("TLSv1_3"),
        }
    }

    /// Makes a message of its record, by way of the file.
    fn again(client: &Client, header: &HeaderSection) -> Result<Mail, NotDecidable> {
        let address = |text| Address::parse(text).unwrap();
        let envelope = Envelope {
            reverse_path: address("bounces@example.com"),
            forward_paths: vec![address("one@example.net")],
            ehlo: "app".to_owned(),
            body_8bit: false,
        };
        let facts = facts(client, &envelope, header);
        let recipients = ["one@example.net".to_owned()];
        let from: Vec<_> = header.from().iter().map(|it| it.address.to_string()).collect();
        let record = Record {
            client: Some("192.0.2.1:40000"),
            tls: Some(client.tls.unwrap_or("none")),
            reverse_path: Some("bounces@example.com"),
            recipients: &recipients,
            from: &from,
            facts: Some(&facts),
            ..Record::new(Event::Relayed, Uuid::nil())
        };
        let line = record.to_line(SystemTime::UNIX_EPOCH);
        let mail = Mail::of(&Recorded::parse(&line).unwrap())?;
        let seen = mail.client(&client.principal);
        assert_eq!(seen.source_ip, client.source_ip);
        assert_eq!(
            (seen.secure_transport, seen.vpc),
            (client.secure_transport, client.vpc.clone())
        );
        Ok(mail)
    }

    /// Of each message that can be read, hostile ones included.
    #[test]
    fn messages_are_the_same_after_their_records() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages");
        let mut same = 0;
        let mut others = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            let bytes = std::fs::read(&file).unwrap();
            let Ok(header) = HeaderSection::parse(&bytes) else { continue };
            match again(&client(), &header) {
                Ok(_) => same += 1,
                Err(error) => others.push((file.file_name().unwrap().to_owned(), error)),
            }
        }
        assert!(same > 50, "only {same} messages");
        others.sort();
        assert_eq!(
            others,
            [
                ("long-line.eml".into(), NotDecidable::TooLong),
                ("name-empty-quotes-between.eml".into(), NotDecidable::NotTheSame),
            ]
        );
    }

    #[test]
    fn what_the_listener_states_is_kept() {
        let header = HeaderSection::parse(b"From: a@b.test\r\n\r\n").unwrap();
        for (tls, secure_transport) in [(None, true), (None, false), (Some("TLSv1_3"), false)] {
            let source_ip = [10, 0, 0, 1].into();
            let vpc = Some(Vpc { endpoint: Some("vpce-1".to_owned()), id: None });
            let client = Client { tls, secure_transport, source_ip, vpc, ..client() };
            again(&client, &header).unwrap();
        }
    }

    #[test]
    fn what_a_record_does_not_hold_is_not_guessed() {
        let many: Vec<_> = (0..=ADDRESSES).map(|number| format!("a{number}@b.test")).collect();
        for (field, result) in [
            (format!("To: {}", many.join(", ")), Some(NotDecidable::TooLong)),
            (format!("To: {}", many[1..].join(", ")), None),
            (
                format!("Sender: {} <a@b.test>", "x".repeat(NAME_BYTES + 1)),
                Some(NotDecidable::TooLong),
            ),
            (format!("Sender: {} <a@b.test>", "x".repeat(NAME_BYTES)), None),
        ] {
            let header =
                HeaderSection::parse(format!("From: a@b.test\r\n{field}\r\n\r\n").as_bytes());
            assert_eq!(again(&client(), &header.unwrap()).err(), result, "{field}");
        }
    }
}
