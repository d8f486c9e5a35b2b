//! Checks passwords so that guessing them neither succeeds nor stalls anything, and that all
//! failures are alike.
//!
//! The order is the point. First what was right a moment ago, without a hash: an app keeps sending while
//! others guess, even from behind its own locked address. Then the locks. Then a flight: equal credentials
//! that come together share one hash, one guess of the network whose turn it was. Then a place among the few
//! hashes that run at once, and the locks once more, since those before may have failed meanwhile. A hash
//! that has begun holds its place until it ends, though its client may be gone: leaving frees no processor.
//! An unknown user is compared with another's password, a decoy chosen by a key of this process, and so
//! takes the time, the words and the locks of a wrong password. The guard and its counts outlive a reload;
//! the users of the day are handed to it.

use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use ipnet::IpNet;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use super::Login;
use super::counts::Counts;
use super::credential_cache::{CredentialCache, CredentialDigest};
use super::familiar::{Familiar, Origin};
use super::limits::{Attempt, ENTRIES, FailureRule, Limits};
use super::log::LoginLog;
use super::network::Network;
use super::pool::{Full, Pool, Room, Standing};
use super::single_flight::{Outcome, SingleFlight};
use crate::clock;
use crate::principals::password::Fingerprint;
use crate::principals::{Matched, Passwords, StoredPassword, Users};
use crate::smtp::Credentials;

/// What the guard goes by.
#[derive(Debug, Clone)]
pub struct GuardSettings {
    /// How many password checks may wait for a processor; of one network at most a quarter, half of
    /// a trusted one.
    pub queue: usize,
    /// Networks that many apps share, besides loopback: without a limit on the network as a whole.
    pub trusted: Vec<IpNet>,
    /// Failures from one client network.
    pub network: FailureRule,
    /// Failures of one user from one client network.
    pub user: FailureRule,
}

impl Default for GuardSettings {
    fn default() -> Self {
        let (network, user) = (FailureRule::NETWORK, FailureRule::USER);
        Self { queue: 32, trusted: Vec::new(), network, user }
    }
}

/// Checks passwords, see the module.
pub struct Guard {
    key: hmac::Key,
    decoys: RandomState,
    settings: Mutex<Arc<GuardSettings>>,
    limits: Mutex<Limits>,
    remembered: Mutex<CredentialCache>,
    familiar: Mutex<Familiar>,
    flights: SingleFlight,
    pool: Pool,
    /// What only grows.
    counts: Mutex<Counts>,
    reporter: LoginLog,
}

/// Why no password was compared.
enum NotCompared {
    Locked,
    Full(Full),
    Broken,
}

