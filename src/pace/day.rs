//! What a user may send in a day: the last 24 hours, in slots of a quarter of an hour.
//!
//! A slot is forgotten when all of it is older than 24 hours, so that no 24 hours ever hold more than
//! the budget; what was sent comes free up to 15 minutes late. It is kept in memory alone: a
//! restart forgets it.

use std::time::Duration;

use tokio::time::Instant;

/// The length of a slot.
const SLOT: Duration = Duration::from_secs(15 * 60);
/// 24 hours, and the slot that is not over.
const SLOTS: u64 = 97;

/// Recipients sent to in the last 24 hours.
#[derive(Debug)]
pub(super) struct RollingDay {
    start: Instant,
    newest: u64,
    slots: Box<[u64]>,
    total: u64,
}

impl RollingDay {
    /// Returns a day on which nothing was sent.
    pub(super) fn new(now: Instant) -> Self {
        Self { start: now, newest: 0, slots: (0..SLOTS).map(|_| 0).collect(), total: 0 }
    }

    /// Returns how many recipients there were in the last 24 hours.
    pub(super) fn sent(&mut self, now: Instant) -> u64 {
        self.advance(now);
        self.total
    }

    /// Adds the recipients of a message that was sent now.
    pub(super) fn add(&mut self, recipients: u32, now: Instant) {
        self.advance(now);
        if let Some(slot) = self.slot(self.newest) {
            *slot += u64::from(recipients);
            self.total += u64::from(recipients);
        }
    }

    fn advance(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.start);
        let current = elapsed.as_secs() / SLOT.as_secs();
        for number in (self.newest + 1..=current).take(self.slots.len()) {
            if let Some(slot) = self.slot(number) {
                let forgotten = std::mem::take(slot);
                self.total -= forgotten;
            }
        }
        self.newest = self.newest.max(current);
    }

    fn slot(&mut self, number: u64) -> Option<&mut u64> {
        self.slots.get_mut(usize::try_from(number % SLOTS).ok()?)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests begin at some time")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    #[test]
    fn a_day_later_it_is_forgotten() {
        let start: Instant = std::time::Instant::now().into();
        let mut day = RollingDay::new(start);
        day.add(5, start + minutes(14));
        day.add(7, start + minutes(600));
        for (minute, sent) in
            [(600, 12), (1440, 12), (1454, 12), (1455, 7), (2039, 7), (2055, 0), (90_000, 0)]
        {
            assert_eq!(day.sent(start + minutes(minute)), sent, "after {minute} minutes");
        }
    }

    proptest! {
        /// It never tells less than the last 24 hours, and never more than 15 minutes beyond.
        #[test]
        fn it_agrees_with_a_list(
            messages in prop::collection::vec((0u64..400, 1u32..50), 1..100),
        ) {
            let start: Instant = std::time::Instant::now().into();
            let (mut day, mut now, mut list) = (RollingDay::new(start), 0, Vec::new());
            for (pause, recipients) in messages {
                now += pause;
                day.add(recipients, start + minutes(now));
                list.push((now, u64::from(recipients)));
                let within = |span| list.iter().filter(|(at, _)| at + span > now).map(|(_, n)| n).sum();
                let (least, most): (u64, u64) = (within(1440), within(1456));
                let sent = day.sent(start + minutes(now));
                prop_assert!((least..=most).contains(&sent), "{} in {}..={}", sent, least, most);
            }
        }
    }
}
