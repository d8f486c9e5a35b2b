//! What logins have come to, for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Login;
use super::limits::Locks;

/// What has happened since the start, and what is kept now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Logins accepted.
    pub accepted: u64,
    /// Of those, the ones that were right a moment ago and cost no hash.
    pub passed_unhashed: u64,
    /// Logins with an unknown user or a wrong password.
    pub invalid: u64,
    /// Logins turned away by a lock.
    pub turned_away: u64,
    /// Logins put off because too many password checks wait.
    pub busy: u64,
    /// Locks of a client network.
    pub network_locks: u64,
    /// Locks of a user within a client network.
    pub user_locks: u64,
    /// Password hashes computed.
    pub hashes: u64,
    /// Password checks that wait now.
    pub waiting: usize,
    /// Client networks with failures on record now.
    pub networks_on_record: usize,
    /// Users within client networks with failures on record now.
    pub users_on_record: usize,
    /// Credentials known to be right now.
    pub remembered: usize,
}

/// The numbers that only grow.
#[derive(Default)]
pub(super) struct Counters {
    accepted: AtomicU64,
    passed_unhashed: AtomicU64,
    invalid: AtomicU64,
    turned_away: AtomicU64,
    busy: AtomicU64,
    network_locks: AtomicU64,
    user_locks: AtomicU64,
    hashes: AtomicU64,
}

impl Counters {
    pub(super) fn count(&self, login: &Login) {
        let counter = match login {
            Login::Accepted(..) => &self.accepted,
            Login::Invalid => &self.invalid,
            Login::Locked => &self.turned_away,
            Login::Busy => &self.busy,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn passed_unhashed(&self) {
        self.passed_unhashed.fetch_add(1, Relaxed);
    }

    pub(super) fn hashed(&self, hashes: u64) {
        self.hashes.fetch_add(hashes, Relaxed);
    }

    pub(super) fn locked(&self, locks: &Locks) {
        self.network_locks.fetch_add(u64::from(locks.network.is_some()), Relaxed);
        self.user_locks.fetch_add(u64::from(locks.user.is_some()), Relaxed);
    }

    /// The counters, without what is kept now.
    pub(super) fn read(&self) -> Counts {
        Counts {
            accepted: self.accepted.load(Relaxed),
            passed_unhashed: self.passed_unhashed.load(Relaxed),
            invalid: self.invalid.load(Relaxed),
            turned_away: self.turned_away.load(Relaxed),
            busy: self.busy.load(Relaxed),
            network_locks: self.network_locks.load(Relaxed),
            user_locks: self.user_locks.load(Relaxed),
            hashes: self.hashes.load(Relaxed),
            ..Counts::default()
        }
    }
}
