//! A second opinion on the address fields, from a parser written by others (decision 5).
//!
//! mail-parser takes what it can and never refuses; it decides nothing here. When it finds other
//! addresses or names than the strict grammar did, the message has more than one reading.

use std::panic::{AssertUnwindSafe, catch_unwind};

use mail_parser::{Addr, HeaderName, HeaderValue, MessageParser};

use super::Mailbox;
use super::error::{FieldError, MessageError};
use crate::address::Address;

/// What the strict grammar found in one field.
#[derive(Debug)]
pub(super) struct Reading {
    field: &'static str,
    mailboxes: Vec<MailboxReading>,
}

impl Reading {
    pub(super) fn of_addresses(field: &'static str, addresses: &[Address]) -> Self {
        let bare = |address: &Address| MailboxReading { address: address.to_string(), name: None };
        Self { field, mailboxes: addresses.iter().map(bare).collect() }
    }

    pub(super) fn of_mailboxes(field: &'static str, mailboxes: &[Mailbox]) -> Self {
        let reading = |mailbox: &Mailbox| MailboxReading {
            address: mailbox.address.to_string(),
            name: match &mailbox.display_name {
                None => Some(String::new()),
                Some(name) => name.plain.then(|| name.decoded.clone()),
            },
        };
        Self { field, mailboxes: mailboxes.iter().map(reading).collect() }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct MailboxReading {
    address: String,
    /// `None` where names are not compared.
    name: Option<String>,
}

/// Refuses the section unless mail-parser finds the same fields, in order, with the same mailboxes.
pub(super) fn check(section: &[u8], ours: &[Reading]) -> Result<(), MessageError> {
    let ambiguous = |field| Err(MessageError::Field { field, error: FieldError::Ambiguous });
    let Ok(theirs) = catch_unwind(AssertUnwindSafe(|| read(section))) else {
        return ambiguous("From");
    };
    let mut theirs = theirs.iter();
    for reading in ours {
        let agrees = theirs.next().is_some_and(|(field, mailboxes)| {
            *field == reading.field && same(&reading.mailboxes, mailboxes)
        });
        if !agrees {
            return ambiguous(reading.field);
        }
    }
    theirs.next().map_or(Ok(()), |(field, _)| ambiguous(field))
}

fn same(ours: &[MailboxReading], theirs: &[MailboxReading]) -> bool {
    ours.len() == theirs.len()
        && ours.iter().zip(theirs).all(|(ours, theirs)| {
            ours.address == theirs.address && (ours.name.is_none() || ours.name == theirs.name)
        })
}

/// Only the address fields are parsed: mail-parser takes the line after a broken Date for a part of it.
fn read(section: &[u8]) -> Vec<(&'static str, Vec<MailboxReading>)> {
    let parser =
        FIELDS.iter().fold(MessageParser::new().default_header_ignore(), |parser, (name, _)| {
            parser.header_address(name.clone())
        });
    let Some(message) = parser.parse_headers(section) else { return Vec::new() };
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
fn mailbox(addr: &Addr<'_>) -> MailboxReading {
    let name = addr.name().unwrap_or_default();
    let words: Vec<&str> = name.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
    MailboxReading {
        address: addr.address().unwrap_or_default().to_owned(),
        name: Some(words.join(" ")),
    }
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
