//! What the log says about guessing: a line for each lock and now and then one about a full queue,
//! never one for each attempt.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::limits::Locks;
use super::network::Network;
use crate::log_limit::LogLimit;

const QUIET: Duration = Duration::from_secs(10);

/// Writes the lines.
pub(super) struct LoginLog(Mutex<LogLimit>);

impl Default for LoginLog {
    fn default() -> Self {
        Self(Mutex::new(LogLimit::new(QUIET)))
    }
}

impl LoginLog {
    /// Locks that have begun. An unknown name may be a password in the wrong field (decision 21):
    /// `user` is a known one.
    pub(super) fn locked(&self, locks: &Locks, network: Network, user: Option<&str>) {
        if let Some(lock) = locks.user {
            tracing::warn!(
                user,
                network = %network,
                seconds = lock.lasts.as_secs(),
                turned_away_before = lock.turned_away,
                "logins of one user from one network are turned away: too many failed; check what the \
                 app logs in with, or find out who guesses",
            );
        }
        if let Some(lock) = locks.network {
            tracing::warn!(
                network = %network,
                seconds = lock.lasts.as_secs(),
                turned_away_before = lock.turned_away,
                "all logins from a network are turned away: too many failed; find out who guesses, or \
                 name a network that many apps share in `trusted_networks`",
            );
        }
    }

    /// A login was put off; the line counts all since the line before.
    pub(super) fn busy(&self, now: Instant) {
        let mut limit = self.0.lock();
        if let Some(suppressed) = limit.allow(now) {
            tracing::warn!(
                logins = suppressed.saturating_add(1),
                "logins put off: too many password checks at once; raise `password_queue` in \
                 `[limits]` or find out who guesses",
            );
        }
    }
}
