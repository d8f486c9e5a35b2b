//! What there is to see of a running relay, gathered when somebody asks: the gauges of `/metrics` and
//! `/status`.

mod gauges;
mod page;
mod process;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::{Mutex, MutexGuard};

use super::load::{CandidatePolicies, DecisionInputs};
use crate::admin::{Readiness, Token};
use crate::admission::Admission;
use crate::config::{Config, ListenerTls};
use crate::decision_log::DecisionLog;
use crate::inventory::Inventory;
use crate::memory::Memory;
use crate::pace::Pace;
use crate::relay::Relay;
use crate::text::hex;
use crate::tls::Tls;

/// What is asked whenever somebody looks.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) relay: Arc<Relay>,
    pub(super) readiness: Readiness,
    pub(super) admission: Arc<Admission>,
    pub(super) memory: Memory,
    pub(super) pace: Pace,
    pub(super) inventory: Option<Inventory>,
    pub(super) decisions: DecisionLog,
}

/// What there is to see.
#[derive(Debug)]
pub(super) struct GatewayStatus {
    pub(super) sources: Sources,
    pub(super) started: SystemTime,
    active: Mutex<ActiveConfig>,
}

/// What was read from files.
#[derive(Debug, Clone)]
pub(super) struct ActiveConfig {
    since: SystemTime,
    file: Option<PathBuf>,
    users: usize,
    listeners: Vec<ListenerStatus>,
    /// Each file and the SHA-256 of what is in it, unless that is a secret.
    files: Vec<(PathBuf, Option<String>)>,
    /// The SHA-256 of what allows a reload.
    token: Option<Token>,
    /// By what names the admin port is asked, in lower case.
    names: Vec<String>,
    /// What is tried beside the policies in force.
    candidate: Option<Arc<CandidatePolicies>>,
    /// The last reading, when it was refused.
    refused: Option<(SystemTime, usize)>,
}

/// One listener.
#[derive(Debug, Clone)]
struct ListenerStatus {
    address: String,
    tls: &'static str,
    certificate: Option<Certificate>,
}

#[derive(Debug, Clone)]
struct Certificate {
    fingerprint: String,
    not_after: i64,
    self_signed: bool,
}

impl ActiveConfig {
    /// What these are, just read.
    pub(super) fn new(
        config: &Config,
        basis: &DecisionInputs,
        tls: &[Option<Tls>],
        now: SystemTime,
    ) -> Self {
        let listeners = config.listeners.iter().zip(tls).map(|(listener, tls)| ListenerStatus {
            address: listener.address.value.to_string(),
            tls: match listener.tls {
                ListenerTls::StartTls => "starttls",
                ListenerTls::Implicit => "implicit",
                ListenerTls::Off => "off",
            },
            certificate: tls.as_ref().map(|tls| Certificate {
                fingerprint: tls.fingerprint.clone(),
                not_after: tls.not_after,
                self_signed: listener.certificate.is_none(),
            }),
        });
        let hash = |file: &PathBuf| {
            // Anybody may see the hash, and try words for what it is of.
            if config.is_secret(file) {
                return None;
            }
            let bytes = std::fs::read(file).ok()?;
            Some(hex(digest(&SHA256, &bytes).as_ref()))
        };
        let names = config.admin_hosts.iter().chain([&config.server.hostname]);
        Self {
            since: now,
            file: config.origin.file().map(PathBuf::from),
            users: config.users.len(),
            listeners: listeners.collect(),
            files: config.files().into_iter().map(|file| (file.clone(), hash(&file))).collect(),
            token: config.admin_token,
            names: names.map(|name| name.to_ascii_lowercase()).collect(),
            candidate: basis.candidate().cloned(),
            refused: None,
        }
    }
}

impl GatewayStatus {
    pub(super) fn new(sources: Sources, active: ActiveConfig) -> Self {
        Self { sources, started: active.since, active: Mutex::new(active) }
    }

    /// Other files are in use from now on.
    pub(super) fn renewed(&self, active: ActiveConfig) {
        *self.active() = active;
        self.sources.relay.metrics().reloaded("in_use");
    }

    /// A reload was refused for this many problems.
    pub(super) fn refused(&self, now: SystemTime, problems: usize) {
        self.active().refused = Some((now, problems));
        self.sources.relay.metrics().reloaded("refused");
    }

    /// The SHA-256 of what allows a reload over HTTP.
    pub(super) fn token(&self) -> Option<Token> {
        self.active().token
    }

    pub(super) fn is_name(&self, name: &str) -> bool {
        self.active().names.iter().any(|own| own == name)
    }

    fn active(&self) -> MutexGuard<'_, ActiveConfig> {
        self.active.lock()
    }
}
