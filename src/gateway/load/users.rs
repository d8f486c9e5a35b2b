//! Users: their policies, what their messages may say, and their passwords.

use std::sync::Arc;
use std::time::Duration;

use super::{Loader, x_ses};
use crate::authorize;
use crate::clock;
use crate::config::{self, Placed, Secret};
use crate::policy::{Context, Policy, PolicyKind};
use crate::principals::{Principal, StoredPassword, User, XSesRules};

/// The hashes of the users in `config/sesgate.toml`.
const EXAMPLES: [&str; 2] = [
    "$argon2id$v=19$m=19456,t=2,p=1$yK4eRdwaKy76Wts30ElTSA$8kQVbReR2oj7DDaQA21waWrUpwHEGBwtdLZZ4r6pKY4",
    "$argon2id$v=19$m=19456,t=2,p=1$xgzbOD+8Y3yuB2CR/wYuWg$DKr8oymffvlIYPoYWp78e4Tw0ZjGn1dcVKfxSpjQke0",
];
/// Passwords that expire within so long are told.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

impl Loader<'_> {
    pub(super) fn user(&mut self, user: &config::User) -> User {
        let name = &user.name.value;
        let passwords = user.passwords.iter().filter_map(|it| self.password(name, it)).collect();
        let (account, user_name) = self.user_arn(&user.arn);
        let (policies, boundary) = (self.identity_policies(user), self.boundary(user));
        if user.policies.is_empty() && policies.is_empty() {
            let message = format!(
                "user `{}` has no policy: nothing that it sends is allowed",
                user.name.value
            );
            self.warn(&user.name, message);
        }
        let mut principal = Principal {
            name: user.name.value.clone(),
            arn: user.arn.value.clone(),
            account,
            user_name,
            user_id: user.user_id.clone(),
            tags: user.tags.clone(),
            policies,
            boundary,
            envelope_recipients_only: user.envelope_recipients_only,
            delegated: user.delegated.iter().filter_map(|arn| self.delegated_to(arn)).collect(),
            recipients_per_second: user.recipients_per_second,
            recipients_per_day: user.recipients_per_day,
            x_ses: XSesRules::default(),
        };
        let mut context = Context::new();
        authorize::principal_keys(&mut context, &principal);
        let x_ses = x_ses::rules(&user.x_ses, &context, |at, message| self.note(at, message));
        principal.x_ses = x_ses;
        User { principal, passwords }
    }

    /// The identity policies of a user and its groups.
    pub(super) fn identity_policies(&mut self, user: &config::User) -> Vec<Arc<Policy>> {
        let mut policies = self.policies(PolicyKind::Identity, &user.policies);
        for group in &self.config.groups {
            if user.groups.iter().any(|name| name.value == group.name.value) {
                policies.extend(self.policies(PolicyKind::Identity, &group.policies));
            }
        }
        policies
    }

    /// The permissions boundary of a user.
    pub(super) fn boundary(&mut self, user: &config::User) -> Option<Vec<Arc<Policy>>> {
        let file = user.boundary.as_ref()?;
        Some(self.policies(PolicyKind::Boundary, std::slice::from_ref(file)))
    }

    /// Everybody knows the passwords of the default file.
    fn example<T>(&mut self, secret: &Placed<T>) {
        let is_local = |listener: &config::Listener| listener.address.value.ip().is_loopback();
        let message = "the password is that of the default file, which everybody knows; make \
                       another with `sesgate user hash-password`";
        if !self.config.listeners.iter().all(is_local) {
            self.note(secret, message.to_owned());
        } else if matches!(self.config.upstream, config::Upstream::Ses(_)) {
            self.warn(secret, message);
        }
    }

    fn password(&mut self, user: &str, password: &config::Password) -> Option<StoredPassword> {
        let secret = &password.secret;
        let stored = match &secret.value {
            Secret::Hash(hash) => StoredPassword::parse(hash),
            Secret::Clear(clear) => match self.kept.stored(user, clear) {
                Ok(stored) => Ok(stored),
                Err(error) => {
                    self.note(secret, format!("the password cannot be hashed: {error}"));
                    return None;
                }
            },
        };
        if let Secret::Hash(hash) = &secret.value
            && EXAMPLES.contains(&hash.as_str())
        {
            self.example(secret);
        }
        match stored {
            Ok(stored) => {
                if stored.is_weak() {
                    let message = "the password hash is cheap to guess; make a new one with \
                                   `sesgate user hash-password`";
                    self.warn(secret, message);
                }
                self.expiry(password);
                Some(stored.expiring(password.expires))
            }
            Err(error) => {
                self.note(secret, format!("the password hash {error}"));
                None
            }
        }
    }

    /// Notes a password that is good no more, or not for long.
    fn expiry(&mut self, password: &config::Password) {
        let Some(expires) = password.expires else { return };
        let now = clock::time_of_day();
        let message = match expires.duration_since(now) {
            Err(_) => "the password has expired; take it out".to_owned(),
            Ok(left) if left < SOON => {
                let days = left.as_secs() / (24 * 3600);
                format!("the password expires in {days} days; give the user a new one beside it")
            }
            Ok(_) => return,
        };
        self.warn(&password.secret, message);
    }

    /// Account and friendly name of `arn:PARTITION:iam::ACCOUNT:user/PATH/NAME`.
    fn user_arn(&mut self, arn: &Placed<String>) -> (String, String) {
        let prefix = format!("arn:{}:iam::", self.config.account.partition);
        let parts = arn.value.strip_prefix(&prefix).and_then(|rest| rest.split_once(":user/"));
        if let Some((account, path)) = parts
            && account.len() == 12
            && account.bytes().all(|byte| byte.is_ascii_digit())
            && path.split('/').all(|part| !part.is_empty() && part.chars().all(is_name))
        {
            let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
            return (account.to_owned(), name.to_owned());
        }
        if !arn.value.is_empty() {
            self.note(
                arn,
                format!(
                    "`arn` must look like `{prefix}123456789012:user/name`, not `{}`",
                    arn.value
                ),
            );
        }
        (String::new(), String::new())
    }
}

/// Characters of IAM names and paths.
fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+=,.@_-".contains(c)
}
