//! Why a message was not sent, and the reply that says so (decisions 13 and 14).

use uuid::Uuid;

use crate::authorize::Denial;
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

impl Refusal {
    /// Names it in one word, which does not change: for metrics and the decision log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Denied { source: Denial::Policy { .. }, .. } => "denied",
            Self::Denied { source: Denial::NotVerified { .. }, .. } => "not_verified",
            Self::Denied { source: Denial::TooManySteps, .. } => "too_many_steps",
            Self::Denied { source: Denial::Unsure(_), .. } => "not_known_yet",
            Self::Denied { source: Denial::Unsupported(_), .. } => "not_supported",
            Self::NoUser => "no_user",
            Self::Exceeded(Exceeded::Rate) => "rate",
            Self::Exceeded(Exceeded::UserRate) => "user_rate",
            Self::Exceeded(Exceeded::Quota) => "quota",
            Self::Exceeded(Exceeded::UserQuota) => "user_quota",
            Self::Upstream(error) => error.name(),
            Self::Deferred(_) => "paused",
            Self::Unrecorded(_) => "not_recorded",
        }
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
                Denial::NotVerified { region, identities } => Self::message_rejected(&format!(
                    "Email address is not verified. The following identities failed the check in \
                     region {}: {}",
                    region.to_ascii_uppercase(),
                    identities.join(", ")
                )),
                Denial::TooManySteps => Self::transaction_failed(
                    "The message has too many addresses for the policies of this user.",
                ),
                Denial::Unsure(_) => Self::temporary_failure(),
                Denial::Unsupported(text) => Self::transaction_failed(text),
            },
            Refusal::NoUser => Self::authentication_required(),
            Refusal::Exceeded(Exceeded::Rate | Exceeded::UserRate) => {
                Self::throttled("Maximum sending rate exceeded.")
            }
            Refusal::Exceeded(Exceeded::Quota | Exceeded::UserQuota) => {
                Self::throttled("Daily message quota exceeded.")
            }
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
