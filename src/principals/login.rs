//! Checking passwords without stalling anything: bounded, remembered, and alike for all failures.
//!
//! A hash costs milliseconds and megabytes, so at most one per processor runs at a time, on the
//! blocking pool, a bounded number waits, and a credential that was right is remembered for five
//! minutes under a keyed digest. An unknown user costs the same as a wrong password.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

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
    right: Mutex<HashMap<Digest, Memory>>,
    in_flight: Mutex<HashMap<Digest, Arc<OnceCell<Option<usize>>>>>,
}

/// The passwords of one user.
pub(super) type Passwords = Arc<[StoredPassword]>;

/// A credential that was right.
struct Memory {
    since: Instant,
    expires: Option<SystemTime>,
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

    /// Compares a password with those stored for the user.
    ///
    /// `stored` are the user's own; for an unknown user `decoy` is compared instead, and the answer
    /// is no whatever comes of it. A password that has expired is none at `now`.
    pub(super) async fn verify(
        &self,
        user: &str,
        password: &str,
        stored: Option<&Passwords>,
        decoy: Option<&Passwords>,
        now: SystemTime,
    ) -> Result<bool, Busy> {
        let digest = self.digest(user, password);
        if stored.is_some() && self.is_remembered(&digest, now) {
            return Ok(true);
        }
        let Some(hashes) = stored.or(decoy).cloned() else { return Ok(false) };
        // Many connections that come back after a restart share one hash.
        let cell = lock(&self.in_flight).entry(digest).or_default().clone();
        let hash = || self.hash(Arc::clone(&hashes), password.to_owned());
        let matching = cell.get_or_try_init(hash).await.copied();
        lock(&self.in_flight).remove(&digest);
        let matching = matching?.and_then(|at| hashes.get(at)).filter(|_| stored.is_some());
        let right = matching.filter(|stored| stored.is_live(now));
        if let Some(stored) = right {
            self.remember(digest, stored.expires());
        }
        Ok(right.is_some())
    }

    /// The place of the password that matches.
    async fn hash(&self, stored: Passwords, password: String) -> Result<Option<usize>, Busy> {
        let password = zeroize::Zeroizing::new(password);
        let _queued = self.queue.try_acquire().map_err(|_| Busy)?;
        let _processor = self.processors.acquire().await.map_err(|_| Busy)?;
        tokio::task::spawn_blocking(move || stored.iter().position(|hash| hash.verify(&password)))
            .await
            .map_err(|_| Busy)
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

    fn is_remembered(&self, digest: &Digest, now: SystemTime) -> bool {
        lock(&self.right).get(digest).is_some_and(|memory| memory.is_good(now))
    }

    fn remember(&self, digest: Digest, expires: Option<SystemTime>) {
        let mut right = lock(&self.right);
        if right.len() >= REMEMBERED_MAX {
            right.retain(|_, memory| memory.since.elapsed() < REMEMBERED);
        }
        if right.len() >= REMEMBERED_MAX {
            right.clear();
        }
        #[expect(clippy::disallowed_methods, reason = "the age of what is remembered")]
        right.insert(digest, Memory { since: Instant::now(), expires });
    }
}

impl Memory {
    fn is_good(&self, now: SystemTime) -> bool {
        self.since.elapsed() < REMEMBERED && self.expires.is_none_or(|expires| now < expires)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn stored(password: &str) -> StoredPassword {
        StoredPassword::parse(&bcrypt::hash(password, 4).unwrap()).unwrap()
    }

    async fn verify(verifier: &Verifier, password: &str, stored: &Passwords) -> Result<bool, Busy> {
        verifier.verify("app", password, Some(stored), None, NOW).await
    }

    #[tokio::test]
    async fn the_right_password_alone_is_right_and_stays_so() {
        let verifier = Verifier::new(4).unwrap();
        let secret: Passwords = [stored("secret")].into();
        for _ in 0..2 {
            assert_eq!(verify(&verifier, "secret", &secret).await, Ok(true));
            assert_eq!(verify(&verifier, "wrong", &secret).await, Ok(false));
        }
        assert!(verifier.is_remembered(&verifier.digest("app", "secret"), NOW));
        assert!(!verifier.is_remembered(&verifier.digest("app", "wrong"), NOW));
    }

    #[tokio::test]
    async fn two_passwords_live_side_by_side_until_one_expires() {
        let verifier = Verifier::new(4).unwrap();
        let end = NOW + Duration::from_secs(60);
        let both: Passwords = [stored("old").expiring(Some(end)), stored("new")].into();
        let verify =
            async |password, now| verifier.verify("app", password, Some(&both), None, now).await;
        for password in ["old", "new"] {
            assert_eq!(verify(password, NOW).await, Ok(true), "{password}");
        }
        assert_eq!(verify("new", end).await, Ok(true));
        assert_eq!(verify("old", end).await, Ok(false), "what is remembered expires too");
    }

    #[tokio::test]
    async fn an_unknown_user_is_wrong_even_with_the_password_of_the_decoy() {
        let verifier = Verifier::new(4).unwrap();
        let secret: Passwords = [stored("secret")].into();
        let verify = async |decoy| verifier.verify("nobody", "secret", None, decoy, NOW).await;
        assert_eq!(verify(Some(&secret)).await, Ok(false));
        assert_eq!(verify(None).await, Ok(false));
    }

    #[tokio::test]
    async fn a_full_queue_is_busy_but_never_forgets_who_is_known() {
        let verifier = Verifier::new(0).unwrap();
        let secret: Passwords = [stored("secret")].into();
        assert_eq!(verify(&verifier, "secret", &secret).await, Ok(true));
        let all = verifier.queue.available_permits();
        let _held = verifier.queue.try_acquire_many(u32::try_from(all).unwrap()).unwrap();
        assert_eq!(verify(&verifier, "other", &secret).await, Err(Busy));
        assert_eq!(verify(&verifier, "secret", &secret).await, Ok(true));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_right_is_forgotten_after_five_minutes() {
        let verifier = Verifier::new(4).unwrap();
        let digest = verifier.digest("app", "secret");
        verifier.remember(digest, None);
        tokio::time::advance(REMEMBERED - Duration::from_secs(1)).await;
        assert!(verifier.is_remembered(&digest, NOW));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!verifier.is_remembered(&digest, NOW));
    }
}
