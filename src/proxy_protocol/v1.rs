//! Version 1: a line of text (PROXY protocol specification, section 2.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Header, Parsed, Refused, begins, canonical};

pub(super) const BEGINNING: &[u8] = b"PROXY ";
/// Bytes of the longest line, its CRLF included.
const LONGEST_BYTES: usize = 107;
/// How a line goes on, each with the bytes of the shortest such line.
const FAMILIES: [(&[u8], usize); 4] = [
    (b"PROXY TCP4 ", "PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n".len()),
    (b"PROXY TCP6 ", "PROXY TCP6 :: :: 0 0\r\n".len()),
    (b"PROXY UNKNOWN ", "PROXY UNKNOWN \r\n".len()),
    (b"PROXY UNKNOWN\r", "PROXY UNKNOWN\r\n".len()),
];

/// Reads bytes that begin as a line does.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Refused> {
    let families = FAMILIES.iter().filter(|(family, _)| begins(bytes, family));
    let Some(shortest) = families.map(|(_, shortest)| *shortest).min() else {
        return Err(Refused::Words);
    };
    let Some(end) = bytes.iter().take(LONGEST_BYTES).position(|byte| !is_printable(*byte)) else {
        // CR and LF at least are still to come.
        if bytes.len() + 2 > LONGEST_BYTES {
            return Err(Refused::TooLong(LONGEST_BYTES));
        }
        return Ok(Parsed::Incomplete(shortest.saturating_sub(bytes.len()).max(2)));
    };
    if end + 2 > LONGEST_BYTES {
        return Err(Refused::TooLong(LONGEST_BYTES));
    }
    let (line, rest) = bytes.split_at_checked(end).ok_or(Refused::Line)?;
    let [b'\r', rest @ ..] = rest else { return Err(Refused::Line) };
    // A line that is wrong does not become right by what follows.
    let addresses = read_line(line)?;
    match rest {
        [b'\n', ..] => {}
        [] => return Ok(Parsed::Incomplete(1)),
        _ => return Err(Refused::Line),
    }
    Ok(Parsed::Header(Header {
        length: end + 2,
        is_local: false,
        source: addresses.map(|(source, _)| canonical(source)),
        destination: addresses.map(|(_, destination)| canonical(destination)),
        vpce: None,
    }))
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// Reads a line without its CRLF: source and destination, or nothing where they are unknown.
fn read_line(line: &[u8]) -> Result<Option<(SocketAddr, SocketAddr)>, Refused> {
    let line = str::from_utf8(line).map_err(|_| Refused::Line)?;
    // What stands behind UNKNOWN has to be ignored.
    if line == "PROXY UNKNOWN" || line.starts_with("PROXY UNKNOWN ") {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let mut next = || words.next().ok_or(Refused::Words);
    let (_, family) = (next()?, next()?);
    let (source, destination) = (next()?, next()?);
    let (source_port, destination_port) = (next()?, next()?);
    if words.next().is_some() {
        return Err(Refused::Words);
    }
    let read: fn(&str) -> Option<IpAddr> = match family {
        "TCP4" => |word| word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => |word| word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return Err(Refused::Words),
    };
    let source = read(source).ok_or(Refused::Address("source"))?;
    let destination = read(destination).ok_or(Refused::Address("destination"))?;
    let source_port = port(source_port).ok_or(Refused::Port("source"))?;
    let destination_port = port(destination_port).ok_or(Refused::Port("destination"))?;
    Ok(Some((SocketAddr::new(source, source_port), SocketAddr::new(destination, destination_port))))
}

/// A number without a sign, blanks or zeros in front.
fn port(word: &str) -> Option<u16> {
    let number: u16 = word.parse().ok()?;
    (number.to_string() == word).then_some(number)
}
