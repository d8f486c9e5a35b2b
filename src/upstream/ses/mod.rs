//! The SESv2 API: one permitted message, one `SendEmail` (decisions 4, 14 and 15).
//!
//! A connection that ends, or an answer that takes longer than a client waits, does not end a call
//! that SES may have taken.

mod answer;
mod attempts;
mod body;
mod call;
mod client;
mod endpoint;
mod signature;

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sesv2::Client;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::credentials::Refreshing;
use super::progress::Progress;
use super::{Held, InForce, UpstreamError};
use crate::authorize::Permit;
use crate::decision_log::DecisionLog;
use crate::metrics::Metrics;
use crate::pace::Pace;
use crate::trace::{self, Kind};
use attempts::Attempts;
use body::Payload;
use call::Call;
pub use client::{client, credential_chain, endpoint};
use endpoint::Endpoint;

/// How long a message waits for its turn among the calls in flight.
const TURN: Duration = Duration::from_secs(5);

/// How SES is called.
#[derive(Debug, Clone)]
pub struct SesSettings {
    /// The region of the account.
    pub region: String,
    /// Instead of the endpoint of the region.
    pub endpoint_url: Option<String>,
    /// Calls in flight at once.
    pub calls: usize,
    /// How long a connection may take.
    pub connect: Duration,
    /// How long a call goes on, whether its client was answered or not.
    pub finish: Duration,
}

/// The SESv2 API.
#[derive(Debug)]
pub struct Ses {
    client: Client,
    credentials: Refreshing,
    attempts: Arc<Attempts>,
    turns: Arc<Semaphore>,
    calls: TaskTracker,
    finish: Duration,
    pace: Pace,
    metrics: Arc<Metrics>,
    decisions: DecisionLog,
}

impl Ses {
    /// Prepares calls with the default credential chain; nothing is sent yet.
    pub async fn new(settings: SesSettings, pace: Pace) -> Self {
        let chain = credential_chain(&settings.region).await;
        Self::with_credentials(settings, chain, pace)
    }

    /// Prepares calls with credentials from elsewhere.
    #[must_use]
    pub fn with_credentials(
        settings: SesSettings,
        provider: SharedCredentialsProvider,
        pace: Pace,
    ) -> Self {
        let credentials = Refreshing::new(provider);
        let connector = client::connector(&settings);
        let endpoint = Endpoint::new(connector.clone(), &settings);
        Self {
            client: client::client_on(connector, &settings, credentials.clone()),
            attempts: Arc::new(Attempts::new(endpoint, credentials.clone(), pace.clone())),
            credentials,
            turns: Arc::new(Semaphore::new(settings.calls)),
            calls: TaskTracker::new(),
            finish: settings.finish,
            pace,
            metrics: Arc::default(),
            decisions: DecisionLog::default(),
        }
    }

    /// Tells that log what became of calls whose clients were answered before.
    #[must_use]
    pub fn with_decision_log(mut self, decisions: DecisionLog) -> Self {
        self.decisions = decisions;
        self
    }

    /// Counts errors of SES in `metrics`.
    #[must_use]
    pub fn counted_by(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// Says whether there are credentials to call with.
    ///
    /// # Errors
    /// What the credential chain says.
    pub async fn credentials(&self) -> Result<(), String> {
        self.credentials.check().await
    }

    /// The client that it calls with, for other calls.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Has new credentials asked for at the next call.
    pub fn refresh_credentials(&self) {
        self.credentials.refresh();
    }

    /// Sends a message and returns the id that SES gave it; nobody waits beyond `by`.
    ///
    /// # Errors
    /// As [`UpstreamError`] tells them apart.
    pub async fn send(
        &self,
        permit: Permit,
        held: Held,
        by: Instant,
    ) -> Result<String, UpstreamError> {
        let id = permit.id();
        let progress = Progress::new(held.in_force.clone());
        let work = Box::pin(self.call(permit, held, progress.clone()));
        let (calls, decisions) = (self.calls.clone(), self.decisions.clone());
        let call = Call::new(work, id, progress.clone(), calls, decisions);
        let mut step = trace::step("SESv2.SendEmail", Kind::Client);
        step.set("rpc.system", "aws-api");
        step.set("rpc.service", "SESv2");
        step.set("rpc.method", "SendEmail");
        let outcome = tokio::time::timeout_at(by, call).await.unwrap_or_else(|_| {
            Err(answer::unknown(
                "no answer from SES for as long as a client waits".to_owned(),
                None,
                &progress,
            ))
        });
        step.set("sesgate.attempts", i64::from(progress.attempt()));
        if let Err(error) = &outcome {
            step.set("error.type", error.name());
            step.fail(error.class());
        }
        outcome
    }

    /// Waits for the calls whose clients were already answered.
    pub async fn settle(&self) {
        self.calls.close();
        self.calls.wait().await;
    }

    fn call(
        &self,
        permit: Permit,
        held: Held,
        progress: Progress,
    ) -> impl Future<Output = Result<String, UpstreamError>> + use<> {
        let (turns, attempts) = (Arc::clone(&self.turns), Arc::clone(&self.attempts));
        #[expect(clippy::disallowed_methods, reason = "the client's patience is measured")]
        let since = Instant::now();
        let (bound, pace) = (self.finish, self.pace.clone());
        let metrics = Arc::clone(&self.metrics);
        async move {
            let turn = tokio::time::timeout(TURN, turns.acquire_owned()).await;
            let Ok(Ok(_turn)) = turn else {
                return Err(UpstreamError::Temporary {
                    detail: format!("no call to SES came free within {TURN:?}"),
                    said: None,
                    remedy: "raise `calls` in `[upstream]`, or find out why SES is slow",
                    possible_duplicate: false,
                });
            };
            let payload = Arc::new(Payload::new(permit));
            let sent = attempts.send(&payload, &progress, since);
            let outcome = match tokio::time::timeout(bound, sent).await {
                Ok(Ok(message_id)) => answer::taken(message_id, &progress),
                Ok(Err(failure)) => {
                    metrics.ses_error(failure.code());
                    if failure.is_quota() {
                        pace.quota_exceeded();
                    }
                    Err(answer::refused(failure, &progress))
                }
                Err(_) => Err(answer::unknown(
                    format!("no answer from SES within {bound:?}"),
                    None,
                    &progress,
                )),
            };
            if outcome.is_err() && !progress.is_written() && !held.in_force.holds() {
                return Err(InForce::overtaken());
            }
            held.settle(outcome.as_ref().err().is_none_or(UpstreamError::is_possible_duplicate));
            outcome
        }
    }
}
