//! Why a message was not sent, and the reply that says so (decisions 13 and 14).

use std::borrow::Cow;

use tracing::Level;
use uuid::Uuid;

use crate::authorize::{Denial, Verdict};
use crate::decision_log::Unwritten;
use crate::pace::Exceeded;
use crate::smtp::Reply;
use crate::upstream::UpstreamError;

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No permit was given.
    #[error("{source}")]
    Denied {
        /// The decision id, which the client is told.
        id: Uuid,
        /// Why.
        source: Denial,
    },
    /// The user, or the password that it logged in with, was taken out of the configuration or has
    /// expired.
    #[error("the user or its password is not configured any more")]
    NoUser,
    /// A rate or a budget is used up.
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
    /// The upstream did not take it.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// SES has paused the account, and the operator wants clients to keep their mail meanwhile.
    #[error("sending paused: {0}")]
    Deferred(String),
    /// Its record cannot be written, and must be.
    #[error(transparent)]
    Unrecorded(#[from] Unwritten),
}

/// What log, metrics and traces tell of a refusal.
pub(super) struct Told<'r> {
    /// One word, which does not change.
    pub(super) name: &'static str,
    /// Whether it asks for action (`ERROR`), for a look (`WARN`), or is as the policies want it.
    pub(super) level: Level,
    /// What an operator does about it.
    pub(super) remedy: Option<&'static str>,
    /// Whether the relay or SES was at fault, and not the message.
    pub(super) is_ours: bool,
    /// What happened without a word of anybody else, which might name an address.
    pub(super) class: Option<Cow<'r, str>>,
}

const DASHBOARD: Option<&str> = Some("see the account dashboard of SES and the mail AWS sent");

/// Names what came of a message: what policies say, or else why it is refused.
#[must_use]
pub fn word(decided: Result<&Verdict, &Denial>) -> &'static str {
    match decided {
        Ok(verdict) => verdict.decision,
        Err(Denial::Policy { verdict, .. }) => verdict.decision,
        Err(denial) => Refusal::name_of(denial),
    }
}

impl Refusal {
    /// Names it in one word, which does not change: for metrics and the decision log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.told().name
    }

    /// Names a denial in the same way.
    #[must_use]
    pub fn name_of(denial: &Denial) -> &'static str {
        match denial {
            Denial::Policy { .. } => "denied",
            Denial::NotVerified { .. } => "not_verified",
            Denial::TooManySteps => "too_many_steps",
            Denial::Unsupported(_) => "not_supported",
            Denial::Unsure(_) => "not_known_yet",
        }
    }

    /// Everything but the reply, in one match: another variant does not compile without all of it.
    pub(super) fn told(&self) -> Told<'_> {
        let theirs =
            |name| Told { name, level: Level::INFO, remedy: None, is_ours: false, class: None };
        let ours = |name, level, remedy, class| Told { name, level, remedy, is_ours: true, class };
        match self {
            Self::Denied { source, .. } => match source {
                Denial::Policy { is_sandbox, .. } => Told {
                    remedy: is_sandbox.then_some(
                        "the account is in the sandbox, where recipients' identities are resources too: \
                         ask AWS for production access, or let the user's policies allow these; see \
                         `sandbox` in `[account]`",
                    ),
                    ..theirs(Self::name_of(source))
                },
                Denial::NotVerified { .. } | Denial::TooManySteps | Denial::Unsupported(_) => {
                    theirs(Self::name_of(source))
                }
                Denial::Unsure(_) => ours(
                    Self::name_of(source),
                    Level::ERROR,
                    Some(
                        "wait until SES was asked; the role needs ses:GetAccount, \
                         ses:ListEmailIdentities and ses:GetEmailIdentity, and a policy that cannot be \
                         read must be corrected in SES",
                    ),
                    Some("what SES says is not known yet".into()),
                ),
            },
            Self::NoUser => Told { class: Some(self.to_string().into()), ..theirs("no_user") },
            Self::Exceeded(exceeded) => {
                let (name, remedy) = match exceeded {
                    Exceeded::Rate => {
                        ("rate", "ask AWS for a higher sending rate, send less, or see `[rate]`")
                    }
                    Exceeded::UserRate => ("user_rate", "raise `recipients_per_second` of the user"),
                    Exceeded::Quota => ("quota", "ask AWS for a larger sending quota"),
                    Exceeded::UserQuota => ("user_quota", "raise `recipients_per_day` of the user"),
                };
                ours(name, Level::WARN, Some(remedy), Some(exceeded.to_string().into()))
            }
            Self::Upstream(error) => {
                let (level, is_ours, remedy) = of_upstream(error);
                Told { name: error.name(), level, remedy, is_ours, class: Some(error.class().into()) }
            }
            Self::Deferred(_) => {
                ours("paused", Level::ERROR, DASHBOARD, Some("sending paused".into()))
            }
            Self::Unrecorded(error) => ours(
                "not_recorded",
                Level::ERROR,
                Some(
                    "make room on the disk of the decision log and let the relay write there; without \
                     `audit = \"required\"` mail is sent all the same",
                ),
                Some(error.to_string().into()),
            ),
        }
    }
}

