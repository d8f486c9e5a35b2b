//! Who may log in, and which policies are attached to whom.
//!
//! Users come from the configuration with their policy files compiled. Checking a password is the
//! business of `login`, its stored form that of `password`.

mod login;
mod password;
mod ses_password;
mod x_ses;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

pub use password::{PasswordHashError, StoredPassword, hash_password};
pub use ses_password::ses_smtp_password;
pub use x_ses::{Chosen, XSesRules};

use crate::message::IdentityArn;
use crate::policy::{Policy, PolicyErrors, PolicyKind};
use crate::smtp::{Authentication, Credentials};
use login::{Passwords, Verifier};

/// A user of the relay, as IAM sees it.
#[derive(Debug, Clone)]
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

/// All users.
pub struct Principals {
    users: HashMap<String, (Arc<Principal>, Option<Passwords>)>,
    decoys: Vec<Passwords>,
    verifier: Verifier,
}

/// Who logged in, or why nobody did.
#[derive(Debug, Clone)]
pub enum Login {
    /// The credentials are those of this user.
    Accepted(Arc<Principal>),
    /// Unknown user or wrong password.
    Invalid,
    /// Too many checks at once; the same credentials may be right later.
    Busy,
}

impl Login {
    /// What the session is told.
    #[must_use]
    pub fn result(&self) -> Authentication {
        match self {
            Self::Accepted(_) => Authentication::Accepted,
            Self::Invalid => Authentication::Invalid,
            Self::Busy => Authentication::Busy,
        }
    }
}

impl Principals {
    /// Puts users together; `queue` password checks may wait for a processor.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn new(users: Vec<User>, queue: usize) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let users: HashMap<_, _> = users
            .into_iter()
            .map(|User { principal, passwords }| {
                let passwords = (!passwords.is_empty()).then(|| passwords.into());
                (principal.name.clone(), (Arc::new(principal), passwords))
            })
            .collect();
        let decoys = users.values().filter_map(|(_, passwords)| passwords.clone()).collect();
        Ok(Self { users, decoys, verifier: Verifier::new(queue)? })
    }

    /// Returns the user of that name, compared byte for byte.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<Principal>> {
        self.users.get(name).map(|(principal, _)| principal)
    }

    /// Checks credentials; unknown user and wrong password take the same time.
    pub async fn login(&self, credentials: &Credentials) -> Login {
        let name = credentials.username.as_str();
        let (principal, stored) = match self.users.get(name) {
            Some((principal, Some(stored))) => (Some(principal), Some(stored)),
            _ => (None, None),
        };
        #[expect(clippy::disallowed_methods, reason = "passwords expire by the calendar")]
        let now = SystemTime::now();
        let (password, decoy) = (&credentials.password, self.decoy(name));
        match self.verifier.verify(name, password, stored, decoy, now).await {
            Ok(true) => principal.map_or(Login::Invalid, |user| Login::Accepted(Arc::clone(user))),
            Ok(false) => Login::Invalid,
            Err(login::Busy) => Login::Busy,
        }
    }

    /// An unknown name behaves like one certain user: the same one each time it is tried.
    fn decoy(&self, name: &str) -> Option<&Passwords> {
        let sum = name
            .bytes()
            .fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        self.decoys.get(sum.checked_rem(self.decoys.len())?)
    }
}

impl std::fmt::Debug for Principals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.users.keys()).finish()
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
