//! The rate of the account: what SES grants, what the operator allows, and what SES takes just now.
//!
//! A throttled answer lowers the rate to 70 %, at most once a second, and never below one recipient in
//! five seconds. Without further ones it climbs evenly, from the bottom to the full rate in a minute.
//! Where no rate is known there is no limit, and the first throttled answer sets one: what went out
//! in the busiest of the last seconds is then the full rate, until it is reached again.

use std::time::Duration;

use tokio::time::Instant;

use super::bucket::{Bucket, Ramp, seconds};

/// What a throttled answer leaves of the rate.
const DECREASE: f64 = 0.7;
/// Throttled answers within this time of the last decrease are about calls made before it.
const ONE_DECREASE: Duration = Duration::from_secs(1);
/// The seconds in which the rate climbs from nothing to its full height.
const RECOVERY: f64 = 60.0;
/// The lowest rate, in recipients per second.
const FLOOR: f64 = 0.2;

/// The rate of all users together.
#[derive(Debug)]
pub(super) struct SendRate {
    operator: Option<f64>,
    learned: Option<f64>,
    bucket: Bucket,
    /// Set while the full rate is only what was observed.
    is_guess: bool,
    slowed: Option<Instant>,
    throttles: u64,
    meter: Meter,
}

impl SendRate {
    /// Returns a rate that knows what the operator set.
    pub(super) fn new(operator: Option<f64>, now: Instant) -> Self {
        let operator = usable(operator);
        Self {
            operator,
            learned: None,
            bucket: Bucket::new(operator.map(Ramp::flat), now),
            is_guess: false,
            slowed: None,
            throttles: 0,
            meter: Meter::new(now),
        }
    }

    /// Returns the rate that SES and the operator allow.
    pub(super) fn nominal(&self) -> Option<f64> {
        match (self.operator, self.learned) {
            (Some(operator), Some(learned)) => Some(operator.min(learned)),
            (one, other) => one.or(other),
        }
    }

    /// Returns the rate in force as of the last look.
    pub(super) fn current(&self) -> Option<f64> {
        self.bucket.rate().map(|rate| rate.now)
    }

    /// Returns the rate that is in force or will be when it has recovered.
    pub(super) fn full(&self) -> Option<f64> {
        self.bucket.rate().map(|rate| rate.top)
    }

    /// Returns how many throttled answers there were.
    pub(super) fn throttles(&self) -> u64 {
        self.throttles
    }

    /// Takes over what the operator has changed.
    pub(super) fn set_operator(&mut self, rate: Option<f64>, now: Instant) {
        self.operator = usable(rate);
        self.renew(now);
    }

    /// Takes over what SES says.
    pub(super) fn learn(&mut self, rate: f64, now: Instant) {
        self.learned = usable(Some(rate));
        self.renew(now);
    }

    /// A slowed rate stays slow and climbs to the new height.
    fn renew(&mut self, now: Instant) {
        self.bucket.fill(now);
        let rate = match (self.nominal(), self.bucket.rate()) {
            (None, _) if self.is_guess => return,
            (None, _) => None,
            (Some(top), Some(rate)) if !rate.is_at_top() && rate.now < top => {
                Some(Ramp { now: rate.now, top, slope: top / RECOVERY })
            }
            (Some(top), _) => Some(Ramp::flat(top)),
        };
        self.is_guess = false;
        self.bucket.set_rate(rate);
    }

    /// Says whether the next message may go now.
    pub(super) fn is_open(&mut self, now: Instant) -> bool {
        self.bucket.fill(now);
        if self.is_guess && self.bucket.rate().is_some_and(Ramp::is_at_top) {
            self.is_guess = false;
            self.bucket.set_rate(None);
        }
        self.bucket.is_open()
    }

    /// Returns when the next message may go, as of the last look.
    pub(super) fn opens_at(&self, now: Instant) -> Instant {
        let opens_at = self.bucket.opens_at();
        match self.bucket.rate() {
            Some(rate) if self.is_guess => opens_at.min(now + seconds(rate.climb())),
            _ => opens_at,
        }
    }

    /// Returns when the rate will have brought so much more, as of the last look.
    pub(super) fn brings_at(&self, amount: f64) -> Instant {
        self.bucket.brings_at(amount)
    }

    /// Returns how many recipients there is room for, as of the last look; below zero when more
    /// were taken, any number without a limit.
    pub(super) fn room(&self) -> f64 {
        self.bucket.room()
    }

    /// Returns what there may be room for at most.
    pub(super) fn capacity(&self) -> f64 {
        self.bucket.capacity()
    }

    /// Returns what the rate has brought since this was last asked.
    pub(super) fn take_gain(&mut self) -> f64 {
        self.bucket.take_gain()
    }

    /// Takes what one message needs.
    pub(super) fn take(&mut self, recipients: u32, now: Instant) {
        self.bucket.take(recipients);
        if self.bucket.rate().is_none() {
            self.meter.count(recipients, now);
        }
    }

    /// Takes back what SES has never seen.
    pub(super) fn give_back(&mut self, recipients: u32) {
        self.bucket.give_back(recipients);
    }

