//! Reading the configuration again while mail flows: on SIGHUP, and when a file of it has changed
//! (decision 19).
//!
//! All or nothing: users, policies, identities, limits and certificates are swapped together, or the
//! old ones stay and the log says why. What would need another socket or another client of SES needs
//! a restart.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::load::load_again;
use super::service::{admission_limits, guard_settings, pace_settings, service};
use crate::admission::Admission;
use crate::config::{Config, Problem};
use crate::connection::Service;
use crate::memory::Memory;
use crate::pace::Pace;
use crate::relay::Relay;
use crate::tls::Tls;

/// How often files are looked at. Looking is a few system calls a file, and follows the symbolic
/// links by which Kubernetes swaps whole directories.
const LOOK: Duration = Duration::from_secs(5);

/// Keeps what is in use in step with the files.
#[derive(Debug)]
pub(super) struct Renewal {
    config: Config,
    relay: Arc<Relay>,
    services: Vec<Arc<ArcSwap<Service>>>,
    admission: Arc<Admission>,
    memory: Memory,
    pace: Pace,
    self_signed: Option<Tls>,
    hangup: Arc<Notify>,
}

impl Renewal {
    pub(super) fn new(
        config: Config,
        relay: Arc<Relay>,
        services: Vec<Arc<ArcSwap<Service>>>,
        admission: Arc<Admission>,
        memory: Memory,
        pace: Pace,
        self_signed: Option<Tls>,
    ) -> Self {
        Self {
            config,
            relay,
            services,
            admission,
            memory,
            pace,
            self_signed,
            hangup: Arc::default(),
        }
    }

    pub(super) fn hangup(&self) -> Arc<Notify> {
        Arc::clone(&self.hangup)
    }

    /// Reads again whenever there is reason to, until `end`.
    pub(super) async fn run(mut self, end: CancellationToken) {
        let mut in_use = Look::at(self.config.files()).await;
        let mut last = in_use.clone();
        loop {
            let asked = tokio::select! {
                () = end.cancelled() => return,
                () = self.hangup.notified() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            let now = Look::at(in_use.files()).await;
            // Files that are still being written are left alone until they stay as they are.
            let settled = now == last;
            last = now.clone();
            if !asked && (now == in_use || !settled) {
                continue;
            }
            self.read_again().await;
            in_use = now.with(self.config.files()).await;
            last = in_use.clone();
        }
    }

    async fn read_again(&mut self) {
        let (file, self_signed) = (self.config.file.clone(), self.self_signed.clone());
        let read = tokio::task::spawn_blocking(move || {
            let (config, mut problems) = Config::read(&file);
            let loaded = config.as_ref().map(|config| load_again(config, self_signed));
            if let Some(loaded) = &loaded {
                problems.extend(loaded.problems.iter().cloned());
            }
            (config, loaded, problems)
        });
        let Ok((config, loaded, mut problems)) = read.await else {
            return refuse(&[]);
        };
        let (Some(config), Some(loaded)) = (config, loaded) else { return refuse(&problems) };
        problems.extend(self.needs_restart(&config));
        if !problems.is_empty() {
            return refuse(&problems);
        }
        let (tls, self_signed) = (loaded.parts.tls.clone(), loaded.parts.self_signed.clone());
        // Failures, locks and what was right are not forgotten with the users.
        let guard = Arc::clone(self.relay.rules().principals.guard());
        guard.configure(guard_settings(&config.limits));
        let rules = loaded.parts.into_rules(guard);
        for warning in loaded.warnings {
            tracing::warn!("{warning}");
        }
        self.relay.renew(rules);
        for ((listener, tls), shared) in config.listeners.iter().zip(tls).zip(&self.services) {
            shared.store(Arc::new(service(
                &config,
                listener,
                tls.as_ref(),
                &self.relay,
                &self.memory,
            )));
        }
        self.pace.configure(&pace_settings(&config));
        self.admission.configure(admission_limits(&config.limits));
        self.self_signed = self_signed.or(self.self_signed.take());
        self.config = config;
        tracing::info!(
            config = %self.config.file.display(),
            users = self.config.users.len(),
            "the configuration was read again and is in use",
        );
    }

    /// What cannot change while the process runs.
    fn needs_restart(&self, new: &Config) -> Vec<Problem> {
        let old = &self.config;
        let addresses = |config: &Config| -> Vec<_> {
            config.listeners.iter().map(|listener| listener.address.value).collect()
        };
        let changes = [
            ("the addresses of `[[listeners]]`", addresses(old) != addresses(new)),
            ("`[upstream]`", old.upstream != new.upstream || old.answer != new.answer),
            ("`region` in `[account]`", old.account.region != new.account.region),
            ("`[admin]`", old.admin != new.admin),
            ("`[log]`", old.log != new.log),
            ("`drain_seconds` in `[server]`", old.server.drain != new.server.drain),
            ("`memory_mib` in `[limits]`", old.limits.memory != new.limits.memory),
        ];
        let changed = changes.into_iter().filter(|(_, changed)| *changed);
        changed
            .map(|(what, _)| Problem {
                file: new.file.display().to_string(),
                place: None,
                message: format!("{what} changed, which needs a restart"),
            })
            .collect()
    }
}

fn refuse(problems: &[Problem]) {
    for problem in problems {
        tracing::error!("{problem}");
    }
    tracing::error!(
        problems = problems.len(),
        "the configuration was read again and cannot be used; what was in use stays. \
         `sesgate check` lists its mistakes too",
    );
}

/// What files looked like at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look(Vec<(PathBuf, Option<Mark>)>);

/// Which file a path leads to, and its state.
type Mark = (u64, u64, u64, Option<SystemTime>);

impl Look {
    async fn at(files: Vec<PathBuf>) -> Self {
        let looked = tokio::task::spawn_blocking(move || {
            files
                .into_iter()
                .map(|file| (mark(&file), file))
                .map(|(mark, file)| (file, mark))
                .collect()
        });
        Self(looked.await.unwrap_or_default())
    }

    fn files(&self) -> Vec<PathBuf> {
        self.0.iter().map(|(file, _)| file.clone()).collect()
    }

    /// What was seen of these files, and how those that were not looked at are now.
    async fn with(self, files: Vec<PathBuf>) -> Self {
        let now = Self::at(files).await;
        let seen: std::collections::HashMap<_, _> = self.0.into_iter().collect();
        let mark = |(file, mark): (PathBuf, Option<Mark>)| {
            let mark = seen.get(&file).cloned().unwrap_or(mark);
            (file, mark)
        };
        Self(now.0.into_iter().map(mark).collect())
    }
}

fn mark(file: &std::path::Path) -> Option<Mark> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(file).ok()?;
    Some((meta.dev(), meta.ino(), meta.len(), meta.modified().ok()))
}
