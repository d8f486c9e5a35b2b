//! Who the users are: their names and ARNs, stored passwords, and the policies attached to them.
//!
//! Users come from the configuration with their policy files compiled. Whether a login succeeds, and how
//! often it may fail, is the business of `login`.

pub(crate) mod password;
mod ses_password;
mod users;
mod x_ses;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

pub use password::{PasswordHashError, StoredPassword, hash_password};
pub use ses_password::ses_smtp_password;
pub use users::Users;
pub use x_ses::{Chosen, XSesRules};

use crate::message::IdentityArn;
use crate::policy::{Policy, PolicyErrors, PolicyKind};

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
pub(crate) type Passwords = Arc<[StoredPassword]>;

/// The stored password that somebody logged in with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Matched(pub(crate) password::Fingerprint);

impl std::fmt::Debug for Matched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Matched")
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