impl Guard {
    /// Makes a guard that knows nobody yet.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn new(settings: GuardSettings) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let limits = Limits::new(settings.network.clone(), settings.user.clone(), ENTRIES);
        Ok(Self {
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?,
            decoys: RandomState::new(),
            settings: Mutex::new(Arc::new(settings)),
            limits: Mutex::new(limits),
            remembered: Mutex::default(),
            familiar: Mutex::default(),
            flights: SingleFlight::default(),
            // The other half is for mail, however many guess.
            pool: Pool::new(processors.div_ceil(2)),
            counts: Mutex::default(),
            reporter: LoginLog::default(),
        })
    }

    /// Goes by other settings from now on; counts and locks stay.
    pub fn configure(&self, settings: GuardSettings) {
        self.limits.lock().set_rules(settings.network.clone(), settings.user.clone());
        *self.settings.lock() = Arc::new(settings);
    }

    /// Forgets which credentials were right. Not needed for safety when users change: a credential
    /// is only remembered together with the stored password that matched.
    pub fn forget(&self) {
        self.remembered.lock().clear();
    }

    /// What has happened so far, and what is kept now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let (networks, users) = self.limits.lock().len();
        Counts {
            waiting: self.pool.waiting(),
            networks_on_record: networks,
            users_on_record: users,
            remembered: self.remembered.lock().len(),
            ..*self.counts.lock()
        }
    }

    /// Checks credentials against the users of the day; unknown user and wrong password take the
    /// same words and time, and so do their limits.
    pub async fn login(&self, users: &Users, credentials: &Credentials, peer: IpAddr) -> Login {
        let login = self.check(users, credentials, peer).await;
        self.counts.lock().login(&login);
        login
    }

    async fn check(&self, users: &Users, credentials: &Credentials, peer: IpAddr) -> Login {
        let (name, password) = (credentials.username.as_str(), &credentials.password);
        let settings = Arc::clone(&self.settings.lock());
        let attempt = self.attempt(name, peer, &settings);
        let origin = self.origin(name, attempt.network);
        let digest = self.digest(name, password);
        let found = users.with_passwords(name);
        let decoy = users.decoy(name, &self.decoys);
        let stored: &[StoredPassword] = found.map_or(&[], |(_, stored)| stored);

        let today = clock::time_of_day();
        // Before the locks: an app that is right keeps sending while others guess from its network.
        let known = self.remembered.lock().matched(&digest, stored, clock::now(), today);
        if let (Some(matched), Some((principal, _))) = (known, found) {
            self.counts.lock().passed_unhashed += 1;
            self.familiar.lock().logged_in(origin);
            return Login::Accepted(Arc::clone(principal), Matched(matched));
        }
        if self.limits.lock().turns_away(&attempt, clock::now()) {
            return Login::Locked;
        }
        // Only names that exist are logged: another may be a password in the wrong field (decision 21).
        let user = users.find(name).map(|principal| principal.name.as_str());
        // An unknown name is compared with a decoy, so that its answer takes as long.
        let Some(compared) = found.map(|(_, stored)| stored).or(decoy) else {
            self.failed(&attempt, user);
            return Login::Invalid;
        };

        let joined = self.flights.join(digest, compared);
        // Set by the one of those that joined whose turn the hash was.
        let mut own_turn = false;
        let outcome = joined
            .flight
            .outcome
            .get_or_try_init(|| {
                own_turn = true;
                let standing = self.standing(&attempt, &origin);
                self.compare(attempt, standing, &settings, Arc::clone(compared), password.clone())
            })
            .await
            .copied();
        // Before the outcome is told: whoever comes now begins anew, failures are not remembered.
        drop(joined);
        match outcome {
            Ok(Outcome { matched, network }) => {
                // A decoy that matches lets nobody in, nor does a password that has expired.
                let right = found.filter(|(_, stored)| is_live(stored, matched, today));
                if let (Some((principal, _)), Some(matched)) = (right, matched) {
                    self.remembered.lock().put(digest, matched, clock::now());
                    self.familiar.lock().logged_in(origin);
                    return Login::Accepted(Arc::clone(principal), Matched(matched));
                }
                // One hash is one guess, however many connections made it together.
                if own_turn || network != attempt.network {
                    self.failed(&attempt, user);
                }
                Login::Invalid
            }
            Err(NotCompared::Locked) => Login::Locked,
            Err(NotCompared::Full(Full { own })) => {
                if own {
                    self.crowded_out(&attempt);
                }
                self.reporter.busy(clock::now());
                Login::Busy
            }
            Err(NotCompared::Broken) => Login::Busy,
        }
    }

    fn standing(&self, attempt: &Attempt, origin: &Origin) -> Standing {
        let familiar = self.familiar.lock().knows(origin);
        let limits = self.limits.lock();
        if familiar && !limits.is_user_suspect(attempt, clock::now()) {
            // Whoever else fails at that network is not its fault.
            return Standing::Familiar;
        }
        match (limits.is_suspect(attempt, clock::now()), attempt.trusted) {
            (true, _) => Standing::Suspect,
            (false, true) => Standing::Trusted,
            (false, false) => Standing::Quiet,
        }
    }

    /// Compares a password with those stored when it is its turn.
    async fn compare(
        &self,
        attempt: Attempt,
        standing: Standing,
        settings: &GuardSettings,
        stored: Passwords,
        password: Zeroizing<String>,
    ) -> Result<Outcome, NotCompared> {
        let parts = if attempt.trusted { 2 } else { 4 };
        let room = Room { total: settings.queue, share: settings.queue.div_ceil(parts) };
        let slot = self.pool.slot(attempt.network, standing, room).await;
        let mut slot = slot.map_err(NotCompared::Full)?;
        // Those before it may have been wrong too often.
        if self.limits.lock().turns_away(&attempt, clock::now()) {
            return Err(NotCompared::Locked);
        }
        let hashing = tokio::task::spawn_blocking(move || {
            // The slot is held by the hash itself: it goes on when nobody waits for it any more.
            let mut hashes = 0;
            let matching = stored.iter().find(|one| {
                hashes += 1;
                one.verify_within(&password, &mut slot.memory)
            });
            (matching.map(|one| *one.fingerprint()), hashes)
        });
        let (matched, hashes) = hashing.await.map_err(|_| NotCompared::Broken)?;
        self.counts.lock().hashes += hashes;
        Ok(Outcome { matched, network: attempt.network })
    }

    fn failed(&self, attempt: &Attempt, user: Option<&str>) {
        let locks = self.limits.lock().failed(attempt, clock::now());
        self.counts.lock().locked(&locks);
        self.reporter.locked(&locks, attempt.network, user);
    }

    fn crowded_out(&self, attempt: &Attempt) {
        let locks = self.limits.lock().crowded_out(attempt, clock::now());
        self.counts.lock().locked(&locks);
        self.reporter.locked(&locks, attempt.network, None);
    }

    fn attempt(&self, name: &str, peer: IpAddr, settings: &GuardSettings) -> Attempt {
        let network = Network::of(peer);
        let trusted = network.is_loopback() || network.is_within(&settings.trusted);
        let shown = network.to_string();
        let user = self.short(&[b"user", shown.as_bytes(), name.as_bytes()]);
        Attempt { network, trusted, user }
    }

    fn origin(&self, name: &str, network: Network) -> Origin {
        let network = network.customer().to_string();
        self.short(&[b"origin", network.as_bytes(), name.as_bytes()])
    }

    fn short(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut short = [0; 16];
        copy(&mut short, self.sign(parts).as_ref());
        short
    }

    fn digest(&self, name: &str, password: &str) -> CredentialDigest {
        let mut digest = CredentialDigest::default();
        let tag = self.sign(&[b"credential", name.as_bytes(), password.as_bytes()]);
        copy(&mut digest, tag.as_ref());
        digest
    }

    /// Signs parts with their lengths, so that no two lists of parts are the same bytes.
    fn sign(&self, parts: &[&[u8]]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&part.len().to_le_bytes());
            context.update(part);
        }
        context.sign()
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

