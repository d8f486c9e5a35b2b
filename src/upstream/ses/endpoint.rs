//! One `SendEmail` request: signed, sent, and its answer read.
//!
//! The SDK's parts do the work, without its orchestration, which builds every call anew and costs more
//! than all of them: its endpoint rules, its connections and its reading of answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_sesv2::error::ProvideErrorMetadata;
use aws_sdk_sesv2::operation::send_email::{SendEmail, SendEmailError, SendEmailOutput};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_plugin::RuntimePlugin;
use aws_smithy_runtime_api::client::ser_de::{DeserializeResponse, SharedResponseDeserializer};
use aws_smithy_types::DateTime;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::{ConfigBag, FrozenLayer};
use aws_smithy_types::date_time::Format;
use axum::http::Uri;
use http_body_util::{BodyExt, Limited};
use tokio::sync::OnceCell;

use super::super::progress::Progress;
use super::SesSettings;
use super::answer::Failure;
use super::body::Payload;
use super::client::endpoint;
use super::signature::{CONTENT_TYPE, Signed, Signer};
use crate::causes::causes;

/// The path of `SendEmail` (SESv2 API reference).
const PATH: &str = "/v2/email/outbound-emails";
/// Bytes of an answer that are read; SES answers with a few hundred.
const LONGEST_ANSWER: usize = 256 * 1024;
/// What CloudTrail shows as the caller's program.
const USER_AGENT: &str = concat!("sesgate/", env!("CARGO_PKG_VERSION"));

/// An answer that was read to its end.
pub(super) struct Answer {
    /// The message id, or what was wrong.
    pub(super) outcome: Result<Option<String>, Failure>,
    /// `x-amzn-requestid`.
    pub(super) request_id: Option<String>,
    /// The HTTP status.
    pub(super) status: u16,
}

/// The URL of `SendEmail`, in whole and in part.
#[derive(Debug)]
struct Url {
    whole: String,
    /// With the port, if there is one.
    host: String,
    path: String,
}

/// Where `SendEmail` is.
#[derive(Debug)]
pub(super) struct Endpoint {
    connector: SharedHttpConnector,
    settings: SesSettings,
    url: OnceCell<Url>,
    signer: Signer,
    /// The operation's settings, among them how answers are read.
    operation: Option<FrozenLayer>,
    /// Milliseconds by which the clock of SES is ahead of ours, of the last answer.
    skew: AtomicI64,
}

impl Endpoint {
    /// Over these connections; nothing is sent yet.
    pub(super) fn new(connector: SharedHttpConnector, settings: &SesSettings) -> Self {
        Self {
            connector,
            settings: settings.clone(),
            url: OnceCell::new(),
            signer: Signer::new(&settings.region),
            operation: SendEmail::new().config(),
            skew: AtomicI64::new(0),
        }
    }

    /// Makes one attempt. Its body goes out as far as `progress` lets it.
    pub(super) async fn attempt(
        &self,
        payload: &Arc<Payload>,
        credentials: Credentials,
        progress: &Progress,
    ) -> Result<Answer, Failure> {
        let request = match self.url.get_or_try_init(|| self.resolve()).await {
            Ok(url) => self.request(url, payload, &credentials, progress),
            Err(error) => Err(error),
        };
        let request = request
            .map_err(|error| Failure::NoAnswer { said: causes(&*error), is_answered: false })?;
        #[expect(clippy::disallowed_methods, reason = "the age of the answer's date")]
        let sent = SystemTime::now();
        let mut response = match self.connector.call(request).await {
            Ok(response) => response,
            Err(error) => {
                return Err(Failure::NoAnswer { said: causes(&error), is_answered: false });
            }
        };
        self.note_skew(&response, sent);
        let body = std::mem::replace(response.body_mut(), SdkBody::taken());
        match Limited::new(body, LONGEST_ANSWER).collect().await {
            Ok(body) => *response.body_mut() = SdkBody::from(body.to_bytes()),
            Err(error) => {
                return Err(Failure::NoAnswer { said: causes(&*error), is_answered: true });
            }
        }
        Ok(Answer {
            status: response.status().as_u16(),
            request_id: response.headers().get("x-amzn-requestid").map(str::to_owned),
            outcome: self.read(&response),
        })
    }

