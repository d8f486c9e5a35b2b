//! How often logins may fail, without a clock: times are passed in and never go back.
//!
//! Failures are counted by client network and by user within a client network. A user is never
//! locked for everyone: whoever knows the name could keep an app out.

use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

use super::capped_map::CappedMap;
use super::network::Network;

/// When failures lead to a lock, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureRule {
    /// So many failures within `window` lock for the first time.
    pub failures: u32,
    /// Begins with the first failure that is counted.
    pub window: Duration,
    /// So many more within `window`, after a lock has ended, lock again, for twice as long.
    pub again: u32,
    /// How long the first lock lasts.
    pub lock: Duration,
    /// The longest lock; after as long without a lock all is forgiven.
    pub lock_max: Duration,
}

impl FailureRule {
    /// 10 a minute; the lock grows from one minute to 15.
    pub const NETWORK: Self = Self {
        failures: 10,
        window: Duration::from_secs(60),
        again: 10,
        lock: Duration::from_secs(60),
        lock_max: Duration::from_secs(900),
    };

    /// 10 in 15 minutes, then a single one locks again; the lock grows from one minute to 15.
    pub const USER: Self = Self {
        failures: 10,
        window: Duration::from_secs(900),
        again: 1,
        lock: Duration::from_secs(60),
        lock_max: Duration::from_secs(900),
    };
}

/// Entries per table; some 30 MB when both are full, next to nothing as long as nobody guesses.
pub(super) const ENTRIES: usize = 100_000;
const SWEEP: Duration = Duration::from_secs(60);

/// A user name, as given, within a client network; a keyed digest, since names can be long.
pub(super) type UserKey = [u8; 16];

/// A lock that has just begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lock {
    pub(super) lasts: Duration,
    /// How many logins the lock before this one turned away.
    pub(super) turned_away: u32,
}

/// Whose login it is, as far as limits go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) network: Network,
    /// Loopback or a trusted network: no limit on the network as a whole.
    pub(super) trusted: bool,
    pub(super) user: UserKey,
}

/// The locks that a failure leads to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Locks {
    pub(super) network: Option<Lock>,
    pub(super) user: Option<Lock>,
}

/// All counts.
pub(super) struct Limits {
    networks: Table<Network>,
    users: Table<UserKey>,
}

impl Limits {
    pub(super) fn new(network: FailureRule, user: FailureRule, entries: usize) -> Self {
        Self { networks: Table::new(network, entries), users: Table::new(user, entries) }
    }

    /// Counts by other rules from now on; locks that have begun stay.
    pub(super) fn set_rules(&mut self, network: FailureRule, user: FailureRule) {
        (self.networks.rule, self.users.rule) = (network, user);
    }

    /// How many networks, and users within networks, are on record.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.networks.entries.len(), self.users.entries.len())
    }

    /// Whether a lock turns the login away now.
    pub(super) fn turns_away(&mut self, attempt: &Attempt, now: Instant) -> bool {
        let network = !attempt.trusted && self.networks.turns_away(&attempt.network, now);
        self.users.turns_away(&attempt.user, now) || network
    }

    /// Whether failures of the user are remembered that still matter.
    pub(super) fn is_user_suspect(&self, attempt: &Attempt, now: Instant) -> bool {
        self.users.is_suspect(&attempt.user, now)
    }

    /// Whether failures are remembered that still matter.
    pub(super) fn is_suspect(&self, attempt: &Attempt, now: Instant) -> bool {
        self.is_user_suspect(attempt, now)
            || !attempt.trusted && self.networks.is_suspect(&attempt.network, now)
    }

    /// Counts a wrong password.
    pub(super) fn failed(&mut self, attempt: &Attempt, now: Instant) -> Locks {
        let network = (!attempt.trusted).then(|| self.networks.failed(attempt.network, now));
        Locks { network: network.flatten(), user: self.users.failed(attempt.user, now) }
    }

    /// Counts a login that was put off because its network has filled its share of the queue: a
    /// failure where there are others, else many apps that start at once.
    pub(super) fn crowded_out(&mut self, attempt: &Attempt, now: Instant) -> Locks {
        if attempt.trusted || !self.networks.is_suspect(&attempt.network, now) {
            return Locks::default();
        }
        Locks { network: self.networks.failed(attempt.network, now), user: None }
    }
}

