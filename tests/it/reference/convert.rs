//! Texts read as numbers, dates, booleans and bytes.

use std::cmp::Ordering;

/// A decimal number by its digits, so that nothing is rounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    is_negative: bool,
    /// Without leading zeros.
    whole: String,
    /// Without trailing zeros.
    fraction: String,
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_size = self.whole.len().cmp(&other.whole.len());
        let by_size = by_size.then_with(|| self.whole.cmp(&other.whole));
        let by_size = by_size.then_with(|| self.fraction.cmp(&other.fraction));
        match (self.is_negative, other.is_negative) {
            (false, false) => by_size,
            (true, true) => by_size.reverse(),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn without_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Sign, digits with a point anywhere among or around them, exponent: `-01.50e+2`, `1.`, `.5`.
pub(super) fn decimal(text: &str) -> Option<Decimal> {
    let (is_negative, text) = without_sign(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            let (is_down, digits) = without_sign(exponent);
            if digits.is_empty() || !all_digits(digits) {
                return None;
            }
            // Huge exponents are refused. Cases stay clear of where exactly the bound is.
            let size: i32 = digits.parse().ok().filter(|size| *size <= 1000)?;
            (mantissa, if is_down { -size } else { size })
        }
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let (mut whole, mut fraction) = (whole.to_owned(), fraction.to_owned());
    for _ in 0..exponent {
        if fraction.is_empty() {
            fraction.push('0');
        }
        whole.push(fraction.remove(0));
    }
    for _ in exponent..0 {
        fraction.insert(0, whole.pop().unwrap_or('0'));
    }
    let whole = whole.trim_start_matches('0').to_owned();
    let fraction = fraction.trim_end_matches('0').to_owned();
    let is_zero = whole.is_empty() && fraction.is_empty();
    Some(Decimal { is_negative: is_negative && !is_zero, whole, fraction })
}

/// Milliseconds since 1970: an ISO 8601 date, or seconds. Further digits are cut.
pub(super) fn date(text: &str) -> Option<i128> {
    let is_year = text.len() == 4 && all_digits(text);
    if !is_year && let Some(seconds) = decimal(text) {
        let cut: String = seconds.fraction.chars().chain("000".chars()).take(3).collect();
        let millis: i128 = format!("{}{cut}", seconds.whole).parse().ok()?;
        // No moment is beyond the years 0 to 9999. Cases stay clear of where exactly the bound is.
        let millis = if seconds.is_negative { -millis } else { millis };
        return (-62_167_219_200_000..253_402_300_800_000).contains(&millis).then_some(millis);
    }
    let (day, time) = match text.split_once('T') {
        Some((day, time)) => (day, Some(time)),
        None => (text, None),
    };
    let parts: Vec<&str> = day.split('-').collect();
    if time.is_some() && parts.len() != 3 {
        return None;
    }
    let (year, month, day) = match parts[..] {
        [year] => (number(year, 4)?, 1, 1),
        [year, month] => (number(year, 4)?, number(month, 2)?, 1),
        [year, month, day] => (number(year, 4)?, number(month, 2)?, number(day, 2)?),
        _ => return None,
    };
    if !(1..=12).contains(&month) || day < 1 || day > month_days(year, month) {
        return None;
    }
    let mut days = 0;
    for earlier in 1970..year {
        days += year_days(earlier);
    }
    for later in year..1970 {
        days -= year_days(later);
    }
    for earlier in 1..month {
        days += month_days(year, earlier);
    }
    days += day - 1;
    let millis = match time {
        Some(time) => time_millis(time)?,
        None => 0,
    };
    Some(days * 24 * 60 * 60 * 1000 + millis)
}

/// Exactly so many digits.
fn number(text: &str, digits: usize) -> Option<i128> {
    (text.len() == digits && all_digits(text)).then(|| text.parse().unwrap())
}

fn year_days(year: i128) -> i128 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if is_leap { 366 } else { 365 }
}

fn month_days(year: i128, month: i128) -> i128 {
    match month {
        2 => year_days(year) - 337,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// `hh:mm`, `hh:mm:ss` or `hh:mm:ss.fff…`, then `Z`, `±hh:mm` or nothing.
fn time_millis(time: &str) -> Option<i128> {
    let (clock, offset_minutes) = if let Some(clock) = time.strip_suffix('Z') {
        (clock, 0)
    } else if let Some(at) = time.find(['+', '-']) {
        let (clock, offset) = time.split_at(at);
        let (hours, minutes) = offset[1..].split_once(':')?;
        let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
        if hours > 23 || minutes > 59 {
            return None;
        }
        let size = hours * 60 + minutes;
        (clock, if offset.starts_with('-') { -size } else { size })
    } else {
        (time, 0)
    };
    let parts: Vec<&str> = clock.split(':').collect();
    let (hours, minutes, seconds) = match parts[..] {
        [hours, minutes] => (number(hours, 2)?, number(minutes, 2)?, "00"),
        [hours, minutes, seconds] => (number(hours, 2)?, number(minutes, 2)?, seconds),
        _ => return None,
    };
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let seconds = number(seconds, 2)?;
    if fraction.is_empty() || !all_digits(fraction) || hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
    let minutes = hours * 60 + minutes - offset_minutes;
    Some((minutes * 60 + seconds) * 1000 + number(&fraction, 3)?)
}

/// `true` in any case of letters; every other text is false.
pub(super) fn boolean(text: &str) -> bool {
    text.eq_ignore_ascii_case("true")
}

/// Base64 with padding, without white space and without stray bits at the end.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    if padding > 2 {
        return None;
    }
    let mut bits = String::new();
    for digit in digits.chars() {
        bits += &format!("{:06b}", ALPHABET.find(digit)?);
    }
    let whole = bits.len() / 8 * 8;
    let (bits, stray) = bits.split_at(whole);
    if stray.contains('1') || (stray.len() / 2) != padding {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(&bits[at..at + 8], 2).unwrap();
    Some((0..whole).step_by(8).map(byte).collect())
}
