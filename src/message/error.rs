//! Why a message is refused, in words for its sender.

use crate::address::AddressError;

/// Why a header section cannot be taken.
///
/// The text goes after `554 Transaction failed: `. It is printable ASCII of at most 200 characters, the
/// SES endpoint's own words where they are known; what it quotes is cut to 64 characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The content ended before a blank line.
    #[error("Header section does not end with a blank line.")]
    NoBlankLine,
    /// The header section has more bytes than [`HEADER_BYTES`](super::HEADER_BYTES).
    #[error("Header section is longer than 128 KiB.")]
    LongSection,
    /// The header section has more lines than [`HEADER_LINES`](super::HEADER_LINES).
    #[error("Header section has more than 1000 lines.")]
    ManyLines,
    /// A field has more bytes than [`FIELD_BYTES`](super::FIELD_BYTES).
    #[error("Header '{0}' is longer than 16 KiB.")]
    LongField(String),
    /// There are more trace fields than [`RECEIVED_FIELDS`](super::RECEIVED_FIELDS).
    #[error("Message has more than 50 'Received' headers: it may be in a loop.")]
    Loop,
    /// A NUL.
    #[error("Message contains a NUL character.")]
    Nul,
    /// A CR without LF.
    #[error("Message contains a bare CR: lines must end with CRLF.")]
    BareCr,
    /// An LF without CR.
    #[error("Message contains a bare LF: lines must end with CRLF.")]
    BareLf,
    /// A control character that is neither a tab nor an escape; the number is the line's.
    #[error("Header section contains a control character in line {0}.")]
    Control(usize),
    /// The first line is blank.
    #[error("Header section is empty: the message begins with a blank line.")]
    NoFields,
    /// The first line is a continuation of nothing.
    #[error("Header section starts with a continuation line.")]
    Indented,
    /// A continuation of blanks only, which some take for the end of the header section, in a field that
    /// has to be whole to them too.
    #[error("Header section has a line of blanks only, line {0}.")]
    BlankLine(usize),
    /// A line that is neither a field nor a continuation.
    #[error("Header section has a line that is not a field, line {line}: '{text}'.")]
    NotAField {
        /// Its number, from 1.
        line: usize,
        /// Its start.
        text: String,
    },
    /// A blank between the name of a field and its colon.
    #[error("Header '{0}' has a blank before its colon.")]
    BlankBeforeColon(String),
    /// A field that has to be there.
    #[error("Missing required header '{0}'.")]
    Missing(&'static str),
    /// A field that SES takes once occurs twice.
    #[error("Duplicate header '{0}'.")]
    Duplicate(&'static str),
    /// A field holds an address that does not read as one.
    #[error("{error} (header '{field}')")]
    Address {
        /// The name of the field.
        field: &'static str,
        /// What is wrong with the address.
        error: AddressError,
    },
    /// A field is not written as it has to be.
    #[error("Header '{field}' {error}")]
    Field {
        /// The name of the field.
        field: &'static str,
        /// What is wrong with it.
        error: FieldError,
    },
    /// There are more mailboxes than [`HEADER_AUTHORS`](super::HEADER_AUTHORS).
    #[error(
        "Headers 'From', 'Sender', 'Resent-From' and 'Resent-Sender' name more than 50 authors."
    )]
    ManyAuthors,
    /// There are more addresses than [`HEADER_RECIPIENTS`](super::HEADER_RECIPIENTS).
    #[error("Headers 'To', 'Cc' and 'Bcc' name more than 1000 recipients.")]
    ManyRecipients,
    /// Two identities are named for one author.
    #[error("Headers 'X-SES-SOURCE-ARN' and 'X-SES-FROM-ARN' differ.")]
    ArnsDiffer,
}

/// What is wrong with a field; continues `Header 'From' …`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// Bytes over 127: addresses and names are ASCII, encoded where need be.
    #[error("contains raw 8-bit characters: encode names as RFC 2047 says, domains in Punycode.")]
    EightBit,
    /// A control character.
    #[error("contains a control character.")]
    Control,
    /// No mailbox at all.
    #[error("is empty.")]
    Empty,
    /// A comma too many.
    #[error("has a comma with no address before or after it.")]
    Comma,
    /// Several mailboxes where one is due.
    #[error("has more than one address.")]
    Several,
    /// A comment, often in place of a name, as cron writes it.
    #[error(
        "has a comment, '{0}': write the name before the address, as in: Name <user@example.com>"
    )]
    Comment(String),
    /// A group where mailboxes are due.
    #[error("has a group or a colon outside of quotes: write addresses alone.")]
    Group,
    /// A group in a place where it cannot be, or without its end.
    #[error("has a group that is not complete.")]
    OpenGroup,
    /// A quoted string, comment or bracket without its end.
    #[error("has '{0}' without its end.")]
    Open(char),
    /// A line that ends within quotes or a comment, where some readers end those too.
    #[error(
        "has a line break within quotes or a comment: break the line elsewhere, or not at all."
    )]
    Folded,
    /// A character that has to be quoted.
    #[error("has '{0}' where it cannot be: put names with special characters in quotes.")]
    Special(char),
    /// A semicolon outside of a group, as Outlook shows one between addresses.
    #[error(
        "has ';' where it cannot be: write ',' between addresses, and put names with ';' in quotes."
    )]
    Semicolon,
    /// An address with a name and no brackets, or text behind the brackets.
    #[error("has text that is no address, '{0}': write Name <user@example.com>")]
    Text(String),
    /// Quotes that end and begin in the middle of a name.
    #[error(
        "has quotes within a name, at '{0}': put the name in one pair of quotes, and a \\ before each \
         \" in it"
    )]
    InnerQuotes(String),
    /// Source routes are obsolete.
    #[error("has a source route, '{0}': write the address alone.")]
    Route(String),
    /// An encoded word that not all decode, or not alike.
    #[error("has an encoded word that cannot be decoded safely: '{0}'.")]
    EncodedWord(String),
    /// An encoded word in which quotes begin, as agents write it that encode a name with its quotes.
    #[error(
        "has a quote within an encoded word, '{0}': encode the name without its quotes, or \" as =22"
    )]
    QuotedEncodedWord(String),
    /// An encoded word in a character set that is not known.
    #[error("has an encoded word in an unknown character set: '{0}'.")]
    Charset(String),
    /// A name that holds control or direction characters once it is decoded.
    #[error("has a name with control or direction characters in it.")]
    Name,
    /// The second parser read it differently; the first mailbox that differs, as each reads it.
    #[error("can be read in two ways: as {0} and as {1}.")]
    Ambiguous(String, String),
    /// The second parser did not come back.
    #[error("cannot be read by a second parser.")]
    Unread,
    /// A value outside of its grammar; what it has to look like.
    #[error("has a value that is not valid, '{0}': write {1}")]
    Value(String, &'static str),
    /// No value where one is due.
    #[error("is empty: leave the field out, or write {0}")]
    NoValue(&'static str),
}
