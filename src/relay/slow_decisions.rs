//! Decisions that take long: on threads of their own, one at a time for each user.
//!
//! Most decisions take microseconds and are made where the message is. One that is not done within a
//! millisecond is begun anew here, so that the threads that serve everybody are not held up, and so
//! that a user whose messages take long waits for its own decisions alone.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// The most steps of a decision that is made where the message is: about 1 ms.
pub(super) const QUICK_STEPS: u64 = 1_000_000;

/// Who decides, and who waits for it.
#[derive(Debug)]
pub(super) struct SlowDecisions {
    /// Half of the processors serve.
    threads: Arc<Semaphore>,
    /// One for each user that has decisions here.
    users: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// The decision was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undecided {
    /// Earlier ones of the user took too long.
    Late,
    /// The thread ended without an answer.
    Failed,
}

impl SlowDecisions {
    pub(super) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self { threads: Arc::new(Semaphore::new((processors / 2).max(1))), users: Mutex::default() }
    }

    /// Decides when it is the user's turn.
    pub(super) async fn decide<T: Send + 'static>(
        &self,
        user: &str,
        by: Instant,
        decide: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Undecided> {
        let turn = timeout_at(by, self.turn(user)).await;
        let decided = match turn {
            Ok(Ok(turn)) => tokio::task::spawn_blocking(move || {
                let decided = decide();
                // Even when nobody waits for the answer any more.
                drop(turn);
                decided
            }),
            Ok(Err(_)) => return Err(Undecided::Failed),
            Err(_) => return Err(Undecided::Late),
        };
        decided.await.map_err(|_| Undecided::Failed)
    }

    /// First the user's turn, then a thread: whoever has many waits with one of them alone.
    async fn turn(&self, user: &str) -> Result<[OwnedSemaphorePermit; 2], AcquireError> {
        let of_user = {
            let mut users = self.users.lock();
            users.retain(|_, of_user| Arc::strong_count(of_user) > 1);
            Arc::clone(users.entry(user.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(1))))
        };
        let of_user = of_user.acquire_owned().await?;
        Ok([of_user, Arc::clone(&self.threads).acquire_owned().await?])
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        let now = crate::clock::now();
        now + Duration::from_secs(60)
    }

    #[tokio::test]
    async fn a_user_waits_for_its_own_decisions_alone() {
        let slow = Arc::new(SlowDecisions {
            threads: Arc::new(Semaphore::new(2)),
            users: Mutex::default(),
        });
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let begun = Arc::clone(&slow);
        let held = async move { begun.decide("a", soon(), move || ended.recv()).await };
        let other = async {
            tokio::task::yield_now().await;
            let late = slow.decide("a", soon() - Duration::from_secs(60), || ()).await;
            assert_eq!(late, Err(Undecided::Late));
            assert_eq!(slow.decide("b", soon(), || 1).await, Ok(1));
            end.send(()).unwrap();
            assert_eq!(slow.decide("a", soon(), || 2).await, Ok(2));
        };
        let (held, ()) = tokio::join!(held, other);
        assert_eq!(held, Ok(Ok(())));
    }

    #[tokio::test]
    async fn users_without_decisions_are_forgotten() {
        let slow = SlowDecisions::new();
        for user in 0..100 {
            slow.decide(&user.to_string(), soon(), || ()).await.unwrap();
        }
        assert!(slow.users.lock().len() <= 2);
    }
}