    async fn resolve(&self) -> Result<Url, BoxError> {
        let base = endpoint(&self.settings).await?.to_string();
        let whole = format!("{}{PATH}", base.trim_end_matches('/'));
        let uri = whole.parse::<Uri>()?;
        let host = uri.authority().map(|it| it.as_str().to_owned()).unwrap_or_default();
        Ok(Url { host, path: uri.path().to_owned(), whole })
    }

    fn request(
        &self,
        url: &Url,
        payload: &Arc<Payload>,
        credentials: &Credentials,
        progress: &Progress,
    ) -> Result<HttpRequest, BoxError> {
        let (host, path, payload_hash) = (&url.host, &url.path, payload.hash());
        let signed = Signed { host, path, payload_hash };
        let signature = self.signer.sign(signed, credentials, self.now())?;
        let pieces = Arc::clone(payload);
        let pieces = (0..payload.piece_count()).map(move |number| pieces.piece(number));
        let mut request = HttpRequest::new(progress.body(pieces));
        request.set_method("POST")?;
        request.set_uri(url.whole.as_str())?;
        let headers = request.headers_mut();
        headers.try_insert("host", host.clone())?;
        headers.insert("content-type", CONTENT_TYPE);
        headers.insert("content-length", payload.length().to_string());
        headers.insert("user-agent", USER_AGENT);
        headers.insert("x-amz-date", signature.date);
        if let Some(token) = credentials.session_token() {
            headers.try_insert("x-amz-security-token", token.to_owned())?;
        }
        headers.try_insert("authorization", signature.authorization)?;
        Ok(request)
    }

    /// The time at SES.
    fn now(&self) -> SystemTime {
        #[expect(clippy::disallowed_methods, reason = "signatures carry the time of day")]
        let now = SystemTime::now();
        let skew = self.skew.load(Ordering::Relaxed);
        let by = Duration::from_millis(skew.unsigned_abs());
        let there = if skew < 0 { now.checked_sub(by) } else { now.checked_add(by) };
        there.unwrap_or(now)
    }

    /// Notes by how much the clock of SES differs, as the SDK does: the next request is signed with its
    /// time.
    fn note_skew(&self, response: &HttpResponse, sent: SystemTime) {
        let headers = response.headers();
        // The date of an answer from a cache is old.
        let date = headers.get("date").filter(|_| headers.get("age").is_none());
        let Some(date) = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok())
        else {
            return;
        };
        #[expect(clippy::disallowed_methods, reason = "the age of the answer's date")]
        let received = SystemTime::now();
        let half = received.duration_since(sent).unwrap_or_default() / 2;
        if let (Ok(there), Ok(here)) = (date.to_millis(), DateTime::from(sent + half).to_millis()) {
            self.skew.store(there - here, Ordering::Relaxed);
        }
    }

    fn read(&self, response: &HttpResponse) -> Result<Option<String>, Failure> {
        let status = response.status().as_u16();
        let unreadable = |said: String| Failure::Unreadable { status, said };
        let reader = self.operation.as_ref().and_then(|it| it.load::<SharedResponseDeserializer>());
        let reader = reader.ok_or_else(|| unreadable("there is no reader".to_owned()))?;
        let error = match reader.deserialize_nonstreaming_with_config(response, &ConfigBag::base())
        {
            Ok(output) => {
                let output = output.downcast::<SendEmailOutput>().ok();
                return Ok(output.and_then(|output| output.message_id));
            }
            Err(error) => error,
        };
        let error =
            error.as_operation_error().and_then(|error| error.downcast_ref::<SendEmailError>());
        let Some(error) = error else { return Err(unreadable("it is none of SES".to_owned())) };
        if (200..300).contains(&status) {
            return Err(unreadable(causes(error)));
        }
        let text = |text: Option<&str>| text.map(str::to_owned);
        Err(Failure::Refused { status, code: text(error.code()), message: text(error.message()) })
    }
}
