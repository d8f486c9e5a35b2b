//! The three calls, each made once: retrying is the reader's work, which counts every call.

use std::collections::BTreeMap;

use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::http::HttpResponse;
use aws_sdk_sesv2::config::retry::RetryConfig;
use aws_sdk_sesv2::config::{Builder, Config};
use aws_sdk_sesv2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::types::VerificationStatus;

use super::{AccountState, Details};
use crate::causes::{causes, lacks_credentials};
use crate::ses_error::Class;

/// Identities in one answer of the list, the most that SES gives.
const PAGE: i32 = 1000;
/// Bytes of an identity's name: 64 of a local part, 255 of a domain, and the sign between them.
const NAME_BYTES: usize = 320;
/// More than the 20 policies that SES stores with an identity.
const POLICIES: usize = 50;
/// More than the 4 KB that SES stores of a policy.
pub(super) const POLICY_BYTES: usize = 16 * 1024;
/// More than the 50 tags that SES stores with an identity.
const TAGS: usize = 100;
/// More than SES stores of any other text.
const TEXT_BYTES: usize = 1024;

/// Why a call gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// The relay's role lacks a right.
    #[error("SES refuses it with {0}")]
    Denied(String),
    /// Something about the relay's credentials or clock.
    #[error("SES refuses the relay's credentials with {0}")]
    Credentials(String),
    /// There is nothing to ask with.
    #[error("there are no AWS credentials")]
    NoCredentials,
    #[error("SES throttles it")]
    Throttled,
    /// No such identity (any more).
    #[error("SES knows no such identity")]
    Gone,
    /// No answer, or trouble at SES.
    #[error("{0}")]
    Unreachable(String),
    /// An answer that says nothing.
    #[error("{0}")]
    Unreadable(String),
}

impl Trouble {
    /// Whether another identity would meet the same.
    pub(super) fn is_general(&self) -> bool {
        matches!(
            self,
            Self::Credentials(_) | Self::NoCredentials | Self::Throttled | Self::Unreachable(_)
        )
    }
}

/// One answer of the list.
pub(super) struct Page {
    /// Name, and whether SES sends from it.
    pub(super) identities: Vec<(String, bool)>,
    pub(super) next: Option<String>,
}

/// `GetAccount`.
pub(super) async fn account(client: &Client) -> Result<AccountState, Trouble> {
    let output =
        client.get_account().customize().config_override(once()).send().await.map_err(trouble)?;
    let quota = output.send_quota.ok_or_else(|| unreadable("an account without a quota"))?;
    let state = AccountState {
        production_access: output.production_access_enabled,
        sending_enabled: output.sending_enabled,
        enforcement_status: output.enforcement_status.unwrap_or_default(),
        max_24_hour_send: quota.max24_hour_send,
        max_send_rate: quota.max_send_rate,
        sent_last_24_hours: quota.sent_last24_hours,
    };
    check_account(&state).then_some(state).ok_or_else(|| unreadable("a quota that is none"))
}

/// One page of `ListEmailIdentities`.
pub(super) async fn page(client: &Client, token: Option<String>) -> Result<Page, Trouble> {
    let request = client.list_email_identities().page_size(PAGE).set_next_token(token);
    let output = request.customize().config_override(once()).send().await.map_err(trouble)?;
    let list = output.email_identities.ok_or_else(|| unreadable("a list without identities"))?;
    let identities = list.into_iter().filter_map(|identity| {
        let verified = verified(identity.sending_enabled, identity.verification_status.as_ref());
        identity.identity_name.filter(|name| check_name(name)).map(|name| (name, verified))
    });
    let next = output.next_token.filter(|token| !token.is_empty());
    Ok(Page { identities: identities.collect(), next })
}

/// `GetEmailIdentity`: whether SES sends from it, and the details.
pub(super) async fn details(client: &Client, name: &str) -> Result<(bool, Details), Trouble> {
    let request = client.get_email_identity().email_identity(name);
    let output = request.customize().config_override(once()).send().await.map_err(trouble)?;
    if output.identity_type.is_none() {
        return Err(unreadable("an identity without a type"));
    }
    let status = output.verification_status.as_ref();
    let verified = verified(output.verified_for_sending_status, status);
    let policies: BTreeMap<_, _> = output.policies.into_iter().flatten().collect();
    let tags = output.tags.into_iter().flatten().map(|tag| (tag.key, tag.value)).collect();
    let configuration_set = output.configuration_set_name.filter(|set| !set.is_empty());
    let details = Details { configuration_set, tags, policies, ..Details::default() };
    if !check_details(&details) {
        return Err(unreadable("an identity beyond the limits of SES"));
    }
    Ok((verified, details))
}

