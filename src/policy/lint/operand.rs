//! Findings about the values of conditions.

use super::super::operator::Family;
use super::super::words::quoted;
use super::key::is_address_key;
use super::parts::{FILLED, bare};
use super::view::{Condition, Document, Text};
use super::{Findings, rules};

/// Checks the values of a condition.
pub(super) fn check(document: &Document<'_>, condition: &Condition, findings: &mut Findings<'_>) {
    let variables = document.has_variables();
    match condition.operator.family {
        Family::StringEquals | Family::StringEqualsIgnoreCase => {
            check_literals(condition, variables, findings);
        }
        Family::StringLike => check_patterns(condition, variables, findings),
        Family::Date(_) => check_dates(condition, findings),
        Family::IpAddress => check_networks(condition, findings),
        Family::Bool | Family::Null => check_booleans(condition, findings),
        Family::Numeric(_) | Family::Binary | Family::Arn => {}
    }
    let key = condition.folded_key.as_str();
    if condition.operator.is_string() && (key == "aws:sourcevpc" || key == "aws:sourcevpce") {
        check_endpoints(condition, variables, findings);
    }
}

fn check_literals(condition: &Condition, variables: bool, findings: &mut Findings<'_>) {
    for Text { at, text } in &condition.operands {
        if bare(text, variables).contains(['*', '?']) {
            let base = if condition.operator.negated { "StringNotLike" } else { "StringLike" };
            let like = format!("write `{}`", condition.with_base(base));
            let like = match condition.operator.family {
                Family::StringEqualsIgnoreCase => {
                    format!("{like}, whose case counts, or the text in full")
                }
                _ => like,
            };
            let message =
                format!("{} has a wildcard, which {} reads as text", quoted(text), condition.name);
            findings.add(rules::WILDCARD_WITHOUT_LIKE, *at, message, like);
        }
    }
}

fn check_patterns(condition: &Condition, variables: bool, findings: &mut Findings<'_>) {
    let is_address = is_address_key(&condition.folded_key);
    let is_wild = |operand: &Text| bare(&operand.text, variables).contains(['*', '?']);
    if let Some(first) = condition.operands.first()
        && !condition.operands.iter().any(is_wild)
    {
        let text = &first.text;
        let base = if condition.operator.negated { "StringNotEquals" } else { "StringEquals" };
        let equals = condition.with_base(base);
        // A part of an address says nothing: it may be of any domain.
        let fix = match text.rsplit_once('@').filter(|_| is_address) {
            Some((_, domain)) => {
                let all = quoted(&format!("*@{domain}"));
                format!("write `{equals}`, or {all} if the whole domain is meant")
            }
            None if is_address => format!("write `{equals}`"),
            None => {
                let part = quoted(&format!("*{text}*"));
                format!("write {part} to match a part, or `{equals}`")
            }
        };
        let message = format!("{} has no wildcard, so only that text matches", quoted(text));
        findings.add(rules::LIKE_WITHOUT_WILDCARD, first.at, message, fix);
    }
    for Text { at, text } in &condition.operands {
        let bare = bare(text, variables);
        if let Some(sign) = regular_expression(&bare, is_address) {
            let message = format!("`{sign}` in {} is text, not a regular expression", quoted(text));
            let fix = "use `*` for any characters and `?` for one";
            findings.add(rules::REGULAR_EXPRESSION, *at, message, fix);
        } else if is_address && bare.contains("+.*") {
            // As the SES guide has it, where any label seems to be meant.
            let message =
                format!("the dot in {} is text, so that labels begin with one", quoted(text));
            let fix = format!("write {} for any label", quoted(&text.replace("+.*", "+*")));
            findings.add(rules::LITERAL_DOT, *at, message, fix);
        }
    }
}

/// Returns what in a pattern looks like a regular expression. In an address `a.*` may well be meant
/// as it is.
pub(super) fn regular_expression(text: &str, is_address: bool) -> Option<&'static str> {
    let is_range = |bytes: &[u8]| {
        matches!(bytes, [from, b'-', to]
            if from.is_ascii_alphanumeric() && to.is_ascii_alphanumeric())
    };
    let has_class = text.split('[').skip(1).any(|rest| {
        let class = rest.split_once(']').map_or("", |(class, _)| class);
        class.as_bytes().windows(3).any(is_range)
    });
    if text.starts_with('^') {
        Some("^")
    } else if text.ends_with('$') {
        Some("$")
    } else if text.contains("\\.") {
        Some("\\.")
    } else if text.match_indices(".*").any(|(at, _)| {
        let before = text.get(..at).unwrap_or_default();
        !is_address || !before.ends_with(|c: char| c.is_alphanumeric() || c == '+')
    }) {
        Some(".*")
    } else if has_class {
        Some("[…]")
    } else {
        None
    }
}

