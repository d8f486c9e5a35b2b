//! The copy on disk: when it is read and written, and what is said when it cannot be.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::cache::{Cache, Copy};
use super::super::store::due;
use super::super::{KnownIdentity, Snapshot};
use super::Reader;
use crate::clock;

/// The copy is written again after so long even when nothing changed, so that it does not grow old.
const RENEW: Duration = Duration::from_secs(3600);

/// How the copy on disk fares.
pub(super) struct Saving {
    cache: Option<Cache>,
    is_due: bool,
    saved: Option<Instant>,
    is_failing: bool,
}

impl Saving {
    pub(super) fn new(cache: Option<Cache>) -> Self {
        Self { cache, is_due: false, saved: None, is_failing: false }
    }

    pub(super) fn changed(&mut self) {
        self.is_due = true;
    }

    /// A list was read: the copy is as old as the list before, or older.
    pub(super) fn renew(&mut self, now: Instant) {
        self.is_due |= self.saved.is_none_or(|saved| now - saved > RENEW);
    }
}

impl Reader {
    pub(super) fn save_at(&self) -> Option<Instant> {
        let is_due = self.copy.is_due && self.copy.cache.is_some() && self.next.complete;
        let after = |saved| saved + self.settings.save;
        is_due.then(|| self.copy.saved.map_or(self.next_call, after))
    }

    /// Writes the copy, away from the threads that serve connections.
    pub(super) async fn save(&mut self) {
        let (Some(cache), Some(taken)) = (self.copy.cache.clone(), self.next.taken) else { return };
        let account = self.next.account.clone();
        let copy = Copy { taken, account, identities: self.store.copy() };
        let file = cache.file();
        let saved = tokio::task::spawn_blocking(move || cache.save(&copy)).await;
        let problem = match saved {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        (self.copy.is_due, self.copy.saved) = (problem.is_some(), Some(clock::now()));
        let was_failing = std::mem::replace(&mut self.copy.is_failing, problem.is_some());
        if let (Some(problem), false) = (problem, was_failing) {
            tracing::warn!(
                file = %file.display(),
                error = problem,
                "what SES says about the account cannot be kept on disk: a start without SES will \
                 know nothing; let the relay write to this directory",
            );
        }
    }

    /// Begins with the copy on disk.
    pub(super) fn restore(&mut self, now: Instant) {
        let Some(cache) = &self.copy.cache else { return };
        let clock = clock::time_of_day();
        let copy = match cache.load(clock, self.settings.stale) {
            Ok(Some(copy)) => copy,
            Ok(None) => return,
            Err(error) => {
                let reason = match std::error::Error::source(&error) {
                    Some(source) => format!("{error}: {source}"),
                    None => error.to_string(),
                };
                tracing::warn!(
                    file = %cache.file().display(),
                    error = reason,
                    "what SES said earlier about the account is not used and read again; if this comes \
                     with each start, see who else writes this file",
                );
                return;
            }
        };
        for (known, listed, read) in copy.identities {
            let age = read.and_then(|read| clock.duration_since(read).ok());
            let due = due(age, self.settings.refresh, now);
            let known: KnownIdentity = Arc::unwrap_or_clone(known);
            self.store.restore(known, listed, read, due);
        }
        self.next = Snapshot {
            taken: Some(copy.taken),
            account: copy.account,
            identities: Arc::new(self.store.identities()),
            complete: true,
        };
        self.snapshots.send_replace(Arc::new(self.next.clone()));
    }
}
