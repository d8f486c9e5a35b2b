//! Whom a connection speaks for: the user that logs in, or the one that the listener names.

use std::sync::Arc;

use super::Connection;
use crate::authorize::Connected;
use crate::clock;
use crate::login::Login;
use crate::principals::{Matched, Principal};
use crate::smtp::Credentials;

impl Connection {
    /// Begins in clear, or anew under TLS: nothing that was said in clear counts any more (RFC 3207
    /// section 4.2).
    pub(super) fn begin(&mut self) {
        self.client = None;
        if let Some(user) = &self.spoken_for
            && let Some(principal) = self.service.relay.rules().principals.find(user)
        {
            self.identify(Arc::clone(principal), None);
        }
    }

    /// Whom the messages of this connection are from, as far as policies see it (decision 8).
    fn identify(&mut self, principal: Arc<Principal>, password: Option<Matched>) {
        let connected = Connected {
            client: self.origin.client,
            vpc: self.origin.vpc.clone(),
            listener: Arc::clone(&self.service.name),
            is_tls: self.session.is_tls(),
            tls: self.tls,
        };
        self.client = Some(self.service.clients.client(principal, password, connected));
    }

    /// Checks credentials and tells the session; returns whether the user may have this connection.
    pub(super) async fn authenticate(&mut self, credentials: &Credentials) -> bool {
        let rules = self.service.relay.rules();
        let login = rules.principals.login(credentials, self.origin.client.ip()).await;
        let result = login.result();
        match login {
            Login::Accepted(principal, password) => {
                if !self.takes_slot(&principal.name) {
                    return false;
                }
                self.identify(principal, Some(password));
            }
            // An unknown name may be a password in the wrong field (decision 21).
            Login::Invalid => tracing::warn!(
                user = rules
                    .principals
                    .find(&credentials.username)
                    .map(|principal| principal.name.as_str()),
                "login refused: unknown user or wrong password; check what the app logs in with",
            ),
            // The guard tells of these in summary: a flood must not flood the log.
            Login::Busy | Login::Locked => {
                tracing::debug!("login put off: too many checks or failures");
            }
        }
        self.session.authenticated(result);
        true
    }

    /// Whether the user for whom the listener speaks may have this connection too.
    pub(super) fn spoken_for_has_slot(&mut self) -> bool {
        match self.spoken_for.clone() {
            Some(user) => self.takes_slot(&user),
            None => true,
        }
    }

    /// Whether the user may have this connection too.
    fn takes_slot(&mut self, user: &str) -> bool {
        let Err(over) = self.slot.belongs_to(user) else { return true };
        if let Some(suppressed) = self.slot.admission().log_allowance(over.name(), clock::now()) {
            tracing::warn!(user, suppressed, "refused: {over}");
        }
        false
    }
}
