//! One call that outlives whoever waits for it, as long as SES may have taken its message.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tracing::Level;
use uuid::Uuid;

use super::super::UpstreamError;
use super::super::progress::Progress;
use crate::decision_log::{DecisionLog, Event, Record};
use crate::trace;

type Outcome = Result<String, UpstreamError>;
type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A call in flight. Dropped before its end, it is cancelled if its request is not wholly written,
/// else left to finish, and its outcome logged (decision 15).
pub(super) struct Call {
    work: Option<Work>,
    id: Uuid,
    progress: Progress,
    calls: TaskTracker,
    decisions: DecisionLog,
}

impl Call {
    pub(super) fn new(
        work: Work,
        id: Uuid,
        progress: Progress,
        calls: TaskTracker,
        decisions: DecisionLog,
    ) -> Self {
        Self { work: Some(work), id, progress, calls, decisions }
    }
}

impl Future for Call {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let Some(work) = self.work.as_mut() else { return Poll::Pending };
        let outcome = std::task::ready!(work.as_mut().poll(context));
        self.work = None;
        Poll::Ready(outcome)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let Some(work) = self.work.take() else { return };
        if self.progress.abandon() {
            return;
        }
        let (id, decisions) = (self.id, self.decisions.clone());
        tracing::debug!(decision = %id, "nobody waits for SES any more; it may take the message");
        let Ok(runtime) = Handle::try_current() else { return };
        let rest = async move {
            let outcome = work.await;
            let record = Record::new(Event::Settled, id);
            match &outcome {
                Ok(message_id) => decisions.note(
                    &Record {
                        message_id: Some(message_id),
                        remedy: Some(
                            "SES took a message whose client was not told so: expect it twice when \
                             the client tries again",
                        ),
                        ..record
                    },
                    Level::WARN,
                ),
                Err(error) => {
                    decisions.note(&Record { error: Some(error.class()), ..record }, Level::INFO);
                }
            }
        };
        self.calls.spawn_on(trace::current().scope(rest), &runtime);
    }
}
