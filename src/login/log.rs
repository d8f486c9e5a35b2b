//! What the log says about guessing: a line for each lock and now and then one about a full queue,
//! never one for each attempt.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::limits::Locks;
use super::network::Network;

const QUIET: Duration = Duration::from_secs(10);

/// Writes the lines.
#[derive(Default)]
pub(super) struct LoginLog(Mutex<Unsaid>);

#[derive(Default)]
struct Unsaid {
    said: Option<Instant>,
    logins: u64,
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

    /// A login was put off; the line tells of all since the line before.
    pub(super) fn busy(&self, now: Instant) {
        if let Some(logins) = self.unsaid(now) {
            tracing::warn!(
                logins,
                "logins put off: too many password checks at once; raise `password_queue` in \
                 `[limits]` or find out who guesses",
            );
        }
    }

    fn unsaid(&self, now: Instant) -> Option<u64> {
        let mut unsaid = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        unsaid.logins = unsaid.logins.saturating_add(1);
        if unsaid.said.is_some_and(|said| now.saturating_duration_since(said) < QUIET) {
            return None;
        }
        unsaid.said = Some(now);
        Some(std::mem::take(&mut unsaid.logins))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a time to begin with")]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_line_every_ten_seconds() {
        let reporter = LoginLog::default();
        let start = Instant::now();
        let said: Vec<_> = (0..201)
            .filter_map(|at| reporter.unsaid(start + Duration::from_millis(100) * at))
            .collect();
        assert_eq!(said, [1, 100, 100]);
    }
}
