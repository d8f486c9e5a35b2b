//! The quota of the account for 24 hours, as SES reports it and as it is used between reports.

use std::time::Duration;

use tokio::time::Instant;

/// What GetAccount says about how much may be sent (SESv2 `SendQuota`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quota {
    /// Recipients per second; a number that is not above zero is taken as unknown.
    pub max_send_rate: f64,
    /// Recipients in 24 hours; `-1` is unlimited.
    pub max_24_hour_send: f64,
    /// Recipients sent to in the last 24 hours.
    pub sent_last_24_hours: f64,
}

/// A reading that is older says nothing any more.
const FRESH: Duration = Duration::from_secs(5 * 60);
/// How long SES is believed that the quota is used up.
const BELIEVED: Duration = Duration::from_secs(60);

/// The last reading and what was sent since.
///
/// When SES itself answers that the quota is used up, messages are held back for a minute or until
/// the next reading. Otherwise each message would be carried to SES in full to hear the same. The
/// quota rolls, so that room comes back bit by bit; after the minute the next messages ask again.
#[derive(Debug, Default)]
pub(super) struct DayQuota {
    reading: Option<(Quota, Instant)>,
    told: Option<Instant>,
    taken: u64,
    reserved: u64,
}

impl DayQuota {
    /// Takes a reading over. It tells what was taken before, not what is on its way.
    pub(super) fn learn(&mut self, reading: Quota, now: Instant) {
        self.reading = Some((reading, now));
        self.told = None;
        self.taken = 0;
    }

    /// SES said that it is used up.
    pub(super) fn exceeded(&mut self, now: Instant) {
        self.told = Some(now);
    }

    /// Returns the last reading and its age.
    pub(super) fn reading(&self, now: Instant) -> Option<(Quota, Duration)> {
        self.reading.map(|(quota, read)| (quota, now.saturating_duration_since(read)))
    }

    /// Returns how many recipients SES has taken since the last reading.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Says whether nothing is left. The message that goes beyond what is left is not held back:
    /// whether it may is for SES to say.
    pub(super) fn is_used_up(&self, now: Instant) -> bool {
        let is_within = |then, time| now.saturating_duration_since(then) < time;
        if self.told.is_some_and(|told| is_within(told, BELIEVED)) {
            return true;
        }
        let Some((quota, read)) = self.reading else { return false };
        let used = quota.sent_last_24_hours + self.taken as f64 + self.reserved as f64;
        is_within(read, FRESH) && quota.max_24_hour_send >= 0.0 && used >= quota.max_24_hour_send
    }

    /// Counts a message that waits or is on its way.
    pub(super) fn reserve(&mut self, recipients: u32) {
        self.reserved += u64::from(recipients);
    }

    /// Ends what `reserve` began.
    pub(super) fn settle(&mut self, recipients: u32, is_taken: bool) {
        self.reserved -= u64::from(recipients);
        if is_taken {
            self.taken += u64::from(recipients);
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests begin at some time")]
mod tests {
    use super::*;

    const SANDBOX: Quota =
        Quota { max_send_rate: 1.0, max_24_hour_send: 200.0, sent_last_24_hours: 190.0 };

    #[test]
    fn readings() {
        let start: Instant = std::time::Instant::now().into();
        // limit, sent, on its way, age of the reading in seconds, used up
        for (limit, sent, reserved, age, used_up) in [
            (200.0, 199.0, 0, 0, false),
            (200.0, 199.0, 1, 0, true),
            (200.0, 150.0, 49, 0, false),
            (200.0, 200.0, 0, 299, true),
            (200.0, 200.0, 0, 300, false),
            (-1.0, 1e9, 50, 0, false),
            (0.0, 0.0, 0, 0, true),
        ] {
            let mut quota = DayQuota::default();
            quota.reserve(reserved);
            let reading = Quota { max_24_hour_send: limit, sent_last_24_hours: sent, ..SANDBOX };
            quota.learn(reading, start);
            let now = start + Duration::from_secs(age);
            assert_eq!(quota.is_used_up(now), used_up, "{reading:?} {reserved} {age}");
        }
    }

    #[test]
    fn what_is_taken_counts_until_the_next_reading_and_what_is_not_comes_back() {
        let now = std::time::Instant::now().into();
        let mut quota = DayQuota::default();
        quota.learn(SANDBOX, now);
        quota.reserve(10);
        assert!(quota.is_used_up(now));
        quota.settle(10, false);
        assert!(!quota.is_used_up(now));
        quota.reserve(10);
        quota.settle(10, true);
        assert!(quota.is_used_up(now));
        quota.learn(SANDBOX, now);
        assert!(!quota.is_used_up(now));
    }

    #[test]
    fn ses_is_believed_for_a_minute_or_until_the_next_reading() {
        let start: Instant = std::time::Instant::now().into();
        let mut quota = DayQuota::default();
        quota.exceeded(start);
        assert!(quota.is_used_up(start + Duration::from_secs(59)));
        assert!(!quota.is_used_up(start + Duration::from_secs(60)));
        quota.learn(SANDBOX, start);
        assert!(!quota.is_used_up(start));
    }
}
