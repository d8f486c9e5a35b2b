//! The envelope, and the transaction it belongs to.

use std::fmt;
use std::sync::Arc;

use crate::address::Address;
use crate::message::HeaderSection;

/// The address of MAIL FROM.
///
/// Never empty: SES refuses `<>` with 501, so a null reverse-path never gets this far.
pub type ReversePath = Address;

/// What the commands before DATA said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The address of MAIL FROM, as written.
    pub reverse_path: ReversePath,
    /// The addresses of RCPT TO as written and in order, each once, 1 to 50.
    pub forward_paths: Vec<Address>,
    /// The name that the client gave with EHLO or HELO, printable ASCII (decision 8).
    pub ehlo: String,
    /// Whether the client declared `BODY=8BITMIME` (RFC 6152); the bytes pass unchanged either way.
    pub body_8bit: bool,
}

/// A complete message with its envelope, not yet sent.
#[derive(Clone)]
pub struct Transaction {
    /// What the commands said.
    pub envelope: Arc<Envelope>,
    /// The header section of `content`, parsed once.
    pub header: Arc<HeaderSection>,
    /// Header section and body, dots unstuffed, without the final dot line.
    pub content: Vec<u8>,
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("envelope", &self.envelope)
            .field("content_bytes", &self.content.len())
            .finish_non_exhaustive()
    }
}
