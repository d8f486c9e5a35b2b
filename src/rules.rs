//! What decides about messages and logins: read together, swapped together (decision 19).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use crate::authorize::{Authorizer, Client, Denial, Occasion, Verdict};
use crate::login::Principals;
use crate::message::HeaderSection;
use crate::principals::Principal;
use crate::smtp::Envelope;

/// Users, policies and identities of one reading of the configuration.
#[derive(Debug)]
pub struct Rules {
    /// Decides about messages.
    pub authorizer: Authorizer,
    /// The users.
    pub principals: Arc<Principals>,
    /// What is tried beside them, and never decides.
    pub candidate: Option<Candidate>,
}

/// Policies that are tried beside those in force: what they would say of a message, and no more. No
/// permit comes of it.
#[derive(Debug)]
pub struct Candidate {
    /// Decides in place of that of the rules; none where it is the same.
    pub authorizer: Option<Authorizer>,
    /// The users for whom something is tried, with the policies that are.
    pub users: HashMap<String, Arc<Principal>>,
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

impl Candidate {
    /// Returns what the candidate says of a message of a client that `rules` decide about, where there
    /// is one for its user.
    pub fn decide(
        &self,
        rules: &Rules,
        client: &Client,
        envelope: &Envelope,
        header: &HeaderSection,
        occasion: Occasion,
    ) -> Option<Result<Verdict, Denial>> {
        let principal = self.users.get(&client.principal.name)?;
        let client = Client { principal: Arc::clone(principal), ..client.clone() };
        let authorizer = self.authorizer.as_ref().unwrap_or(&rules.authorizer);
        Some(authorizer.decide(&client, envelope, header, occasion))
    }
}
