//! Everything behind the lock: the rate, the quota, the budgets and those who wait.
//!
//! There is no task that serves the line; those who wait do it for each other. One of them, the driver,
//! sleeps until the next may go (`alarm`); the others sleep until they are told or have waited too long.
//! Whoever changes anything, by coming, leaving, ending or news of SES, calls `settle`: it serves all that
//! may go now, names a driver if the old one waits no more, and wakes it only if it sleeps too long. So
//! nobody is forgotten as long as `settle` ends each change that could let somebody go, and a burst of
//! arrivals wakes one and not all. A place goes from waiting to granted or gone under the lock alone. A turn
//! that was granted and that nobody took, since its client went away in that moment, is given back by
//! `leave`. Waking is only a hint: whoever wakes asks `next` again, which may send it back to sleep.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::account::{Account, Budget};
use super::fair::{FairQueue, Waiter};
use super::quota::DayQuota;
use super::rate::SendRate;
use super::{Exceeded, PaceSettings, PaceStatus, Waiting};

/// Accounts are looked through for idle ones when there are this many, at least.
const SWEEP: usize = 64;
/// The part of the longest wait in which the rate makes up for a message that is not large.
const SMALL: f64 = 0.25;
/// So many users are shown in the status at most.
const SHOWN: usize = 100;

/// Wakes one message that waits, and says what has become of it.
#[derive(Debug)]
pub(super) struct Wakeup {
    notify: Notify,
    phase: AtomicU8,
}

const WAITS: u8 = 0;
const GRANTED: u8 = 1;
const GONE: u8 = 2;

impl Wakeup {
    fn new() -> Arc<Self> {
        Arc::new(Self { notify: Notify::new(), phase: AtomicU8::new(WAITS) })
    }

    /// Waits for something to have changed.
    pub(super) async fn notified(&self) {
        self.notify.notified().await;
    }

    // The phase is read and written under the lock alone, which orders it.
    fn phase(&self) -> u8 {
        self.phase.load(Ordering::Relaxed)
    }

    fn end(&self, phase: u8) {
        self.phase.store(phase, Ordering::Relaxed);
    }
}

/// Who waits, and until when.
#[derive(Debug)]
struct Guest {
    place: Arc<Wakeup>,
    by: Instant,
}

/// How a request for a turn begins.
pub(super) enum Entry {
    /// It may go at once.
    Granted,
    /// It waits.
    Waits(Ticket),
}

/// What a message that waits knows of its place.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) user: Arc<str>,
    pub(super) number: u64,
    pub(super) place: Arc<Wakeup>,
    pub(super) by: Instant,
}

/// What a message that waits does next.
pub(super) enum Next {
    Go,
    Sleep(Instant),
    GiveUp(Exceeded),
}

/// All that is shared.
#[derive(Debug)]
pub(super) struct State {
    wait: Duration,
    pub(super) rate: SendRate,
    pub(super) quota: DayQuota,
    accounts: HashMap<Arc<str>, Account>,
    sweep_at: usize,
    queue: FairQueue<Guest>,
    tickets: u64,
    driver: Option<Arc<Wakeup>>,
    /// Until when the driver sleeps.
    alarm: Option<Instant>,
}

impl State {
    pub(super) fn new(settings: &PaceSettings, now: Instant) -> Self {
        Self {
            wait: settings.wait,
            rate: SendRate::new(settings.rate, now),
            quota: DayQuota::default(),
            accounts: HashMap::new(),
            sweep_at: SWEEP,
            queue: FairQueue::new(),
            tickets: 0,
            driver: None,
            alarm: None,
        }
    }

    pub(super) fn configure(&mut self, settings: &PaceSettings, now: Instant) {
        self.wait = settings.wait;
        self.rate.set_operator(settings.rate, now);
        self.settle(now);
    }

    /// Slows down, since SES has throttled a call.
    pub(super) fn throttled(&mut self, now: Instant) {
        self.look(now);
        self.rate.throttled(now);
        self.queue.drain();
        self.settle(now);
    }

    /// Lets in what the rate has brought.
    fn look(&mut self, now: Instant) {
        self.rate.is_open(now);
        // What fits into one burst holds nobody up.
        let capacity = self.rate.capacity();
        let large_above = self
            .rate
            .current()
            .map_or(f64::INFINITY, |rate| (rate * self.wait.as_secs_f64() * SMALL).max(capacity));
        let gain = self.rate.take_gain();
        self.queue.set_room(self.rate.room(), capacity, gain, large_above);
    }

