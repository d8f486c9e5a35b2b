//! Reading the configuration again while mail flows: on SIGHUP, and when a file of it has changed
//! (decision 19).
//!
//! All or nothing: users, policies, identities, limits and certificates are swapped together, or the
//! old ones stay and the log says why. What would need another socket or another client of SES needs
//! a restart.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::file_watch::FileStamps;
use super::load::{Carried, DecisionInputs, load_again, watched};
use super::service::{pace_settings, service};
use super::status::{ActiveConfig, GatewayStatus};
use crate::admission::Admission;
use crate::clock;
use crate::config::{Config, Identities, Limits, Listener, Placed, Problem, Rate, Server};
use crate::connection::Service;
use crate::identities::Account;
use crate::inventory::{AccountState, Inventory, Snapshot};
use crate::login::Principals;
use crate::memory::Memory;
use crate::pace::{Pace, Quota};
use crate::relay::Relay;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// What outlives each reading of the configuration.
#[derive(Debug)]
pub(super) struct Shared {
    /// The services of the listeners.
    pub(super) services: Vec<Arc<ArcSwap<Service>>>,
    /// What counts connections.
    pub(super) admission: Arc<Admission>,
    /// The budget of messages in flight.
    pub(super) memory: Memory,
    /// How fast mail goes out.
    pub(super) pace: Pace,
    /// What SES says of the account.
    pub(super) inventory: Option<Inventory>,
    /// What there is to see of all this.
    pub(super) status: Arc<GatewayStatus>,
}

/// Keeps what is in use in step with the files, and with what SES says.
#[derive(Debug)]
pub(super) struct Reloader {
    config: Config,
    basis: DecisionInputs,
    relay: Arc<Relay>,
    shared: Shared,
    kept: Carried,
    reload_requested: Arc<Notify>,
    /// What SES said last.
    last_snapshot: Arc<Snapshot>,
}

impl Reloader {
    pub(super) fn new(
        config: Config,
        basis: DecisionInputs,
        relay: Arc<Relay>,
        shared: Shared,
        kept: Carried,
    ) -> Self {
        let (reload_requested, last_snapshot) = (Arc::default(), Arc::default());
        let mut reloader =
            Self { config, basis, relay, shared, kept, reload_requested, last_snapshot };
        // What an earlier process kept counts from the first message on.
        reloader.apply_snapshot();
        reloader
    }

    pub(super) fn reload_requested(&self) -> Arc<Notify> {
        Arc::clone(&self.reload_requested)
    }

    /// Reads again whenever there is reason to, until `end`.
    pub(super) async fn run(mut self, end: CancellationToken) {
        let mut in_use = FileStamps::take(watched(&self.config)).await;
        let mut last = in_use.clone();
        let mut changes = self.shared.inventory.as_ref().map(Inventory::changes);
        // SES may say something new more often than files are looked at.
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look.tick().await;
        loop {
            let asked = tokio::select! {
                () = end.cancelled() => return,
                () = changed(&mut changes) => {
                    self.apply_snapshot();
                    continue;
                }
                () = self.reload_requested.notified() => true,
                _ = look.tick() => false,
            };
            look.reset();
            let now = FileStamps::take(in_use.files()).await;
            // Files that are still being written are left alone until they stay as they are.
            let settled = now == last;
            last = now.clone();
            if !asked && (now == in_use || !settled) {
                continue;
            }
            self.read_again().await;
            in_use = now.merge(watched(&self.config)).await;
            last = in_use.clone();
        }
    }

