//! How often a password may be wrong: logins are checked so that guessing them neither succeeds nor
//! stalls anything.
//!
//! Who the users are, and what form their passwords have, is the business of `principals`; here it is
//! whether somebody is one of them (`guard`), and what failures lead to (`limits`).

mod capped_map;
mod counts;
mod credential_cache;
mod familiar;
mod guard;
mod limits;
mod log;
mod network;
mod pool;
mod round_robin;
mod single_flight;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

pub use counts::Counts;
pub use guard::{Guard, GuardSettings};
pub use limits::FailureRule;

use crate::principals::{Matched, Principal, StoredPassword, User, Users};
use crate::smtp::{Authentication, Credentials};

/// The users of the day and the guard at their door.
#[derive(Debug)]
pub struct Principals {
    users: Users,
    guard: Arc<Guard>,
}

/// Who logged in, or why nobody did.
#[derive(Debug, Clone)]
pub enum Login {
    /// The credentials are those of this user.
    Accepted(Arc<Principal>, Matched),
    /// Unknown user or wrong password.
    Invalid,
    /// Too many checks at once; the same credentials may be right later.
    Busy,
    /// Too many logins of this user or from this network failed; nothing was compared.
    Locked,
}

impl Login {
    /// What the session is told.
    #[must_use]
    pub fn result(&self) -> Authentication {
        match self {
            Self::Accepted(..) => Authentication::Accepted,
            Self::Invalid => Authentication::Invalid,
            Self::Busy | Self::Locked => Authentication::Busy,
        }
    }
}

impl Principals {
    /// Puts users together behind a new guard; `queue` password checks may wait for a processor.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn new(users: Vec<User>, queue: usize) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let guard = Guard::new(GuardSettings { queue, ..GuardSettings::default() })?;
        Ok(Self::behind(Arc::new(guard), users))
    }

    /// Puts users together behind a guard that may have guarded others before: a reload.
    #[must_use]
    pub fn behind(guard: Arc<Guard>, users: Vec<User>) -> Self {
        Self { users: Users::new(users), guard }
    }

    /// The guard, which outlives the users.
    #[must_use]
    pub fn guard(&self) -> &Arc<Guard> {
        &self.guard
    }

    /// Returns the user of that name, compared byte for byte.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<Principal>> {
        self.users.find(name)
    }

    /// Whether somebody who logged in with this password might do so still at `today`.
    #[must_use]
    pub fn accepts(&self, name: &str, matched: Matched, today: SystemTime) -> bool {
        let stored = self.users.with_passwords(name).map(|(_, stored)| stored);
        let same = |one: &StoredPassword| *one.fingerprint() == matched.0 && one.is_live(today);
        stored.is_some_and(|stored| stored.iter().any(same))
    }

    /// Checks credentials that came from `peer`, see [`Guard::login`].
    pub async fn login(&self, credentials: &Credentials, peer: IpAddr) -> Login {
        self.guard.login(&self.users, credentials, peer).await
    }
}
