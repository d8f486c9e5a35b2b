//! The HTTP side: whether the process lives and takes mail, what it counts, what is in use, and a
//! reload.
//!
//! Nothing here shows mail. What is more than a probe is told to those who ask for this relay. What changes something needs a token; without one it is not there.

mod host;
mod http;
mod readiness;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use host::Named;
pub use readiness::Readiness;

/// The SHA-256 of a token.
pub type Token = [u8; 32];

/// What a page shows, asked for anew each time.
pub type Page = Arc<dyn Fn() -> String + Send + Sync>;

/// What the pages show.
#[derive(Clone)]
pub struct Pages {
    /// `/readyz`: whether mail is taken.
    pub readiness: Readiness,
    /// `/metrics`, and its media type.
    pub metrics: (Page, &'static str),
    /// `/status`, JSON.
    pub status: Page,
    /// `POST /reload`: notified when the token is right, and the hash of the token that is in force, if any.
    pub reload: (Arc<Notify>, Arc<dyn Fn() -> Option<Token> + Send + Sync>),
    /// What names the relay has now.
    pub named: Named,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").field("readiness", &self.readiness).finish_non_exhaustive()
    }
}

/// The admin listener.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    pages: Pages,
}

impl Admin {
    /// Shows pages on that socket.
    #[must_use]
    pub fn new(listener: TcpListener, pages: Pages) -> Self {
        Self { listener, pages }
    }

    /// The address that was bound.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        http::serve(self.listener, routes(self.pages), stop).await;
    }
}

/// What somebody reads who looks what this is.
const INDEX: &str = "\
sesgate, the admin port: no mail is shown here, and none is taken

/livez    200 while the process runs
/readyz   200 when mail is taken, else 503 and what stands against it
/metrics  for Prometheus
/status   what is in use: version, files, certificates, pace, quota (JSON)
/reload   POST, with the token of `[admin]`: reads the configuration again
";

fn routes(pages: Pages) -> Router {
    let Pages { readiness, metrics: (metrics, media_type), status, reload, named } = pages;
    let guarded = Router::new()
        .route("/metrics", get(async move || fresh(media_type, metrics())))
        .route("/status", get(async move || fresh("application/json", status())))
        .route(
            "/reload",
            post(async move |headers: HeaderMap| {
                let (told, token) = &reload;
                asked(&headers, token(), told)
            }),
        );
    // Probes ask by whatever name, and this page says nothing of the relay.
    host::guarded(guarded, &named)
        .route("/", get(async || fresh("text/plain", INDEX.to_owned())))
        .route("/livez", get(async || fresh("text/plain", "ok\n".to_owned())))
        .route("/readyz", get(async move || ready(&readiness)))
}

/// A page that nobody keeps.
fn fresh(media_type: &'static str, text: String) -> Response {
    ([(CONTENT_TYPE, media_type), (CACHE_CONTROL, "no-store")], text).into_response()
}

fn ready(readiness: &Readiness) -> Response {
    let obstacles = readiness.obstacles();
    if obstacles.is_empty() {
        return fresh("text/plain", "ok\n".to_owned());
    }
    let lines: String = obstacles.iter().map(|line| format!("{line}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, fresh("text/plain; charset=utf-8", lines)).into_response()
}

/// Has the configuration read again for whoever knows the token.
fn asked(headers: &HeaderMap, token: Option<Token>, told: &Notify) -> Response {
    let Some(token) = token else {
        return (StatusCode::NOT_FOUND, "`[admin]` has no `token`\n").into_response();
    };
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.split_once(' '));
    let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let is_right = given.is_some_and(|(_, given)| {
        // Compared as hashes, so that the time that it takes tells nothing.
        digest(&SHA256, given.trim().as_bytes()).as_ref() == token
    });
    if !is_right {
        let scheme = [(WWW_AUTHENTICATE, "Bearer realm=\"sesgate\"")];
        return (StatusCode::UNAUTHORIZED, scheme, "the token is missing or wrong\n")
            .into_response();
    }
    told.notify_one();
    (StatusCode::ACCEPTED, "the configuration is read again; see /status and the log\n")
        .into_response()
}
