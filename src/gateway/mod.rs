//! The one place where the parts are put together.

mod credential_watch;
mod documents;
mod file_watch;
mod load;
mod preflight;
mod reload;
mod service;
mod status;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use documents::{By, Used, documents};
pub use load::{Explainer, Loaded, Parts, load};
pub use preflight::preflight;
use reload::{Reloader, Shared};
use service::{admission_limits, guard_settings, memory, pace_settings, service};
pub use service::{clients, name};
use status::{ActiveConfig, GatewayStatus};

use crate::admin::{Admin, Pages, Readiness};
use crate::clock;
use crate::config::{self, Config, ListenerTls, LogAddresses};
use crate::decision_log::{DecisionLog, DecisionLogSettings};
use crate::inventory::{Inventory, InventorySettings, Reader};
use crate::login::Guard;
use crate::metrics::{self, Metrics};
use crate::pace::Pace;
use crate::redact::Redaction;
use crate::relay::{Relay, RelaySettings};
use crate::server::Server;
use crate::sockets::{Sockets, SocketsError};
use crate::tls::{Made, Tls};
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
    /// The file of the decision log cannot be used.
    #[error(
        "cannot open the decision log `{file}`: {source}; let the relay write to its directory"
    )]
    DecisionLog {
        /// The file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// Sockets that were handed over do not fit the configuration.
    #[error("{}", lines(.0))]
    Sockets(Vec<SocketsError>),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
}

