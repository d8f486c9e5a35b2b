//! What decides about messages and logins: read together, swapped together (decision 19).

use std::sync::Arc;
use std::time::SystemTime;

use crate::authorize::{Authorizer, Client};
use crate::login::Principals;

/// Users, policies and identities of one reading of the configuration.
#[derive(Debug)]
pub struct Rules {
    /// Decides about messages.
    pub authorizer: Authorizer,
    /// The users.
    pub principals: Arc<Principals>,
}

impl Rules {
    /// Returns a client as these rules know its user; none when they do not, or when the password that
    /// it logged in with is none any more.
    #[must_use]
    pub fn known(&self, client: &Client, today: SystemTime) -> Option<Client> {
        let name = &client.principal.name;
        let principal = self.principals.find(name)?;
        if client.password.is_some_and(|matched| !self.principals.accepts(name, matched, today)) {
            return None;
        }
        Some(Client { principal: Arc::clone(principal), ..client.clone() })
    }
}