    /// Slows down, since SES has throttled a call.
    pub(super) fn throttled(&mut self, now: Instant) {
        self.throttles = self.throttles.saturating_add(1);
        if self.slowed.is_some_and(|then| now.saturating_duration_since(then) < ONE_DECREASE) {
            return;
        }
        self.slowed = Some(now);
        // Opens first: a guess may have been reached again since the last look.
        self.is_open(now);
        let rate = self.bucket.rate().unwrap_or_else(|| {
            self.is_guess = true;
            Ramp::flat(self.meter.busiest(now).max(1.0))
        });
        let lowered = (rate.now * DECREASE).max(FLOOR.min(rate.top));
        self.bucket.set_rate(Some(Ramp {
            now: lowered,
            top: rate.top,
            slope: rate.top / RECOVERY,
        }));
        self.bucket.drain();
    }
}

/// Only a number above zero is a rate.
fn usable(rate: Option<f64>) -> Option<f64> {
    rate.filter(|rate| rate.is_finite() && *rate > 0.0)
}

/// How many recipients there were in each of the last seconds.
#[derive(Debug)]
struct Meter {
    start: Instant,
    second: u64,
    counts: [u32; 5],
}

impl Meter {
    fn new(now: Instant) -> Self {
        Self { start: now, second: 0, counts: [0; 5] }
    }

    fn count(&mut self, recipients: u32, now: Instant) {
        self.advance(now);
        let [latest, ..] = &mut self.counts;
        *latest = latest.saturating_add(recipients);
    }

    fn busiest(&mut self, now: Instant) -> f64 {
        self.advance(now);
        f64::from(self.counts.into_iter().max().unwrap_or(0))
    }

    fn advance(&mut self, now: Instant) {
        let second = now.saturating_duration_since(self.start).as_secs();
        for _ in self.second..second.min(self.second + 5) {
            self.counts.rotate_right(1);
            let [latest, ..] = &mut self.counts;
            *latest = 0;
        }
        self.second = self.second.max(second);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests begin at some time")]
mod tests {
    use super::*;

    fn at(start: Instant, seconds: f64) -> Instant {
        start + Duration::from_secs_f64(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn the_lower_of_the_two_rates_counts() {
        let now = Instant::now();
        // operator, SES, in force
        for (operator, ses, nominal) in [
            (None, None, None),
            (Some(5.0), None, Some(5.0)),
            (None, Some(14.0), Some(14.0)),
            (Some(5.0), Some(14.0), Some(5.0)),
            (Some(50.0), Some(14.0), Some(14.0)),
            (Some(0.0), Some(14.0), Some(14.0)),
            (None, Some(f64::NAN), None),
        ] {
            let mut rate = SendRate::new(operator, now);
            if let Some(ses) = ses {
                rate.learn(ses, now);
            }
            assert_eq!(
                (rate.nominal(), rate.current()),
                (nominal, nominal),
                "{operator:?} {ses:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_slows_once_a_second_down_to_the_floor_and_recovers() {
        let start = Instant::now();
        let mut rate = SendRate::new(Some(10.0), start);
        for _ in 0..100 {
            rate.throttled(start);
        }
        assert_eq!((rate.current(), rate.throttles()), (Some(7.0), 100));
        assert!(!rate.is_open(start), "nothing is left for a burst");
        for second in 1..60 {
            rate.throttled(at(start, f64::from(second)));
        }
        let lowest = rate.current().unwrap();
        // Climbing by 1/6 a second and losing 30 % a second meet below 0.6.
        assert!((FLOOR..0.6).contains(&lowest), "{lowest}");
        rate.is_open(at(start, 59.0 + 30.0));
        assert!((5.0..6.0).contains(&rate.current().unwrap()));
        rate.is_open(at(start, 59.0 + 60.0));
        assert_eq!(rate.current(), Some(10.0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_below_the_floor_is_not_raised_by_throttling() {
        let start = Instant::now();
        let mut rate = SendRate::new(Some(0.1), start);
        rate.throttled(start);
        assert_eq!(rate.current(), Some(0.1));
        let mut rate = SendRate::new(Some(0.5), start);
        (0..9).for_each(|second| rate.throttled(at(start, f64::from(second))));
        assert_eq!(rate.current(), Some(FLOOR));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_throttling_starts_from_what_went_out() {
        let start = Instant::now();
        let mut rate = SendRate::new(None, start);
        for tenth in 0..30 {
            assert!(rate.is_open(at(start, f64::from(tenth) / 10.0)));
            rate.take(4, at(start, f64::from(tenth) / 10.0));
        }
        rate.throttled(at(start, 3.0));
        assert_eq!((rate.nominal(), rate.current(), rate.full()), (None, Some(28.0), Some(40.0)));
        rate.is_open(at(start, 20.0));
        assert!(rate.current().is_some());
        assert!(rate.opens_at(at(start, 20.0)) <= at(start, 21.1));
        assert!(rate.is_open(at(start, 21.1)));
        assert_eq!(rate.current(), None, "unlimited again");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_observed_is_forgotten_after_seconds() {
        let start = Instant::now();
        let mut rate = SendRate::new(None, start);
        rate.take(50, start);
        rate.throttled(at(start, 60.0));
        assert_eq!(rate.full(), Some(1.0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slowed_rate_stays_slow_when_the_full_rate_changes() {
        let start = Instant::now();
        let mut rate = SendRate::new(Some(10.0), start);
        rate.throttled(start);
        rate.learn(8.0, start);
        assert_eq!((rate.current(), rate.full()), (Some(7.0), Some(8.0)));
        rate.learn(5.0, start);
        assert_eq!((rate.current(), rate.full()), (Some(5.0), Some(5.0)));
        rate.set_operator(None, start);
        assert_eq!(rate.nominal(), Some(5.0));
    }
}