fn check_endpoints(condition: &Condition, variables: bool, findings: &mut Findings<'_>) {
    let (prefix, example) = if condition.folded_key == "aws:sourcevpc" {
        ("vpc-", "vpc-0123456789abcdef0")
    } else {
        ("vpce-", "vpce-0123456789abcdef0")
    };
    for Text { at, text } in &condition.operands {
        let bare = bare(text, variables);
        let is_like = condition.operator.family == Family::StringLike;
        let is_wild = |c: char| c == FILLED || (is_like && ['*', '?'].contains(&c));
        let literal = bare.split(is_wild).next().unwrap_or_default();
        let is_whole = literal.len() == bare.len();
        let fits = match literal.strip_prefix(prefix) {
            Some(id) => id.bytes().all(|b| b.is_ascii_hexdigit()) && !(is_whole && id.is_empty()),
            None => !is_whole && prefix.starts_with(literal),
        };
        if !fits {
            let message = format!("{} is not an id of {}", quoted(text), condition.key);
            findings.add(
                rules::INVALID_VPC,
                *at,
                message,
                format!("write one such as `{example}`"),
            );
        }
    }
}

fn check_dates(condition: &Condition, findings: &mut Findings<'_>) {
    for Text { at, text } in &condition.operands {
        let digits = text.trim_start_matches(['+', '-']);
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let is_year = text.len() == 4;
        if is_year {
            let message = format!("{} is read as the beginning of that year", quoted(text));
            let fix = format!("write `{text}-01-01T00:00:00Z`");
            findings.add(rules::INVALID_DATE, *at, message, fix);
        } else if digits.len() >= 13 {
            let message =
                format!("{} is read as seconds and looks like milliseconds", quoted(text));
            findings.add(rules::INVALID_DATE, *at, message, "leave out the last three digits");
        }
    }
}

fn check_booleans(condition: &Condition, findings: &mut Findings<'_>) {
    let is_true = |operand: &&Text| operand.text.eq_ignore_ascii_case("true");
    let first = condition.operands.first();
    let other = condition
        .operands
        .iter()
        .find(|operand| Some(is_true(operand)) != first.as_ref().map(is_true));
    if let Some(other) = other {
        let message = format!("`{}` with both `true` and `false` always holds", condition.name);
        let fix = "write one of them";
        findings.add(rules::MULTIPLE_BOOLEANS, other.at, message, fix);
    }
}

/// An IPv4 network as written: address and length of the prefix.
pub(super) fn network_v4(text: &str) -> Option<(u32, u32)> {
    let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
    let bits = bits.trim_start_matches('+').parse().ok().filter(|bits| *bits <= 32)?;
    let mut octets = address.split('.').map(|octet| octet.parse::<u8>().ok());
    let mut all: u32 = 0;
    for _ in 0..4 {
        all = all << 8 | u32::from(octets.next()??);
    }
    octets.next().is_none().then_some((all, bits))
}

fn check_networks(condition: &Condition, findings: &mut Findings<'_>) {
    // 10/8, 172.16/12, 192.168/16, 127/8, 169.254/16. RFC 1918, 1122, 3927.
    const PRIVATE: [(u32, u32); 5] = [
        (0x0A00_0000, 8),
        (0xAC10_0000, 12),
        (0xC0A8_0000, 16),
        (0x7F00_0000, 8),
        (0xA9FE_0000, 16),
    ];
    let mask = |bits: u32| u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    for Text { at, text } in &condition.operands {
        let lower = text.to_ascii_lowercase();
        let private_v6 = ["fc", "fd", "fe8", "fe9", "fea", "feb"]
            .iter()
            .any(|prefix| lower.starts_with(prefix) && lower.contains(':'))
            || lower == "::1"
            || lower == "::1/128";
        let network = network_v4(text);
        let is_private = private_v6
            || network.is_some_and(|(address, bits)| {
                PRIVATE
                    .iter()
                    .any(|(start, length)| bits >= *length && address & mask(*length) == *start)
            });
        if is_private && condition.folded_key == "aws:sourceip" {
            let message =
                format!("{} is a private network, which AWS itself never sees", quoted(text));
            let fix =
                "fine behind this relay; on AWS write the public address, or use `aws:VpcSourceIp`";
            findings.add(rules::PRIVATE_ADDRESS, *at, message, fix);
        }
        if let Some((address, bits)) = network
            && address & !mask(bits) != 0
        {
            let start = std::net::Ipv4Addr::from_bits(address & mask(bits));
            let message = format!("{} has host bits set, which are ignored", quoted(text));
            findings.add(rules::IP_RANGE, *at, message, format!("write `{start}/{bits}`"));
        }
    }
}
