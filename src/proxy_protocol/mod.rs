//! The HAProxy PROXY protocol, versions 1 and 2, as a server reads it (decision 8).
//!
//! A load balancer writes one header in front of what its client sends, and says in it who the
//! client is. [`parse`] reads one from bytes, [`read`] from a stream, of which it takes not one byte
//! more. A header is taken in exactly one way or refused: what it says becomes `aws:SourceIp` and
//! `aws:SourceVpce`. Whose headers count, and that a connection without one is closed without a
//! word, is up to the caller.
//!
//! Sources: the PROXY protocol specification, version 2020/03/05, and the AWS guide to Network Load
//! Balancers, "Proxy protocol".

mod v1;
mod v2;

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

/// Bytes of the shortest header there is, `PROXY UNKNOWN` and CRLF.
const SHORTEST_BYTES: usize = 15;
/// Bytes of the longest header that is read, in either version.
///
/// A header has to fit one segment, and 536 bytes is the segment that every peer takes (RFC 9293
/// section 3.7.1). A Network Load Balancer sends 100.
pub const LONGEST_BYTES: usize = 536;

/// What bytes are, read as the beginning of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a header. It takes at least so many bytes more, at least one.
    Incomplete(usize),
    /// A whole header, with or without something behind it.
    Header(Header),
}

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the header. What stands behind them is the client's.
    pub length: usize,
    /// The balancer speaks for itself, for example to see whether the relay is up (`LOCAL`): the
    /// peer of the socket is the client.
    pub is_local: bool,
    /// The client, an IPv4-mapped address as IPv4. `None` when the balancer speaks for itself or does
    /// not say who its client is (`UNKNOWN`, `UNSPEC`).
    pub source: Option<SocketAddr>,
    /// Where the client connected to, as `source`.
    pub destination: Option<SocketAddr>,
    /// The id of the AWS VPC endpoint that the client came through, `vpce-` and hexadecimal digits.
    pub vpce: Option<String>,
}

/// Why bytes are no PROXY header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Neither version begins so.
    #[error("the connection does not begin with a PROXY header")]
    NoHeader,
    /// Longer than a version 1 line (107 bytes), or than [`LONGEST_BYTES`].
    #[error("a PROXY header of more than {0} bytes")]
    TooLong(usize),
    /// A byte of a version 1 line is not printable ASCII, or CR and LF do not stand together.
    #[error("a version 1 header is not one line of ASCII that ends in CRLF")]
    Line,
    /// A version 1 line does not have exactly its six words with one blank between them.
    #[error("a version 1 header has other words than family, two addresses and two ports")]
    Words,
    /// An address of a version 1 line, by its name.
    #[error("the {0} address of a version 1 header is none of its family")]
    Address(&'static str),
    /// A port of a version 1 line, by its name.
    #[error("the {0} port of a version 1 header is no number from 0 to 65535 in its plain form")]
    Port(&'static str),
    /// The version and command byte.
    #[error("version and command of a version 2 header are {0:#04x}, not 0x20 or 0x21")]
    Command(u8),
    /// The family and protocol byte.
    #[error(
        "family and protocol of a version 2 header are {0:#04x}, not TCP over IPv4 (0x11), TCP over \
         IPv6 (0x21) or unknown (0x00)"
    )]
    Family(u8),
    /// The length leaves no room for the addresses.
    #[error("a version 2 header is too short for its addresses")]
    Short,
    /// A field (TLV) goes beyond the header.
    #[error("a field of a version 2 header does not end where the header does")]
    Fields,
    /// The field of that type is there twice.
    #[error("a version 2 header has two fields of type {0:#04x}")]
    Twice(u8),
    /// The checksum field has another length than four bytes, or another value.
    #[error("the checksum of a version 2 header is wrong")]
    Checksum,
    /// The AWS field has no subtype, or an id that is none.
    #[error("the AWS field of a version 2 header holds no VPC endpoint id (`vpce-…`)")]
    Vpce,
}

/// Why no header was read from a stream.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// What came is no header.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// The header was not there in time: perhaps the peer sends none.
    #[error("no PROXY header came in time")]
    TooSlow,
    /// The peer closed the connection before its header was complete.
    #[error("the connection was closed before its PROXY header was complete")]
    Closed,
    /// The stream failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Reads the header that `bytes` begin with.
///
/// Looks at no more than [`LONGEST_BYTES`]. Every beginning of a header that is taken is
/// [`Parsed::Incomplete`]; what can no longer become one is refused as soon as that is seen.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Refused> {
    if bytes.is_empty() {
        return Ok(Parsed::Incomplete(SHORTEST_BYTES));
    }
    if begins(bytes, v2::SIGNATURE) {
        return v2::parse(bytes);
    }
    if begins(bytes, v1::BEGINNING) {
        return v1::parse(bytes);
    }
    Err(Refused::NoHeader)
}

/// Whether `bytes` begin with `word`, or may do so once there are more of them.
fn begins(bytes: &[u8], word: &[u8]) -> bool {
    bytes.iter().zip(word).all(|(byte, wanted)| byte == wanted)
}

/// An address as policies see it (decision 8).
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Takes the header off the beginning of `stream`, and nothing that stands behind it.
///
/// When this fails, what was taken of the stream is not said.
///
/// # Errors
///
/// When what comes is no header, or the header is not complete by `deadline`.
pub async fn read<S>(stream: &mut S, deadline: Instant) -> Result<Header, ReadError>
where
    S: AsyncRead + Unpin,
{
    let reading = async {
        let mut bytes = Vec::new();
        loop {
            let more = match parse(&bytes)? {
                Parsed::Incomplete(more) => more,
                Parsed::Header(header) => return Ok(header),
            };
            // No header ends before so many bytes, so all of them are the header's.
            let more = u64::try_from(more).unwrap_or(u64::MAX);
            if (&mut *stream).take(more).read_buf(&mut bytes).await? == 0 {
                return Err(ReadError::Closed);
            }
        }
    };
    timeout_at(deadline, reading).await.map_err(|_| ReadError::TooSlow)?
}
