//! A token bucket whose rate may climb while it fills.
//!
//! One token is one recipient. It opens at one token and may be overdrawn: a message to 50
//! recipients goes as soon as one token is there, and those who come later pay the debt. So no
//! message is too large for a rate, and over any time no more goes out than the rate allows, one
//! burst and one message aside.

use std::time::Duration;

use tokio::time::Instant;

/// Tokens are sums of rounded numbers; this much short of one is one.
pub(super) const ROUNDING: f64 = 1e-6;
/// Nothing is awaited for longer at a time.
const LONGEST: Duration = Duration::from_secs(3600);

/// A rate in tokens per second that climbs evenly until it is at its top.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ramp {
    /// The rate now.
    pub(super) now: f64,
    /// The rate that it climbs to; above zero.
    pub(super) top: f64,
    /// What it gains each second.
    pub(super) slope: f64,
}

impl Ramp {
    /// Returns a rate that stays as it is.
    pub(super) fn flat(rate: f64) -> Self {
        Self { now: rate, top: rate, slope: 0.0 }
    }

    /// Says whether it climbs no further.
    pub(super) fn is_at_top(self) -> bool {
        self.now >= self.top
    }

    /// Returns the seconds until it is at its top.
    pub(super) fn climb(self) -> f64 {
        if self.is_at_top() { 0.0 } else { (self.top - self.now) / self.slope }
    }

    /// Returns what flows in so many seconds.
    fn gain(self, seconds: f64) -> f64 {
        let climb = self.climb().min(seconds);
        self.now * climb + self.slope * climb * climb / 2.0 + self.top * (seconds - climb)
    }

    /// Returns the seconds in which so much flows: the inverse of `gain`.
    fn time_for(self, amount: f64) -> f64 {
        let climb = self.climb();
        let climbed = self.gain(climb);
        if amount >= climbed {
            climb + (amount - climbed) / self.top
        } else {
            ((self.now * self.now + 2.0 * self.slope * amount).sqrt() - self.now) / self.slope
        }
    }

    fn advance(&mut self, seconds: f64) {
        self.now = (self.now + self.slope * seconds).min(self.top);
    }
}

/// Tokens, and the rate at which they come; without a rate there is no limit.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    rate: Option<Ramp>,
    tokens: f64,
    /// What has come since `take_gain`, be there room for it or not.
    gain: f64,
    at: Instant,
}

impl Bucket {
    /// Returns a full bucket.
    pub(super) fn new(rate: Option<Ramp>, now: Instant) -> Self {
        let mut bucket = Self { rate: None, tokens: 0.0, gain: 0.0, at: now };
        bucket.set_rate(rate);
        bucket
    }

    /// Returns the rate as of the last look.
    pub(super) fn rate(&self) -> Option<Ramp> {
        self.rate
    }

    /// Changes the rate. Debt stays, unless there was no limit or is none now.
    pub(super) fn set_rate(&mut self, rate: Option<Ramp>) {
        let had_limit = self.rate.is_some();
        self.rate = rate;
        if rate.is_none() || !had_limit {
            self.tokens = self.capacity();
        }
        self.tokens = self.tokens.min(self.capacity());
    }

    /// Lets the tokens in that have come since the last look.
    pub(super) fn fill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        let Some(rate) = &mut self.rate else { return };
        let gain = rate.gain(seconds);
        self.tokens += gain;
        self.gain += gain;
        rate.advance(seconds);
        self.tokens = self.tokens.min(self.capacity());
    }

    /// Says whether the next message may go, as of the last `fill`.
    pub(super) fn is_open(&self) -> bool {
        self.rate.is_none() || self.tokens >= 1.0 - ROUNDING
    }

    /// Says whether nothing has been taken that has not come back.
    pub(super) fn is_full(&self) -> bool {
        self.rate.is_none() || self.tokens >= self.capacity() - ROUNDING
    }

    /// Returns when it opens, if nobody takes anything and the rate goes on as it does.
    pub(super) fn opens_at(&self) -> Instant {
        if self.is_open() { self.at } else { self.brings_at(1.0 - self.tokens) }
    }

    /// Returns when the rate will have brought so much more, as of the last `fill`.
    pub(super) fn brings_at(&self, amount: f64) -> Instant {
        match self.rate {
            Some(rate) if amount > 0.0 => self.at + seconds(rate.time_for(amount)),
            _ => self.at,
        }
    }

    /// Returns the tokens there are, as of the last `fill`; any number without a limit.
    pub(super) fn room(&self) -> f64 {
        if self.rate.is_some() { self.tokens } else { f64::INFINITY }
    }

    /// Returns what the rate has brought since this was last asked.
    pub(super) fn take_gain(&mut self) -> f64 {
        std::mem::take(&mut self.gain)
    }

    /// Takes what one message needs, be it more than there is.
    pub(super) fn take(&mut self, recipients: u32) {
        self.tokens -= f64::from(recipients);
    }

    /// Takes back what was not used.
    pub(super) fn give_back(&mut self, recipients: u32) {
        self.tokens = (self.tokens + f64::from(recipients)).min(self.capacity());
    }

    /// Forgets what was saved up for a burst.
    pub(super) fn drain(&mut self) {
        self.tokens = self.tokens.min(0.0);
    }

    /// One second's worth, at least one message to one recipient.
    pub(super) fn capacity(&self) -> f64 {
        self.rate.map_or(1.0, |rate| rate.now.max(1.0))
    }
}