/// The failures of everyone in one respect.
pub(super) struct Table<K> {
    rule: FailureRule,
    entries: CappedMap<K, Entry>,
    swept: Option<Instant>,
}

#[derive(Clone)]
struct Entry {
    /// Where the window begins: a failure, or the end of a lock.
    since: Instant,
    failures: u32,
    locks: u32,
    until: Option<Instant>,
    turned_away: u32,
}

impl<K: Copy + Eq + Hash> Table<K> {
    fn new(rule: FailureRule, entries: usize) -> Self {
        Self { rule, entries: CappedMap::new(entries), swept: None }
    }

    /// Whether a lock turns logins away now; it counts those that it did.
    fn turns_away(&mut self, key: &K, now: Instant) -> bool {
        let locked = self.entries.get_mut(key).filter(|entry| entry.is_locked(now));
        locked.map(|entry| entry.turned_away = entry.turned_away.saturating_add(1)).is_some()
    }

    /// Whether failures are remembered that still matter.
    fn is_suspect(&self, key: &K, now: Instant) -> bool {
        self.entries.get(key).is_some_and(|entry| !entry.is_stale(&self.rule, now))
    }

    /// Counts a failure; returns the lock that it leads to.
    fn failed(&mut self, key: K, now: Instant) -> Option<Lock> {
        self.sweep(now);
        let rule = &self.rule;
        let mut entry = self
            .entries
            .remove(&key)
            .filter(|entry| !entry.is_stale(rule, now))
            .unwrap_or_else(|| Entry::new(now));
        let lock = entry.failed(rule, now);
        let weight = entry.weight(rule);
        self.entries.insert(key, entry, weight);
        lock
    }

    fn sweep(&mut self, now: Instant) {
        if self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP) {
            let rule = &self.rule;
            self.entries.retain(|entry| !entry.is_stale(rule, now));
            self.swept = Some(now);
        }
    }
}

impl Entry {
    fn new(now: Instant) -> Self {
        Self { since: now, failures: 0, locks: 0, until: None, turned_away: 0 }
    }

    fn is_locked(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    fn is_stale(&self, rule: &FailureRule, now: Instant) -> bool {
        let (since, kept) = match self.until {
            Some(until) => (until, rule.lock_max),
            None => (self.since, rule.window),
        };
        now.saturating_duration_since(since) >= kept && !self.is_locked(now)
    }

    fn failed(&mut self, rule: &FailureRule, now: Instant) -> Option<Lock> {
        if self.is_locked(now) {
            // Its check began before the lock did.
            return None;
        }
        if now.saturating_duration_since(self.since) >= rule.window {
            (self.since, self.failures) = (now, 0);
        }
        self.failures = self.failures.saturating_add(1);
        let allowed = if self.locks == 0 { rule.failures } else { rule.again };
        if self.failures < allowed {
            return None;
        }
        let lasts = rule.lock.saturating_mul(1 << self.locks.min(16)).min(rule.lock_max);
        let lock = Lock { lasts, turned_away: self.turned_away };
        let until = now + lasts;
        *self = Self {
            since: until,
            failures: 0,
            locks: self.locks.saturating_add(1),
            until: Some(until),
            turned_away: 0,
        };
        Some(lock)
    }

    /// The more failures it took, the longer it is remembered: whoever wants a lock forgotten must
    /// fail as often under each of as many other names.
    fn weight(&self, rule: &FailureRule) -> u32 {
        self.locks.saturating_mul(rule.failures).saturating_add(self.failures)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a time to begin with")]
mod tests;
