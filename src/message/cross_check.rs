//! A second opinion on the address fields, from a parser written by others (decision 5).
//!
//! mail-parser takes what it can and never refuses; it decides nothing here. When it finds other
//! addresses or names than the strict grammar did, the message has more than one reading.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use mail_parser::{Addr, HeaderName, HeaderValue, MessageParser};

use super::error::{FieldError, MessageError};
use super::{Mailbox, names};
use crate::address::{Address, excerpt};

/// What the strict grammar found in one field.
#[derive(Debug)]
pub(super) struct ParsedField {
    field: &'static str,
    mailboxes: Vec<ParsedMailbox>,
}

impl ParsedField {
    pub(super) fn of_addresses(field: &'static str, addresses: &[Address]) -> Self {
        let bare = |address: &Address| ParsedMailbox { address: address.to_string(), name: None };
        Self { field, mailboxes: addresses.iter().map(bare).collect() }
    }

    pub(super) fn of_mailboxes(field: &'static str, mailboxes: &[Mailbox]) -> Self {
        let reading = |mailbox: &Mailbox| ParsedMailbox {
            address: mailbox.address.to_string(),
            name: match &mailbox.display_name {
                None => Some(String::new()),
                Some(name) => name.plain.then(|| name.decoded.clone()),
            },
        };
        Self { field, mailboxes: mailboxes.iter().map(reading).collect() }
    }
}

#[derive(Debug)]
struct ParsedMailbox {
    address: String,
    /// `None` where names are not compared.
    name: Option<String>,
}

impl ParsedMailbox {
    fn agrees(&self, theirs: &Self) -> bool {
        self.address == theirs.address && (self.name.is_none() || self.name == theirs.name)
    }
}

/// Refuses the section unless mail-parser finds the same fields, in order, with the same mailboxes.
pub(super) fn check(section: &[u8], ours: &[ParsedField]) -> Result<(), MessageError> {
    let Ok(theirs) = catch_unwind(AssertUnwindSafe(|| read(section))) else {
        return Err(MessageError::Field { field: "From", error: FieldError::Unread });
    };
    let mut theirs = theirs.iter();
    for reading in ours {
        match theirs.next() {
            Some((field, mailboxes)) if *field == reading.field => {
                compare(field, &reading.mailboxes, mailboxes)?;
            }
            _ => compare(reading.field, &reading.mailboxes, &[])?,
        }
    }
    theirs.next().map_or(Ok(()), |(field, mailboxes)| compare(field, &[], mailboxes))
}

/// Names the first mailbox that differs, so that its sender knows what to write otherwise.
fn compare(
    field: &'static str,
    ours: &[ParsedMailbox],
    theirs: &[ParsedMailbox],
) -> Result<(), MessageError> {
    for at in 0..ours.len().max(theirs.len()) {
        let (ours, theirs) = (ours.get(at), theirs.get(at));
        if !ours.zip(theirs).is_some_and(|(ours, theirs)| ours.agrees(theirs)) {
            let error = FieldError::Ambiguous(shown(ours), shown(theirs));
            return Err(MessageError::Field { field, error });
        }
    }
    Ok(())
}

/// A mailbox in words for its sender, with characters beyond ASCII by their numbers.
fn shown(mailbox: Option<&ParsedMailbox>) -> String {
    let Some(ParsedMailbox { address, name }) = mailbox else { return "nothing".to_owned() };
    let text = match name.as_deref() {
        Some(name) if !name.is_empty() => format!("{name} <{address}>"),
        _ => address.clone(),
    };
    let spelled = |character: char| match character {
        ' '..='~' => character.to_string(),
        other => format!("U+{:04X}", u32::from(other)),
    };
    format!("'{}'", excerpt(&text.chars().map(spelled).collect::<String>()))
}

/// Only the address fields are parsed: mail-parser takes the line after a broken Date for a part of it.
static PARSER: LazyLock<MessageParser> = LazyLock::new(|| {
    FIELDS.iter().fold(MessageParser::new().default_header_ignore(), |parser, (name, _)| {
        parser.header_address(name.clone())
    })
});

fn read(section: &[u8]) -> Vec<(&'static str, Vec<ParsedMailbox>)> {
    let Some(message) = PARSER.parse_headers(section) else { return Vec::new() };
    let mut fields = Vec::new();
    for header in message.headers() {
        let Some((_, field)) = FIELDS.iter().find(|(name, _)| header.name == *name) else {
            continue;
        };
        let mailboxes = match &header.value {
            HeaderValue::Address(addresses) => addresses.iter().map(mailbox).collect(),
            _ => Vec::new(),
        };
        fields.push((*field, mailboxes));
    }
    fields
}

/// A name without an address becomes a mailbox that equals none of ours.
fn mailbox(addr: &Addr<'_>) -> ParsedMailbox {
    let name = addr.name().unwrap_or_default();
    let address = addr.address().unwrap_or_default();
    if let Some((name, address)) = repeated(address).filter(|_| name.is_empty()) {
        return ParsedMailbox { address: address.to_owned(), name: Some(name.to_owned()) };
    }
    let words: Vec<&str> = name.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
    ParsedMailbox { address: address.to_owned(), name: Some(words.join(" ")) }
}

/// Takes a name that repeats the address off it. mail-parser puts the two together where a line ends
/// between them; as there are two `@` then, no address is mistaken for this.
fn repeated(text: &str) -> Option<(&str, &str)> {
    let quotes = if text.starts_with('\'') { 2 } else { 0 };
    let (name, address) = text.split_at_checked((text.len() + quotes) / 2)?;
    let bare = if quotes > 0 { names::unquoted(name) } else { name };
    (bare == address && address.contains('@')).then_some((name, address))
}

const FIELDS: &[(HeaderName<'static>, &str)] = &[
    (HeaderName::From, "From"),
    (HeaderName::Sender, "Sender"),
    (HeaderName::ResentFrom, "Resent-From"),
    (HeaderName::ResentSender, "Resent-Sender"),
    (HeaderName::To, "To"),
    (HeaderName::Cc, "Cc"),
    (HeaderName::Bcc, "Bcc"),
];
