//! The clocks of the relay, and moments as people and programs read them: RFC 3339, UTC.
//!
//! Parts that decide take the time as an argument, so that a test says what time it is. Those that
//! measure or wait ask here, and nowhere else: `.clippy.toml` keeps the calls themselves out.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use tokio::time::Instant;

/// Returns the time to measure and wait by, which no one sets. In tests it may be paused.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub fn now() -> Instant {
    Instant::now()
}

/// Returns the time of day: what policies, certificates and passwords go by, and log lines show.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub fn time_of_day() -> SystemTime {
    SystemTime::now()
}

/// Shows a moment to the second; none beyond the year 9999.
#[must_use]
pub fn rfc3339(moment: SystemTime) -> Option<String> {
    DateTime::from_secs(DateTime::from(moment).secs()).fmt(Format::DateTime).ok()
}

/// Shows a moment to the millisecond; before 1970 it is 1970.
#[must_use]
pub fn rfc3339_millis(moment: SystemTime) -> String {
    let moment = moment.max(UNIX_EPOCH);
    let millis = since_1970(moment).subsec_millis();
    let whole = rfc3339(moment).unwrap_or_default();
    format!("{}.{millis:03}Z", whole.trim_end_matches('Z'))
}

/// Returns the nanoseconds since 1970, as OpenTelemetry counts.
#[must_use]
pub fn nanoseconds(moment: SystemTime) -> u64 {
    u64::try_from(since_1970(moment).as_nanos()).unwrap_or(u64::MAX)
}

/// Returns how long ago 1970 was; nothing before it.
#[must_use]
pub fn since_1970(moment: SystemTime) -> Duration {
    moment.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (millis, shown) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_709_251_199_001, "2024-02-29T23:59:59.001Z"),
            (1_798_761_600_000, "2027-01-01T00:00:00.000Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339_millis(UNIX_EPOCH + Duration::from_millis(millis)), shown);
        }
        assert_eq!(rfc3339_millis(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000Z");
    }
}