fn lines(errors: &[SocketsError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The whole relay, ready to run.
#[derive(Debug)]
pub struct Gateway {
    server: Server,
    admin: Option<Admin>,
    readiness: Readiness,
    relay: Arc<Relay>,
    reader: Option<Reader>,
    reloader: Reloader,
    decisions: DecisionLog,
    drain: Duration,
}

impl Gateway {
    /// Puts everything together and binds all addresses but those whose sockets were handed over.
    ///
    /// # Errors
    /// When an address or the outbox directory cannot be used.
    pub async fn start(
        config: Config,
        parts: Parts,
        mut sockets: Sockets,
    ) -> Result<Self, StartError> {
        let listeners = config.listeners.iter().map(|listener| listener.address.value);
        let wanted: Vec<_> = listeners.chain(config.admin).collect();
        sockets.check(&wanted).map_err(StartError::Sockets)?;
        let random = |_| StartError::NoRandomness;
        let redaction = match config.log.addresses {
            LogAddresses::Full => Redaction::Full,
            LogAddresses::Domain => Redaction::Domain,
            LogAddresses::Hash => match parts.address_hash.clone() {
                Some(keyed) => keyed,
                None => Redaction::hash().map_err(random)?,
            },
        };
        let decisions = decision_log(&config.decision_log)?;
        let region = config.account.region.clone();
        let (tls, kept) = (parts.tls.clone(), parts.kept.clone());
        let basis = parts.basis.clone();
        let guard = Arc::new(Guard::new(guard_settings(&config.limits)).map_err(random)?);
        let rules = parts.into_rules(guard);
        let pace = Pace::new(&pace_settings(&config));
        let metrics = Arc::new(Metrics::new());
        let (upstream, defer_when_paused) =
            upstream(&config, region, &pace, &metrics, &decisions).await?;
        let settings = RelaySettings {
            redaction,
            defer_when_paused,
            patience: config.answer,
            strip_traceparent: config.otlp.strip_traceparent,
        };
        let asked = ask_ses(&config, &upstream);
        let needs_credentials = upstream.client().is_some();
        let mut relay = Relay::new(rules, upstream, pace.clone(), settings)
            .counted_by(Arc::clone(&metrics))
            .with_decision_log(decisions.clone());
        if let Some((inventory, _)) = &asked {
            relay = relay.with_inventory(inventory.clone());
        }
        let relay = Arc::new(relay);
        let (inventory, reader) = asked.unzip();
        let reader = reader.map(|reader| reader.asked_by(pace.doubts()));
        let mut server = Server::new(admission_limits(&config.limits));
        let memory = memory(&config.limits);
        announce_made(&config);
        let in_use = ActiveConfig::new(&config, &tls, clock::time_of_day());
        let mut services = Vec::new();
        for (listener, tls) in config.listeners.iter().zip(tls) {
            let address = listener.address.value;
            let service = service(&config, listener, tls.as_ref(), &relay, &memory);
            let service = Arc::new(ArcSwap::from_pointee(service));
            services.push(Arc::clone(&service));
            let bind = |source| StartError::Bind { address, source };
            let socket = sockets.listen(address).await.map_err(bind)?;
            let bound = server.listen(socket, service).map_err(bind)?;
            announce(listener, bound, tls.as_ref());
        }
        let readiness = Readiness::default();
        if needs_credentials {
            readiness.found(credential_watch::CREDENTIALS, Some("not looked for yet".to_owned()));
        }
        let admin = config.admin;
        let drain = config.server.drain;
        let admission = Arc::clone(server.admission());
        let status = Arc::new(GatewayStatus::new(
            Arc::clone(&relay),
            readiness.clone(),
            (Arc::clone(&admission), memory.clone()),
            (pace.clone(), inventory.clone()),
            decisions.clone(),
            in_use,
        ));
        let shared =
            Shared { services, admission, memory, pace, inventory, status: status.clone() };
        let reloader = Reloader::new(config, basis, Arc::clone(&relay), shared, kept);
        let admin = match admin {
            Some(address) => {
                let bind = |source| StartError::Bind { address, source };
                let pages = pages(&status, reloader.reload_requested());
                let admin = Admin::new(sockets.listen(address).await.map_err(bind)?, pages);
                let address = admin.address().map_err(bind)?;
                tracing::info!(%address, "health, metrics and status are told over HTTP");
                Some(admin)
            }
            None => None,
        };
        Ok(Self { server, admin, readiness, relay, reader, reloader, decisions, drain })
    }

    /// What a signal to read the configuration again is told to.
    #[must_use]
    pub fn reload_requested(&self) -> Arc<Notify> {
        self.reloader.reload_requested()
    }

    /// The decision log, whose file is opened anew on a signal.
    #[must_use]
    pub fn decision_log(&self) -> DecisionLog {
        self.decisions.clone()
    }

    /// Serves until `stop` is done, then drains (decision 20).
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let helpers = TaskTracker::new();
        let end = CancellationToken::new();
        if let Some(admin) = self.admin {
            helpers.spawn(admin.run(end.clone()));
        }
        if let Some(reader) = self.reader {
            let relay = Arc::clone(&self.relay);
            let reader = reader.on_expired(move || relay.refresh_credentials());
            helpers.spawn(reader.run(end.clone()));
        }
        helpers.spawn(self.reloader.run(end.clone()));
        let (relay, readiness) = (Arc::clone(&self.relay), self.readiness.clone());
        helpers.spawn(credential_watch::watch(relay, readiness, end.clone()));
        self.readiness.set(true);
        let readiness = self.readiness.clone();
        let permits = self.decisions.permits();
        let stop = async move {
            tokio::select! {
                () = stop => {}
                () = follow(permits, &readiness) => {}
            }
            readiness.set(false);
        };
        let left = self.server.run(stop, self.drain).await;
        if tokio::time::timeout(left, self.relay.settle()).await.is_err() {
            tracing::warn!(
                "calls to SES were left unfinished and their outcome is not known: expect \
                 duplicates; raise `drain_seconds` in `[server]`",
            );
        }
        self.decisions.close().await;
        end.cancel();
        helpers.close();
        // Whoever holds a connection to the admin port does not hold up the end.
        let _ = tokio::time::timeout(HEALTH, helpers.wait()).await;
        tracing::info!("drained");
    }
}

/// What the admin port shows.
fn pages(status: &Arc<GatewayStatus>, reload_requested: Arc<Notify>) -> Pages {
    let (counted, page) = (Arc::clone(status), Arc::clone(status));
    let (token, names) = (Arc::clone(status), Arc::clone(status));
    Pages {
        readiness: status.readiness.clone(),
        metrics: (
            Arc::new(move || counted.relay.metrics().text(Arc::clone(&counted))),
            metrics::MEDIA_TYPE,
        ),
        status: Arc::new(move || page.page()),
        reload: (reload_requested, Arc::new(move || token.token())),
        named: Arc::new(move |name| names.is_name(name)),
    }
}

/// Has the relay ready for as long as mail can be recorded; never ends.
async fn follow(permits: Option<watch::Receiver<bool>>, readiness: &Readiness) {
    if let Some(mut permits) = permits {
        while permits.changed().await.is_ok() {
            let is_written = *permits.borrow_and_update();
            let obstacle = (!is_written).then(|| "cannot be written, see the log".to_owned());
            readiness.found("decision log", obstacle);
        }
    }
    std::future::pending().await
}

/// Prepares asking SES about the account, where SES is the upstream and the operator wants it.
fn ask_ses(config: &Config, upstream: &Upstream) -> Option<(Inventory, Reader)> {
    let identities = config.identities.from_ses;
    if !identities && !config.rate.ask_ses {
        return None;
    }
    let client = upstream.client()?.clone();
    Some(Inventory::open(inventory_settings(config), client))
}

fn inventory_settings(config: &Config) -> InventorySettings {
    let identities = config.identities.from_ses;
    let account = &config.account;
    let cache = config.identities.cache.clone().filter(|_| identities);
    InventorySettings { identities, ..InventorySettings::new(&account.id, &account.region, cache) }
}

async fn upstream(
    config: &Config,
    region: String,
    pace: &Pace,
    metrics: &Arc<Metrics>,
    decisions: &DecisionLog,
) -> Result<(Upstream, bool), StartError> {
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
            let upstream = Ses::new(settings, pace.clone())
                .await
                .counted_by(Arc::clone(metrics))
                .with_decision_log(decisions.clone());
            Ok((Upstream::Ses(upstream), ses.defer_when_paused))
        }
    }
}

/// Opens the decision log.
fn decision_log(config: &config::DecisionLog) -> Result<DecisionLog, StartError> {
    let Some(file) = config.file.clone() else { return Ok(DecisionLog::default()) };
    let name = file.display().to_string();
    let &config::DecisionLog { required, sync, is_in_log, .. } = config;
    let settings = DecisionLogSettings { file, required, sync, is_in_log };
    let log = DecisionLog::open(settings)
        .map_err(|source| StartError::DecisionLog { file: name.clone(), source })?;
    tracing::info!(file = name, required, sync, "decisions are recorded");
    Ok(log)
}

/// Where the certificate is that clients must be told to trust.
fn announce_made(config: &Config) {
    let is_in_use = config
        .listeners
        .iter()
        .any(|listener| listener.tls != ListenerTls::Off && listener.certificate.is_none());
    if let Some(directory) = config.server.certificate_directory.as_ref().filter(|_| is_in_use) {
        let file = Made::file(&directory.value);
        tracing::info!(
            certificate = %file.display(),
            "sesgate made this certificate; clients that check it must be told to trust the file",
        );
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