/// Returns a duration for any number of seconds.
pub(super) fn seconds(seconds: f64) -> Duration {
    // The nanosecond makes up for the one that may be rounded off.
    Duration::try_from_secs_f64(seconds)
        .map_or(LONGEST, |time| (time + Duration::from_nanos(1)).min(LONGEST))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests begin at some time")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(start: Instant, seconds: f64) -> Instant {
        start + Duration::from_secs_f64(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn rates_burst_and_debt() {
        // rate, seconds waited, recipients of each message taken in that moment or none
        type Step = (f64, &'static [u32]);
        let cases: [(f64, &[Step]); 5] = [
            (1.0, &[(0.0, &[1]), (0.9, &[]), (1.0, &[1]), (1.5, &[]), (9.0, &[1])]),
            (0.5, &[(0.0, &[1]), (1.9, &[]), (2.0, &[1]), (3.9, &[]), (4.0, &[1])]),
            (3.0, &[(0.0, &[1, 1, 1]), (0.3, &[]), (0.34, &[1]), (5.0, &[1, 1, 1])]),
            (10.0, &[(0.0, &[50]), (4.0, &[]), (4.1, &[1]), (4.15, &[]), (4.2, &[50]), (9.0, &[])]),
            (0.25, &[(0.0, &[50]), (199.0, &[]), (200.0, &[1])]),
        ];
        for (rate, steps) in cases {
            let start = Instant::now();
            let mut bucket = Bucket::new(Some(Ramp::flat(rate)), start);
            for (at, messages) in steps {
                bucket.fill(after(start, *at));
                for recipients in *messages {
                    assert!(bucket.is_open(), "rate {rate} at {at}");
                    bucket.take(*recipients);
                }
                assert!(!bucket.is_open(), "rate {rate} at {at} is open after {messages:?}");
                let mut later = bucket.clone();
                later.fill(bucket.opens_at());
                assert!(later.is_open(), "rate {rate} at {at}: {later:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_rate_is_no_limit() {
        let mut bucket = Bucket::new(None, Instant::now());
        for _ in 0..1_000 {
            assert!(bucket.is_open());
            bucket.take(50);
        }
        bucket.set_rate(Some(Ramp::flat(2.0)));
        assert!(bucket.is_full(), "what was taken without a limit is not owed");
    }

    proptest! {
        /// Looking often gives the same as looking once, and the way back from an amount is exact.
        #[test]
        fn a_climbing_rate_is_integrated_exactly(
            now in 0.01f64..100.0, more in 0.0f64..100.0, slope in 0.01f64..10.0,
            looks in prop::collection::vec(0.001f64..20.0, 1..20),
        ) {
            let ramp = Ramp { now, top: now + more, slope };
            let total: f64 = looks.iter().sum();
            let mut climbing = ramp;
            let mut gained = 0.0;
            for look in looks {
                gained += climbing.gain(look);
                climbing.advance(look);
            }
            let once = ramp.gain(total);
            prop_assert!((once - gained).abs() < 1e-6 * once.max(1.0), "{} and {}", once, gained);
            prop_assert!((ramp.time_for(once) - total).abs() < 1e-6 * total.max(1.0));
        }
    }
}
