//! One signal's way to the collector: a request, and what its answer means.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{
    CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::settings::{Headers, Target};
use crate::text::chain;

/// What of an answer is read.
const ANSWER_BYTES: usize = 64 * 1024;

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

/// A connection, whatever it is made of.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Calls the collector for one signal, over one connection that is kept.
pub(super) struct Collector {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    path: Uri,
    headers: HeaderMap,
    timeout: Duration,
    connection: Option<SendRequest<Full<Bytes>>>,
    /// What moves the connection's bytes.
    mover: JoinSet<()>,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Collector {
    pub(super) fn new(
        url: &str,
        target: &Target,
        certificate: Option<&Path>,
    ) -> Result<Self, CollectorError> {
        check_url(url).map_err(CollectorError::Url)?;
        let unfit = || CollectorError::Url("cannot be read".to_owned());
        let uri: Uri = url.parse().map_err(|_| unfit())?;
        let authority = uri.authority().ok_or_else(unfit)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_tls = uri.scheme_str() == Some("https");
        let tls = if is_tls {
            let name = ServerName::try_from(host.clone()).map_err(|_| unfit())?;
            Some((TlsConnector::from(Arc::new(tls(certificate)?)), name))
        } else {
            None
        };
        let mut headers = headers(&target.headers)?;
        headers.insert(HOST, HeaderValue::from_str(authority.as_str()).map_err(|_| unfit())?);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            host,
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            tls,
            path: path.parse().map_err(|_| unfit())?,
            headers,
            timeout: target.timeout,
            connection: None,
            mover: JoinSet::new(),
        })
    }

    /// Has records taken.
    pub(super) async fn take(&mut self, request: Bytes) -> Result<(), Failure> {
        let bound = self.timeout;
        let taken = tokio::time::timeout(bound, self.call(request)).await;
        let taken = taken
            .unwrap_or_else(|_| Err(Failure::Later(format!("no answer within {bound:?}"), None)));
        if taken.is_err() {
            self.hang_up();
        }
        taken
    }

    fn hang_up(&mut self) {
        self.connection = None;
        self.mover.abort_all();
    }

    async fn call(&mut self, body: Bytes) -> Result<(), Failure> {
        let later = |error: &(dyn Error + 'static)| {
            let causes: Vec<_> = chain(error).map(ToString::to_string).collect();
            Failure::Later(causes.join(": "), None)
        };
        let mut connection = match self.connection.take() {
            Some(kept) if !kept.is_closed() => kept,
            _ => self.connect().await.map_err(|error| later(error.as_ref()))?,
        };
        connection.ready().await.map_err(|error| later(&error))?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = self.headers.clone();
        let answer = connection.send_request(request).await.map_err(|error| later(&error))?;
        let status = answer.status();
        let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let after = after.and_then(|text| text.parse().ok()).map(Duration::from_secs);
        // Read to its end, so that the connection can be used again.
        if Limited::new(answer.into_body(), ANSWER_BYTES).collect().await.is_ok() {
            self.connection = Some(connection);
        }
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

    async fn connect(&mut self) -> Result<SendRequest<Full<Bytes>>, Box<dyn Error + Send + Sync>> {
        self.hang_up();
        while self.mover.join_next().await.is_some() {}
        let socket = TcpStream::connect((self.host.as_str(), self.port)).await?;
        socket.set_nodelay(true)?;
        let io: Box<dyn Io> = match &self.tls {
            Some((tls, name)) => Box::new(tls.connect(name.clone(), socket).await?),
            None => Box::new(socket),
        };
        let (connection, bytes) = handshake(TokioIo::new(io)).await?;
        self.mover.spawn(async move {
            // How it ended is told to whoever waits for an answer.
            let _ = bytes.await;
        });
        Ok(connection)
    }
}

fn tls(certificate: Option<&Path>) -> Result<ClientConfig, CollectorError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| CollectorError::Tls(error.to_string()))?;
    let authorities = match certificate {
        Some(file) => authorities(file)?,
        None => {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                let none = "no certificates of authorities; name a file with them in \
                            `OTEL_EXPORTER_OTLP_CERTIFICATE`";
                return Err(CollectorError::Tls(none.to_owned()));
            }
            store
        }
    };
    Ok(config.with_root_certificates(authorities).with_no_client_auth())
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
