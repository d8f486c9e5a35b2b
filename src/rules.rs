//! What decides about messages and logins: read together, swapped together (decision 19).

use std::sync::Arc;

use crate::authorize::{Authorizer, Client};
use crate::principals::Principals;

/// Users, policies and identities of one reading of the configuration.
#[derive(Debug)]
pub struct Rules {
    /// Decides about messages.
    pub authorizer: Authorizer,
    /// The users.
    pub principals: Arc<Principals>,
}

impl Rules {
    /// Returns a client as these rules know its user; none when they do not.
    #[must_use]
    pub fn known(&self, client: &Client) -> Option<Client> {
        let principal = self.principals.find(&client.principal.name)?;
        Some(Client { principal: Arc::clone(principal), ..client.clone() })
    }
}