    async fn read_again(&mut self) {
        let (origin, kept) = (self.config.origin.clone(), self.kept.clone());
        let read = tokio::task::spawn_blocking(move || {
            let (config, mut problems) = Config::read(origin.sources());
            let loaded = config.as_ref().map(|config| load_again(config, kept));
            if let Some(loaded) = &loaded {
                problems.extend(loaded.problems.iter().cloned());
            }
            (config, loaded, problems)
        });
        let Ok((config, loaded, mut problems)) = read.await else {
            return self.refuse(&[]);
        };
        let (Some(config), Some(loaded)) = (config, loaded) else { return self.refuse(&problems) };
        problems.extend(self.needs_restart(&config));
        if !problems.is_empty() {
            return self.refuse(&problems);
        }
        let (tls, kept) = (loaded.parts.tls.clone(), loaded.parts.kept.clone());
        let in_use = tokio::task::block_in_place(|| {
            ActiveConfig::new(&config, &loaded.parts.basis, &tls, clock::time_of_day())
        });
        // Failures, locks and what was right are not forgotten with the users.
        let guard = Arc::clone(self.relay.rules().principals.guard());
        guard.configure(config.limits.logins.clone());
        let basis = loaded.parts.basis.clone();
        let principals = Arc::new(Principals::behind(guard, loaded.parts.users));
        let rules = tokio::task::block_in_place(|| basis.rules(principals, self.snapshot()));
        if let Some(candidate) = basis.candidate() {
            candidate.tell();
        }
        self.basis = basis;
        for warning in loaded.warnings {
            tracing::warn!("{warning}");
        }
        self.relay.renew(rules);
        for ((listener, tls), shared) in config.listeners.iter().zip(tls).zip(&self.shared.services)
        {
            shared.store(Arc::new(service(
                &config,
                listener,
                tls.as_ref(),
                &self.relay,
                &self.shared.memory,
            )));
        }
        self.shared.pace.configure(&pace_settings(&config));
        self.shared.admission.configure(config.limits.admission);
        self.kept = kept;
        self.config = config;
        self.shared.status.renewed(in_use);
        tracing::info!(
            config = %self.config.origin,
            users = self.config.users.len(),
            "the configuration was read again and is in use",
        );
    }

    /// Says why what was in use stays.
    fn refuse(&self, problems: &[Problem]) {
        self.shared.status.refused(clock::time_of_day(), problems.len());
        for problem in problems {
            tracing::error!("{problem}");
        }
        tracing::error!(
            problems = problems.len(),
            "the configuration was read again and cannot be used; what was in use stays. \
             `sesgate check` lists its mistakes too",
        );
    }

    /// What SES said, if it is asked.
    fn snapshot(&self) -> Option<&Snapshot> {
        self.shared.inventory.as_ref().map(|_| &*self.last_snapshot)
    }

    /// Takes over what SES says of the account.
    fn apply_snapshot(&mut self) {
        let Some(inventory) = &self.shared.inventory else { return };
        let before = std::mem::replace(&mut self.last_snapshot, inventory.snapshot());
        let now = &self.last_snapshot;
        if let Some(state) = &now.account {
            self.shared.pace.learn(Quota {
                max_send_rate: state.max_send_rate,
                max_24_hour_send: state.max_24_hour_send,
                sent_last_24_hours: state.sent_last_24_hours,
            });
            tell(before.account.as_ref(), state);
            let paused = "SES has paused sending for the account; see its dashboard";
            let paused = (!state.sending_enabled).then(|| paused.to_owned());
            self.shared.status.sources.readiness.found("sending", paused);
        }
        let sandbox = |said: &Snapshot| said.account.as_ref().map(|state| state.production_access);
        let is_new = !Arc::ptr_eq(&before.identities, &now.identities)
            || before.complete != now.complete
            || sandbox(&before) != sandbox(now);
        if is_new {
            let principals = Arc::clone(&self.relay.rules().principals);
            // Compiling the policies of a large account takes part of a second.
            let rules =
                tokio::task::block_in_place(|| self.basis.rules(principals, self.snapshot()));
            self.relay.renew(rules);
            if self.last_snapshot.account.is_none() && self.last_snapshot.taken.is_none() {
                // Nothing was said yet, neither now nor to an earlier process.
                return;
            }
            tracing::info!(
                identities = self.last_snapshot.identities.len(),
                complete = self.last_snapshot.complete,
                "what SES says of the account is in use",
            );
        }
    }