/// Whether what matched is among the stored passwords and still good.
fn is_live(stored: &Passwords, matched: Option<Fingerprint>, today: SystemTime) -> bool {
    stored.iter().any(|one| Some(*one.fingerprint()) == matched && one.is_live(today))
}

fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principals::password::tests::argon2;
    use crate::principals::{Principal, User};

    #[tokio::test]
    async fn logins_one_after_the_other_hash_in_the_same_memory() {
        let stored = StoredPassword::parse(&argon2("secret", 64)).unwrap();
        let principal = Principal { name: "app".to_owned(), ..Principal::default() };
        let user = User { principal, passwords: vec![stored] };
        let (guard, users) =
            (Guard::new(GuardSettings::default()).unwrap(), Users::new(vec![user]));
        let mut before = None;
        for (name, password) in
            [("app", "wrong"), ("nobody", "wrong"), ("app", "wrong again"), ("app", "secret")]
        {
            let password = Zeroizing::new(password.to_owned());
            let credentials = Credentials { username: name.to_owned(), password };
            guard.login(&users, &credentials, [192, 0, 2, 1].into()).await;
            let used: Vec<_> = guard.pool.memory().into_iter().filter(|one| one.1 > 0).collect();
            assert_eq!(used.len(), 1);
            assert_eq!(*before.get_or_insert(used.clone()), used);
        }
    }
}
