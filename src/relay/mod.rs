//! One finished transaction: one decision, one upstream call, one reply, one log line.

mod candidate;
mod clients;
mod decisions;
mod facts;
mod record;
mod refusal;
mod report;
mod slow_decisions;
mod span;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use clients::CLIENTS;
pub use facts::{Mail, NotDecidable, facts};
pub use refusal::{Refusal, word};

use crate::authorize::{Client, Screened};
use crate::clock;
use crate::decision_log::{DecisionLog, Unwritten};
use crate::inventory::Inventory;
use crate::memory::Share;
use crate::metrics::Metrics;
use crate::pace::{Budget, Pace, Turn};
use crate::redact::Redaction;
use crate::rules::Rules;
use crate::smtp::reply::Unsupported;
use crate::smtp::{Envelope, Reply, Transaction};
use crate::trace::{self, Kind, Trace, TransactionTimes};
use crate::upstream::{Held, Upstream, UpstreamError};
use decisions::occasion;
use record::{Sent, shown};
use report::Report;
use slow_decisions::SlowDecisions;

/// How the relay behaves beside its rules.
#[derive(Debug)]
pub struct RelaySettings {
    /// What of an address the log shows.
    pub redaction: Redaction,
    /// Answers `451` instead of `554` while SES has paused the account (decision 14).
    pub defer_when_paused: bool,
    /// How long a client waits for the answer to its content (decision 15).
    pub patience: Duration,
    /// Leaves `traceparent` and `tracestate` out of what is forwarded.
    pub strip_traceparent: bool,
}

/// Carries out transactions.
#[derive(Debug)]
pub struct Relay {
    rules: Arc<ArcSwap<Rules>>,
    upstream: Upstream,
    pace: Pace,
    slow_decisions: SlowDecisions,
    inventory: Option<Inventory>,
    decisions: DecisionLog,
    settings: RelaySettings,
    metrics: Arc<Metrics>,
    /// Whether there were credentials when that was looked at last.
    has_credentials: AtomicBool,
}

impl Relay {
    /// Puts the parts together.
    #[must_use]
    pub fn new(rules: Rules, upstream: Upstream, pace: Pace, settings: RelaySettings) -> Self {
        let rules = Arc::new(ArcSwap::from_pointee(rules));
        let (decisions, metrics) = (DecisionLog::default(), Arc::default());
        let slow_decisions = SlowDecisions::new();
        let inventory = None;
        Self {
            rules,
            upstream,
            pace,
            slow_decisions,
            inventory,
            decisions,
            settings,
            metrics,
            has_credentials: AtomicBool::new(true),
        }
    }

