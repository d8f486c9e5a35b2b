//! How AWS is asked: within a time, not more often than it takes, and what became of a call.

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::http::HttpResponse;
use aws_sdk_sesv2::error::{ProvideErrorMetadata, SdkError};
use tokio::time::{Instant, sleep_until, timeout};

use crate::causes::causes;
use crate::clock;
use crate::ses_error::Class;
use crate::upstream::{self, SesSettings};

/// Calls that send nothing are taken once a second, account and region (SES guide, quotas).
const BETWEEN: Duration = Duration::from_secs(1);
/// Most of an error message that is shown, in characters.
const SHOWN: usize = 300;

/// Who the relay is for AWS.
pub(super) enum Caller {
    /// Its ARN.
    Known(String),
    /// Not said.
    Unknown,
    /// The credentials are no good.
    Refused,
}

/// The SESv2 API, at the pace that it allows.
pub(super) struct Api {
    client: Client,
    patience: Duration,
    next: Option<Instant>,
}

impl Api {
    pub(super) fn new(
        settings: &SesSettings,
        credentials: Credentials,
        patience: Duration,
    ) -> Self {
        Self { client: upstream::client(settings, credentials), patience, next: None }
    }

    /// For a call that sends nothing: waits until the next is taken.
    pub(super) async fn turn(&mut self) -> (Client, Duration) {
        if let Some(next) = self.next {
            sleep_until(next).await;
        }
        let now = clock::now();
        self.next = Some(now + BETWEEN);
        (self.client.clone(), self.patience)
    }

    /// For a call that sends.
    pub(super) fn sender(&self) -> (&Client, Duration) {
        (&self.client, self.patience)
    }
}

/// A call that failed.
pub(super) struct Trouble {
    /// [`Class::Other`] where there was no answer.
    pub(super) class: Class,
    pub(super) said: String,
    pub(super) fix: &'static str,
}

/// Makes a call that must end in time.
///
/// # Errors
/// When AWS answers with an error, or not in time.
pub(super) async fn within<T, E>(
    patience: Duration,
    call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
) -> Result<T, Trouble>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match timeout(patience, call).await {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(error)) => Err(trouble(&error)),
        Err(_) => Err(Trouble {
            class: Class::Other,
            said: format!("no answer within {patience:?}"),
            fix: "a longer `--timeout`, or see the line `region`",
        }),
    }
}

fn trouble<E>(error: &SdkError<E, HttpResponse>) -> Trouble
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let SdkError::ServiceError(service) = error else {
        let said = causes(error);
        let fix = "see the line `region`: the network path, `endpoint_url`, a proxy between";
        return Trouble { class: Class::Other, said, fix };
    };
    let status = service.raw().status().as_u16();
    let code = service.err().code().unwrap_or_default();
    let class = Class::of(status, code);
    let message = service.err().message().unwrap_or_default();
    let said = shortened(&format!("{status} {code}: {message}"));
    Trouble { class, said, fix: class.steps() }
}

/// The first line of a text, not too much of it: signature errors go on with the whole request.
fn shortened(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let cut: String = line.chars().take(SHOWN).collect();
    if cut.len() < line.len() { format!("{cut}…") } else { cut }
}

/// A moment as people read it, in UTC.
pub(super) fn moment(at: SystemTime) -> String {
    clock::rfc3339(at).unwrap_or_else(|| "a time out of range".to_owned())
}

/// A length of time in its largest unit.
pub(super) fn span(length: Duration) -> String {
    let seconds = length.as_secs();
    let (number, unit) = match seconds {
        0..120 => (seconds, "s"),
        120..7_200 => (seconds / 60, "min"),
        7_200..172_800 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{number} {unit}")
}
