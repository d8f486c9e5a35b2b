//! Which failures are tried again within a call: only those that prove that SES did not take the
//! message (decision 15).

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_sesv2::error::ProvideErrorMetadata;
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{
    ClassifyRetry, RetryAction, RetryClassifierPriority,
};
use tokio::time::Instant;

use super::super::credentials::Refreshing;
use super::super::progress::Progress;
use super::answer;
use crate::pace::Pace;

/// Nothing is tried again once so much of the client's patience is used up.
const PATIENCE: Duration = Duration::from_secs(10);

const NEVER: u32 = 0;

/// Decides for one call.
#[derive(Debug)]
pub(super) struct Proven {
    progress: Progress,
    credentials: Refreshing,
    pace: Pace,
    /// The attempt after which new credentials were asked for.
    refreshed: AtomicU32,
    since: Instant,
}

impl Proven {
    pub(super) fn new(progress: Progress, credentials: Refreshing, pace: Pace) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the client's patience is measured")]
        let since = Instant::now();
        Self { progress, credentials, pace, refreshed: AtomicU32::new(NEVER), since }
    }

    /// Asks for new credentials unless an earlier attempt did. An attempt may be judged more than
    /// once, and must be judged alike.
    fn refresh_once(&self) -> bool {
        let attempt = self.progress.attempt();
        let earlier =
            self.refreshed.compare_exchange(NEVER, attempt, Ordering::SeqCst, Ordering::SeqCst);
        if earlier.is_ok() {
            self.credentials.refresh();
        }
        earlier.is_ok() || earlier == Err(attempt)
    }

    fn action(&self, context: &InterceptorContext) -> RetryAction {
        let Some(Err(error)) = context.output_or_error() else {
            return RetryAction::NoActionIndicated;
        };
        if self.since.elapsed() > PATIENCE || self.progress.is_abandoned() {
            return RetryAction::RetryForbidden;
        }
        let status = context.response().map(|response| response.status().as_u16());
        let Some(error) = error.as_operation_error() else {
            return if status.is_none() && !self.progress.is_written() && error.is_connector_error()
            {
                RetryAction::transient_error()
            } else {
                RetryAction::RetryForbidden
            };
        };
        let code = error.downcast_ref::<SendEmailError>().and_then(ProvideErrorMetadata::code);
        if answer::is_throttle(code, status) {
            self.pace.throttled();
            RetryAction::throttling_error()
        } else if answer::is_expired(code) && self.refresh_once() {
            RetryAction::transient_error()
        } else {
            RetryAction::RetryForbidden
        }
    }
}

impl ClassifyRetry for Proven {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let action = self.action(context);
        if action.should_retry() {
            // What was written is known not to be taken: until the next attempt the call can be
            // cancelled again.
            self.progress.not_taken();
        }
        action
    }

    fn name(&self) -> &'static str {
        "Proven"
    }

    /// The last word: what the SDK's own classifiers say is overruled.
    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}
