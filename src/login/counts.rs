//! What logins have come to, for metrics.

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

impl Counts {
    pub(super) fn login(&mut self, login: &Login) {
        let counter = match login {
            Login::Accepted(..) => &mut self.accepted,
            Login::Invalid => &mut self.invalid,
            Login::Locked => &mut self.turned_away,
            Login::Busy => &mut self.busy,
        };
        *counter += 1;
    }

    pub(super) fn locked(&mut self, locks: &Locks) {
        self.network_locks += u64::from(locks.network.is_some());
        self.user_locks += u64::from(locks.user.is_some());
    }
}
