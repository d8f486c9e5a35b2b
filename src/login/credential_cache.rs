//! Credentials that were right a moment ago, so that an app pays for one hash and not for one a
//! connection.
//!
//! Nothing that could be read back is kept: a keyed digest of name and password, and which stored
//! password matched. A user who has that stored password no more is not remembered either.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::capped_map::CappedMap;
use crate::principals::password::{Fingerprint, StoredPassword};

/// How long after its last use a credential is remembered.
const REMEMBERED: Duration = Duration::from_secs(300);
const ENTRIES: usize = 10_000;

/// A keyed digest of a user name and a password.
pub(super) type CredentialDigest = [u8; 32];

/// The credentials that were right; the one that was used longest ago goes first.
pub(super) struct CredentialCache(CappedMap<CredentialDigest, Memory>);

struct Memory {
    used: Instant,
    matched: Fingerprint,
}

impl Default for CredentialCache {
    fn default() -> Self {
        Self(CappedMap::new(ENTRIES))
    }
}

impl CredentialCache {
    pub(super) fn put(&mut self, digest: CredentialDigest, matched: Fingerprint, now: Instant) {
        self.0.insert(digest, Memory { used: now, matched }, 0);
    }

    /// The password that it matched, if that is still among `stored` and good at `today`.
    pub(super) fn matched(
        &mut self,
        digest: &CredentialDigest,
        stored: &[StoredPassword],
        now: Instant,
        today: SystemTime,
    ) -> Option<Fingerprint> {
        let Memory { used, matched } = self.0.remove(digest)?;
        let is_live = stored.iter().any(|one| *one.fingerprint() == matched && one.is_live(today));
        let fresh = now.saturating_duration_since(used) < REMEMBERED;
        if fresh && is_live {
            self.put(*digest, matched, now);
        }
        (fresh && is_live).then_some(matched)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a time to begin with")]
mod tests {
    use super::*;

    const TODAY: SystemTime = SystemTime::UNIX_EPOCH;

    fn stored(password: &str) -> StoredPassword {
        StoredPassword::parse(&bcrypt::hash(password, 4).unwrap()).unwrap()
    }

    fn digest(number: usize) -> CredentialDigest {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_le_bytes());
        digest
    }

    #[test]
    fn a_credential_is_forgotten_five_minutes_after_its_last_use() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let stored = [stored("secret")];
        let mut remembered = CredentialCache::default();
        remembered.put(digest(1), *stored[0].fingerprint(), start);
        let used = start + REMEMBERED - second;
        assert!(remembered.matched(&digest(1), &stored, used, TODAY).is_some());
        assert!(
            remembered.matched(&digest(1), &stored, used + REMEMBERED - second, TODAY).is_some()
        );
        let end = used + REMEMBERED - second + REMEMBERED;
        assert!(remembered.matched(&digest(1), &stored, end, TODAY).is_none());
        assert_eq!(remembered.len(), 0);
    }

    #[test]
    fn it_holds_for_the_stored_password_that_matched_alone() {
        let now = Instant::now();
        let expired = stored("old").expiring(Some(TODAY));
        let (old, same_again) = (stored("secret"), stored("secret"));
        for (case, stored, expected) in [
            ("the same", vec![old.clone()], true),
            ("beside another", vec![same_again.clone(), old.clone()], true),
            ("replaced", vec![same_again.clone()], false),
            ("taken away", vec![], false),
            ("expired", vec![old.clone().expiring(expired.expires())], false),
        ] {
            let mut remembered = CredentialCache::default();
            remembered.put(digest(1), *old.fingerprint(), now);
            assert_eq!(
                remembered.matched(&digest(1), &stored, now, TODAY).is_some(),
                expected,
                "{case}"
            );
        }
    }

    #[test]
    fn what_is_in_use_outlives_a_flood_of_right_credentials() {
        let now = Instant::now();
        let stored = [stored("secret")];
        let mut remembered = CredentialCache::default();
        for number in 0..3 * ENTRIES {
            remembered.put(digest(number), *stored[0].fingerprint(), now);
            assert!(remembered.matched(&digest(0), &stored, now, TODAY).is_some());
        }
        assert_eq!(remembered.len(), ENTRIES);
        assert!(remembered.matched(&digest(1), &stored, now, TODAY).is_none());
    }
}
