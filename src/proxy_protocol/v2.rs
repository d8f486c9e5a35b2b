//! Version 2: a binary header (PROXY protocol specification, section 2.2).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Header, LONGEST_BYTES, Parsed, Refused, canonical};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes in front of the addresses: signature, command, family and length.
const FIXED_BYTES: usize = 16;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

const UNKNOWN: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

const CHECKSUM: u8 = 0x03;
const CHECKSUM_BYTES: usize = 4;
/// AWS's own field: a subtype in its first byte, and the id of a VPC endpoint behind subtype 1.
const AWS: u8 = 0xEA;
const AWS_VPC_ENDPOINT: u8 = 0x01;

/// Digits of an id: 8 in old ones, 17 in new ones, and room for longer ones to come.
const VPCE_DIGITS: std::ops::RangeInclusive<usize> = 8..=32;

/// Reads bytes that begin as the signature does.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Refused> {
    let behind = bytes.get(SIGNATURE.len()..).unwrap_or_default();
    if let Some(command) = behind.first()
        && !matches!(*command, LOCAL | PROXY)
    {
        return Err(Refused::Command(*command));
    }
    // The family means nothing when the balancer speaks for itself.
    if let [PROXY, family, ..] = *behind
        && !matches!(family, UNKNOWN | TCP_OVER_IPV4 | TCP_OVER_IPV6)
    {
        return Err(Refused::Family(family));
    }
    let Some((fixed, behind)) = bytes.split_first_chunk::<FIXED_BYTES>() else {
        return Ok(Parsed::Incomplete(FIXED_BYTES.saturating_sub(bytes.len())));
    };
    let [.., command, family, high, low] = *fixed;
    let length = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_BYTES {
        return Err(Refused::TooLong(LONGEST_BYTES));
    }
    let Some((header, _)) = bytes.split_at_checked(length) else {
        return Ok(Parsed::Incomplete(length.saturating_sub(bytes.len())));
    };
    let (block, _) = behind.split_at_checked(length - FIXED_BYTES).unwrap_or_default();
    let mut read = Header { length, is_local: false, source: None, destination: None, vpce: None };
    if command == LOCAL {
        // Whatever the block says, it has to be discarded.
        read.is_local = true;
        return Ok(Parsed::Header(read));
    }
    let fields = match family {
        TCP_OVER_IPV4 => {
            let (addresses, fields) = block.split_first_chunk::<12>().ok_or(Refused::Short)?;
            let [a, b, c, d, e, f, g, h, ports @ ..] = *addresses;
            let [source, destination] = [[a, b, c, d], [e, f, g, h]].map(Ipv4Addr::from);
            read.set_addresses(source, destination, ports);
            fields
        }
        TCP_OVER_IPV6 => {
            let (source, behind) = block.split_first_chunk::<16>().ok_or(Refused::Short)?;
            let (destination, behind) = behind.split_first_chunk::<16>().ok_or(Refused::Short)?;
            let (ports, fields) = behind.split_first_chunk::<4>().ok_or(Refused::Short)?;
            let [source, destination] = [*source, *destination].map(Ipv6Addr::from);
            read.set_addresses(source, destination, *ports);
            fields
        }
        UNKNOWN => block,
        other => return Err(Refused::Family(other)),
    };
    read.vpce = read_fields(header, fields)?;
    Ok(Parsed::Header(read))
}

impl Header {
    fn set_addresses<A>(&mut self, source: A, destination: A, ports: [u8; 4])
    where
        SocketAddr: From<(A, u16)>,
    {
        let [a, b, c, d] = ports;
        let address = |ip, port| Some(canonical(SocketAddr::from((ip, u16::from_be_bytes(port)))));
        self.source = address(source, [a, b]);
        self.destination = address(destination, [c, d]);
    }
}

/// Reads the fields at the end of a header and returns the id of the VPC endpoint, if it has one.
///
/// Fields of other types are not looked into, as the specification has it.
fn read_fields(header: &[u8], mut fields: &[u8]) -> Result<Option<String>, Refused> {
    let (mut checksum, mut vpce) = (None, None);
    while !fields.is_empty() {
        let [kind, high, low, rest @ ..] = fields else { return Err(Refused::Fields) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, behind) = rest.split_at_checked(length).ok_or(Refused::Fields)?;
        match (*kind, value) {
            (CHECKSUM, value) => {
                let value = <[u8; CHECKSUM_BYTES]>::try_from(value);
                let value = value.map_err(|_| Refused::Checksum)?;
                let at = header.len() - behind.len() - CHECKSUM_BYTES;
                if checksum.replace((at, u32::from_be_bytes(value))).is_some() {
                    return Err(Refused::Twice(CHECKSUM));
                }
            }
            (AWS, [AWS_VPC_ENDPOINT, id @ ..]) => {
                let id = read_vpce(id).ok_or(Refused::Vpce)?;
                if vpce.replace(id).is_some() {
                    return Err(Refused::Twice(AWS));
                }
            }
            (AWS, []) => return Err(Refused::Vpce),
            _ => {}
        }
        fields = behind;
    }
    match checksum {
        Some((at, value)) if checksum_of(header, at) != value => Err(Refused::Checksum),
        _ => Ok(vpce),
    }
}

fn read_vpce(id: &[u8]) -> Option<String> {
    let id = str::from_utf8(id).ok()?;
    let digits = id.strip_prefix("vpce-")?;
    let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (VPCE_DIGITS.contains(&digits.len()) && digits.bytes().all(is_digit)).then(|| id.to_owned())
}

/// CRC-32C (RFC 9260 appendix A) of a header, its checksum at `at` taken as zeros.
///
/// Bit by bit: a header is short, and most have no checksum.
fn checksum_of(header: &[u8], at: usize) -> u32 {
    const CASTAGNOLI: u32 = 0x82F6_3B78;
    let zeroed = at..at + CHECKSUM_BYTES;
    let sum = header.iter().enumerate().fold(u32::MAX, |sum, (index, byte)| {
        let byte = if zeroed.contains(&index) { 0 } else { *byte };
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            (sum >> 1) ^ if sum & 1 == 1 { CASTAGNOLI } else { 0 }
        })
    });
    !sum
}
