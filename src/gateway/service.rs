//! A listener's configuration to what its connections share.

use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::TlsAcceptor;

use crate::authorize::{Clients, Vpc};
use crate::config::{self, Config, ListenerTls};
use crate::connection::Service;
use crate::memory::Memory;
use crate::pace::PaceSettings;
use crate::relay::Relay;
use crate::smtp::{Auth, BareLf, SessionLimits, SessionSettings};
use crate::tls::Tls;

/// The budget of messages in flight where the system sets no limit, in bytes.
const MEMORY: usize = 512 * 1024 * 1024;
const LEAST_MEMORY: usize = 8 * 1024 * 1024;
/// How long a message waits for its part of it.
const MEMORY_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns what a listener's connections share.
pub(super) fn service(
    config: &Config,
    listener: &config::Listener,
    tls: Option<&Tls>,
    relay: &Arc<Relay>,
    memory: &Memory,
) -> Service {
    let limits = &config.limits;
    let implicit_tls = listener.tls == ListenerTls::Implicit;
    let starttls = listener.tls == ListenerTls::StartTls;
    let asks_for_login = listener.clients.is_empty();
    let settings = |in_clear: bool| SessionSettings {
        hostname: config.server.hostname.clone(),
        message_bytes: limits.message_bytes.min(memory.largest() / relay.weight()),
        starttls,
        require_tls: starttls && asks_for_login && !in_clear,
        auth: if asks_for_login { Auth::Offered { in_clear } } else { Auth::None },
        bare_lf: if listener.normalize_bare_lf { BareLf::Normalize } else { BareLf::Refuse },
        limits: SessionLimits {
            errors: limits.errors_per_connection,
            errors_before_delay: limits.errors_per_connection / 2,
            messages: limits.messages_per_connection,
            ..SessionLimits::default()
        },
    };
    Service {
        name: name(listener).into(),
        settings: Arc::new(settings(listener.auth_in_clear)),
        remote_settings: Arc::new(settings(false)),
        tls: tls.map(|tls| TlsAcceptor::from(Arc::clone(&tls.config))),
        implicit_tls,
        clients: clients(listener),
        deadlines: limits.deadlines.clone(),
        memory: memory.clone(),
        relay: Arc::clone(relay),
    }
}

/// Returns what a listener says of its clients (decisions 8 and 17).
#[must_use]
pub fn clients(listener: &config::Listener) -> Clients {
    let speaks_for =
        listener.clients.iter().map(|client| (client.network, client.user.value.clone()));
    Clients {
        speaks_for: speaks_for.collect(),
        proxies: listener.proxies.clone(),
        vpc: (listener.vpc.is_some() || listener.vpc_endpoint.is_some())
            .then(|| Vpc { endpoint: listener.vpc_endpoint.clone(), id: listener.vpc.clone() }),
        source_ip: listener.source_ip.map(|address| address.to_canonical()),
        secure_transport: listener.secure_transport,
    }
}

/// Returns a listener's name in the log.
#[must_use]
pub fn name(listener: &config::Listener) -> String {
    let address = listener.address.value;
    // A port that the system chooses says nothing.
    if address.port() == 0 { address.ip().to_string() } else { address.to_string() }
}

/// Returns the budget of messages in flight: what the operator says, else half of what the container
/// may have, at most 512 MiB.
pub(super) fn memory(limits: &config::Limits) -> Memory {
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let container = container.and_then(|text| text.trim().parse::<usize>().ok());
    let half = container.map_or(MEMORY, |bytes| (bytes / 2).clamp(LEAST_MEMORY, MEMORY));
    Memory::new(limits.memory.unwrap_or(half), MEMORY_TIMEOUT)
}

/// Returns how fast mail goes out.
pub(super) fn pace_settings(config: &Config) -> PaceSettings {
    PaceSettings { rate: config.rate.recipients_per_second, wait: config.rate.wait }
}
