//! IP addresses and networks as IpAddress and NotIpAddress compare them.

use std::net::Ipv6Addr;

use super::error::Problem;
use super::rules::TYPE_OF_VALUE;

/// An address of a request; IPv4-mapped IPv6 addresses are IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Address {
    V4(u32),
    V6(u128),
}

impl Address {
    /// Reads an address: leading zeros are decimal, a dotted tail is read in `::ffff:a.b.c.d` only.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(bits) = parse_v4(text) {
            return Some(Address::V4(bits));
        }
        if text.contains('.') {
            let (prefix, dotted) = text.split_at_checked("::ffff:".len())?;
            let mapped = prefix.eq_ignore_ascii_case("::ffff:").then(|| parse_v4(dotted)).flatten();
            return mapped.map(Address::V4);
        }
        let address = text.parse::<Ipv6Addr>().ok()?;
        Some(match address.to_ipv4_mapped() {
            Some(v4) => Address::V4(v4.to_bits()),
            None => Address::V6(address.to_bits()),
        })
    }
}

/// A network of a policy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Network {
    address: Address,
    prefix_bits: u32,
}

impl Network {
    /// Reads `address` or `address/bits`.
    ///
    /// # Errors
    ///
    /// What is wrong and what to write instead. Host bits are ignored in IPv4 networks and refused
    /// in IPv6 networks.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let (address, longest) = match parse_v4(address) {
            Some(bits) => (Address::V4(bits), 32),
            None if address.contains(':') && address.contains('.') => {
                let message = "IPv6 networks take no dotted form";
                return Err(Problem::new(TYPE_OF_VALUE, message, "write it in hexadecimal"));
            }
            None => {
                let address: Ipv6Addr = address.parse().map_err(|_| {
                    let fix = "write one such as `192.0.2.0/24` or `2001:db8::/32`";
                    Problem::new(TYPE_OF_VALUE, "not an IP network", fix)
                })?;
                // A mapped network stays IPv6 and so matches nothing, since requests are read as
                // IPv4.
                (Address::V6(address.to_bits()), 128)
            }
        };
        let prefix_bits = match prefix {
            Some(prefix) => {
                parse_prefix(prefix).filter(|bits| *bits <= longest).ok_or_else(|| {
                    let message = format!("the prefix length is not a number from 0 to {longest}");
                    Problem::new(TYPE_OF_VALUE, message, "")
                })?
            }
            None => longest,
        };
        let network = Network { address, prefix_bits };
        if let Address::V6(bits) = address
            && bits & !network.mask_v6() != 0
        {
            let start = Ipv6Addr::from_bits(bits & network.mask_v6());
            let fix = format!("write `{start}/{prefix_bits}`");
            return Err(Problem::new(TYPE_OF_VALUE, "the IPv6 network has host bits set", fix));
        }
        Ok(network)
    }

    /// Tells whether the address is in the network; one of the other family never is.
    pub(super) fn contains(&self, address: Address) -> bool {
        match (self.address, address) {
            (Address::V4(network), Address::V4(bits)) => {
                let mask = u32::MAX.checked_shl(32 - self.prefix_bits.min(32)).unwrap_or(0);
                (network ^ bits) & mask == 0
            }
            (Address::V6(network), Address::V6(bits)) => (network ^ bits) & self.mask_v6() == 0,
            _ => false,
        }
    }

    fn mask_v6(&self) -> u128 {
        u128::MAX.checked_shl(128 - self.prefix_bits.min(128)).unwrap_or(0)
    }
}

fn parse_v4(text: &str) -> Option<u32> {
    let mut fields = text.split('.');
    let mut bits = 0;
    for _ in 0..4 {
        bits = bits << 8 | parse_octet(fields.next()?)?;
    }
    fields.next().is_none().then_some(bits)
}

fn parse_octet(text: &str) -> Option<u32> {
    let only_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    only_digits.then(|| text.parse().ok()).flatten().filter(|octet| *octet <= 255)
}

fn parse_prefix(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let only_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    only_digits.then(|| digits.parse().ok()).flatten()
}
