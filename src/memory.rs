//! One budget of bytes for all messages in flight, so that the process never grows beyond it plus a
//! fixed overhead, whatever clients send.
//!
//! Part of it is for the beginnings of messages, so that large ones do not starve small ones, and no
//! user has more than half of the rest. Who asks first is served first.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Bytes of one unit of the budget.
const UNIT: usize = 1024;
/// The first bytes of each message, which come from a part of the budget of their own: large messages
/// under way never keep small ones from beginning.
const BEGINNING: usize = 256 * UNIT;
/// That part is one in this many of all bytes.
const BEGINNINGS_SHARE: usize = 8;
/// One user may have one in this many bytes of the rest.
const USER_SHARE: usize = 2;

/// The budget. Clones share it.
#[derive(Debug, Clone)]
pub struct Memory {
    beginnings: Arc<Semaphore>,
    rest: Arc<Semaphore>,
    /// What is left of the part of each user that has a message in flight.
    users: Arc<Mutex<HashMap<String, Weak<Part>>>>,
    /// Units of the rest: all of them.
    rest_units: usize,
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
        let beginnings = bytes / BEGINNINGS_SHARE / UNIT;
        let rest = (bytes / UNIT).saturating_sub(beginnings).min(Semaphore::MAX_PERMITS);
        Self {
            beginnings: Arc::new(Semaphore::new(beginnings.min(Semaphore::MAX_PERMITS))),
            rest: Arc::new(Semaphore::new(rest)),
            users: Arc::default(),
            rest_units: rest,
            bytes,
            patience,
        }
    }

    /// The largest share that one message can ever have, in bytes.
    #[must_use]
    pub fn largest(&self) -> usize {
        self.bytes - self.bytes / BEGINNINGS_SHARE
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
    /// One user has at most half of what is for beginnings, and half of the rest; a message that needs
    /// more than that counts as much.
    #[must_use]
    pub fn share_of(&self, user: &str) -> Share {
        let mut users = self.users.lock();
        let part = users.get(user).and_then(Weak::upgrade).unwrap_or_else(|| {
            users.retain(|_, part| part.strong_count() > 0);
            let part = Arc::new(Part {
                beginnings: Arc::new(Semaphore::new(
                    self.bytes / BEGINNINGS_SHARE / UNIT / USER_SHARE,
                )),
                rest: Arc::new(Semaphore::new(self.rest_units / USER_SHARE)),
            });
            users.insert(user.to_owned(), Arc::downgrade(&part));
            part
        });
        self.share(Some(part))
    }

    fn share(&self, part: Option<Arc<Part>>) -> Share {
        Share { memory: self.clone(), part, held: Vec::new(), from_rest: 0, bytes: 0 }
    }
}

/// What one user may have.
#[derive(Debug)]
struct Part {
    beginnings: Arc<Semaphore>,
    rest: Arc<Semaphore>,
}

/// The part of the budget that one message uses, given back when dropped.
#[derive(Debug)]
pub struct Share {
    memory: Memory,
    /// What the user may have.
    part: Option<Arc<Part>>,
    held: Vec<OwnedSemaphorePermit>,
    /// Units of the rest that it counts.
    from_rest: usize,
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
        let beginning = |bytes: usize| bytes.min(BEGINNING).div_ceil(UNIT);
        let rest = |bytes: usize| bytes.saturating_sub(BEGINNING).div_ceil(UNIT);
        let mut more = rest(bytes) - rest(self.bytes);
        let mut taken = Vec::new();
        match self.begin(beginning(bytes) - beginning(self.bytes)) {
            Ok(begun) => taken.extend(begun),
            // Where there is nothing left for beginnings, they count like the rest of a message.
            Err(units) => more += units,
        }
        let from_rest = self.from_rest + more;
        let most = self.memory.rest_units;
        if let Some(units) = rest(bytes).checked_sub(most)
            && units > 0
        {
            return Err(Exhausted);
        }
        let patience = self.memory.patience;
        let grown = timeout(patience, async {
            if let Some(part) = &self.part {
                let most = most / USER_SHARE;
                let units = from_rest.min(most) - self.from_rest.min(most);
                taken.extend(take(&part.rest, units).await?);
            }
            let units = from_rest.min(most) - self.from_rest.min(most);
            taken.extend(take(&self.memory.rest, units).await?);
            Ok(taken)
        });
        self.held.append(&mut grown.await.unwrap_or(Err(Exhausted))?);
        (self.from_rest, self.bytes) = (from_rest, bytes);
        Ok(())
    }

    /// Takes so many units of what is for beginnings, of the user's part and of all, or gives the
    /// number back.
    fn begin(&self, units: usize) -> Result<Vec<OwnedSemaphorePermit>, usize> {
        let number = u32::try_from(units).map_err(|_| units)?;
        let of_user = self.part.as_ref().map(|part| &part.beginnings);
        let wanted = of_user.into_iter().chain([&self.memory.beginnings]);
        wanted
            .map(|from| Arc::clone(from).try_acquire_many_owned(number).map_err(|_| units))
            .collect()
    }

    /// How large it is, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Waits for so many units.
async fn take(
    from: &Arc<Semaphore>,
    units: usize,
) -> Result<Option<OwnedSemaphorePermit>, Exhausted> {
    let units = u32::try_from(units).map_err(|_| Exhausted)?;
    if units == 0 {
        return Ok(None);
    }
    Arc::clone(from).acquire_many_owned(units).await.map(Some).map_err(|_| Exhausted)
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
    async fn one_user_does_not_use_up_what_is_for_beginnings() {
        let memory = memory();
        let mut held = Vec::new();
        loop {
            let mut share = memory.share_of("greedy");
            match share.grow(BEGINNING).await {
                Ok(()) => held.push(share),
                Err(Exhausted) => break,
            }
        }
        // Half of 2 MiB as beginnings, and half of the rest behind that.
        assert_eq!(held.len(), 4 + 28);
        let mut others = Vec::new();
        for user in 0..4 {
            let mut share = memory.share_of(&user.to_string());
            assert_eq!(share.grow(BEGINNING).await, Ok(()));
            others.push(share);
        }
        drop((held, others));
        assert_eq!(memory.used(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn users_without_messages_are_forgotten() {
        let memory = memory();
        for user in 0..100 {
            memory.share_of(&user.to_string()).grow(MIB).await.unwrap();
        }
        assert!(memory.users.lock().len() < 3);
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
