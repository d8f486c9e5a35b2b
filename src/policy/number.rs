//! Exact decimal numbers, as the Numeric operators compare them.

use std::borrow::Cow;
use std::cmp::Ordering;

/// The largest exponent read, either way.
const MOST_EXPONENT: i64 = 1_000_000_000;

/// A decimal number: plus or minus `0.` followed by its digits, times ten to the power of
/// `magnitude`.
///
/// Digits have no zero at either end; zero has no digits.
#[derive(Debug, Clone)]
pub(super) struct Number<'a> {
    negative: bool,
    magnitude: i64,
    /// The digits, in two runs because the decimal point may be among them.
    digits: [Cow<'a, str>; 2],
}

impl<'a> Number<'a> {
    /// Reads decimal text: optional sign, leading zeros, `1.`, `.5`, `1e0`; no white space.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (negative, unsigned) = sign(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let only_digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
        if !only_digits || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let mut magnitude = i64::try_from(whole.len()).ok()?;
        let mut fraction = fraction.trim_end_matches('0');
        let mut leading = whole;
        if whole.is_empty() {
            let significant = fraction.trim_start_matches('0');
            magnitude -= i64::try_from(fraction.len() - significant.len()).ok()?;
            fraction = significant;
        } else if fraction.is_empty() {
            leading = whole.trim_end_matches('0');
        }
        let is_zero = leading.is_empty() && fraction.is_empty();
        Some(Number {
            negative: negative && !is_zero,
            magnitude: if is_zero { 0 } else { magnitude + exponent },
            digits: [Cow::Borrowed(leading), Cow::Borrowed(fraction)],
        })
    }

    pub(super) fn into_owned(self) -> Number<'static> {
        Number {
            negative: self.negative,
            magnitude: self.magnitude,
            digits: self.digits.map(|run| Cow::Owned(run.into_owned())),
        }
    }

    /// Returns a thousand times the number, further digits cut; `None` beyond 18 digits.
    pub(super) fn thousandths(&self) -> Option<i64> {
        const MOST_DIGITS: i64 = 18;
        let places = self.magnitude + 3;
        if places > MOST_DIGITS {
            return None;
        }
        let mut digits = self.digits();
        let absolute = (0..places).fold(0_i64, |sum, _| {
            sum * 10 + digits.next().map_or(0, |digit| i64::from(digit - b'0'))
        });
        Some(if self.negative { -absolute } else { absolute })
    }

    pub(super) fn compare(&self, other: &Number<'_>) -> Ordering {
        match (self.rank(), other.rank()) {
            (0, 0) => Ordering::Equal,
            (1, 1) => self.compare_absolute(other),
            (-1, -1) => other.compare_absolute(self),
            (mine, theirs) => mine.cmp(&theirs),
        }
    }

    /// Returns -1, 0 or 1: below, at or above zero.
    fn rank(&self) -> i8 {
        match (self.digits().next(), self.negative) {
            (None, _) => 0,
            (Some(_), true) => -1,
            (Some(_), false) => 1,
        }
    }

    fn compare_absolute(&self, other: &Number<'_>) -> Ordering {
        self.magnitude.cmp(&other.magnitude).then_with(|| self.digits().cmp(other.digits()))
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.digits.iter().flat_map(|run| run.bytes())
    }
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn parse_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = sign(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let exponent = digits.parse::<i64>().ok().filter(|value| *value <= MOST_EXPONENT)?;
    Some(if negative { -exponent } else { exponent })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_exactly() {
        for (left, ordering, right) in [
            ("9007199254740993", Ordering::Greater, "9007199254740992"),
            ("1.0", Ordering::Equal, "1"),
            ("01", Ordering::Equal, "+1."),
            ("-0", Ordering::Equal, "0e5"),
            (".5", Ordering::Equal, "5e-1"),
            ("0.050", Ordering::Equal, "5E-2"),
            ("100", Ordering::Equal, "1e2"),
            ("10.01", Ordering::Greater, "10.001"),
            ("-2", Ordering::Less, "-1"),
            ("-1", Ordering::Less, "0.0001"),
            ("0", Ordering::Less, "1e-999999999"),
            ("1e999999999", Ordering::Greater, "99999999999999999999999"),
            ("1200.0", Ordering::Equal, "1.2e3"),
            ("1e1000000000", Ordering::Greater, "1e999999999"),
        ] {
            let parsed = (Number::parse(left).unwrap(), Number::parse(right).unwrap());
            assert_eq!(parsed.0.compare(&parsed.1), ordering, "{left} against {right}");
            assert_eq!(parsed.1.compare(&parsed.0), ordering.reverse(), "{right} against {left}");
        }
    }

    #[test]
    fn refuses_what_is_not_decimal_text() {
        for text in [
            "",
            "+",
            ".",
            "e1",
            "1e",
            "1e+",
            "1e+-5",
            "1e--5",
            "abc",
            "NaN",
            "Infinity",
            "0x10",
            " 1",
            "1 ",
            "1,0",
            "--1",
            "1.2.3",
            "1e1.5",
            "1e2000000000",
            "1e99999999999999999999",
            "١",
        ] {
            assert!(Number::parse(text).is_none(), "{text}");
        }
    }
}
