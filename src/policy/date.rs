//! Dates as the Date operators compare them: milliseconds since 1970-01-01 UTC.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use time::{Date, Month, OffsetDateTime};

use super::number::Number;

/// The beginning of the year 0 and the end of the year 9999.
const FIRST: i64 = -62_167_219_200_000;
const LAST: i64 = 253_402_300_799_999;

/// Reads a date: `YYYY`, `YYYY-MM`, `YYYY-MM-DD`, `YYYY-MM-DDThh:mm[:ss[.fff]]` with `Z`, `±hh:mm`
/// or nothing (UTC), or epoch seconds in decimal. Digits beyond the millisecond are cut.
///
/// Four digits alone are a year. 24:00 and second 60 are refused.
pub(super) fn parse(text: &str) -> Option<i64> {
    calendar(text).or_else(|| Number::parse(text)?.thousandths())
}

/// Reads a moment as the Date operators do: a calendar date with or without time, or epoch seconds.
#[must_use]
pub fn moment(text: &str) -> Option<SystemTime> {
    let millis = parse(text)?;
    let away = Duration::from_millis(millis.unsigned_abs());
    if millis < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(away)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(away)
    }
}

fn calendar(text: &str) -> Option<i64> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut fields = date.split('-');
    let year: i32 = digits(fields.next()?, 4)?;
    let month = fields.next().map(|field| digits(field, 2));
    let day = fields.next().map(|field| digits(field, 2));
    if fields.next().is_some() || (time.is_some() && day.is_none()) {
        return None;
    }
    let (month, day): (u8, u8) = (month.unwrap_or(Some(1))?, day.unwrap_or(Some(1))?);
    let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()?;
    let midnight = date.midnight().assume_utc().unix_timestamp() * 1000;
    match time {
        Some(time) => Some(midnight + time_of_day(time)?),
        None => Some(midnight),
    }
}

/// Reads the time and the offset; returns milliseconds since midnight UTC of the date, below zero
/// for offsets east.
fn time_of_day(text: &str) -> Option<i64> {
    let (clock, offset_minutes) = match (text.strip_suffix('Z'), text.find(['+', '-'])) {
        (Some(clock), _) => (clock, 0),
        (None, Some(at)) => {
            let (clock, offset) = text.split_at_checked(at)?;
            let (hours, minutes) = offset.get(1..)?.split_once(':')?;
            let minutes = below(digits(hours, 2)?, 24)? * 60 + below(digits(minutes, 2)?, 60)?;
            (clock, if offset.starts_with('-') { -minutes } else { minutes })
        }
        (None, None) => (text, 0),
    };
    let mut fields = clock.splitn(3, ':');
    let hours = below(digits(fields.next()?, 2)?, 24)?;
    let minutes = below(digits(fields.next()?, 2)?, 60)?;
    let seconds_millis = fields.next().map_or(Some(0), seconds_millis)?;
    Some((hours * 60 + minutes - offset_minutes) * 60_000 + seconds_millis)
}

fn seconds_millis(text: &str) -> Option<i64> {
    let (seconds, fraction) = match text.split_once('.') {
        Some((seconds, fraction)) => (seconds, Some(fraction)),
        None => (text, None),
    };
    let seconds = below(digits(seconds, 2)?, 60)?;
    let millis = match fraction {
        Some(fraction) => {
            if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let mut places = fraction.bytes();
            (0..3).fold(0, |sum, _| {
                sum * 10 + places.next().map_or(0, |place| i64::from(place - b'0'))
            })
        }
        None => 0,
    };
    Some(seconds * 1000 + millis)
}

fn digits<T: FromStr>(text: &str, count: usize) -> Option<T> {
    let right = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    right.then(|| text.parse().ok()).flatten()
}

fn below(value: i64, end: i64) -> Option<i64> {
    (value < end).then_some(value)
}

/// Returns milliseconds since 1970, cut to whole ones downwards; times outside the years 0 to 9999
/// become the nearest of them.
pub(super) fn millis(time: SystemTime) -> i64 {
    let whole = |distance: Duration| i64::try_from(distance.as_millis()).unwrap_or(i64::MAX);
    let millis = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => whole(since),
        Err(before) => {
            let distance = before.duration();
            let part = i64::from(distance.subsec_nanos() % 1_000_000 != 0);
            whole(distance).saturating_add(part).saturating_neg()
        }
    };
    millis.clamp(FIRST, LAST)
}

/// Writes a moment as `YYYY-MM-DDThh:mm:ss.fffZ`; one outside the years 0 to 9999 as the nearest of them.
pub(super) fn format(millis: i64) -> String {
    let nanoseconds = i128::from(millis.clamp(FIRST, LAST)) * 1_000_000;
    let moment = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds);
    let moment = moment.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = moment.to_calendar_date();
    let (hours, minutes, seconds, millis) = moment.time().as_hms_milli();
    let month = u8::from(month);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        for (text, millis) in [
            ("1970", 0),
            ("2018-09", 1_535_760_000_000),
            ("2018-09-01", 1_535_760_000_000),
            ("2018-08-31T12:00Z", 1_535_716_800_000),
            ("2018-08-31T14:00+02:00", 1_535_716_800_000),
            ("2018-08-31T06:30-05:30", 1_535_716_800_000),
            ("2018-08-31T12:00", 1_535_716_800_000),
            ("2030-01-01T00:00:00Z", 1_893_456_000_000),
            ("2030-01-01T00:00:00.1239Z", 1_893_456_000_123),
            ("2030-01-01T00:00:00.1Z", 1_893_456_000_100),
            ("1893456000", 1_893_456_000_000),
            ("+1893456000", 1_893_456_000_000),
            ("1.893456e9", 1_893_456_000_000),
            ("1.5", 1_500),
            ("-1.5009", -1_500),
            ("0.0009", 0),
            ("2000-02-29", 951_782_400_000),
            ("0000-01-01", -62_167_219_200_000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ] {
            assert_eq!(parse(text), Some(millis), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_date() {
        for text in [
            "",
            "abc",
            "2018-13",
            "2018-00",
            "2018-02-29",
            "1900-02-29",
            "2018-9-1",
            "2018-09-01Z",
            "2018-09T12:00Z",
            "2018-09-01T24:00Z",
            "2018-09-01T12:60Z",
            "2018-09-01T12:00:60Z",
            "2018-09-01T12Z",
            "2018-09-01T12:00:00.Z",
            "2018-09-01T12:00+2:00",
            "2018-09-01t12:00z",
            "2018-09-01 12:00",
            "2018-09-01T12:00:00ZZ",
            "2018-09-01T12:00+24:00",
            " 2018",
            "2018-09-01T12:00:00+",
            "2018-09-01T",
            "T12:00",
            "1e30",
            "2018-09-01-02",
            "2018-*",
            "2018-+1",
            "+018-01",
            "2018-01-+1",
            "2018-01-01T+1:00",
            "2018-01-01T00:00:00.+1",
            "2018-01-01T00:00:00.1x",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn writes_what_it_reads() {
        for day in (-800_000..2_900_000).step_by(97) {
            let millis = (day * 86_400_000 + 45_296_789).max(-62_167_219_200_000);
            assert_eq!(parse(&format(millis)), Some(millis), "{}", format(millis));
        }
    }

    #[test]
    fn reads_the_clock_before_1970() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_micros(1_500);
        assert_eq!(format(millis(before)), "1969-12-31T23:59:59.998Z");
    }
}
