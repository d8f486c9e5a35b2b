//! The one place where the parts are put together.

mod identities;
mod load;
mod x_ses;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use load::{Loaded, Parts, load};

use crate::admin::{Admin, Readiness};
use crate::config::{self, Config, ListenerTls, LogAddresses};
use crate::connection::{Deadlines, Service};
use crate::principals::Principals;
use crate::redact::Redaction;
use crate::relay::{self, Relay};
use crate::server::Server;
use crate::smtp::{Auth, BareLf, Limits, Settings};
use crate::tls::Tls;
use crate::upstream::{Outbox, Ses, SesSettings, Upstream};

/// How long an answer about health may take when the relay ends.
const HEALTH: Duration = Duration::from_secs(1);

/// Why the relay cannot start although its configuration is right.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The outbox directory cannot be used.
    #[error("cannot use the outbox directory `{directory}`: {source}")]
    Outbox {
        /// The directory.
        directory: String,
        /// What the system says.
        source: io::Error,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
}

/// The whole relay, ready to run.
#[derive(Debug)]
pub struct Gateway {
    server: Server,
    admin: Option<Admin>,
    readiness: Readiness,
    relay: Arc<Relay>,
    drain: Duration,
}

impl Gateway {
    /// Puts everything together and binds all addresses.
    ///
    /// # Errors
    /// When an address or the outbox directory cannot be used.
    pub async fn start(config: &Config, parts: Parts) -> Result<Self, StartError> {
        let random = |_| StartError::NoRandomness;
        let redaction = match config.log.addresses {
            LogAddresses::Full => Redaction::Full,
            LogAddresses::Domain => Redaction::Domain,
            LogAddresses::Hash => Redaction::hash().map_err(random)?,
        };
        let region = parts.account.region.clone();
        let tls = parts.tls.clone();
        let (authorizer, users) = parts.into_authorizer();
        let principals = Principals::new(users, config.limits.password_queue);
        let principals = Arc::new(principals.map_err(random)?);
        let (upstream, defer_when_paused) = upstream(config, region).await?;
        let settings = relay::Settings { redaction, defer_when_paused, patience: config.answer };
        let relay = Arc::new(Relay::new(authorizer, upstream, settings));
        let mut server = Server::new(config.limits.connections);
        for (listener, tls) in config.listeners.iter().zip(tls) {
            let address = listener.address.value;
            let mut service = service(config, listener, tls.as_ref(), &principals, &relay);
            if address.port() == 0 {
                service.name = address.ip().to_string();
            }
            let bound = server
                .bind(address, Arc::new(service))
                .await
                .map_err(|source| StartError::Bind { address, source })?;
            announce(listener, bound, tls.as_ref());
        }
        let readiness = Readiness::default();
        let admin = match config.admin {
            Some(address) => {
                let bind = |source| StartError::Bind { address, source };
                let admin = Admin::bind(address, readiness.clone()).await.map_err(bind)?;
                let address = admin.address().map_err(bind)?;
                tracing::info!(%address, "health is told on /livez and /readyz");
                Some(admin)
            }
            None => None,
        };
        Ok(Self { server, admin, readiness, relay, drain: config.server.drain })
    }

    /// Serves until `stop` is done, then drains (decision 20).
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let helpers = TaskTracker::new();
        let end = CancellationToken::new();
        if let Some(admin) = self.admin {
            helpers.spawn(admin.run(end.clone()));
        }
        self.readiness.set(true);
        let readiness = self.readiness.clone();
        let stop = async move {
            stop.await;
            readiness.set(false);
        };
        let left = self.server.run(stop, self.drain).await;
        if tokio::time::timeout(left, self.relay.settle()).await.is_err() {
            tracing::warn!("calls to SES were left unfinished; their outcome is not known");
        }
        end.cancel();
        helpers.close();
        // Whoever holds a connection to the admin port does not hold up the end.
        let _ = tokio::time::timeout(HEALTH, helpers.wait()).await;
        tracing::info!("drained");
    }
}

