//! What can become of a message that was not taken, by what the client and the operator do then.

use super::NO_CREDENTIALS;

/// Why a message was not taken, or why that cannot be known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// A rate or a quota is used up: later.
    #[error("throttled: {0}")]
    Throttled(String),
    /// SES rejects the message: content or identity.
    #[error("message rejected: {0}")]
    Rejected(String),
    /// SES cannot read the message.
    #[error("transaction failed: {0}")]
    Failed(String),
    /// The message is larger than SES takes.
    #[error("message too long: {0}")]
    TooLong(String),
    /// The custom MAIL FROM domain is broken.
    #[error("MAIL FROM domain not verified: {0}")]
    MailFromNotVerified(String),
    /// A configuration set is missing.
    #[error("configuration set does not exist: {0}")]
    NoConfigurationSet(String),
    /// What the message is sent with does not belong to the tenant that it names.
    #[error("not of the tenant: {0}")]
    NotOfTenant(String),
    /// The account is suspended for good.
    #[error("account suspended: {0}")]
    Suspended(String),
    /// The account or the configuration set is paused.
    #[error("sending paused: {0}")]
    Paused(String),
    /// The relay's own trouble, or that of SES: later.
    #[error("{detail}{}", .said.as_ref().map(|said| format!(": {said}")).unwrap_or_default())]
    Temporary {
        /// What happened, in the relay's own words.
        detail: String,
        /// What SES or the network said of it; may name addresses.
        said: Option<String>,
        /// What the operator does about it.
        remedy: &'static str,
        /// SES may have taken the message all the same.
        possible_duplicate: bool,
    },
}

impl UpstreamError {
    /// There is nothing to call SES with; `said` tells why.
    #[must_use]
    pub fn without_credentials(said: String) -> Self {
        Self::Temporary {
            detail: "there are no AWS credentials".to_owned(),
            said: Some(said),
            remedy: NO_CREDENTIALS,
            possible_duplicate: false,
        }
    }

    /// Whether SES may have taken the message all the same.
    #[must_use]
    pub fn is_possible_duplicate(&self) -> bool {
        matches!(self, Self::Temporary { possible_duplicate: true, .. })
    }

    /// Names it in one word, for metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Throttled(_) => "throttled",
            Self::Rejected(_) => "rejected",
            Self::Failed(_) => "failed",
            Self::TooLong(_) => "too_long",
            Self::MailFromNotVerified(_) => "mail_from_not_verified",
            Self::NoConfigurationSet(_) => "no_configuration_set",
            Self::NotOfTenant(_) => "not_of_tenant",
            Self::Suspended(_) => "suspended",
            Self::Paused(_) => "paused",
            Self::Temporary { possible_duplicate: true, .. } => "unknown",
            Self::Temporary { .. } => "unavailable",
        }
    }

    /// Says what happened without a word of anybody else, which might name an address.
    #[must_use]
    pub fn class(&self) -> &str {
        match self {
            Self::Throttled(_) => "throttled",
            Self::Rejected(_) => "message rejected",
            Self::Failed(_) => "transaction failed",
            Self::TooLong(_) => "message too long",
            Self::MailFromNotVerified(_) => "MAIL FROM domain not verified",
            Self::NoConfigurationSet(_) => "configuration set does not exist",
            Self::NotOfTenant(_) => "not of the tenant",
            Self::Paused(_) => "sending paused",
            Self::Suspended(_) => "account suspended",
            Self::Temporary { detail, .. } => detail,
        }
    }
}