    /// Counts what happens in `metrics`.
    #[must_use]
    pub fn counted_by(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// What counts.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Tells what messages depend on to whom reads it from SES.
    #[must_use]
    pub fn with_inventory(mut self, inventory: Inventory) -> Self {
        self.inventory = Some(inventory);
        self
    }

    /// Writes records to that log instead of the ordinary one alone.
    #[must_use]
    pub fn with_decision_log(mut self, decisions: DecisionLog) -> Self {
        self.decisions = decisions;
        self
    }

    /// Returns the rules of the moment.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Puts other rules in place of these, for every decision from now on (decision 19).
    pub fn renew(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
    }

    /// Returns a client as the rules of the moment know it.
    #[must_use]
    pub fn known(&self, client: &Client) -> Option<Client> {
        self.rules.load().known(client, clock::time_of_day())
    }

    /// Returns what the log may show of a reply (decision 21).
    #[must_use]
    pub fn shown(&self, reply: &Reply) -> String {
        shown(&self.settings.redaction, reply)
    }

    /// Decides about a complete message, sends it if it may be sent, and returns the reply.
    ///
    /// `screened` is what was decided at the end of its header section.
    /// `share` is the memory that the message has, given back when nobody needs it any more.
    /// `abort` ends the waiting for the upstream, not what it does: the end of a drain.
    pub async fn carry_out(
        &self,
        client: &Client,
        transaction: Transaction,
        screened: Option<Screened>,
        share: Share,
        abort: &CancellationToken,
        begun: TransactionTimes,
    ) -> Reply {
        let trace = trace::begin(begun, transaction.header.trace_parent());
        trace.scope(self.transact(client, transaction, screened, share, abort, &trace)).await
    }

    async fn transact(
        &self,
        client: &Client,
        transaction: Transaction,
        screened: Option<Screened>,
        share: Share,
        abort: &CancellationToken,
        trace: &Trace,
    ) -> Reply {
        let started = clock::now();
        let by = started + self.settings.patience;
        let id = occasion().id;
        let (envelope, header) = (transaction.envelope.clone(), transaction.header.clone());
        let bytes = transaction.content.len();
        let report = Report::new(self, trace, client, &envelope, Some(&header), id);
        match self.forward(&report, transaction, screened, share, abort, by).await {
            Ok(sent) => report.relayed(&sent, started.elapsed(), by, abort).await,
            Err(refusal) => report.refused(&refusal, Some(bytes), started.elapsed()),
        }
    }

    /// Waits for its turn, decides, records what is meant, and hands over.
    async fn forward(
        &self,
        report: &Report<'_>,
        transaction: Transaction,
        screened: Option<Screened>,
        share: Share,
        abort: &CancellationToken,
        by: Instant,
    ) -> Result<Sent, Refusal> {
        let (client, id) = (report.client(), report.id());
        let envelope = Arc::clone(&transaction.envelope);
        let bytes = transaction.content.len();
        let begun = clock::now();
        let pacing = trace::step("pace", Kind::Internal);
        let turn = tokio::select! {
            biased;
            turn = self.turn(client, &envelope, id, by) => turn?,
            () = abort.cancelled() => return Err(ended_early("before the message had its turn", false)),
        };
        drop(pacing);
        let waited = begun.elapsed();
        self.metrics.waited(waited);
        let deciding = trace::step("decide", Kind::Internal);
        let (permit, in_force) = self.permit(report, transaction, screened, by).await?;
        drop(deciding);
        report.decided(permit.verdict());
        tokio::select! {
            biased;
            intended = report.intend(&permit, bytes, by) => intended?,
            () = abort.cancelled() => return Err(Unwritten::Failed("the relay ended".into()).into()),
        }
        let verdict = permit.verdict().clone();
        let overruled = permit.overruled().to_vec();
        let configuration_set = permit.parameters().configuration_set.clone();
        let handed = clock::now();
        let sent = tokio::select! {
            biased;
            sent = self.upstream.send(permit, Held { share, turn, in_force }, by) => sent.map_err(Refusal::from),
            () = abort.cancelled() => Err(ended_early("before the upstream answered", true)),
        };
        let answer = sent.as_ref().map_or_else(Refusal::name, |_| "taken");
        self.metrics.answered(answer, handed.elapsed());
        match sent {
            Ok(message_id) => {
                Ok(Sent { verdict, overruled, configuration_set, message_id, bytes, waited })
            }
            Err(Refusal::Upstream(UpstreamError::Paused(text)))
                if self.settings.defer_when_paused =>
            {
                Err(Refusal::Deferred(text))
            }
            Err(refusal) => {
                if matches!(&refusal, Refusal::Upstream(error) if error.is_possible_duplicate()) {
                    self.metrics.possible_duplicate();
                }
                Err(refusal)
            }
        }
    }

    /// Waits until the message may be handed over: the rate of the account, shared fairly.
    async fn turn(
        &self,
        client: &Client,
        envelope: &Envelope,
        id: Uuid,
        by: Instant,
    ) -> Result<Turn, Refusal> {
        let client = self.known(client).ok_or(Refusal::NoUser)?;
        let user = &client.principal;
        let budget =
            Budget { per_second: user.recipients_per_second, per_day: user.recipients_per_day };
        let recipients = envelope.forward_paths.len();
        if budget.per_day.is_some_and(|most| u64::try_from(recipients).unwrap_or(u64::MAX) > most) {
            return Err(Refusal::Denied { id, source: Unsupported::OverDailyBudget.into() });
        }
        Ok(self.pace.turn(&user.name, budget, recipients, by).await?)
    }

    /// How many bytes a byte of content takes in all while the upstream is called.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.upstream.weight()
    }

    /// Logs a message for which there was no memory.
    pub fn put_off(
        &self,
        client: &Client,
        envelope: &Envelope,
        bytes: usize,
        reply: &Reply,
        begun: TransactionTimes,
    ) {
        let trace = &trace::begin(begun, None);
        Report::new(self, trace, client, envelope, None, occasion().id).put_off(bytes, reply);
    }

    /// Logs a message that was refused before anything could be decided about it.
    pub fn unreadable(
        &self,
        client: &Client,
        envelope: &Envelope,
        reply: &Reply,
        begun: TransactionTimes,
    ) {
        let trace = &trace::begin(begun, None);
        Report::new(self, trace, client, envelope, None, occasion().id).unreadable(reply);
    }

    /// Says whether the upstream has the credentials that it needs.
    ///
    /// # Errors
    /// What the credential chain says.
    pub async fn credentials(&self) -> Result<(), String> {
        let found = self.upstream.credentials().await;
        self.has_credentials.store(found.is_ok(), Ordering::Relaxed);
        found
    }

    /// Has new credentials asked for: SES said that they have expired.
    pub fn refresh_credentials(&self) {
        self.upstream.refresh_credentials();
    }

    /// Waits for calls that outlived the answer to their client.
    pub async fn settle(&self) {
        self.upstream.settle().await;
    }
}

/// The end of a drain came first.
fn ended_early(when: &str, possible_duplicate: bool) -> Refusal {
    Refusal::Upstream(UpstreamError::Temporary {
        detail: format!("the relay ended {when}"),
        said: None,
        remedy: if possible_duplicate {
            "raise `drain_seconds` in `[server]`; expect a duplicate"
        } else {
            "raise `drain_seconds` in `[server]`"
        },
        possible_duplicate,
    })
}