/// Whether numbers and texts are such as SES gives.
pub(super) fn check_account(state: &AccountState) -> bool {
    let numbers = [state.max_24_hour_send, state.max_send_rate, state.sent_last_24_hours];
    numbers.iter().all(|number| number.is_finite() && *number >= -1.0)
        && state.enforcement_status.len() <= TEXT_BYTES
}

/// Whether it can be the name of an identity or of a policy.
pub(super) fn check_name(name: &str) -> bool {
    (1..=NAME_BYTES).contains(&name.len()) && !name.contains(char::is_control)
}

/// Whether details stay within bounds that are wider than those of SES.
pub(super) fn check_details(details: &Details) -> bool {
    let is_text = |text: &String| text.len() <= TEXT_BYTES;
    details.policies.len() <= POLICIES
        && details
            .policies
            .iter()
            .all(|(name, text)| check_name(name) && text.len() <= POLICY_BYTES)
        && details.tags.len() <= TAGS
        && details.tags.iter().all(|(key, value)| is_text(key) && is_text(value))
        && details.configuration_set.iter().all(is_text)
}

/// SES sends from what it says it sends from, and from what it calls a success. A failure is one
/// whatever the flag says.
fn verified(flag: bool, status: Option<&VerificationStatus>) -> bool {
    match status {
        Some(VerificationStatus::Success) => true,
        Some(VerificationStatus::Failed) => false,
        _ => flag,
    }
}

fn once() -> Builder {
    Config::builder().retry_config(RetryConfig::disabled())
}

fn unreadable(what: &str) -> Trouble {
    Trouble::Unreadable(format!("SES answered with {what}"))
}

fn trouble<E>(error: SdkError<E, HttpResponse>) -> Trouble
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match &error {
        SdkError::ServiceError(service) => {
            meaning(service.raw().status().as_u16(), service.err().code().unwrap_or_default())
        }
        SdkError::ResponseError(_) => unreadable("something that cannot be read"),
        _ if lacks_credentials(&error) => Trouble::NoCredentials,
        _ => Trouble::Unreachable(causes(&error)),
    }
}

fn meaning(status: u16, code: &str) -> Trouble {
    let answer = format!("the answer was {status} {code}").trim_end().to_owned();
    match Class::of(status, code) {
        Class::Throttled | Class::Quota => Trouble::Throttled,
        Class::Denied => Trouble::Denied(code.to_owned()),
        Class::NotFound if status == 404 => Trouble::Gone,
        Class::Trouble => Trouble::Unreachable(answer),
        class if class.is_of_credentials() || (status == 403 && !code.is_empty()) => {
            Trouble::Credentials(code.to_owned())
        }
        _ => Trouble::Unreadable(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ses_error::cases;

    #[test]
    fn each_error_has_its_meaning() {
        for case in cases::all() {
            let code = case.code.to_owned();
            let answer = format!("the answer was {} {code}", case.status).trim_end().to_owned();
            let expected = match case.account {
                "throttled" => Trouble::Throttled,
                "denied" => Trouble::Denied(code),
                "credentials" => Trouble::Credentials(code),
                "gone" => Trouble::Gone,
                "unreachable" => Trouble::Unreachable(answer),
                "unreadable" => Trouble::Unreadable(answer),
                other => panic!("{other}"),
            };
            assert_eq!(meaning(case.status, case.code), expected, "{} {}", case.status, case.code);
        }
    }

    #[test]
    fn verification_is_what_ses_says() {
        use VerificationStatus as S;
        let cases = [
            (true, Some(S::Success), true),
            (false, Some(S::Success), true),
            (true, Some(S::TemporaryFailure), true),
            (false, Some(S::TemporaryFailure), false),
            (false, Some(S::Pending), false),
            (true, Some(S::Failed), false),
            (true, None, true),
            (false, None, false),
        ];
        for (flag, status, expected) in cases {
            assert_eq!(verified(flag, status.as_ref()), expected, "{flag} {status:?}");
        }
    }
}
