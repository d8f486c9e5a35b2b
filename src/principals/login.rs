//! Checking passwords without stalling anything: bounded, remembered, and alike for all failures.
//!
//! A hash costs milliseconds and megabytes, so at most one per processor runs at a time, on the
//! blocking pool, a bounded number waits, and a credential that was right is remembered for five
//! minutes under a keyed digest. An unknown user costs the same as a wrong password.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

use super::password::StoredPassword;

const REMEMBERED: Duration = Duration::from_secs(300);
const REMEMBERED_MAX: usize = 10_000;

type Digest = [u8; 32];

/// The hash pool is busy and its queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Busy;

/// Checks passwords, see the module.
pub(super) struct Verifier {
    key: hmac::Key,
    processors: Semaphore,
    queue: Semaphore,
    right: Mutex<HashMap<Digest, Instant>>,
    in_flight: Mutex<HashMap<Digest, Arc<OnceCell<bool>>>>,
}

impl Verifier {
    /// `queue` is how many checks may wait for a processor.
    pub(super) fn new(queue: usize) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?,
            processors: Semaphore::new(processors),
            queue: Semaphore::new(processors + queue),
            right: Mutex::default(),
            in_flight: Mutex::default(),
        })
    }

    /// Compares a password with what is stored for the user.
    ///
    /// `stored` is the user's own hash; for an unknown user `decoy` is compared instead, and the
    /// answer is no whatever comes of it.
    pub(super) async fn verify(
        &self,
        user: &str,
        password: &str,
        stored: Option<&StoredPassword>,
        decoy: Option<&StoredPassword>,
    ) -> Result<bool, Busy> {
        let digest = self.digest(user, password);
        if stored.is_some() && self.is_remembered(&digest) {
            return Ok(true);
        }
        let Some(hash) = stored.or(decoy).cloned() else { return Ok(false) };
        // Many connections that come back after a restart share one hash.
        let cell = lock(&self.in_flight).entry(digest).or_default().clone();
        let known = stored.is_some();
        let verdict = cell.get_or_try_init(|| self.hash(hash, password.to_owned())).await.copied();
        lock(&self.in_flight).remove(&digest);
        let right = verdict? && known;
        if right {
            self.remember(digest);
        }
        Ok(right)
    }

    async fn hash(&self, stored: StoredPassword, password: String) -> Result<bool, Busy> {
        let password = zeroize::Zeroizing::new(password);
        let _queued = self.queue.try_acquire().map_err(|_| Busy)?;
        let _processor = self.processors.acquire().await.map_err(|_| Busy)?;
        tokio::task::spawn_blocking(move || stored.verify(&password)).await.map_err(|_| Busy)
    }

    fn digest(&self, user: &str, password: &str) -> Digest {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(user.as_bytes());
        context.update(&[0]);
        context.update(password.as_bytes());
        let mut digest = Digest::default();
        for (to, from) in digest.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        digest
    }

    fn is_remembered(&self, digest: &Digest) -> bool {
        lock(&self.right).get(digest).is_some_and(|since| since.elapsed() < REMEMBERED)
    }

    fn remember(&self, digest: Digest) {
        let mut right = lock(&self.right);
        if right.len() >= REMEMBERED_MAX {
            right.retain(|_, since| since.elapsed() < REMEMBERED);
        }
        if right.len() >= REMEMBERED_MAX {
            right.clear();
        }
        #[expect(clippy::disallowed_methods, reason = "the age of what is remembered")]
        right.insert(digest, Instant::now());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(password: &str) -> StoredPassword {
        StoredPassword::parse(&bcrypt::hash(password, 4).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn the_right_password_alone_is_right_and_stays_so() {
        let verifier = Verifier::new(4).unwrap();
        let secret = stored("secret");
        for _ in 0..2 {
            assert_eq!(verifier.verify("app", "secret", Some(&secret), None).await, Ok(true));
            assert_eq!(verifier.verify("app", "wrong", Some(&secret), None).await, Ok(false));
        }
        assert!(verifier.is_remembered(&verifier.digest("app", "secret")));
        assert!(!verifier.is_remembered(&verifier.digest("app", "wrong")));
    }

    #[tokio::test]
    async fn an_unknown_user_is_wrong_even_with_the_password_of_the_decoy() {
        let verifier = Verifier::new(4).unwrap();
        let secret = stored("secret");
        assert_eq!(verifier.verify("nobody", "secret", None, Some(&secret)).await, Ok(false));
        assert_eq!(verifier.verify("nobody", "secret", None, None).await, Ok(false));
    }

    #[tokio::test]
    async fn a_full_queue_is_busy_but_never_forgets_who_is_known() {
        let verifier = Verifier::new(0).unwrap();
        let secret = stored("secret");
        assert_eq!(verifier.verify("app", "secret", Some(&secret), None).await, Ok(true));
        let all = verifier.queue.available_permits();
        let _held = verifier.queue.try_acquire_many(u32::try_from(all).unwrap()).unwrap();
        assert_eq!(verifier.verify("app", "other", Some(&secret), None).await, Err(Busy));
        assert_eq!(verifier.verify("app", "secret", Some(&secret), None).await, Ok(true));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_right_is_forgotten_after_five_minutes() {
        let verifier = Verifier::new(4).unwrap();
        let digest = verifier.digest("app", "secret");
        verifier.remember(digest);
        tokio::time::advance(REMEMBERED - Duration::from_secs(1)).await;
        assert!(verifier.is_remembered(&digest));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!verifier.is_remembered(&digest));
    }
}
