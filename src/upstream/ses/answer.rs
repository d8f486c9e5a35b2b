//! What an answer of SES means for the message (`ses` table of replies, decision 14).

use super::super::UpstreamError;
use super::super::progress::Progress;

/// Codes that say "slow down" whatever their HTTP status. Here and below without the ending
/// `Exception`, which some services of AWS write and some do not.
const THROTTLES: [&str; 6] = [
    "Throttling",
    "Throttled",
    "RequestThrottled",
    "TooManyRequests",
    "SlowDown",
    "RequestLimitExceeded",
];

/// Codes about the relay's own credentials, rights and clock.
const CREDENTIALS: [&str; 13] = [
    "AccessDenied",
    "UnrecognizedClient",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "InvalidSignature",
    "ExpiredToken",
    "InvalidToken",
    "IncompleteSignature",
    "MissingAuthenticationToken",
    "NotAuthorized",
    "OptInRequired",
    "RequestExpired",
    "RequestTimeTooSkewed",
];

/// Codes of trouble on the way or at SES, which some answer with HTTP 400.
const TROUBLE: [&str; 6] = [
    "InternalFailure",
    "InternalServerError",
    "InternalServiceError",
    "RequestAborted",
    "RequestTimeout",
    "ServiceUnavailable",
];

/// How messages begin that come as AccessDenied and are no matter of the relay's rights: what was named
/// does not go together, and sending again does not help. All others speak of the caller, "User …".
const NOT_OF_TENANT: &str = "Tenant not associated with resources [";

fn without_ending(code: &str) -> &str {
    code.strip_suffix("Exception").unwrap_or(code)
}

fn is_throttle(code: Option<&str>, status: u16) -> bool {
    status == 429 || code.is_some_and(|code| THROTTLES.contains(&without_ending(code)))
}

/// Why an attempt did not end with a message id.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is nothing to sign the request with.
    NoCredentials(String),
    /// There was no answer, or it broke off after its head had come.
    NoAnswer { said: String, is_answered: bool },
    /// An answer that cannot be read.
    Unreadable { status: u16, said: String },
    /// An error of SES, or of something in its place.
    Refused { status: u16, code: Option<String>, message: Option<String> },
}

impl Failure {
    /// The code of the error, or that there was no answer; for metrics.
    pub(super) fn code(&self) -> &str {
        match self {
            Self::NoCredentials(_) | Self::NoAnswer { .. } => "no_answer",
            Self::Unreadable { .. } => "none",
            Self::Refused { code, .. } => code.as_deref().unwrap_or("none"),
        }
    }

    /// Whether the answer is a throttle, which proves that the message was not taken.
    ///
    /// The daily quota (`LimitExceededException`) is none: trying again within the dialogue is no use.
    pub(super) fn is_throttle(&self) -> bool {
        match self {
            Self::Refused { status, code, .. } => is_throttle(code.as_deref(), *status),
            _ => false,
        }
    }

    /// Whether the answer says that the quota of 24 hours is used up.
    pub(super) fn is_quota(&self) -> bool {
        self.kind() == Some("LimitExceeded")
    }

    /// Whether the answer says that the credentials were good once.
    pub(super) fn is_expired(&self) -> bool {
        self.kind() == Some("ExpiredToken")
    }

    fn kind(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => code.as_deref().map(without_ending),
            _ => None,
        }
    }
}

/// A 2xx answer: taken when the request was written whole and the answer names a message id.
pub(super) fn taken(
    message_id: Option<String>,
    progress: &Progress,
) -> Result<String, UpstreamError> {
    if !progress.is_written() {
        let detail = "SES answered before it had the whole message".to_owned();
        return Err(unknown(detail, message_id, progress));
    }
    message_id
        .filter(|id| !id.is_empty())
        .ok_or_else(|| unknown("SES answered without a message id".to_owned(), None, progress))
}

/// No answer, or none that can be understood.
pub(super) fn unknown(detail: String, said: Option<String>, progress: &Progress) -> UpstreamError {
    // What is not written whole by now never is: the client is told that it was not sent.
    progress.cancel();
    let possible_duplicate = progress.is_written();
    let remedy = if possible_duplicate {
        "SES may have taken the message: expect a duplicate when the client tries again"
    } else {
        "check the network path to SES and `endpoint_url`"
    };
    UpstreamError::Temporary { detail, said, remedy, possible_duplicate }
}