async fn upstream(config: &Config, region: String) -> Result<(Upstream, bool), StartError> {
    match &config.upstream {
        config::Upstream::Outbox { directory } => {
            let outbox = Outbox::open(directory).map_err(|source| StartError::Outbox {
                directory: directory.display().to_string(),
                source,
            })?;
            tracing::info!(directory = %directory.display(), "permitted mail goes to the outbox");
            Ok((Upstream::Outbox(outbox), false))
        }
        config::Upstream::Ses(ses) => {
            tracing::info!(
                region,
                endpoint_url = ses.endpoint_url,
                calls = ses.calls,
                "permitted mail goes to SES",
            );
            let settings = SesSettings {
                region,
                endpoint_url: ses.endpoint_url.clone(),
                calls: ses.calls,
                connect: ses.connect,
                finish: ses.finish.max(config.answer),
            };
            Ok((Upstream::Ses(Ses::new(settings).await), ses.defer_when_paused))
        }
    }
}

fn service(
    config: &Config,
    listener: &config::Listener,
    tls: Option<&Tls>,
    principals: &Arc<Principals>,
    relay: &Arc<Relay>,
) -> Service {
    let limits = &config.limits;
    let implicit_tls = listener.tls == ListenerTls::Implicit;
    let starttls = listener.tls == ListenerTls::StartTls;
    let asks_for_login = listener.clients.is_empty();
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let settings = |in_clear: bool| Settings {
        hostname: config.server.hostname.clone(),
        message_bytes: limits.message_bytes,
        starttls,
        require_tls: starttls && asks_for_login && !in_clear,
        auth: if asks_for_login { Auth::Offered { in_clear } } else { Auth::None },
        bare_lf: if listener.normalize_bare_lf { BareLf::Normalize } else { BareLf::Refuse },
        limits: Limits {
            errors: small(limits.errors_per_connection),
            messages: small(limits.messages_per_connection),
            ..Limits::default()
        },
    };
    let speaks_for = listener.clients.iter().filter_map(|client| {
        let principal = principals.find(&client.user.value)?;
        Some((client.network, Arc::clone(principal)))
    });
    Service {
        name: listener.address.value.to_string(),
        settings: Arc::new(settings(listener.auth_in_clear)),
        remote_settings: Arc::new(settings(false)),
        tls: tls.map(|tls| TlsAcceptor::from(Arc::clone(&tls.config))),
        implicit_tls,
        speaks_for: speaks_for.collect(),
        source_ip: listener.source_ip.map(|address| address.to_canonical()),
        secure_transport: listener.secure_transport,
        deadlines: Deadlines {
            handshake: limits.handshake,
            login: limits.login,
            command: limits.command,
            content: limits.content,
            content_total: limits.content_total,
            reply: limits.reply,
        },
        principals: Arc::clone(principals),
        relay: Arc::clone(relay),
    }
}

/// One line a listener: what it offers and what it states for its clients (decision 17).
fn announce(listener: &config::Listener, bound: SocketAddr, tls: Option<&Tls>) {
    let mode = match listener.tls {
        ListenerTls::StartTls => "starttls",
        ListenerTls::Implicit => "implicit",
        ListenerTls::Off => "off",
    };
    let clients =
        listener.clients.iter().map(|client| format!("{}={}", client.network, client.user.value));
    let clients: Vec<_> = clients.collect();
    tracing::info!(
        address = %bound,
        tls = mode,
        fingerprint = tls.map(|tls| tls.fingerprint.as_str()),
        self_signed = tls.map(|_| listener.certificate.is_none()),
        auth = listener.clients.is_empty(),
        auth_in_clear = listener.auth_in_clear,
        clients = clients.join(","),
        source_ip = listener.source_ip.map(|address| address.to_string()),
        secure_transport = listener.secure_transport,
        "listening",
    );
}
