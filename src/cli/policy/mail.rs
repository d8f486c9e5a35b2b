//! A message as commands are told of it, and what the relay says of it.

use crate::address::Address;
use crate::authorize::Denial;
use crate::relay::Refusal;
use crate::smtp::{Envelope, RECIPIENTS, Reply};

/// Reads an address of the envelope.
pub(super) fn address(text: &str) -> Result<Address, String> {
    Address::parse(text).map_err(|error| format!("`{text}` is no address: {error}"))
}

/// Makes an envelope; of a forward-path that is given twice one is kept, as in SMTP. Without one, what
/// the relay says of too many.
pub(super) fn envelope(
    reverse_path: Address,
    given: Vec<Address>,
    ehlo: &str,
) -> Result<Envelope, Reply> {
    let mut forward_paths = Vec::new();
    for path in given {
        if !forward_paths.contains(&path) {
            forward_paths.push(path);
        }
    }
    if forward_paths.len() > RECIPIENTS {
        return Err(Reply::too_many_recipients());
    }
    Ok(Envelope { reverse_path, forward_paths, ehlo: ehlo.to_owned(), body_8bit: false })
}

/// Returns the header section of a file, its line ends made CRLF: an editor's file is as good as the
/// wire's.
pub(super) fn section(bytes: &[u8]) -> Vec<u8> {
    let mut section = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        section.extend_from_slice(line);
        section.extend_from_slice(b"\r\n");
        if line.is_empty() {
            return section;
        }
    }
    section.extend_from_slice(b"\r\n");
    section
}

/// Returns the header section of a message of which nothing but the author is known.
pub(super) fn only_from(address: &str) -> Vec<u8> {
    format!("From: {address}\r\n\r\n").into_bytes()
}

/// The reply, without the decision id that only a real transaction has.
pub(super) fn reply(source: Denial) -> String {
    let id = uuid::Uuid::nil();
    Reply::from(&Refusal::Denied { id, source }).to_string().replace(&format!(" [{id}]"), "")
}
