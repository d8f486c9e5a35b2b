//! What an answer of SES means for the message (`ses` table of replies, decision 14).

use super::super::UpstreamError;
use super::super::progress::Progress;
use crate::ses_error::Class;

/// How messages begin that come as AccessDenied and are no matter of the relay's rights: what was named
/// does not go together, and sending again does not help. All others speak of the caller, "User …".
const NOT_OF_TENANT: &str = "Tenant not associated with resources [";

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
    /// The daily quota is none: trying again within the dialogue is no use.
    pub(super) fn is_throttle(&self) -> bool {
        self.class() == Class::Throttled
    }

    /// Whether the answer says that the quota of 24 hours is used up.
    pub(super) fn is_quota(&self) -> bool {
        self.class() == Class::Quota
    }

    /// Whether the answer says that the credentials were good once.
    pub(super) fn is_expired(&self) -> bool {
        self.class() == Class::Expired
    }

    fn class(&self) -> Class {
        match self {
            Self::Refused { status, code, .. } => {
                Class::of(*status, code.as_deref().unwrap_or_default())
            }
            _ => Class::Other,
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
    let class = Class::of(status, code);
    match class {
        Class::Throttled | Class::Quota => UpstreamError::Throttled(text),
        Class::Denied if code.starts_with("AccessDenied") && message.starts_with(NOT_OF_TENANT) => {
            UpstreamError::NotOfTenant(text)
        }
        class if class == Class::Denied || class.is_of_credentials() => UpstreamError::Temporary {
            detail: format!("SES refuses the relay itself with {code}"),
            said: Some(text),
            remedy: class.remedy(),
            possible_duplicate: false,
        },
        _ if status == 413 || (status == 400 && speaks_of_size(message)) => {
            UpstreamError::TooLong(text)
        }
        Class::Rejected if message.contains("Sending paused") => UpstreamError::Paused(text),
        Class::Rejected => UpstreamError::Rejected(text),
        Class::Suspended => UpstreamError::Suspended(text),
        Class::Paused => UpstreamError::Paused(text),
        Class::MailFromNotVerified => UpstreamError::MailFromNotVerified(text),
        Class::NotFound if message.to_ascii_lowercase().contains("configuration set") => {
            UpstreamError::NoConfigurationSet(text)
        }
        Class::NotFound => UpstreamError::Failed(text),
        // Without a code it is no answer of SES: a proxy's, say.
        Class::Other if status == 400 && !code.is_empty() => UpstreamError::Failed(text),
        _ => UpstreamError::Temporary {
            detail: format!("the answer was {status} {code}"),
            said: Some(text).filter(|text| !text.is_empty()),
            remedy: match status {
                300..400 => {
                    "SES does not redirect: check `endpoint_url` and proxies on the way to SES"
                }
                _ => class.remedy(),
            },
            possible_duplicate: written && leaves_doubt(status, class),
        },
    }
}

/// Whether an error may be answered to a message that was taken all the same: trouble that began
/// behind the reading of it, and whatever is no answer of SES. A request that it finds fault with was
/// read, and not taken.
fn leaves_doubt(status: u16, class: Class) -> bool {
    !(400..500).contains(&status) || matches!(status, 408 | 409) || class == Class::Trouble
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
    use crate::ses_error::cases;

    #[test]
    fn each_answer_has_its_meaning() {
        for case in cases::all() {
            let what = format!("{} {}: {}", case.status, case.code, case.message);
            let meaning = |written| meaning(case.status, case.code, case.message, written);
            let found = meaning(true);
            assert_eq!(found.name(), case.mail, "{what}");
            assert!(found.to_string().ends_with(case.message), "{what}: {found}");
            // What was not written cannot be taken.
            assert!(!meaning(false).is_possible_duplicate(), "{what}");
            assert_eq!(meaning(false).class(), found.class(), "{what}");
        }
    }

    #[test]
    fn trouble_of_the_relay_itself_says_what_to_do() {
        for case in cases::all() {
            let class = Class::of(case.status, case.code);
            match meaning(case.status, case.code, case.message, true) {
                UpstreamError::Temporary { remedy, .. } if (300..400).contains(&case.status) => {
                    assert!(remedy.contains("does not redirect"), "{}: {remedy}", case.status);
                }
                UpstreamError::Temporary { remedy, .. } => assert_eq!(remedy, class.remedy()),
                _ => {}
            }
        }
    }
}