    /// What cannot change while the process runs.
    fn needs_restart(&self, new: &Config) -> Vec<Problem> {
        // Every key is named, so that none is added without a decision.
        let Config {
            server: Server { hostname: _, certificate_directory, drain },
            account: Account { id, region, partition: _, sandbox: _, organization: _ },
            identities: Identities { authoritative: _, from_ses, cache, known: _, delegated: _ },
            listeners,
            admin,
            rate: Rate { recipients_per_second: _, wait: _, ask_ses: _ },
            upstream,
            answer,
            limits:
                Limits {
                    memory,
                    message_bytes: _,
                    admission: _,
                    messages_per_connection: _,
                    errors_per_connection: _,
                    deadlines: _,
                    logins: _,
                },
            log,
            decision_log,
            otlp,
            admin_token: _,
            admin_hosts: _,
            service_control_policies: _,
            users: _,
            groups: _,
            lint: _,
            origin: _,
        } = &self.config;
        let addresses = |listeners: &[Listener]| -> Vec<_> {
            listeners.iter().map(|listener| listener.address.value).collect()
        };
        let directory = |file: &Option<Placed<PathBuf>>| file.as_ref().map(|it| it.value.clone());
        let changes = [
            ("the addresses of `[[listeners]]`", addresses(listeners) != addresses(&new.listeners)),
            ("`[upstream]`", (upstream, answer) != (&new.upstream, &new.answer)),
            ("`region` in `[account]`", *region != new.account.region),
            (
                "`id` of `[account]`, or `source` or `cache` of `[identities]`",
                *id != new.account.id
                    || (from_ses, cache) != (&new.identities.from_ses, &new.identities.cache),
            ),
            ("`[admin]`", *admin != new.admin),
            ("`[log]`", *log != new.log),
            ("`[decision_log]`", *decision_log != new.decision_log),
            ("`[otlp]`", *otlp != new.otlp),
            ("`drain_seconds` in `[server]`", *drain != new.server.drain),
            (
                "`certificate_directory` in `[server]`",
                directory(certificate_directory) != directory(&new.server.certificate_directory),
            ),
            ("`memory_mib` in `[limits]`", *memory != new.limits.memory),
        ];
        let changed = changes.into_iter().filter(|(_, changed)| *changed);
        changed
            .map(|(what, _)| {
                new.origin.problem_of_all(format!("{what} changed, which needs a restart"))
            })
            .collect()
    }
}

/// Waits for something new from SES; for ever when it is not asked.
async fn changed(changes: &mut Option<watch::Receiver<Arc<Snapshot>>>) {
    if let Some(changes) = changes
        && changes.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Tells what an operator wants to know of the account, when it is new.
fn tell(before: Option<&AccountState>, state: &AccountState) {
    let kept = |state: &AccountState| {
        let quota = (state.max_send_rate, state.max_24_hour_send);
        (quota, state.production_access, state.sending_enabled, state.enforcement_status.clone())
    };
    if before.map(kept) != Some(kept(state)) {
        tracing::info!(
            max_send_rate = state.max_send_rate,
            max_24_hour_send = state.max_24_hour_send,
            sent_last_24_hours = state.sent_last_24_hours,
            production_access = state.production_access,
            sending_enabled = state.sending_enabled,
            enforcement_status = state.enforcement_status,
            "the account of SES",
        );
    }
    let is_low = |state: &AccountState| {
        state.max_24_hour_send > 0.0 && state.sent_last_24_hours > 0.8 * state.max_24_hour_send
    };
    if is_low(state) && !before.is_some_and(is_low) {
        tracing::warn!(
            max_24_hour_send = state.max_24_hour_send,
            sent_last_24_hours = state.sent_last_24_hours,
            "more than 80 % of the quota of SES is used; ask AWS for a larger one",
        );
    }
    if !state.sending_enabled && before.is_none_or(|before| before.sending_enabled) {
        tracing::warn!("SES has paused sending for the account; see its dashboard");
    }
}
