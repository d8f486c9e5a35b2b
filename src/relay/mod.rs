//! One finished transaction: one decision, one upstream call, one reply, one log line.

mod clients;
mod record;
mod refusal;
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
pub use refusal::Refusal;

use crate::authorize::{Client, Denial, NotPermitted, Occasion, Permit, STEPS, Screened, Verdict};
use crate::clock;
use crate::decision_log::{DecisionLog, Unwritten};
use crate::inventory::Inventory;
use crate::memory::Share;
use crate::message::HeaderSection;
use crate::metrics::{Ending, Metrics};
use crate::pace::{Budget, Pace, Turn};
use crate::redact::Redaction;
use crate::rules::Rules;
use crate::smtp::{Envelope, Reply, Transaction};
use crate::trace::{self, Kind, Trace, TransactionTimes};
use crate::upstream::{Held, InForce, Upstream, UpstreamError};
use record::{Sent, TransactionLog, shown};
use slow_decisions::{QUICK_STEPS, SlowDecisions, Undecided};
use span::TransactionSpan;

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

    /// Decides about a message whose header section is complete: one that is refused here need not
    /// be read to its end. The binding decision is that of [`Relay::carry_out`], which takes what was
    /// decided here.
    ///
    /// # Errors
    /// The reply that refuses it.
    pub fn screen(
        &self,
        client: &Client,
        envelope: &Arc<Envelope>,
        header: &Arc<HeaderSection>,
        begun: TransactionTimes,
    ) -> Result<Option<Screened>, Reply> {
        let occasion = occasion();
        let started = clock::now();
        let rules = self.rules.load();
        let refusal = match rules.known(client, occasion.now) {
            Some(client) => match rules.authorizer.screen(&client, envelope, header, occasion) {
                Ok(screened) => return Ok(screened),
                // What takes long is decided once, with the binding decision.
                Err(Denial::TooManySteps) => return Ok(None),
                Err(source) => self.denied(occasion.id, source),
            },
            None => Refusal::NoUser,
        };
        let took = started.elapsed();
        self.decided(client, Err(&refusal), took);
        let log = self.log(client, envelope, Some(header), occasion.id);
        let trace = &trace::begin(begun, header.trace_parent());
        let reply = trace.within(|| log.refused(&refusal, None, took));
        self.span(trace, client, envelope, Some(header), occasion.id)
            .refused(&refusal, None, &reply);
        self.ended(client, refusal.name(), &reply);
        Err(reply)
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
        let log = self.log(client, &envelope, Some(&header), id);
        let span = self.span(trace, client, &envelope, Some(&header), id);
        match self.forward(&log, transaction, screened, share, abort, by).await {
            Ok(sent) => {
                self.metrics.taken(&client.principal.name, envelope.forward_paths.len(), bytes);
                // SES has the message: at the end of a drain its client is told so, whatever becomes
                // of the record, which waits for the disk.
                let reply = tokio::select! {
                    biased;
                    reply = log.relayed(&sent, started.elapsed(), by) => reply,
                    () = abort.cancelled() => Reply::accepted(&sent.message_id),
                };
                span.relayed(&sent, &reply);
                self.ended(client, "relayed", &reply);
                reply
            }
            Err(refusal) => {
                let reply = log.refused(&refusal, Some(bytes), started.elapsed());
                span.refused(&refusal, Some(bytes), &reply);
                self.ended(client, refusal.name(), &reply);
                reply
            }
        }
    }

    /// Waits for its turn, decides, records what is meant, and hands over.
    async fn forward(
        &self,
        log: &TransactionLog<'_>,
        transaction: Transaction,
        screened: Option<Screened>,
        share: Share,
        abort: &CancellationToken,
        by: Instant,
    ) -> Result<Sent, Refusal> {
        let (client, id) = (log.client(), log.id());
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
        let (permit, in_force) = self.permit(client, transaction, screened, id, by).await?;
        drop(deciding);
        tokio::select! {
            biased;
            intended = log.intend(&permit, bytes, by) => intended?,
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
            // It would never fit (decision 14).
            let text = "Recipient count exceeds the daily budget of this user.";
            return Err(Refusal::Denied { id, source: Denial::Unsupported(text.to_owned()) });
        }
        Ok(self.pace.turn(&user.name, budget, recipients, by).await?)
    }

    /// The binding decision, by the rules of this moment, and what says whether they still hold.
    async fn permit(
        &self,
        client: &Client,
        mut transaction: Transaction,
        screened: Option<Screened>,
        id: Uuid,
        by: Instant,
    ) -> Result<(Permit, InForce), Refusal> {
        if self.settings.strip_traceparent && transaction.header.has_trace_fields() {
            Arc::make_mut(&mut transaction.header).remove_trace_fields();
        }
        let rules = self.rules.load_full();
        let occasion = occasion_of(id);
        let client = rules.known(client, occasion.now).ok_or(Refusal::NoUser)?;
        let (envelope, header) = (transaction.envelope.clone(), transaction.header.clone());
        let started = clock::now();
        let permit = match rules.authorizer.permit(&client, transaction, occasion, screened) {
            Err(not) if not.denial == Denial::TooManySteps => {
                let occasion = Occasion { steps: STEPS, ..occasion };
                self.permit_slowly(&rules, &client, not.transaction, occasion, by).await?
            }
            permit => permit,
        };
        let permit = permit.map_err(|not| self.denied(id, not.denial));
        self.decided(&client, permit.as_ref().map(Permit::verdict), started.elapsed());
        let permit = permit?;
        let parameters = permit.parameters().clone();
        let current = Arc::clone(&self.rules);
        let in_force = InForce::new(move || {
            let now = current.load();
            let occasion = occasion_of(id);
            // Other rules may still permit the very same.
            Arc::ptr_eq(&rules, &now)
                || now.known(&client, occasion.now).is_some_and(|client| {
                    now.authorizer.confirms(&client, &envelope, &header, occasion, &parameters)
                })
        });
        Ok((permit, in_force))
    }

    /// Makes a decision that takes long, off the threads that serve everybody.
    async fn permit_slowly(
        &self,
        rules: &Arc<Rules>,
        client: &Client,
        transaction: Transaction,
        occasion: Occasion,
        by: Instant,
    ) -> Result<Result<Permit, Box<NotPermitted>>, Refusal> {
        let (rules, client) = (Arc::clone(rules), client.clone());
        let user = client.principal.name.clone();
        let permit = move || rules.authorizer.permit(&client, transaction, occasion, None);
        self.slow_decisions.decide(&user, by, permit).await.map_err(|undecided| {
            Refusal::Upstream(UpstreamError::Temporary {
                detail: match undecided {
                    Undecided::Late => "decisions about other messages of the user took too long",
                    Undecided::Failed => "the decision ended without an answer",
                }
                .to_owned(),
                said: None,
                remedy: "send to fewer addresses in one message, or have fewer patterns in the \
                         policies of the user",
                possible_duplicate: false,
            })
        })
    }

    /// Counts a decision by policies.
    fn decided(&self, client: &Client, decision: Result<&Verdict, &Refusal>, took: Duration) {
        let verdict = match decision {
            Ok(verdict) => verdict,
            Err(Refusal::Denied { source: Denial::Policy { verdict, .. }, .. }) => verdict,
            Err(_) => return,
        };
        self.metrics.evaluated(took);
        let user = &client.principal.name;
        self.metrics.decided(user, verdict.decision, verdict.statement.as_deref());
    }

    /// Counts a transaction that has ended with this reply.
    fn ended(&self, client: &Client, outcome: &'static str, reply: &Reply) {
        let user = &client.principal.name;
        self.metrics.ended(Ending { user, outcome, reply: reply.code() });
    }

    /// A message that waits for what SES says of an identity has it read next.
    fn denied(&self, id: Uuid, source: Denial) -> Refusal {
        if let (Denial::Unsure(unsure), Some(inventory)) = (&source, &self.inventory) {
            inventory.wanted(&unsure.identity);
            if !self.has_credentials.load(Ordering::Relaxed) {
                // What is not known is not known for that reason.
                let said = "SES cannot be asked about the account".to_owned();
                return UpstreamError::without_credentials(said).into();
            }
        }
        Refusal::Denied { id, source }
    }

    fn log<'a>(
        &'a self,
        client: &'a Client,
        envelope: &'a Envelope,
        header: Option<&HeaderSection>,
        id: Uuid,
    ) -> TransactionLog<'a> {
        TransactionLog::new(&self.decisions, &self.settings.redaction, client, envelope, header, id)
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
        let id = occasion().id;
        let log = self.log(client, envelope, None, id);
        let trace = &trace::begin(begun, None);
        trace.within(|| log.put_off(bytes, reply));
        self.span(trace, client, envelope, None, id).unread(record::MEMORY, reply);
        self.ended(client, "memory", reply);
    }

    /// Logs a message that was refused before anything could be decided about it.
    pub fn unreadable(
        &self,
        client: &Client,
        envelope: &Envelope,
        reply: &Reply,
        begun: TransactionTimes,
    ) {
        let id = occasion().id;
        let log = self.log(client, envelope, None, id);
        let trace = &trace::begin(begun, None);
        let outcome = trace.within(|| log.unreadable(reply));
        self.span(trace, client, envelope, None, id).unread(outcome, reply);
        self.ended(client, outcome, reply);
    }

    fn span<'a>(
        &'a self,
        trace: &'a Trace,
        client: &'a Client,
        envelope: &'a Envelope,
        header: Option<&'a HeaderSection>,
        id: Uuid,
    ) -> TransactionSpan<'a> {
        TransactionSpan { trace, redaction: &self.settings.redaction, client, envelope, header, id }
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

fn occasion() -> Occasion {
    occasion_of(Uuid::now_v7())
}

fn occasion_of(id: Uuid) -> Occasion {
    Occasion { id, now: clock::time_of_day(), steps: QUICK_STEPS }
}
