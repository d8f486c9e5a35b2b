//! What the error codes of SES and AWS mean, for mail, for what is read of the account and for
//! `sesgate doctor`: the one table of them.

/// What an error says. Those that end in the same reply and the same remedy are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The calls come too fast.
    Throttled,
    /// The quota of 24 hours is used up.
    Quota,
    /// The relay's role lacks a right.
    Denied,
    /// The access key is not known.
    UnknownKey,
    /// The signature is not that of the access key.
    Signature,
    /// There is no signature.
    Unsigned,
    /// The credentials were good once.
    Expired,
    /// The relay's clock is wrong.
    Clock,
    /// The account has no SES in the region.
    NotSignedUp,
    /// Trouble on the way or at AWS, which some answer with HTTP 400.
    Trouble,
    /// What is named does not exist.
    NotFound,
    /// SES rejects the message.
    Rejected,
    /// The custom MAIL FROM domain is broken.
    MailFromNotVerified,
    /// Sending is paused.
    Paused,
    /// The account is suspended for good.
    Suspended,
    /// None of these: a fault that is found with the request, or no answer of AWS at all.
    Other,
}

/// The codes, without the ending `Exception`, which some services of AWS write and some do not.
const CODES: [(&str, Class); 33] = [
    ("Throttling", Class::Throttled),
    ("Throttled", Class::Throttled),
    ("RequestThrottled", Class::Throttled),
    ("TooManyRequests", Class::Throttled),
    ("SlowDown", Class::Throttled),
    ("RequestLimitExceeded", Class::Throttled),
    ("LimitExceeded", Class::Quota),
    ("AccessDenied", Class::Denied),
    ("NotAuthorized", Class::Denied),
    ("UnrecognizedClient", Class::UnknownKey),
    ("InvalidClientTokenId", Class::UnknownKey),
    ("InvalidToken", Class::UnknownKey),
    ("InvalidAccessKeyId", Class::UnknownKey),
    ("SignatureDoesNotMatch", Class::Signature),
    ("InvalidSignature", Class::Signature),
    ("IncompleteSignature", Class::Signature),
    ("MissingAuthenticationToken", Class::Unsigned),
    ("ExpiredToken", Class::Expired),
    ("RequestExpired", Class::Clock),
    ("RequestTimeTooSkewed", Class::Clock),
    ("OptInRequired", Class::NotSignedUp),
    ("SubscriptionRequired", Class::NotSignedUp),
    ("InternalFailure", Class::Trouble),
    ("InternalServerError", Class::Trouble),
    ("InternalServiceError", Class::Trouble),
    ("RequestAborted", Class::Trouble),
    ("RequestTimeout", Class::Trouble),
    ("ServiceUnavailable", Class::Trouble),
    ("NotFound", Class::NotFound),
    ("MessageRejected", Class::Rejected),
    ("MailFromDomainNotVerified", Class::MailFromNotVerified),
    ("SendingPaused", Class::Paused),
    ("AccountSuspended", Class::Suspended),
];

impl Class {
    /// The class of an answer with an HTTP status that is no success and an error code, or none.
    #[must_use]
    pub fn of(status: u16, code: &str) -> Self {
        let code = code.strip_suffix("Exception").unwrap_or(code);
        let class = CODES.iter().find(|(known, _)| *known == code).map(|(_, class)| *class);
        match (class, status) {
            (Some(class @ (Self::Throttled | Self::Quota)), _) => class,
            // Says "slow down" whatever the code.
            (_, 429) => Self::Throttled,
            (Some(class), _) => class,
            (None, 500..) => Self::Trouble,
            (None, _) => Self::Other,
        }
    }

    /// Whether the credentials, the account or the clock are no good, whatever is called.
    #[must_use]
    pub fn is_of_credentials(self) -> bool {
        matches!(
            self,
            Self::UnknownKey
                | Self::Signature
                | Self::Unsigned
                | Self::Expired
                | Self::Clock
                | Self::NotSignedUp
        )
    }

