//! The attempts of one call. Another is made only after a failure that proves that SES did not take the
//! message (decision 15).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::super::credentials::Refreshing;
use super::super::progress::Progress;
use super::answer::Failure;
use super::body::Payload;
use super::client::{ATTEMPTS, BACKOFF};
use super::endpoint::Endpoint;
use crate::causes::causes;
use crate::pace::Pace;
use crate::trace::{self, Value};

/// Nothing is tried again once so much of the client's patience is used up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Further attempts that all calls together make while none succeeds, as in the SDK's standard mode: a
/// service in trouble does not get every message three times.
const RETRIES: u32 = 100;

/// Makes the attempts of all calls.
#[derive(Debug)]
pub(super) struct Attempts {
    endpoint: Endpoint,
    credentials: Refreshing,
    pace: Pace,
    spent: AtomicU32,
}

impl Attempts {
    pub(super) fn new(endpoint: Endpoint, credentials: Refreshing, pace: Pace) -> Self {
        Self { endpoint, credentials, pace, spent: AtomicU32::new(0) }
    }

    /// Returns the message id in SES's answer, if it has one, or the failure of the last attempt.
    pub(super) async fn send(
        &self,
        payload: &Arc<Payload>,
        progress: &Progress,
        since: Instant,
    ) -> Result<Option<String>, Failure> {
        let mut is_refreshed = false;
        loop {
            progress.restart();
            let failure = match self.attempt(payload, progress).await {
                Ok(message_id) => {
                    self.spent.store(0, Ordering::Relaxed);
                    return Ok(message_id);
                }
                Err(failure) => failure,
            };
            if failure.is_throttle() {
                self.pace.throttled();
            }
            let is_expired = failure.is_expired() && !is_refreshed;
            if is_expired {
                self.credentials.refresh();
                is_refreshed = true;
            }
            // SES cannot have taken what was not written whole, and says so itself of the other two.
            let is_unsent = matches!(failure, Failure::NoAnswer { is_answered: false, .. })
                && !progress.is_written();
            let again = (is_unsent || failure.is_throttle() || is_expired)
                && progress.attempt() < ATTEMPTS
                && since.elapsed() <= PATIENCE
                && !progress.is_abandoned()
                && self.spent.fetch_add(1, Ordering::Relaxed) < RETRIES;
            if !again {
                return Err(failure);
            }
            // Until the next attempt the call can be cancelled again.
            progress.not_taken();
            let longest = BACKOFF * progress.attempt();
            tokio::time::sleep(longest.mul_f64(fastrand::f64())).await;
        }
    }

    async fn attempt(
        &self,
        payload: &Arc<Payload>,
        progress: &Progress,
    ) -> Result<Option<String>, Failure> {
        let answer = match self.credentials.current().await {
            Ok(credentials) => self.endpoint.attempt(payload, credentials, progress).await,
            Err(error) => Err(Failure::NoCredentials(causes(&error))),
        };
        trace::event("attempt", || {
            let mut attributes = Vec::new();
            if let Ok(answer) = &answer {
                let status = i64::from(answer.status);
                attributes.push(("http.response.status_code", Value::Number(status)));
                let id = answer.request_id.as_deref();
                attributes.extend(id.map(|id| ("aws.request_id", id.into())));
            }
            let failure = match &answer {
                Ok(answer) => answer.outcome.as_ref().err(),
                Err(failure) => Some(failure),
            };
            attributes.extend(failure.map(|failure| ("error.type", failure.code().into())));
            attributes
        });
        answer?.outcome
    }
}
