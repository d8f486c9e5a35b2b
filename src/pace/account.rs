//! What one user may send: its budgets and what is left of them.

use std::sync::Arc;

use tokio::time::Instant;

use super::bucket::{Bucket, Ramp};
use super::day::RollingDay;

/// What a user may send, counted in recipients.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Budget {
    /// Recipients per second, above zero; a burst of one second's worth, at least one, is allowed.
    /// What goes beyond it waits.
    pub per_second: Option<f64>,
    /// Recipients in any 24 hours. What goes beyond it is refused. Kept in memory alone: a restart
    /// forgets what was sent.
    pub per_day: Option<u64>,
}

impl Budget {
    /// Says whether there is any limit.
    pub(super) fn is_limited(self) -> bool {
        self.per_second.is_some() || self.per_day.is_some()
    }
}

/// The budgets of one user.
#[derive(Debug)]
pub(super) struct Account {
    /// Its name, to be shared.
    pub(super) name: Arc<str>,
    budget: Budget,
    rate: Bucket,
    day: Option<RollingDay>,
    reserved: u64,
}

impl Account {
    /// Returns an account of which nothing is used.
    pub(super) fn new(user: &str, now: Instant) -> Self {
        let rate = Bucket::new(None, now);
        Self { name: user.into(), budget: Budget::default(), rate, day: None, reserved: 0 }
    }

    /// Takes over what the operator has set. What was used stays.
    pub(super) fn set_budget(&mut self, budget: Budget, now: Instant) {
        if budget == self.budget {
            return;
        }
        self.budget = budget;
        self.rate.fill(now);
        let usable = budget.per_second.filter(|rate| rate.is_finite() && *rate > 0.0);
        self.rate.set_rate(usable.map(Ramp::flat));
        if budget.per_day.is_none() {
            self.day = None;
        } else if self.day.is_none() {
            self.day = Some(RollingDay::new(now));
        }
    }

    /// Returns the rate that it may reach.
    pub(super) fn per_second(&self) -> Option<f64> {
        self.rate.rate().map(|rate| rate.top)
    }

    /// Returns how many recipients it was given in the last 24 hours, if that is limited.
    pub(super) fn day_used(&mut self, now: Instant) -> Option<u64> {
        self.day.as_mut().map(|day| day.sent(now) + self.reserved)
    }

    /// Says whether the day has room for so many more.
    pub(super) fn has_day_left(&mut self, recipients: u32, now: Instant) -> bool {
        match (self.budget.per_day, self.day_used(now)) {
            (Some(limit), Some(used)) => used.saturating_add(u64::from(recipients)) <= limit,
            _ => true,
        }
    }

    /// Returns when its rate lets the next message go, if that is not now.
    pub(super) fn closed_until(&mut self, now: Instant) -> Option<Instant> {
        self.rate.fill(now);
        (!self.rate.is_open()).then(|| self.rate.opens_at())
    }

    /// Takes what one message needs from the rate.
    pub(super) fn take(&mut self, recipients: u32) {
        self.rate.take(recipients);
    }

    /// Takes back what SES has never seen.
    pub(super) fn give_back(&mut self, recipients: u32) {
        self.rate.give_back(recipients);
    }

    /// Counts a message for the day that waits or is on its way.
    pub(super) fn reserve(&mut self, recipients: u32) {
        self.reserved += u64::from(recipients);
    }

    /// Ends what `reserve` began.
    pub(super) fn settle(&mut self, recipients: u32, is_taken: bool, now: Instant) {
        self.reserved -= u64::from(recipients);
        if let Some(day) = &mut self.day
            && is_taken
        {
            day.add(recipients, now);
        }
    }

    /// Says whether forgetting it makes no difference.
    pub(super) fn is_idle(&mut self, now: Instant) -> bool {
        self.rate.fill(now);
        self.reserved == 0
            && self.rate.is_full()
            && self.day.as_mut().is_none_or(|day| day.sent(now) == 0)
    }
}
