//! Reads a header section into the facts that policies ask about.
//!
//! One reading or none (decision 5): whatever two mail programs could read differently is refused.
//! MIME bodies are not looked into. Bare line ends in the body are the content decoder's business.
//!
//! Reply-To, Resent-To, Resent-Cc and Resent-Bcc pass as they are: they are no claims (decision 6), and
//! SES delivers to none of them, since the recipients are always given to it.

mod charsets;
mod cross_check;
mod error;
mod fields;
mod header;
mod names;
mod spellings;
mod traceparent;
mod xses;

use std::collections::HashSet;
use std::ops::Range;

use self::cross_check::ParsedField;
use self::header::{Field, Scan};
use self::traceparent::TraceFields;
use crate::address::{Address, excerpt};

pub use error::{FieldError, MessageError};
pub use traceparent::TraceParent;
pub use xses::{IdentityArn, ListManagement, XSes};

/// The longest header section, in bytes, with the blank line that ends it.
pub const HEADER_BYTES: usize = 128 * 1024;
/// The most lines of a header section.
pub const HEADER_LINES: usize = 1000;
/// The longest field, in bytes, with its name and folds.
pub const FIELD_BYTES: usize = 16 * 1024;
/// The most Received fields; more is a loop.
pub const RECEIVED_FIELDS: usize = 50;
/// The most mailboxes in From, Sender, Resent-From and Resent-Sender together; each is judged for
/// itself.
pub const HEADER_AUTHORS: usize = 50;
/// The most addresses in To, Cc and Bcc together.
pub const HEADER_RECIPIENTS: usize = 1000;

/// What a header section says: its authors, feedback address, recipients and `X-SES-` options.
#[derive(Clone, Debug)]
pub struct HeaderSection {
    from: Vec<Mailbox>,
    sender: Option<Mailbox>,
    resent_from: Vec<Mailbox>,
    resent_sender: Vec<Mailbox>,
    return_path: Option<Address>,
    recipients: Vec<Address>,
    xses: XSes,
    unknown_xses: Vec<String>,
    bytes: usize,
    removed: Vec<Range<usize>>,
    trace_fields: TraceFields,
    trace_parent: Option<TraceParent>,
}

/// An address with the name shown for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// The name, if there is one that is not empty.
    pub display_name: Option<DisplayName>,
    /// The address.
    pub address: Address,
}

/// The name shown for an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayName {
    decoded: String,
    written: String,
    /// Whether it is written in a way that the second parser reads as we do.
    plain: bool,
}

impl DisplayName {
    /// Returns the name as people see it: encoded words decoded, quotes off, runs of blanks one blank.
    #[must_use]
    pub fn decoded(&self) -> &str {
        &self.decoded
    }

    /// Returns the name with its encoded words as they are: quotes off, runs of blanks one blank.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Returns the other spellings of this name, for Deny alone (decision 7): as written, in lower
    /// case, without what cannot be seen, with compatible characters as plain ones, and all that without
    /// quotes around it. Never the decoded name itself, each once, twelve at most.
    #[must_use]
    pub fn spellings(&self) -> Vec<String> {
        spellings::of_name(&self.decoded, &self.written)
    }
}