/// Level, whether the relay or SES was at fault, and the remedy.
fn of_upstream(error: &UpstreamError) -> (Level, bool, Option<&'static str>) {
    match error {
        UpstreamError::Throttled(_) => (
            Level::WARN,
            true,
            Some(
                "ask AWS for a higher sending rate or quota, or cap `recipients_per_second` in `[rate]` \
                 where something else sends as well",
            ),
        ),
        UpstreamError::Rejected(text) => {
            let is_not_verified = text.starts_with("Email address is not verified.");
            let remedy = "verify in SES what it names; while the account is in the sandbox that goes for \
                          recipients too";
            (Level::INFO, false, is_not_verified.then_some(remedy))
        }
        UpstreamError::Failed(_)
        | UpstreamError::TooLong(_)
        | UpstreamError::MailFromNotVerified(_)
        | UpstreamError::NoConfigurationSet(_) => (Level::INFO, false, None),
        UpstreamError::NotOfTenant(_) => (
            Level::WARN,
            false,
            Some(
                "associate what SES names with the tenant (CreateTenantResourceAssociation), or see which \
                 tenant and configuration set the message or the user's `x_ses` names",
            ),
        ),
        UpstreamError::Paused(_) | UpstreamError::Suspended(_) => (Level::ERROR, true, DASHBOARD),
        UpstreamError::Temporary { remedy, .. } => (Level::ERROR, true, Some(remedy)),
    }
}

/// The reply to each refusal (decisions 13 and 14).
impl From<&Refusal> for Reply {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Denied { id, source } => match source {
                Denial::Policy { user, resource, .. } => {
                    Self::access_denied(user, resource, &id.to_string())
                }
                Denial::NotVerified { region, identities } => {
                    Self::not_verified(region, identities)
                }
                Denial::TooManySteps => Self::too_many_addresses(),
                Denial::Unsure(_) => Self::temporary_failure(),
                Denial::Unsupported(why) => Self::unsupported(why),
            },
            Refusal::NoUser => Self::authentication_required(),
            Refusal::Exceeded(Exceeded::Rate | Exceeded::UserRate) => Self::rate_exceeded(),
            Refusal::Exceeded(Exceeded::Quota | Exceeded::UserQuota) => Self::quota_exceeded(),
            Refusal::Upstream(error) => match error {
                UpstreamError::Throttled(text) => Self::throttled(text),
                UpstreamError::Rejected(text)
                | UpstreamError::Paused(text)
                | UpstreamError::Suspended(text) => Self::message_rejected(text),
                UpstreamError::Failed(text) => Self::transaction_failed(text),
                UpstreamError::TooLong(_) => Self::message_too_long(),
                UpstreamError::MailFromNotVerified(text) => Self::mail_from_not_verified(text),
                UpstreamError::NoConfigurationSet(text) => Self::configuration_set_missing(text),
                UpstreamError::NotOfTenant(text) => Self::access_denied_by_ses(text),
                UpstreamError::Temporary { .. } => Self::temporary_failure(),
            },
            Refusal::Deferred(text) => Self::temporarily_rejected(text),
            Refusal::Unrecorded(_) => Self::temporary_failure(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_of_a_tenant_asks_for_a_look_at_the_association() {
        let text = "Tenant not associated with resources [arn:x]".to_owned();
        let refusal = Refusal::Upstream(UpstreamError::NotOfTenant(text));
        assert_eq!(refusal.told().level, Level::WARN);
        assert!(refusal.told().remedy.unwrap().contains("CreateTenantResourceAssociation"));
        assert_eq!(refusal.name(), "not_of_tenant");
    }

    #[test]
    fn what_ses_has_not_verified_may_be_a_recipient_of_the_sandbox() {
        for (text, says) in [
            ("Email address is not verified. The following identities failed the check", true),
            ("Sending paused. Email address is not verified.", false),
        ] {
            let refusal = Refusal::Upstream(UpstreamError::Rejected(text.to_owned()));
            assert_eq!(
                refusal.told().remedy.is_some_and(|it| it.contains("sandbox")),
                says,
                "{text}"
            );
        }
    }
}
