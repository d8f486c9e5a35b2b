//! What a message may ask for in vain: the words that follow `Transaction failed:`.

/// Why a message cannot be sent as it is for this user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// There is no author. SES.
    #[error("Missing required header 'From'.")]
    NoAuthor,
    /// An X-SES field that the user may not use (decision 11).
    #[error("{0} is not allowed for this user.")]
    Field(&'static str),
    /// An ARN in an X-SES field is of another service, region or partition, or names no identity of
    /// another account.
    #[error("{field} must name an identity in {region}.")]
    ElsewhereIdentity {
        /// The X-SES field.
        field: &'static str,
        /// The region of the relay.
        region: String,
    },
    /// An identity of another account that was not lent to this one.
    #[error("{field} names an identity of account {owner} that is not delegated to {account}.")]
    NotDelegated {
        /// The X-SES field.
        field: &'static str,
        /// Whose the identity is.
        owner: String,
        /// The account of the relay.
        account: String,
    },
    /// An identity of another account that the addresses do not belong to.
    #[error("{field} does not cover {what} of the message.")]
    NotCovered {
        /// The X-SES field.
        field: &'static str,
        /// Which addresses.
        what: &'static str,
    },
    /// More recipients than the user has for a day: it would never fit (decision 14).
    #[error("Recipient count exceeds the daily budget of this user.")]
    OverDailyBudget,
}
