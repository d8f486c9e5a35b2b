//! IP addresses and networks, as bits written out.

/// The bits of an address as `0` and `1`: 32 or 128 of them.
pub(super) type Bits = String;

/// An address with the number of its bits that count.
pub(super) struct Network {
    bits: Bits,
    prefix: usize,
}

impl Network {
    /// Addresses of the other family are outside every network.
    pub(super) fn holds(&self, address: &Bits) -> bool {
        self.bits.len() == address.len() && self.bits[..self.prefix] == address[..self.prefix]
    }
}

/// The address of a request. IPv4-mapped IPv6 addresses are IPv4.
pub(super) fn address(text: &str) -> Option<Bits> {
    // The one place for dots in an IPv6 address.
    let is_mapped = text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("::ffff:"));
    if is_mapped && let Some(bits) = ipv4(&text[7..]) {
        return Some(bits);
    }
    let bits = ipv4(text).or_else(|| ipv6(text))?;
    let mapped = format!("{}{}", "0".repeat(80), "1".repeat(16));
    Some(bits.strip_prefix(&mapped).filter(|_| bits.len() == 128).map_or(bits.clone(), Bits::from))
}

/// An operand: an address, or one with a prefix length. IPv6 networks may have no host bits set.
pub(super) fn network(text: &str) -> Option<Network> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let bits = ipv4(address).or_else(|| ipv6(address))?;
    let prefix = match prefix {
        None => bits.len(),
        Some(prefix) => {
            let digits = prefix.strip_prefix('+').unwrap_or(prefix);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            digits.parse().ok().filter(|prefix| *prefix <= bits.len())?
        }
    };
    if bits.len() == 128 && bits[prefix..].contains('1') {
        return None;
    }
    Some(Network { bits, prefix })
}

/// Four decimal numbers; leading zeros do not make them octal.
fn ipv4(text: &str) -> Option<Bits> {
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() != 4 {
        return None;
    }
    let mut bits = Bits::new();
    for part in parts {
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let byte: u8 = part.parse().ok()?;
        bits += &format!("{byte:08b}");
    }
    Some(bits)
}

/// Eight groups of hexadecimal digits, or fewer around one `::`.
fn ipv6(text: &str) -> Option<Bits> {
    let groups = |text: &str| -> Option<Vec<u16>> {
        if text.is_empty() {
            return Some(Vec::new());
        }
        let group = |text: &str| {
            let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let is_group = is_hex && (1..=4).contains(&text.len());
            is_group.then(|| u16::from_str_radix(text, 16).unwrap())
        };
        text.split(':').map(group).collect()
    };
    let all = match text.split_once("::") {
        Some((before, after)) => {
            let (mut before, after) = (groups(before)?, groups(after)?);
            let missing = 8_usize.checked_sub(before.len() + after.len())?;
            if missing == 0 {
                return None;
            }
            before.extend(vec![0; missing]);
            before.extend(after);
            before
        }
        None => groups(text)?,
    };
    (all.len() == 8).then(|| all.iter().map(|group| format!("{group:016b}")).collect())
}
