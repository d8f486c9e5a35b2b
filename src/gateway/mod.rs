//! The one place where the parts are put together.

mod credential_watch;
mod documents;
mod file_watch;
mod load;
mod preflight;
mod reload;
mod service;
mod start;
mod status;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use documents::{By, Used, documents};
pub use load::{Explainer, Loaded, Parts, load};
pub use preflight::preflight;
use reload::Reloader;
pub use service::{clients, name};

use crate::admin::{Admin, Readiness};
use crate::config::Config;
use crate::decision_log::DecisionLog;
use crate::inventory::{InventorySettings, Reader};
use crate::relay::Relay;
use crate::server::Server;
use crate::sockets::SocketsError;

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

fn inventory_settings(config: &Config) -> InventorySettings {
    let identities = config.identities.from_ses;
    let account = &config.account;
    let cache = config.identities.cache.clone().filter(|_| identities);
    InventorySettings { identities, ..InventorySettings::new(&account.id, &account.region, cache) }
}
