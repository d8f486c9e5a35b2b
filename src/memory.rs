//! One budget of bytes for all messages in flight, so that the process never grows beyond it plus a
//! fixed overhead, whatever clients send.
//!
//! Part of it is for the beginnings of messages, so that large ones do not starve small ones, and no
//! user has more than half of the rest. Who asks first is served first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Bytes of one unit of the budget.
const UNIT: usize = 1024;
/// As much of each message is taken from the part for beginnings.
const BEGINNING: usize = 256 * UNIT;
/// One of so many bytes is kept for beginnings.
const BEGINNINGS: usize = 8;
/// One of so many bytes of the rest is what one user may have.
const USERS: usize = 2;

/// The budget. Clones share it.
#[derive(Debug, Clone)]
pub struct Memory {
    beginnings: Arc<Semaphore>,
    rest: Arc<Semaphore>,
    /// What is left of the part of each user that has a message in flight.
    users: Arc<Mutex<HashMap<String, Weak<Semaphore>>>>,
    per_user: usize,
    bytes: usize,
    patience: Duration,
}

/// There was not as much left in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the budget for messages in flight is used up")]
pub struct Exhausted;

impl Memory {
    /// Makes a budget; `patience` is how long anybody waits for a part of it.
    #[must_use]
    pub fn new(bytes: usize, patience: Duration) -> Self {
        let beginnings = bytes / BEGINNINGS / UNIT;
        let rest = (bytes / UNIT).saturating_sub(beginnings).min(Semaphore::MAX_PERMITS);
        Self {
            beginnings: Arc::new(Semaphore::new(beginnings.min(Semaphore::MAX_PERMITS))),
            rest: Arc::new(Semaphore::new(rest)),
            users: Arc::default(),
            per_user: rest / USERS,
            bytes,
            patience,
        }
    }

    /// The largest share that one message can ever have, in bytes.
    #[must_use]
    pub fn largest(&self) -> usize {
        self.bytes - self.bytes / BEGINNINGS
    }

    /// What is in use, in bytes.
    #[must_use]
    pub fn used(&self) -> usize {
        let free = self.beginnings.available_permits() + self.rest.available_permits();
        self.bytes.saturating_sub(free * UNIT)
    }

    /// The whole of it, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns an empty share that nobody fills.
    #[must_use]
    pub fn nothing(&self) -> Share {
        self.share(None)
    }

    /// Returns an empty share for a message of that user.
    ///
    /// One user has at most half of what all messages have beyond their beginnings; a message that
    /// needs more than that counts as much.
    #[must_use]
    pub fn share_of(&self, user: &str) -> Share {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let part = users.get(user).and_then(Weak::upgrade).unwrap_or_else(|| {
            users.retain(|_, part| part.strong_count() > 0);
            let part = Arc::new(Semaphore::new(self.per_user));
            users.insert(user.to_owned(), Arc::downgrade(&part));
            part
        });
        self.share(Some(part))
    }

    fn share(&self, part: Option<Arc<Semaphore>>) -> Share {
        Share { memory: self.clone(), part, of_user: None, beginning: None, rest: None, bytes: 0 }
    }
}

/// The part of the budget that one message uses, given back when dropped.
#[derive(Debug)]
pub struct Share {
    memory: Memory,
    /// What the user may have.
    part: Option<Arc<Semaphore>>,
    of_user: Option<OwnedSemaphorePermit>,
    beginning: Option<OwnedSemaphorePermit>,
    rest: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Share {
    /// Makes it at least so large. It stays as it was when there is not as much left in time.
    ///
    /// # Errors
    /// When there is not as much left.
    pub async fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let patience = self.memory.patience;
        let split = |bytes: usize| (bytes.min(BEGINNING), bytes.saturating_sub(BEGINNING));
        let ((beginning, rest), (had_beginning, had_rest)) = (split(bytes), split(self.bytes));
        let most = self.memory.per_user.saturating_mul(UNIT);
        let grown = timeout(patience, async {
            let of_user = match &self.part {
                Some(part) => take(part, had_rest.min(most), rest.min(most)).await?,
                None => None,
            };
            let beginning = take(&self.memory.beginnings, had_beginning, beginning).await?;
            let rest = take(&self.memory.rest, had_rest, rest).await?;
            Ok((of_user, beginning, rest))
        });
        let (of_user, beginning, rest) = grown.await.unwrap_or(Err(Exhausted))?;
        add(&mut self.of_user, of_user);
        add(&mut self.beginning, beginning);
        add(&mut self.rest, rest);
        self.bytes = bytes;
        Ok(())
    }