    /// Begins a turn: grants it, lets it wait, or says why not. Unless refused, it is reserved.
    pub(super) fn enter(
        &mut self,
        user: &str,
        budget: Budget,
        recipients: u32,
        by: Instant,
        now: Instant,
    ) -> Result<(Option<Arc<str>>, Entry), Exceeded> {
        // First what no waiting mends: the days of the account and of the user.
        if self.quota.is_used_up(now) {
            return Err(Exceeded::Quota);
        }
        self.look(now);
        let mut account = Self::account(&mut self.accounts, &mut self.sweep_at, user, budget, now);
        if account.as_mut().is_some_and(|account| !account.has_day_left(recipients, now)) {
            return Err(Exceeded::UserQuota);
        }
        let is_own_open =
            account.as_mut().is_none_or(|account| account.closed_until(now).is_none());
        let backlog = self.queue.backlog(user);
        // At once only behind none of its own messages, or it would overtake them.
        let entry = if is_own_open && backlog == 0 && self.queue.may_pass(user, recipients) {
            self.tickets += 1;
            self.queue.pass(user, self.tickets, recipients);
            self.rate.take(recipients, now);
            if let Some(account) = &mut account {
                account.take(recipients);
            }
            Entry::Granted
        } else {
            // Neither longer than the operator wants nor than its client waits for the answer.
            let by = now.checked_add(self.wait).map_or(by, |end| end.min(by));
            let bound = by.saturating_duration_since(now).as_secs_f64();
            // Its own messages alone take longer than it may wait, even if nobody else sent any.
            let is_hopeless = |rate: Option<f64>| {
                bound <= 0.0 || rate.is_some_and(|rate| backlog as f64 > rate * bound)
            };
            let own_rate = account.as_ref().and_then(|account| account.per_second());
            // Said now, so that the client tries later, and a flood of one user fills no memory.
            if !is_own_open && is_hopeless(own_rate) {
                return Err(Exceeded::UserRate);
            }
            if is_hopeless(self.rate.full()) {
                return Err(Exceeded::Rate);
            }
            self.tickets += 1;
            let user = account.as_ref().map_or_else(|| user.into(), |one| Arc::clone(&one.name));
            let ticket = Ticket { user, number: self.tickets, place: Wakeup::new(), by };
            let who = Guest { place: Arc::clone(&ticket.place), by };
            self.queue.push(&ticket.user, Waiter { ticket: ticket.number, recipients, who });
            Entry::Waits(ticket)
        };
        // Those who wait count too: the quota must not be promised twice.
        self.quota.reserve(recipients);
        let name = account.map(|account| {
            account.reserve(recipients);
            Arc::clone(&account.name)
        });
        Ok((name, entry))
    }

