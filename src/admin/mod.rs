//! The HTTP side: whether the process lives, and whether it takes mail.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Whether the relay takes mail; shared with the one who knows.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says whether mail is taken now.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::SeqCst);
    }

    /// Returns whether mail is taken now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// The admin listener.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    readiness: Readiness,
}

impl Admin {
    /// Tells about health on that socket.
    #[must_use]
    pub fn new(listener: TcpListener, readiness: Readiness) -> Self {
        Self { listener, readiness }
    }

    /// The address that was bound.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves `/livez` and `/readyz` until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let readiness = self.readiness;
        let routes = Router::new().route("/livez", get(async || "ok\n")).route(
            "/readyz",
            get(async move || {
                if readiness.is_ready() {
                    (StatusCode::OK, "ok\n")
                } else {
                    (StatusCode::SERVICE_UNAVAILABLE, "not taking mail\n")
                }
            }),
        );
        let served = axum::serve(self.listener, routes)
            .with_graceful_shutdown(async move { stop.cancelled().await });
        if let Err(error) = served.await {
            tracing::error!(%error, "health is no longer told; restart the relay");
        }
    }
}
