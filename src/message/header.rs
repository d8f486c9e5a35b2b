//! The strict scan: bytes to lines, lines to fields.
//!
//! Every way in which mail programs find different fields in the same bytes is refused here. What the
//! values mean is left to others.

use std::ops::Range;

use super::error::MessageError;
use super::{FIELD_BYTES, HEADER_BYTES, HEADER_LINES, RECEIVED_FIELDS, is_xses};
use crate::address::excerpt;

/// The fields of a header section, in order.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    pub(super) fields: Vec<Field<'a>>,
    /// The length of the section with its blank line.
    pub(super) bytes: usize,
}

/// One field.
#[derive(Debug)]
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    /// What follows the colon, folds and the last CRLF included.
    pub(super) value: &'a [u8],
    /// Its whole lines.
    pub(super) range: Range<usize>,
}

impl Field<'_> {
    /// Field names have no letter case (RFC 5322 section 1.2.2).
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// Finds the fields of the section at the start of `bytes` and checks what holds for all of them.
pub(super) fn scan(bytes: &[u8]) -> Result<Scan<'_>, MessageError> {
    let scan = fields(bytes)?;
    for field in &scan.fields {
        if field.range.len() > FIELD_BYTES {
            return Err(MessageError::LongField(excerpt(field.name)));
        }
    }
    if scan.fields.iter().filter(|field| field.is("Received")).count() > RECEIVED_FIELDS {
        return Err(MessageError::Loop);
    }
    // Of two fields some programs take the first and some the last; SES refuses them as well.
    let mut seen = [false; SINGLE.len()];
    for field in &scan.fields {
        let single = SINGLE.iter().zip(&mut seen).find(|(name, _)| field.is(name));
        if let Some((name, seen)) = single
            && std::mem::replace(seen, true)
        {
            return Err(MessageError::Duplicate(name));
        }
    }
    Ok(scan)
}

fn fields(bytes: &[u8]) -> Result<Scan<'_>, MessageError> {
    let mut fields: Vec<Field<'_>> = Vec::new();
    let mut start = 0;
    let mut number = 0;
    loop {
        number += 1;
        let rest = bytes.get(start..).unwrap_or_default();
        let Some(line_bytes) = memchr::memchr(b'\n', rest).map(|at| at + 1) else {
            break;
        };
        let line = rest.get(..line_bytes).unwrap_or_default();
        let end = start + line_bytes;
        if end > HEADER_BYTES {
            return Err(MessageError::LongSection);
        }
        let text = line.strip_suffix(b"\r\n").ok_or(MessageError::BareLf)?;
        check_bytes(text, number)?;
        if text.is_empty() {
            return Ok(Scan { fields, bytes: end });
        }
        if number > HEADER_LINES {
            return Err(MessageError::ManyLines);
        }
        if let [b' ' | b'\t', ..] = text {
            let field = fields.last_mut().ok_or(MessageError::Indented)?;
            // Python 3.11 folds long words so. What follows is header all the same (RFC 5322 section 4.2).
            let is_free = text.iter().all(|byte| *byte != ESC) && !is_judged(field.name);
            if !is_free && text.iter().all(|byte| matches!(*byte, b' ' | b'\t' | ESC)) {
                return Err(MessageError::BlankLine(number));
            }
            field.range.end = end;
            let value_start = end - field.value.len() - line_bytes;
            field.value = bytes.get(value_start..end).unwrap_or_default();
        } else {
            let (name, value) = split(line, number)?;
            fields.push(Field { name, value, range: start..end });
        }
        start = end;
    }
    // No line end in what is left.
    if bytes.len() > HEADER_BYTES {
        return Err(MessageError::LongSection);
    }
    check_bytes(bytes.get(start..).unwrap_or_default(), number)?;
    Err(MessageError::NoBlankLine)
}

/// A name of printable ASCII, directly followed by a colon (RFC 5322 section 2.2).
fn split(line: &[u8], number: usize) -> Result<(&str, &[u8]), MessageError> {
    let not_a_field = || {
        let text = String::from_utf8_lossy(line.trim_ascii_end());
        MessageError::NotAField { line: number, text: excerpt(&text) }
    };
    let colon = memchr::memchr(b':', line).ok_or_else(not_a_field)?;
    let (name, value) = line.split_at_checked(colon).ok_or_else(not_a_field)?;
    let value = value.strip_prefix(b":").ok_or_else(not_a_field)?;
    let trimmed = name.trim_ascii_end();
    if trimmed.is_empty() || !trimmed.iter().all(u8::is_ascii_graphic) || trimmed.starts_with(b">")
    {
        return Err(not_a_field());
    }
    let name_text = str::from_utf8(trimmed).map_err(|_| not_a_field())?;
    if trimmed != name {
        return Err(MessageError::BlankBeforeColon(excerpt(name_text)));
    }
    Ok((name_text, value))
}

/// Control characters are line ends to some programs (VT, FF, FS to RS) and blanks to others. Text in
/// ISO-2022-JP needs ESC.
fn check_bytes(text: &[u8], number: usize) -> Result<(), MessageError> {
    let control = |byte: &&u8| byte.is_ascii_control() && !matches!(**byte, b'\t' | ESC);
    match text.iter().find(control) {
        None => Ok(()),
        Some(0) => Err(MessageError::Nul),
        Some(b'\r') => Err(MessageError::BareCr),
        Some(_) => Err(MessageError::Control(number)),
    }
}

const ESC: u8 = 0x1b;

/// Fields with addresses, and those that choose how SES sends: what they say must be whole to those who end
/// the header section at a line of blanks.
fn is_judged(name: &str) -> bool {
    is_xses(name) || ADDRESSES.iter().any(|known| known.eq_ignore_ascii_case(name))
}

const ADDRESSES: [&str; 13] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Return-Path",
    "Resent-From",
    "Resent-Sender",
    "Resent-Reply-To",
    "Resent-To",
    "Resent-Cc",
    "Resent-Bcc",
];

/// The fields that SES takes once (SES guide, "Amazon SES header fields").
const SINGLE: &[&str] = &[
    "Accept-Language",
    "acceptLanguage",
    "Archived-At",
    "Auto-Submitted",
    "Bounces-to",
    "Comments",
    "Content-Alternative",
    "Content-Base",
    "Content-Class",
    "Content-Description",
    "Content-Disposition",
    "Content-Duration",
    "Content-ID",
    "Content-Language",
    "Content-Length",
    "Content-Location",
    "Content-MD5",
    "Content-Transfer-Encoding",
    "Content-Type",
    "Date",
    "Delivered-To",
    "Disposition-Notification-Options",
    "Disposition-Notification-To",
    "DKIM-Signature",
    "DomainKey-Signature",
    "Errors-To",
    "From",
    "Importance",
    "In-Reply-To",
    "Keywords",
    "List-Archive",
    "List-Help",
    "List-Id",
    "List-Owner",
    "List-Post",
    "List-Subscribe",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "Message-Context",
    "Message-ID",
    "MIME-Version",
    "Organization",
    "Original-From",
    "Original-Message-ID",
    "Original-Recipient",
    "Original-Subject",
    "Precedence",
    "Priority",
    "References",
    "Reply-To",
    "Return-Path",
    "Return-Receipt-To",
    "Sender",
    "Solicitation",
    "Sensitivity",
    "Subject",
    "Thread-Index",
    "Thread-Topic",
    "User-Agent",
    "VBR-Info",
];