    /// What an operator does about it, for the log. Where the message is at fault, its sender does.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Denied => {
                "grant the relay's role ses:SendEmail and ses:SendRawEmail on the identities and \
                 configuration sets in use"
            }
            Self::Expired => {
                "the relay's AWS credentials have expired: see where its credential chain takes them"
            }
            Self::Clock => "the relay's clock is wrong: set it",
            Self::NotSignedUp => "the relay's AWS account is not signed up for SES in this region",
            Self::UnknownKey | Self::Signature | Self::Unsigned => {
                "the relay's AWS credentials are wrong: check them, the region and the clock"
            }
            _ => "trouble at SES: if it lasts, see the AWS health dashboard",
        }
    }

    /// The same in steps, for `sesgate doctor`; what it calls the line of a check stands in backticks.
    #[must_use]
    pub fn steps(self) -> &'static str {
        match self {
            Self::Denied => "grant the relay's role what it asks",
            Self::UnknownKey => {
                "AWS does not know the access key: it was deleted or deactivated, or belongs to another \
                 partition; see `aws iam list-access-keys`, or give the host a role"
            }
            Self::Signature => {
                "the secret access key is not that of the access key (look for blanks and cut ends), or \
                 the clock is wrong: see the line `clock`"
            }
            Self::Expired => {
                "renew the credentials where they come from, for example `aws sso login`; a role of the \
                 host renews itself"
            }
            Self::Clock => "set the clock: `timedatectl set-ntp true`",
            Self::NotSignedUp => {
                "the account is not signed up for SES in this region: `aws account enable-region \
                 --region-name REGION`"
            }
            Self::Unsigned => {
                "something between here and AWS takes the Authorization header away: a proxy?"
            }
            Self::Throttled | Self::Quota => {
                "something else calls as well; run this again in a minute"
            }
            Self::NotFound => "see `aws sesv2 list-email-identities`",
            Self::Trouble => "see the AWS health dashboard; run this again",
            Self::MailFromNotVerified => {
                "publish the MX record of the custom MAIL FROM domain: `aws sesv2 get-email-identity \
                 --query MailFromAttributes --email-identity DOMAIN`"
            }
            Self::Rejected | Self::Paused | Self::Suspended | Self::Other => "see what SES says",
        }
    }
}

/// `tests/ses_errors.txt`, which says what becomes of each error wherever it is met.
#[cfg(test)]
pub(crate) mod cases {
    /// An error, and what is expected of it.
    pub(crate) struct Case {
        pub(crate) status: u16,
        pub(crate) code: &'static str,
        pub(crate) message: &'static str,
        /// Of [`super::Class`].
        pub(crate) class: &'static str,
        /// What it is for a message that was written whole.
        pub(crate) mail: &'static str,
        /// What it is for a reader of the account.
        pub(crate) account: &'static str,
    }

    fn columns(marker: Option<char>) -> impl Iterator<Item = Vec<&'static str>> {
        let lines = include_str!("../tests/ses_errors.txt").lines();
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let lines = lines.filter(move |line| line.starts_with('=') == marker.is_some());
        lines.map(|line| line.trim_start_matches('=').split('|').map(str::trim).collect())
    }

    pub(crate) fn all() -> Vec<Case> {
        let case = |columns: Vec<&'static str>| {
            let [error, class, mail, account, message] = columns[..] else {
                panic!("{columns:?}: five columns");
            };
            let (status, code) = error.split_once(' ').unwrap_or((error, ""));
            let status = status.parse().unwrap();
            Case { status, code: code.trim(), message, class, mail, account }
        };
        columns(None).map(case).collect()
    }

    /// A class, and words of its remedy in the log and at the doctor.
    pub(super) fn remedies() -> Vec<[&'static str; 3]> {
        columns(Some('=')).map(|columns| columns.try_into().unwrap()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn each_error_has_its_class() {
        for case in cases::all() {
            let found = format!("{:?}", Class::of(case.status, case.code));
            assert_eq!(found, case.class, "{} {}", case.status, case.code);
        }
    }

    #[test]
    fn each_code_has_a_case() {
        let cases: Vec<_> = cases::all().into_iter().map(|case| case.code).collect();
        for (code, _) in CODES {
            let is_case = |case: &&str| case.strip_suffix("Exception").unwrap_or(case) == code;
            assert!(cases.iter().any(is_case), "tests/ses_errors.txt leaves out `{code}`");
        }
    }

    #[test]
    fn each_class_has_its_remedy() {
        let classes: BTreeMap<_, _> =
            CODES.into_iter().map(|(_, class)| (format!("{class:?}"), class)).collect();
        let remedies = cases::remedies();
        for [name, log, doctor] in &remedies {
            let class = classes[*name];
            assert!(class.remedy().contains(log), "{name}: {}", class.remedy());
            assert!(class.steps().contains(doctor), "{name}: {}", class.steps());
        }
        for (name, class) in classes {
            let is_case = remedies.iter().any(|[of, ..]| *of == name);
            assert!(
                is_case || !class.is_of_credentials(),
                "tests/ses_errors.txt: remedy of {name}"
            );
        }
    }
}
