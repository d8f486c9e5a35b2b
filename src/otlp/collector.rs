//! One signal's way to the collector: a request, and what its answer means.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::settings::{Headers, Target};

/// What of an answer is read.
const ANSWER_BYTES: usize = 64 * 1024;
/// How long a connection is kept without use: over a request every few seconds.
const IDLE: Duration = Duration::from_secs(30);

/// Why a collector cannot be called at all.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// Not a URL that can be called.
    #[error("the URL of the collector {0}")]
    Url(String),
    /// Not a header field.
    #[error("`{0}` in `OTEL_EXPORTER_OTLP_HEADERS` is no header field, or has no fit value")]
    Header(String),
    /// The authorities cannot be read.
    #[error("{file}: cannot be used as `OTEL_EXPORTER_OTLP_CERTIFICATE`: {cause}")]
    Certificate {
        /// The file.
        file: String,
        /// Why.
        cause: String,
    },
    /// TLS cannot be set up.
    #[error("TLS to the collector cannot be set up: {0}")]
    Tls(String),
}

/// Why records were not taken.
#[derive(Debug)]
pub(super) enum Failure {
    /// They may be taken later, perhaps not before a while.
    Later(String, Option<Duration>),
    /// They never will.
    Never(String),
}

/// Says what is wrong with a URL.
pub(super) fn check_url(url: &str) -> Result<(), String> {
    let form = || Err("must be a URL such as `http://127.0.0.1:4318`".to_owned());
    let Ok(uri) = url.parse::<Uri>() else { return form() };
    let Some(authority) = uri.authority() else { return form() };
    if authority.as_str().contains('@') {
        return Err("must not hold a password; use `OTEL_EXPORTER_OTLP_HEADERS`".to_owned());
    }
    match uri.scheme_str() {
        Some("http" | "https") if !authority.host().is_empty() => Ok(()),
        _ => form(),
    }
}

/// Calls the collector for one signal.
#[derive(Debug)]
pub(super) struct Collector {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
    headers: HeaderMap,
    timeout: Duration,
}

impl Collector {
    pub(super) fn new(
        url: &str,
        target: &Target,
        certificate: Option<&Path>,
    ) -> Result<Self, CollectorError> {
        check_url(url).map_err(CollectorError::Url)?;
        let uri: Uri = url.parse().map_err(|_| CollectorError::Url("cannot be read".to_owned()))?;
        let config = tls(uri.scheme_str() == Some("https"), certificate)?;
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector.build());
        Ok(Self { client, uri, headers: headers(&target.headers)?, timeout: target.timeout })
    }

    /// Has records taken.
    pub(super) async fn take(&self, request: Bytes) -> Result<(), Failure> {
        match tokio::time::timeout(self.timeout, self.call(request)).await {
            Ok(taken) => taken,
            Err(_) => Err(Failure::Later(format!("no answer within {:?}", self.timeout), None)),
        }
    }

    async fn call(&self, body: Bytes) -> Result<(), Failure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let sent = self.client.request(request).await;
        let answer = sent.map_err(|error| Failure::Later(chain(&error), None))?;
        let status = answer.status();
        let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let after = after.and_then(|text| text.parse().ok()).map(Duration::from_secs);
        // Read to its end, so that the connection can be used again.
        let _ = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
        // OTLP specification, "OTLP/HTTP Response".
        match status {
            _ if status.is_success() => Ok(()),
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                Err(Failure::Later(format!("the answer was {status}"), after))
            }
            _ => Err(Failure::Never(format!("the answer was {status}"))),
        }
    }
}

fn tls(is_used: bool, certificate: Option<&Path>) -> Result<ClientConfig, CollectorError> {
    let wrong = |error: &dyn Error| CollectorError::Tls(error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&error))?;
    let config = match certificate {
        _ if !is_used => config.with_root_certificates(RootCertStore::empty()),
        Some(file) => config.with_root_certificates(authorities(file)?),
        None => config.with_native_roots().map_err(|error| wrong(&error))?,
    };
    Ok(config.with_no_client_auth())
}

fn authorities(file: &Path) -> Result<RootCertStore, CollectorError> {
    let wrong =
        |cause: String| CollectorError::Certificate { file: file.display().to_string(), cause };
    let mut store = RootCertStore::empty();
    let found = CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
    for certificate in found {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        store.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if store.is_empty() {
        return Err(wrong("no certificate in it".to_owned()));
    }
    Ok(store)
}

fn headers(more: &Headers) -> Result<HeaderMap, CollectorError> {
    let mut headers = HeaderMap::new();
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("sesgate/", env!("CARGO_PKG_VERSION"))),
    );
    for (name, value) in &more.0 {
        let wrong = || CollectorError::Header(name.clone());
        let key = HeaderName::try_from(name.as_str()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    Ok(headers)
}

/// An error with its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