    /// Returns the account of a user that has budgets, as they are now.
    fn account<'a>(
        accounts: &'a mut HashMap<Arc<str>, Account>,
        sweep_at: &mut usize,
        user: &str,
        budget: Budget,
        now: Instant,
    ) -> Option<&'a mut Account> {
        if !budget.is_limited() && accounts.is_empty() {
            return None;
        }
        if !accounts.contains_key(user) {
            if !budget.is_limited() {
                return None;
            }
            if accounts.len() >= *sweep_at {
                accounts.retain(|_, account| !account.is_idle(now));
                *sweep_at = SWEEP.max(accounts.len().saturating_mul(2));
            }
            let account = Account::new(user, now);
            accounts.insert(Arc::clone(&account.name), account);
        }
        let account = accounts.get_mut(user)?;
        account.set_budget(budget, now);
        Some(account)
    }

    /// Says what a message that waits does now.
    pub(super) fn next(&mut self, ticket: &Ticket, now: Instant) -> Next {
        self.settle(now);
        match ticket.place.phase() {
            GRANTED => Next::Go,
            WAITS if ticket.by > now => {
                let is_driver =
                    self.driver.as_ref().is_some_and(|driver| Arc::ptr_eq(driver, &ticket.place));
                let until = if is_driver { self.next_event(now) } else { None };
                if is_driver {
                    self.alarm = until;
                }
                Next::Sleep(until.map_or(ticket.by, |until| until.min(ticket.by)))
            }
            _ => {
                let account = self.accounts.get_mut(&ticket.user);
                match account.and_then(|account| account.closed_until(now)) {
                    Some(_) => Next::GiveUp(Exceeded::UserRate),
                    None => Next::GiveUp(Exceeded::Rate),
                }
            }
        }
    }

    /// Takes out a message that waits no longer, be it that its turn came and nobody took it.
    pub(super) fn leave(&mut self, waiting: &Waiting, recipients: u32, now: Instant) {
        let ticket = &waiting.ticket;
        match ticket.place.phase() {
            GRANTED => {
                self.rate.give_back(recipients);
                self.look(now);
                self.queue.give_back(&ticket.user, recipients);
                if let Some(account) = self.accounts.get_mut(&ticket.user) {
                    account.give_back(recipients);
                }
            }
            _ => drop(self.queue.remove(&ticket.user, ticket.number)),
        }
        ticket.place.end(GONE);
        self.settle(now);
    }

    /// Ends a turn.
    pub(super) fn finish(
        &mut self,
        user: Option<&str>,
        recipients: u32,
        is_taken: bool,
        now: Instant,
    ) {
        self.quota.settle(recipients, is_taken);
        if let Some(account) = user.and_then(|user| self.accounts.get_mut(user)) {
            account.settle(recipients, is_taken, now);
        }
    }

    /// Serves all that may go, and sees to it that somebody wakes for the next.
    pub(super) fn settle(&mut self, now: Instant) {
        self.serve(now);
        if self.driver.as_ref().is_none_or(|driver| driver.phase() != WAITS) {
            self.driver = self.queue.anyone().map(|(_, guest)| Arc::clone(&guest.place));
            self.alarm = None;
        }
        let Some(driver) = &self.driver else { return };
        let next = self.next_event(now);
        if self.alarm.is_none() || next < self.alarm {
            self.alarm = next;
            driver.notify.notify_one();
        }
    }

    fn serve(&mut self, now: Instant) {
        self.queue.release(now);
        loop {
            self.look(now);
            let Some((user, ticket, guest)) = self.queue.first() else { return };
            if guest.by <= now {
                guest.place.end(GONE);
                guest.place.notify.notify_one();
                let user = Arc::clone(user);
                self.queue.remove(&user, ticket);
                continue;
            }
            let mut account = self.accounts.get_mut(user);
            if let Some(until) = account.as_mut().and_then(|account| account.closed_until(now)) {
                self.queue.hold(until);
                continue;
            }
            let Some((_, waiter)) = self.queue.serve() else { return };
            self.rate.take(waiter.recipients, now);
            if let Some(account) = account {
                account.take(waiter.recipients);
            }
            waiter.who.place.end(GRANTED);
            waiter.who.place.notify.notify_one();
        }
    }

    /// Returns when somebody may go, if nothing changes.
    fn next_event(&self, now: Instant) -> Option<Instant> {
        let opens_at = self.queue.has_ready().then(|| self.rate.opens_at(now));
        let changes_at = self.queue.next_change().map(|gain| self.rate.brings_at(gain));
        [opens_at, changes_at, self.queue.held_until()].into_iter().flatten().min()
    }

    pub(super) fn status(&mut self, now: Instant) -> PaceStatus {
        self.rate.is_open(now);
        let mut waiting: Vec<_> = self
            .queue
            .users()
            .map(|(user, messages, recipients)| (user.to_string(), messages, recipients))
            .collect();
        waiting.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        waiting.truncate(SHOWN);
        let mut days: Vec<_> = self
            .accounts
            .values_mut()
            .filter_map(|account| Some((account.name.to_string(), account.day_used(now)?)))
            .collect();
        days.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        days.truncate(SHOWN);
        PaceStatus {
            nominal_rate: self.rate.nominal(),
            current_rate: self.rate.current(),
            throttles: self.rate.throttles(),
            waiting: self.queue.len(),
            waiting_by_user: waiting,
            quota: self.quota.reading(now),
            taken_since_reading: self.quota.taken(),
            is_quota_used_up: self.quota.is_used_up(now),
            day_used_by_user: days,
        }
    }

    /// Returns how many users are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.accounts.len()
    }
}