impl HeaderSection {
    /// Reads a header section; `bytes` ends with its blank line, and what follows that is not read.
    ///
    /// # Errors
    ///
    /// Anything that has no reading, or more than one.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let Scan { fields, bytes: length } = header::scan(bytes)?;
        if fields.is_empty() {
            return Err(MessageError::NoFields);
        }
        let mut section = Self {
            from: Vec::new(),
            sender: None,
            resent_from: Vec::new(),
            resent_sender: Vec::new(),
            return_path: None,
            recipients: Vec::new(),
            xses: XSes::default(),
            unknown_xses: Vec::new(),
            bytes: length,
            removed: Vec::new(),
            trace_fields: TraceFields::default(),
            trace_parent: None,
        };
        let mut readings = Vec::new();
        for field in &fields {
            readings.extend(section.read(field)?);
        }
        if section.from.is_empty() {
            return Err(MessageError::Missing("From"));
        }
        section.xses.check()?;
        section.trace_parent = section.trace_fields.parent();
        let authors = section.from.len() + section.resent_from.len() + section.resent_sender.len();
        if authors + usize::from(section.sender.is_some()) > HEADER_AUTHORS {
            return Err(MessageError::ManyAuthors);
        }
        if section.recipients.len() > HEADER_RECIPIENTS {
            return Err(MessageError::ManyRecipients);
        }
        cross_check::check(bytes.get(..length).unwrap_or(bytes), &readings)?;
        let mut seen = HashSet::new();
        section.recipients.retain(|address| seen.insert(address.clone()));
        Ok(section)
    }

    /// Takes one field in; returns what the second parser has to find in it as well.
    fn read(&mut self, field: &Field<'_>) -> Result<Option<ParsedField>, MessageError> {
        if field.is("Bcc") || field.is("Return-Path") || is_xses(field.name) {
            self.removed.push(field.range.clone());
        }
        if field.is("Return-Path") {
            self.return_path = fields::path("Return-Path", field.value)?;
        } else if let Some(name) = named(field, &RECIPIENTS) {
            let addresses = fields::addresses(name, field.value)?;
            self.recipients.extend(addresses.iter().cloned());
            return Ok(Some(ParsedField::of_addresses(name, &addresses)));
        } else if let Some(name) = named(field, &AUTHORS) {
            let mailboxes = fields::mailboxes(name, field.value)?;
            let reading = ParsedField::of_mailboxes(name, &mailboxes);
            if name.ends_with("Sender") && mailboxes.len() > 1 {
                return Err(MessageError::Field { field: name, error: FieldError::Several });
            }
            match name {
                "From" => self.from = mailboxes,
                "Sender" => self.sender = mailboxes.into_iter().next(),
                "Resent-From" => self.resent_from.extend(mailboxes),
                _ => self.resent_sender.extend(mailboxes),
            }
            return Ok(Some(reading));
        } else if !self.trace_fields.read(field) {
            let is_known = self.xses.read(field.name, field.value)?;
            if !is_known && is_xses(field.name) && self.unknown_xses.len() < UNKNOWN_FIELDS {
                let name = excerpt(field.name);
                if !self.unknown_xses.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
                    self.unknown_xses.push(name);
                }
            }
        }
        Ok(None)
    }

    /// Returns the authors; at least one.
    #[must_use]
    pub fn from(&self) -> &[Mailbox] {
        &self.from
    }

    /// Returns the mailbox of Sender.
    #[must_use]
    pub fn sender(&self) -> Option<&Mailbox> {
        self.sender.as_ref()
    }

    /// Returns the mailboxes of all Resent-From fields.
    #[must_use]
    pub fn resent_from(&self) -> &[Mailbox] {
        &self.resent_from
    }

    /// Returns the mailboxes of all Resent-Sender fields.
    #[must_use]
    pub fn resent_sender(&self) -> &[Mailbox] {
        &self.resent_sender
    }

    /// Returns the address of Return-Path; `Return-Path: <>` names none.
    #[must_use]
    pub fn return_path(&self) -> Option<&Address> {
        self.return_path.as_ref()
    }

    /// Returns the addresses of To, Cc and Bcc, groups included, in order, each once.
    #[must_use]
    pub fn recipients(&self) -> &[Address] {
        &self.recipients
    }

    /// Returns what the `X-SES-` fields ask for.
    #[must_use]
    pub fn xses(&self) -> &XSes {
        &self.xses
    }

    /// Returns the names of `X-SES-` fields that are not known and go unread: the first 8, each once, cut to
    /// 64 characters.
    #[must_use]
    pub fn unknown_xses(&self) -> &[String] {
        &self.unknown_xses
    }

    /// Returns the length of the section in bytes, with the blank line that ends it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the app's span, where `traceparent` names one in the only way there is.
    #[must_use]
    pub fn trace_parent(&self) -> Option<&TraceParent> {
        self.trace_parent.as_ref()
    }

    /// Whether `traceparent` or `tracestate` is there, whatever it says.
    #[must_use]
    pub fn has_trace_fields(&self) -> bool {
        !self.trace_fields.is_empty()
    }

    /// Has `traceparent` and `tracestate` left out of what is forwarded as well, whatever they say.
    pub fn remove_trace_fields(&mut self) {
        self.removed.extend(self.trace_fields.take_ranges());
        self.removed.sort_unstable_by_key(|range| range.start);
    }

    /// Returns the content without the fields that never pass: Bcc, Return-Path and `X-SES-…`.
    ///
    /// `content` is the whole content, header section first, as it was parsed. Whole lines with their
    /// folds go; no other byte changes (decision 11).
    #[must_use]
    pub fn forwarded(&self, mut content: Vec<u8>) -> Vec<u8> {
        let length = content.len();
        let mut kept = self.removed.first().map_or(length, |first| first.start);
        let starts = self.removed.iter().skip(1).map(|next| next.start);
        for (removed, end) in self.removed.iter().zip(starts.chain([self.bytes])) {
            let piece = removed.end.min(length)..end.min(length);
            let piece_bytes = piece.len();
            if !piece.is_empty() {
                content.copy_within(piece, kept);
            }
            kept += piece_bytes;
        }
        if !self.removed.is_empty() {
            content.drain(kept.min(length)..self.bytes.min(length));
        }
        content
    }
}

/// How many unknown fields are named.
const UNKNOWN_FIELDS: usize = 8;

const AUTHORS: [&str; 4] = ["From", "Sender", "Resent-From", "Resent-Sender"];
const RECIPIENTS: [&str; 3] = ["To", "Cc", "Bcc"];

fn named(field: &Field<'_>, names: &[&'static str]) -> Option<&'static str> {
    names.iter().copied().find(|name| field.is(name))
}

fn is_xses(name: &str) -> bool {
    name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("X-SES-"))
}
