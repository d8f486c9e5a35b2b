//! Who may log in, and which policies are attached to whom.
//!
//! Users come from the configuration with their policy files compiled. Whether a login succeeds is
//! the business of `guard`, the stored form of a password that of `password`.

mod bounded;
mod counts;
mod familiar;
mod flights;
mod guard;
mod limits;
mod network;
mod password;
mod pool;
mod remembered;
mod report;
mod ses_password;
mod turns;
mod users;
mod x_ses;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

pub use counts::Counts;
pub use guard::{Guard, GuardSettings};
pub use limits::FailureRule;
pub use password::{PasswordHashError, StoredPassword, hash_password};
pub use ses_password::ses_smtp_password;
pub use users::Users;
pub use x_ses::{Chosen, XSesRules};

use crate::message::IdentityArn;
use crate::policy::{Policy, PolicyErrors, PolicyKind};
use crate::smtp::{Authentication, Credentials};

/// A user of the relay, as IAM sees it. By default it may do nothing.
#[derive(Debug, Clone, Default)]
pub struct Principal {
    /// The name given to AUTH.
    pub name: String,
    /// The ARN of the IAM user.
    pub arn: String,
    /// The account of the IAM user, twelve digits.
    pub account: String,
    /// The friendly name, last part of the ARN: `aws:username`.
    pub user_name: String,
    /// `aws:userid`, when the configuration gives one.
    pub user_id: Option<String>,
    /// `aws:PrincipalTag/…`.
    pub tags: Vec<(String, String)>,
    /// Identity policies of the user and its groups.
    pub policies: Vec<Arc<Policy>>,
    /// The permissions boundary, when there is one.
    pub boundary: Option<Vec<Arc<Policy>>>,
    /// Leaves the header's recipients out of the claims (decision 6).
    pub envelope_recipients_only: bool,
    /// Identities of other accounts that its messages are sent with, without having to say so.
    pub delegated: Vec<IdentityArn>,
    /// What it may send, in recipients per second; more waits.
    pub recipients_per_second: Option<f64>,
    /// What it may send, in recipients within 24 hours.
    pub recipients_per_day: Option<u64>,
    /// Which `X-SES-` fields its messages may carry.
    pub x_ses: XSesRules,
}

/// A user with the stored password, before it is put among the others.
#[derive(Debug)]
pub struct User {
    /// The user.
    pub principal: Principal,
    /// The stored passwords; without one the user cannot log in.
    pub passwords: Vec<StoredPassword>,
}

/// The passwords of one user.
type Passwords = Arc<[StoredPassword]>;

/// The users of the day and the guard at their door.
#[derive(Debug)]
pub struct Principals {
    users: Users,
    guard: Arc<Guard>,
}

/// The stored password that somebody logged in with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Matched(password::Fingerprint);

impl std::fmt::Debug for Matched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Matched")
    }
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

/// Why a policy file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFileError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// What is in it is no policy; each line names its place.
    #[error(transparent)]
    Refused(#[from] PolicyErrors),
}

/// Reads and compiles a policy file, the same file once.
#[derive(Debug, Default)]
pub struct PolicyFiles {
    read: HashMap<(std::path::PathBuf, PolicyKind), Arc<Policy>>,
}

impl PolicyFiles {
    /// Returns the compiled policy of a file.
    ///
    /// # Errors
    /// When the file cannot be read or is no policy of that kind.
    pub fn read(&mut self, kind: PolicyKind, file: &Path) -> Result<Arc<Policy>, PolicyFileError> {
        let key = (file.to_owned(), kind);
        if let Some(policy) = self.read.get(&key) {
            return Ok(Arc::clone(policy));
        }
        let text = std::fs::read_to_string(file)?;
        let policy = Arc::new(Policy::parse(kind, &file.display().to_string(), &text)?);
        self.read.insert(key, Arc::clone(&policy));
        Ok(policy)
    }
}