/// What a failure means for the message, once no further attempt is made.
pub(super) fn refused(failure: Failure, progress: &Progress) -> UpstreamError {
    match failure {
        Failure::NoCredentials(said) => UpstreamError::without_credentials(said),
        Failure::NoAnswer { said, .. } => {
            unknown("no answer of SES".to_owned(), Some(said), progress)
        }
        Failure::Unreadable { status, said } => {
            let detail = format!("the answer of SES, {status}, cannot be read");
            unknown(detail, Some(said), progress)
        }
        Failure::Refused { status, code, message } => {
            let code = code.unwrap_or_default();
            // Nothing more of the request goes out behind its answer.
            let written = !progress.cancel();
            meaning(status, &code, message.as_deref().unwrap_or(&code), written)
        }
    }
}

/// The meaning of an HTTP status that is no success, an error code and its message, as the answer to a
/// request that was wholly `written` or not.
fn meaning(status: u16, code: &str, message: &str, written: bool) -> UpstreamError {
    let text = message.to_owned();
    if is_throttle(Some(code), status) || code == "LimitExceededException" {
        return UpstreamError::Throttled(text);
    }
    let kind = without_ending(code);
    if kind == "AccessDenied" && message.starts_with(NOT_OF_TENANT) {
        return UpstreamError::NotOfTenant(text);
    }
    if CREDENTIALS.contains(&kind) {
        return UpstreamError::Temporary {
            detail: format!("SES refuses the relay itself with {code}"),
            said: Some(text),
            remedy: remedy_for(kind),
            possible_duplicate: false,
        };
    }
    if status == 413 || (status == 400 && speaks_of_size(message)) {
        return UpstreamError::TooLong(text);
    }
    match code {
        "MessageRejected" if message.contains("Sending paused") => UpstreamError::Paused(text),
        "MessageRejected" => UpstreamError::Rejected(text),
        "AccountSuspendedException" => UpstreamError::Suspended(text),
        "SendingPausedException" => UpstreamError::Paused(text),
        "MailFromDomainNotVerifiedException" => UpstreamError::MailFromNotVerified(text),
        "NotFoundException" if message.to_ascii_lowercase().contains("configuration set") => {
            UpstreamError::NoConfigurationSet(text)
        }
        "NotFoundException" => UpstreamError::Failed(text),
        // Without a code it is no answer of SES: a proxy's, say.
        _ if status == 400 && !code.is_empty() && !TROUBLE.contains(&kind) => {
            UpstreamError::Failed(text)
        }
        _ => UpstreamError::Temporary {
            detail: format!("the answer was {status} {code}"),
            said: Some(text).filter(|text| !text.is_empty()),
            remedy: match status {
                300..400 => {
                    "SES does not redirect: check `endpoint_url` and proxies on the way to SES"
                }
                _ => "trouble at SES: if it lasts, see the AWS health dashboard",
            },
            possible_duplicate: written && leaves_doubt(status, kind),
        },
    }
}

/// Whether an error may be answered to a message that was taken all the same: trouble that began
/// behind the reading of it, and whatever is no answer of SES. A request that it finds fault with was
/// read, and not taken.
fn leaves_doubt(status: u16, kind: &str) -> bool {
    !(400..500).contains(&status) || matches!(status, 408 | 409) || TROUBLE.contains(&kind)
}

fn remedy_for(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "NotAuthorized" => {
            "grant the relay's role ses:SendEmail and ses:SendRawEmail on the identities and \
             configuration sets in use"
        }
        "ExpiredToken" => {
            "the relay's AWS credentials have expired: see where its credential chain takes them"
        }
        "RequestExpired" | "RequestTimeTooSkewed" => "the relay's clock is wrong: set it",
        "OptInRequired" => "the relay's AWS account is not signed up for SES in this region",
        _ => "the relay's AWS credentials are wrong: check them, the region and the clock",
    }
}

