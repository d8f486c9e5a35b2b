//! A decision at the end of the header section, kept for the complete message.

use std::sync::Arc;

use super::{Authorizer, Client, Denial, Occasion, Verdict};
use crate::message::HeaderSection;
use crate::policy::Policy;
use crate::principals::{Chosen, Principal};
use crate::smtp::{Envelope, Transaction};

/// What [`Authorizer::screen`] decided about a message whose content was still to come.
///
/// It takes the place of the binding decision only where that one could not come out otherwise: the
/// rules are the same, so are the client, the envelope and the header section, and no policy asks what
/// time it is.
#[derive(Debug)]
pub struct Screened {
    rules: Arc<()>,
    client: Client,
    envelope: Arc<Envelope>,
    header: Arc<HeaderSection>,
    verdict: Verdict,
    chosen: Chosen,
}

impl Authorizer {
    /// Decides about a message whose content is still to come.
    ///
    /// Returns what was decided, unless that holds for the moment alone.
    ///
    /// # Errors
    /// As [`Authorizer::decide`].
    pub fn screen(
        &self,
        client: &Client,
        envelope: &Arc<Envelope>,
        header: &Arc<HeaderSection>,
        occasion: Occasion,
    ) -> Result<Option<Screened>, Denial> {
        let verdict = self.decide(client, envelope, header, occasion)?;
        if self.asks_for_time(&client.principal) {
            return Ok(None);
        }
        Ok(Some(Screened {
            rules: Arc::clone(&self.rules),
            client: client.clone(),
            envelope: Arc::clone(envelope),
            header: Arc::clone(header),
            verdict,
            chosen: self.chosen(client, envelope, header)?,
        }))
    }

    /// Whether any policy that may apply to mail of a user asks what time it is.
    fn asks_for_time(&self, user: &Principal) -> bool {
        let own = user.policies.iter().chain(user.boundary.iter().flatten());
        self.asks_for_time || own.map(AsRef::as_ref).any(Policy::asks_for_time)
    }
}

impl Screened {
    /// Returns the decision when it would be made again about this message, by these rules.
    pub(super) fn holds_for(
        self,
        authorizer: &Authorizer,
        client: &Client,
        transaction: &Transaction,
    ) -> Option<(Verdict, Chosen)> {
        let holds = Arc::ptr_eq(&self.rules, &authorizer.rules)
            && self.client.is_same(client)
            && Arc::ptr_eq(&self.envelope, &transaction.envelope)
            && Arc::ptr_eq(&self.header, &transaction.header);
        holds.then_some((self.verdict, self.chosen))
    }
}

impl Client {
    /// Whether policies see the same of both.
    fn is_same(&self, other: &Self) -> bool {
        // Whatever a client gains must be compared here too.
        let Self { principal, password, peer, source_ip, vpc, secure_transport, listener, tls } =
            self;
        Arc::ptr_eq(principal, &other.principal)
            && *password == other.password
            && *peer == other.peer
            && *source_ip == other.source_ip
            && *vpc == other.vpc
            && *secure_transport == other.secure_transport
            && *listener == other.listener
            && *tls == other.tls
    }
}
