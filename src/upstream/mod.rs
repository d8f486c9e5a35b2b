//! Where permitted mail goes: the SESv2 API, or a directory.
//!
//! Both take a [`Permit`] and nothing else, and say what became of the message. An answer is `Ok`
//! only when the message was taken whole: SES returned a message id, or the files and their
//! directory are on disk (decision 1).

mod credentials;
mod error;
mod outbox;
mod progress;
mod ses;

pub use credentials::{NO_CREDENTIALS, looked_for};
pub use error::UpstreamError;
pub use outbox::Outbox;
pub use ses::{Ses, SesSettings, client, credential_chain, endpoint};

use std::sync::Arc;

use tokio::time::Instant;

use crate::authorize::Permit;
use crate::memory::Share;
use crate::pace::Turn;
use crate::trace::{self, Kind};

/// What a message holds until its call has ended, whoever still waits for it.
#[derive(Debug)]
pub struct Held {
    /// Its memory.
    pub share: Share,
    /// Its turn.
    pub turn: Turn,
    /// Whether it may still go.
    pub in_force: InForce,
}

impl Held {
    /// Ends a call, and counts the message when the upstream has it. Taking all of it is the point: a
    /// closure that names single fields holds those alone, and gives the memory back at once.
    fn settle(self, is_taken: bool) {
        if is_taken {
            self.turn.taken();
        }
    }
}

/// Says whether the rules that permitted a message are still in force (decision 19). Asked at the last
/// moment: what waits for a call, for another attempt or for a slow network is overtaken by a reload.
#[derive(Clone)]
pub struct InForce(Arc<dyn Fn() -> bool + Send + Sync>);

impl InForce {
    /// Asks that.
    #[must_use]
    pub fn new(ask: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    fn holds(&self) -> bool {
        (self.0)()
    }

    /// What becomes of a message otherwise: its client sends it again, and the new rules decide.
    fn overtaken() -> UpstreamError {
        UpstreamError::Temporary {
            detail: "the rules changed before the message was handed over".to_owned(),
            said: None,
            remedy: "nothing to do: the client sends it again, and the new rules decide",
            possible_duplicate: false,
        }
    }
}

impl Default for InForce {
    fn default() -> Self {
        Self::new(|| true)
    }
}

impl std::fmt::Debug for InForce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("InForce").field(&self.holds()).finish()
    }
}

/// Where permitted mail goes.
#[derive(Debug)]
pub enum Upstream {
    /// The SESv2 API.
    Ses(Ses),
    /// A directory.
    Outbox(Outbox),
}

impl Upstream {
    /// Hands over a message and returns its message id once it was taken; `held` is given back then; nobody waits beyond `by`.
    ///
    /// # Errors
    /// When the message was not taken, or when it cannot be known.
    pub async fn send(
        &self,
        permit: Permit,
        held: Held,
        by: Instant,
    ) -> Result<String, UpstreamError> {
        match self {
            Self::Ses(ses) => ses.send(permit, held, by).await,
            Self::Outbox(outbox) => {
                let mut step = trace::step("outbox", Kind::Internal);
                let outcome = outbox.send(permit, held, by).await;
                if let Err(error) = &outcome {
                    step.set("error.type", error.name());
                    step.fail(error.class());
                }
                outcome
            }
        }
    }

    /// How many bytes a byte of content takes in all: for SES the message, the pieces of its base64
    /// that are under way, and what the allocator needs while they come and go.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Ses(_) => 2,
            Self::Outbox(_) => 1,
        }
    }

    /// The client of the SESv2 API, where that is the upstream.
    #[must_use]
    pub fn client(&self) -> Option<&aws_sdk_sesv2::Client> {
        match self {
            Self::Ses(ses) => Some(ses.client()),
            Self::Outbox(_) => None,
        }
    }

    /// Says whether it has the credentials that it needs.
    ///
    /// # Errors
    /// What the credential chain says.
    pub async fn credentials(&self) -> Result<(), String> {
        match self {
            Self::Ses(ses) => ses.credentials().await,
            Self::Outbox(_) => Ok(()),
        }
    }

    /// Has new credentials asked for.
    pub fn refresh_credentials(&self) {
        if let Self::Ses(ses) = self {
            ses.refresh_credentials();
        }
    }

    /// Waits for calls that outlived the answer to their client.
    pub async fn settle(&self) {
        match self {
            Self::Ses(ses) => ses.settle().await,
            Self::Outbox(_) => {}
        }
    }
}