/// SES has no code of its own for a message that is too large.
fn speaks_of_size(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["message length", "message is too long", "message too long", "message size", "too large"]
        .iter()
        .any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT_ASSOCIATED: &str = "Tenant not associated with resources [arn:aws:ses:us-east-1:123456789012:\
                                  configuration-set/main].";

    /// Whoever can put words into a message of SES, a tenant's name say, does not make it permanent.
    #[test]
    fn every_other_denial_is_the_relays_own_trouble() {
        for message in [
            "",
            "User `arn:aws:sts::123456789012:assumed-role/r/1' is not authorized to perform \
             `ses:SendRawEmail' on resource `arn:aws:ses:us-east-1:123456789012:identity/example.com'",
            "User: arn:aws:sts::123456789012:assumed-role/r/1 is not authorized to perform: ses:SendRawEmail",
            "Tenant not associated",
            "tenant not associated with resources [arn:aws:ses:us-east-1:123456789012:identity/a.example]",
            &format!("User is not authorized: {NOT_ASSOCIATED}"),
            &format!(" {NOT_ASSOCIATED}"),
        ] {
            let found = meaning(403, "AccessDeniedException", message, true);
            assert!(matches!(found, UpstreamError::Temporary { .. }), "{message}: {found}");
        }
        let found = meaning(403, "NotAuthorized", NOT_ASSOCIATED, true);
        assert!(matches!(found, UpstreamError::Temporary { .. }), "{found}");
    }

    #[test]
    fn each_answer_has_its_meaning() {
        use UpstreamError as E;
        let text = |text: &str| text.to_owned();
        let cases = [
            (
                400,
                "MessageRejected",
                "Email address is not verified.",
                E::Rejected(text("Email address is not verified.")),
            ),
            (
                400,
                "BadRequestException",
                "Duplicate header 'To'.",
                E::Failed(text("Duplicate header 'To'.")),
            ),
            (
                400,
                "BadRequestException",
                "Message length is more than 41943040 bytes long",
                E::TooLong(text("Message length is more than 41943040 bytes long")),
            ),
            (413, "", "x", E::TooLong(text("x"))),
            (400, "MailFromDomainNotVerifiedException", "x", E::MailFromNotVerified(text("x"))),
            (
                404,
                "NotFoundException",
                "Configuration set <x> does not exist.",
                E::NoConfigurationSet(text("Configuration set <x> does not exist.")),
            ),
            (
                404,
                "NotFoundException",
                "List x does not exist.",
                E::Failed(text("List x does not exist.")),
            ),
            (
                404,
                "NotFoundException",
                "Tenant x for AwsAccountId 123456789012 not found.",
                E::Failed(text("Tenant x for AwsAccountId 123456789012 not found.")),
            ),
            (403, "AccessDeniedException", NOT_ASSOCIATED, E::NotOfTenant(text(NOT_ASSOCIATED))),
            (403, "AccessDenied", NOT_ASSOCIATED, E::NotOfTenant(text(NOT_ASSOCIATED))),
            (400, "AccountSuspendedException", "x", E::Suspended(text("x"))),
            (400, "SendingPausedException", "x", E::Paused(text("x"))),
            (
                400,
                "MessageRejected",
                "Sending paused for this account.",
                E::Paused(text("Sending paused for this account.")),
            ),
            (
                429,
                "TooManyRequestsException",
                "Maximum sending rate exceeded.",
                E::Throttled(text("Maximum sending rate exceeded.")),
            ),
            (429, "SomethingNew", "x", E::Throttled(text("x"))),
            (400, "ThrottlingException", "x", E::Throttled(text("x"))),
            (
                400,
                "LimitExceededException",
                "Daily message quota exceeded.",
                E::Throttled(text("Daily message quota exceeded.")),
            ),
            (400, "SomethingNew", "x", E::Failed(text("x"))),
        ];
        for (status, code, message, expected) in cases {
            for written in [true, false] {
                let found = meaning(status, code, message, written);
                assert_eq!(found, expected, "{status} {code} {message}");
            }
        }
    }

    #[test]
    fn trouble_of_the_relay_or_of_ses_is_temporary() {
        let duplicate = |status, code: &str| {
            let [written, not] =
                [true, false].map(|written| match meaning(status, code, "x", written) {
                    UpstreamError::Temporary { possible_duplicate, .. } => possible_duplicate,
                    other => panic!("{status} {code}: {other}"),
                });
            assert!(!not, "{status} {code}: what was not written cannot be taken");
            written
        };
        let both = |code: &str| [code.to_owned(), format!("{code}Exception")];
        for code in CREDENTIALS.into_iter().flat_map(both) {
            assert!(!duplicate(403, &code) && !duplicate(400, &code), "{code}");
        }
        for code in TROUBLE.into_iter().flat_map(both) {
            assert!(duplicate(403, &code) && duplicate(400, &code), "{code}");
        }
        for (status, code, expected) in [
            (300, "", true),
            (307, "", true),
            (400, "", false),
            (401, "", false),
            (403, "SomethingNew", false),
            (404, "", false),
            (407, "", false),
            (408, "", true),
            (409, "SomethingNew", true),
            (500, "InternalFailure", true),
            (502, "", true),
            (503, "ServiceUnavailable", true),
            (999, "", true),
        ] {
            assert_eq!(duplicate(status, code), expected, "{status} {code}");
        }
    }
}
