//! How large messages are paid for: each by its user alone, out of its share of the rate.
//!
//! A message is large when the account needs a good part of the longest wait for it. It goes as soon
//! as the account has room for one recipient, which overdraws the account, and others must not wait
//! until that is made good. So while large messages are paid for, what the rate brings is shared
//! between users. One with a large message pays for it, before it goes and after, and may send
//! nothing more until all is paid. The shares of the others go to a pool, from which their messages go.
//! A user has a share while it waits, and until it has earned what it was given from the pool.
//!
//! All is counted in recipients. `earned` is what one share has brought since the start; a payer is
//! through when that has reached its goal.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::bucket::ROUNDING;

/// What `earned` is when something is paid for; the ticket tells equal ones apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Goal {
    pub(super) earned: f64,
    pub(super) ticket: u64,
}

impl Ord for Goal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.earned.total_cmp(&other.earned).then(self.ticket.cmp(&other.ticket))
    }
}

impl PartialOrd for Goal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Goal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Goal {}

/// Who pays, and what is there for the others.
#[derive(Debug, Default)]
pub(super) struct Shares {
    earned: f64,
    /// What the others may take; below zero when a message took more than there was.
    pool: f64,
    /// What the pool holds at most.
    capacity: f64,
    /// Those who pay for a large message.
    payers: BTreeMap<Goal, Arc<str>>,
    /// Those who do not wait, and have not yet earned what they were given from the pool.
    earners: BTreeMap<Goal, Arc<str>>,
}

impl Shares {
    /// Says whether a large message is being paid for; without any there are no shares.
    pub(super) fn are_kept(&self) -> bool {
        !self.payers.is_empty()
    }

    /// Returns what one share has brought since the start.
    pub(super) fn earned(&self) -> f64 {
        self.earned
    }

    /// Returns those who pay, first who will be through first.
    pub(super) fn payers(&self) -> impl Iterator<Item = &Arc<str>> {
        self.payers.values()
    }

    /// Says whether the pool has room for a message.
    pub(super) fn is_open(&self) -> bool {
        self.pool >= 1.0 - ROUNDING
    }

    /// Takes over what the account has while nobody pays for a large message.
    pub(super) fn set_room(&mut self, room: f64, capacity: f64) {
        self.capacity = capacity;
        if !self.are_kept() {
            self.pool = room;
        }
        // What SES has just cut short is not there for a burst either.
        self.pool = self.pool.min(capacity);
    }

    /// Takes a message from the pool.
    pub(super) fn take(&mut self, recipients: u32) {
        self.pool -= f64::from(recipients);
    }

    /// Takes back what was not used.
    pub(super) fn give_back(&mut self, recipients: u32) {
        self.pool = (self.pool + f64::from(recipients)).min(self.capacity);
    }

    /// Forgets what was saved up for a burst.
    pub(super) fn drain(&mut self) {
        self.pool = self.pool.min(0.0);
    }

    /// Lets a user pay so much. Returns its goal.
    pub(super) fn pay(&mut self, user: Arc<str>, amount: f64, ticket: u64) -> Goal {
        let goal = Goal { earned: self.earned + amount, ticket };
        self.payers.insert(goal, user);
        goal
    }

    /// Ends what `pay` began. Returns what is not paid.
    pub(super) fn stop(&mut self, goal: Goal) -> f64 {
        self.payers.remove(&goal);
        if !self.are_kept() {
            self.earners.clear();
        }
        (goal.earned - self.earned).max(0.0)
    }

    /// Leaves a user its share until it has earned what it was given.
    pub(super) fn earn(&mut self, user: Arc<str>, recipients: u32, ticket: u64) -> Goal {
        let goal = Goal { earned: self.earned + f64::from(recipients), ticket };
        self.earners.insert(goal, user);
        goal
    }

    /// Ends what `earn` began.
    pub(super) fn earns_no_more(&mut self, goal: Goal) {
        self.earners.remove(&goal);
    }

    /// Shares what the rate has brought with so many users that wait for the pool. Returns who has
    /// paid.
    pub(super) fn share(&mut self, mut gain: f64, waiting: usize) -> Vec<Arc<str>> {
        let mut through = Vec::new();
        while self.are_kept() && gain > 0.0 {
            let pool = self.shares_of_pool(waiting);
            let shares = (self.payers.len() + pool) as f64;
            let each = self.until_change(waiting).min(gain / shares);
            gain -= each * shares;
            self.earned += each;
            self.pool = (self.pool + each * pool as f64).min(self.capacity);
            let earned = self.earned + ROUNDING;
            while let Some(payer) = self.payers.first_entry()
                && payer.key().earned <= earned
            {
                through.push(payer.remove());
            }
            while let Some(earner) = self.earners.first_entry()
                && earner.key().earned <= earned
            {
                earner.remove();
            }
            // Less than is ever waited for.
            if gain <= ROUNDING / 1e3 {
                break;
            }
        }
        if !self.are_kept() {
            self.earners.clear();
        }
        through
    }

    /// Ends all payments: there is no limit. Returns who paid.
    pub(super) fn end(&mut self) -> Vec<Arc<str>> {
        self.earners.clear();
        std::mem::take(&mut self.payers).into_values().collect()
    }

    /// Returns how much the rate must bring until somebody has paid, or the pool has room for one
    /// of so many that wait for it, or the shares change.
    pub(super) fn next_change(&self, waiting: usize) -> Option<f64> {
        if !self.are_kept() {
            return None;
        }
        let pool = self.shares_of_pool(waiting);
        let mut each = self.until_change(waiting);
        if waiting > 0 {
            each = each.min((1.0 - self.pool).max(0.0) / pool as f64);
        }
        Some(each * (self.payers.len() + pool) as f64)
    }

    /// A full pool needs nothing; another one is kept for who may come.
    fn shares_of_pool(&self, waiting: usize) -> usize {
        if waiting == 0 && self.is_full() { 0 } else { (waiting + self.earners.len()).max(1) }
    }

    fn is_full(&self) -> bool {
        self.pool >= self.capacity - ROUNDING
    }

    /// Returns what each share brings until the number of shares changes.
    fn until_change(&self, waiting: usize) -> f64 {
        let payer = self.payers.first_key_value().map(|(goal, _)| goal.earned);
        let earner = self.earners.first_key_value().map(|(goal, _)| goal.earned);
        let goal = payer.into_iter().chain(earner).fold(f64::INFINITY, f64::min);
        let pool = self.shares_of_pool(waiting);
        let full = if waiting == 0 && pool > 0 {
            (self.capacity - self.pool) / pool as f64
        } else {
            f64::INFINITY
        };
        (goal - self.earned).max(0.0).min(full)
    }
}