    /// How large it is, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Takes what is wanted beyond what is there.
async fn take(
    from: &Arc<Semaphore>,
    had: usize,
    wanted: usize,
) -> Result<Option<OwnedSemaphorePermit>, Exhausted> {
    let units = wanted.div_ceil(UNIT) - had.div_ceil(UNIT);
    let units = u32::try_from(units).map_err(|_| Exhausted)?;
    if units == 0 {
        return Ok(None);
    }
    Arc::clone(from).acquire_many_owned(units).await.map(Some).map_err(|_| Exhausted)
}

fn add(to: &mut Option<OwnedSemaphorePermit>, more: Option<OwnedSemaphorePermit>) {
    match (to.as_mut(), more) {
        (Some(to), Some(more)) => to.merge(more),
        (None, more) => *to = more,
        (Some(_), None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn memory() -> Memory {
        Memory::new(16 * MIB, Duration::from_secs(5))
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_used_is_given_back() {
        let memory = memory();
        let mut share = memory.share_of("app");
        for bytes in [1, 100 * UNIT, 300 * UNIT, 14 * MIB, 3] {
            share.grow(bytes).await.unwrap();
        }
        assert_eq!((share.bytes(), memory.used()), (14 * MIB, 14 * MIB));
        assert_eq!(memory.share_of("app").grow(3 * MIB).await, Err(Exhausted));
        assert_eq!(memory.used(), 14 * MIB, "nothing is kept of what was refused");
        drop(share);
        assert_eq!(memory.used(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_user_leaves_room_for_others() {
        let memory = memory();
        let mut held = Vec::new();
        for _ in 0..3 {
            let mut share = memory.share_of("greedy");
            share.grow(2 * MIB + BEGINNING).await.unwrap();
            held.push(share);
        }
        assert_eq!(memory.share_of("greedy").grow(2 * MIB).await, Err(Exhausted));
        // 7 MiB of 14 were for it, less what is for beginnings.
        assert_eq!(memory.share_of("greedy").grow(MIB).await, Ok(()));
        let mut other = memory.share_of("other");
        assert_eq!(other.grow(7 * MIB).await, Ok(()));
        drop(held);
        assert_eq!(memory.share_of("greedy").grow(6 * MIB).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn users_without_messages_are_forgotten() {
        let memory = memory();
        for user in 0..100 {
            memory.share_of(&user.to_string()).grow(MIB).await.unwrap();
        }
        assert!(memory.users.lock().unwrap().len() < 3);
        assert_eq!(memory.used(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_message_has_room_beside_large_ones() {
        let memory = memory();
        let mut large = memory.share_of("app");
        large.grow(memory.largest()).await.unwrap();
        let mut second = memory.share_of("app");
        let waiting = second.grow(10 * MIB);
        let mut small = memory.share_of("app");
        let (small, large) = tokio::join!(small.grow(BEGINNING), waiting);
        assert_eq!((small, large), (Ok(()), Err(Exhausted)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_served_when_there_is_room_again() {
        let memory = memory();
        let mut first = memory.share_of("app");
        first.grow(12 * MIB).await.unwrap();
        let mut second = memory.share_of("app");
        let soon = async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            drop(first);
        };
        let (grown, ()) = tokio::join!(second.grow(12 * MIB), soon);
        assert_eq!(grown, Ok(()));
        assert_eq!(memory.used(), 12 * MIB);
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_there_is_at_all_is_refused() {
        assert_eq!(memory().share_of("app").grow(17 * MIB).await, Err(Exhausted));
        assert_eq!(memory().share_of("app").grow(usize::MAX).await, Err(Exhausted));
    }
}
