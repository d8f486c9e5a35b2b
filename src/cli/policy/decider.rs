//! Decides about recorded messages by a configuration, as the relay would with it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueHint};

use super::super::{ConfigFile, problems};
use super::configuration::Configuration;
use crate::authorize::{Authorizer, Denial, Occasion, STEPS, Verdict};
use crate::decision_log::Recorded;
use crate::policy::{Policy, PolicyKind};
use crate::principals::{PolicyFileError, PolicyFiles, Principal};
use crate::relay::{Mail, Refusal, word};

/// What a user's policies are where they do not load.
const UNREADABLE: &str = "policies of its user do not load, as said above";

#[derive(Debug, Args)]
pub(super) struct Under {
    #[command(flatten)]
    config: ConfigFile,
    /// A policy that takes the place of all identity policies of --user and its groups; may be
    /// repeated. Everything else is as in the configuration.
    #[arg(long, value_name = "FILE", requires = "user", num_args = 1.., value_hint = ValueHint::FilePath)]
    policy: Vec<PathBuf>,
}

/// What decides.
pub(super) struct Decider {
    authorizer: Authorizer,
    /// None of a user whose policies do not load.
    users: HashMap<String, Option<Arc<Principal>>>,
    /// What the relay may know beyond what is known here.
    pub(super) unknown: Vec<&'static str>,
}

/// What becomes of a message.
#[derive(Debug)]
pub(super) enum Answer {
    Allowed(Verdict),
    Refused(Denial),
    /// The configuration has no such user.
    NoUser,
}

impl Decider {
    /// Reads a configuration, and says what is wrong with it on standard error. With mistakes in it
    /// it decides about the mail of users whose policies load.
    ///
    /// # Errors
    /// When nothing can be decided by it.
    pub(super) fn read(under: &Under, user: Option<&str>) -> Result<Self, ExitCode> {
        let read = Configuration::read(&under.config.sources());
        let configuration = read.map_err(|problems| super::super::refuse(&problems))?;
        problems::print(&configuration.problems, problems::Severity::Mistake);
        let replaced = user.filter(|_| !under.policy.is_empty());
        let users = configuration.users.iter().map(|user| {
            let is_replaced = replaced == Some(&user.name);
            let mut is_readable = configuration.is_enough(user, is_replaced).is_ok();
            let mut user = user.clone();
            if is_replaced {
                let policies = replacement(&under.policy);
                is_readable &= policies.is_some();
                user.policies = policies.unwrap_or_default();
            }
            (user.name.clone(), is_readable.then(|| Arc::new(user)))
        });
        let users: HashMap<_, _> = users.collect();
        if let Some(user) = user.filter(|user| !users.contains_key(*user)) {
            problems::tell(&format!("there is no user `{user}` in the configuration"));
            return Err(ExitCode::from(super::EX_USAGE));
        }
        let Configuration { authorizer, unknown, .. } = configuration;
        Ok(Self { authorizer, users, unknown })
    }

    /// Decides about the message of a record.
    ///
    /// # Errors
    /// Why that is not possible.
    pub(super) fn decide(&self, record: &Recorded, mail: &Mail) -> Result<Answer, String> {
        let user = match self.users.get(&record.principal) {
            None => return Ok(Answer::NoUser),
            Some(None) => return Err(UNREADABLE.to_owned()),
            Some(Some(user)) => user,
        };
        let client = mail.client(user);
        let occasion = Occasion { id: uuid::Uuid::nil(), now: mail.at, steps: STEPS };
        match self.authorizer.decide(&client, &mail.envelope, &mail.header, occasion) {
            Ok(verdict) => Ok(Answer::Allowed(verdict)),
            // The relay would have waited for SES.
            Err(denial @ Denial::Unsure(_)) => Err(denial.to_string()),
            Err(denial) => Ok(Answer::Refused(denial)),
        }
    }
}

impl Answer {
    /// Names it as the decision log does: what policies say, or else why the message is refused.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Allowed(verdict) => word(Ok(verdict)),
            Self::Refused(denial) => word(Err(denial)),
            Self::NoUser => Refusal::NoUser.name(),
        }
    }

    /// The statement that settled it.
    pub(super) fn statement(&self) -> Option<&str> {
        self.verdict()?.statement.as_deref()
    }

    /// The author in the claim that is denied.
    pub(super) fn author(&self) -> Option<&str> {
        match self {
            Self::Refused(Denial::Policy { claim, .. }) => Some(&claim.author),
            _ => None,
        }
    }

    /// Why it is refused, as far as the statement does not say.
    pub(super) fn reason(&self) -> Option<String> {
        match self {
            Self::Refused(Denial::Policy { verdict, .. }) => {
                verdict.nearest.as_ref().map(|nearest| match &nearest.hint {
                    Some(hint) => format!("nearest {}; {hint}", nearest.statement),
                    None => format!("nearest {}", nearest.statement),
                })
            }
            Self::Refused(denial) => Some(denial.to_string()),
            Self::NoUser => Some("the configuration has no such user".to_owned()),
            Self::Allowed(_) => None,
        }
    }

    fn verdict(&self) -> Option<&Verdict> {
        match self {
            Self::Allowed(verdict) => Some(verdict),
            Self::Refused(Denial::Policy { verdict, .. }) => Some(verdict),
            _ => None,
        }
    }
}

/// Reads the policies that are to count instead; what is wrong with them is said.
fn replacement(files: &[PathBuf]) -> Option<Vec<Arc<Policy>>> {
    let mut read = PolicyFiles::default();
    let policies = files.iter().map(|file| match read.read(PolicyKind::Identity, file) {
        Ok(policy) => Some(policy),
        Err(PolicyFileError::Refused(errors)) => {
            // Each line names its place.
            errors.to_string().lines().for_each(problems::tell);
            None
        }
        Err(error) => {
            problems::tell(&format!("{}: {error}", file.display()));
            None
        }
    });
    // All of them are read, so that all that is wrong is said.
    let policies: Vec<_> = policies.collect();
    policies.into_iter().collect()
}
