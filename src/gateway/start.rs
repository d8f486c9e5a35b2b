//! The start: parts are made one after the other, each of those before it, and addresses are bound.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::reload::{Reloader, Shared};
use super::service::{memory, pace_settings, service};
use super::status::{ActiveConfig, GatewayStatus, Sources};
use super::{Gateway, Parts, StartError, credential_watch, inventory_settings};
use crate::admin::{Admin, Pages, Readiness};
use crate::clock;
use crate::config::{self, Config, ListenerTls, LogAddresses};
use crate::connection::Service;
use crate::decision_log::{DecisionLog, DecisionLogSettings};
use crate::inventory::{Inventory, Reader};
use crate::login::Guard;
use crate::memory::Memory;
use crate::metrics::{self, Metrics};
use crate::pace::Pace;
use crate::redact::Redaction;
use crate::relay::{Relay, RelaySettings};
use crate::rules::Rules;
use crate::server::Server;
use crate::sockets::Sockets;
use crate::tls::{Made, Tls};
use crate::upstream::{Outbox, Ses, SesSettings, Upstream};

/// What mail goes through on its way out.
struct Sending {
    relay: Arc<Relay>,
    pace: Pace,
    inventory: Option<Inventory>,
    reader: Option<Reader>,
    needs_credentials: bool,
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
        let redaction = redaction(&config, &parts)?;
        let decisions = decision_log(&config.decision_log)?;
        let (tls, kept, basis) = (parts.tls.clone(), parts.kept.clone(), parts.basis.clone());
        let guard = Guard::new(config.limits.logins.clone());
        let rules = parts.into_rules(Arc::new(guard.map_err(|_| StartError::NoRandomness)?));
        let Sending { relay, pace, inventory, reader, needs_credentials } =
            sending(&config, rules, redaction, &decisions).await?;

        let mut server = Server::new(config.limits.admission);
        let (admission, memory) = (Arc::clone(server.admission()), memory(&config.limits));
        announce_made(&config);
        if let Some(candidate) = basis.candidate() {
            candidate.tell();
        }
        let active = ActiveConfig::new(&config, &basis, &tls, clock::time_of_day());
        let services = listen(&config, tls, &relay, &memory, &mut sockets, &mut server).await?;

        let readiness = Readiness::default();
        if needs_credentials {
            readiness.found(credential_watch::CREDENTIALS, Some("not looked for yet".to_owned()));
        }
        let sources = Sources {
            relay: Arc::clone(&relay),
            readiness: readiness.clone(),
            admission: Arc::clone(&admission),
            memory: memory.clone(),
            pace: pace.clone(),
            inventory: inventory.clone(),
            decisions: decisions.clone(),
        };
        let status = Arc::new(GatewayStatus::new(sources, active));
        let shared =
            Shared { services, admission, memory, pace, inventory, status: Arc::clone(&status) };
        let (address, drain) = (config.admin, config.server.drain);
        let reloader = Reloader::new(config, basis, Arc::clone(&relay), shared, kept);
        let admin = admin(address, &mut sockets, &status, reloader.reload_requested()).await?;
        Ok(Self { server, admin, readiness, relay, reader, reloader, decisions, drain })
    }
}

/// What of an address the log shows.
fn redaction(config: &Config, parts: &Parts) -> Result<Redaction, StartError> {
    Ok(match (config.log.addresses, &parts.address_hash) {
        (LogAddresses::Full, _) => Redaction::Full,
        (LogAddresses::Domain, _) => Redaction::Domain,
        (LogAddresses::Hash, Some(keyed)) => keyed.clone(),
        (LogAddresses::Hash, None) => Redaction::hash().map_err(|_| StartError::NoRandomness)?,
    })
}

/// Makes the relay, with what it sends through and what it knows of SES.
async fn sending(
    config: &Config,
    rules: Rules,
    redaction: Redaction,
    decisions: &DecisionLog,
) -> Result<Sending, StartError> {
    let pace = Pace::new(&pace_settings(config));
    let metrics = Arc::new(Metrics::new());
    let (upstream, defer_when_paused) = upstream(config, &pace, &metrics, decisions).await?;
    let settings = RelaySettings {
        redaction,
        defer_when_paused,
        patience: config.answer,
        strip_traceparent: config.otlp.strip_traceparent,
    };
    let (inventory, reader) = ask_ses(config, &upstream).unzip();
    let reader = reader.map(|reader| reader.asked_by(pace.doubts()));
    let needs_credentials = upstream.client().is_some();
    let mut relay = Relay::new(rules, upstream, pace.clone(), settings)
        .counted_by(metrics)
        .with_decision_log(decisions.clone());
    if let Some(inventory) = &inventory {
        relay = relay.with_inventory(inventory.clone());
    }
    Ok(Sending { relay: Arc::new(relay), pace, inventory, reader, needs_credentials })
}

/// Binds the listeners, and returns what their connections share, in their order.
async fn listen(
    config: &Config,
    tls: Vec<Option<Tls>>,
    relay: &Arc<Relay>,
    memory: &Memory,
    sockets: &mut Sockets,
    server: &mut Server,
) -> Result<Vec<Arc<ArcSwap<Service>>>, StartError> {
    let mut services = Vec::new();
    for (listener, tls) in config.listeners.iter().zip(tls) {
        let address = listener.address.value;
        let service = service(config, listener, tls.as_ref(), relay, memory);
        let service = Arc::new(ArcSwap::from_pointee(service));
        services.push(Arc::clone(&service));
        let bind = |source| StartError::Bind { address, source };
        let socket = sockets.listen(address).await.map_err(bind)?;
        let bound = server.listen(socket, service).map_err(bind)?;
        announce(listener, bound, tls.as_ref());
    }
    Ok(services)
}

/// Binds the admin port, where one is wanted.
async fn admin(
    address: Option<SocketAddr>,
    sockets: &mut Sockets,
    status: &Arc<GatewayStatus>,
    reload_requested: Arc<Notify>,
) -> Result<Option<Admin>, StartError> {
    let Some(address) = address else { return Ok(None) };
    let bind = |source| StartError::Bind { address, source };
    let pages = pages(status, reload_requested);
    let admin = Admin::new(sockets.listen(address).await.map_err(bind)?, pages);
    let address = admin.address().map_err(bind)?;
    tracing::info!(%address, "health, metrics and status are told over HTTP");
    Ok(Some(admin))
}

/// What the admin port shows.
fn pages(status: &Arc<GatewayStatus>, reload_requested: Arc<Notify>) -> Pages {
    let (counted, page) = (Arc::clone(status), Arc::clone(status));
    let (token, names) = (Arc::clone(status), Arc::clone(status));
    Pages {
        readiness: status.sources.readiness.clone(),
        metrics: (
            Arc::new(move || counted.sources.relay.metrics().text(Arc::clone(&counted))),
            metrics::MEDIA_TYPE,
        ),
        status: Arc::new(move || page.page()),
        reload: (reload_requested, Arc::new(move || token.token())),
        named: Arc::new(move |name| names.is_name(name)),
    }
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

/// Opens what mail is handed to, and says whether mail is kept by clients while SES has paused.
async fn upstream(
    config: &Config,
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
            let region = config.account.region.clone();
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
