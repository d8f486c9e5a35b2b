//! Equal credentials that arrive together share one hash: many connections that come back after a
//! restart cost one.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::credential_cache::CredentialDigest;
use super::network::Network;
use crate::principals::Passwords;
use crate::principals::password::Fingerprint;

/// The hashes under way.
#[derive(Default)]
pub(super) struct SingleFlight(Mutex<HashMap<CredentialDigest, Entered>>);

struct Entered {
    flight: Arc<Flight>,
    waiters: usize,
}

/// One comparison that all with the same credentials wait for. When the one that began it is
/// refused or gone, the next begins anew with its own turn.
pub(super) struct Flight {
    stored: Passwords,
    pub(super) outcome: OnceCell<Outcome>,
}

/// What the comparison came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    /// The stored password that matched.
    pub(super) matched: Option<Fingerprint>,
    /// Whose turn it was.
    pub(super) network: Network,
}

/// A place in a flight; the last one to leave takes it off the list.
pub(super) struct Joined<'a> {
    flights: &'a SingleFlight,
    digest: CredentialDigest,
    pub(super) flight: Arc<Flight>,
}

impl SingleFlight {
    /// Joins the flight of these credentials, or begins one. Passwords from before a reload are not
    /// those from after it.
    pub(super) fn join(&self, digest: CredentialDigest, stored: &Passwords) -> Joined<'_> {
        let begun = || Entered {
            flight: Arc::new(Flight { stored: Arc::clone(stored), outcome: OnceCell::new() }),
            waiters: 0,
        };
        let mut flights = self.0.lock();
        let listed = flights.entry(digest).or_insert_with(begun);
        if !Arc::ptr_eq(&listed.flight.stored, stored) {
            *listed = begun();
        }
        listed.waiters += 1;
        Joined { flights: self, digest, flight: Arc::clone(&listed.flight) }
    }
}

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        let mut flights = self.flights.0.lock();
        let Some(listed) = flights.get_mut(&self.digest) else { return };
        if !Arc::ptr_eq(&listed.flight, &self.flight) {
            return;
        }
        listed.waiters -= 1;
        // Failures are not remembered: whoever comes now begins anew.
        if listed.waiters == 0 || self.flight.outcome.initialized() {
            flights.remove(&self.digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::network::tests::network;
    use super::*;
    use crate::principals::password::StoredPassword;

    fn passwords() -> Passwords {
        [StoredPassword::parse(&bcrypt::hash("secret", 4).unwrap()).unwrap()].into()
    }

    #[test]
    fn a_flight_is_shared_until_it_has_landed_or_all_have_left() {
        let flights = SingleFlight::default();
        let (stored, digest) = (passwords(), [0; 32]);
        let first = flights.join(digest, &stored);
        let second = flights.join(digest, &stored);
        assert!(Arc::ptr_eq(&first.flight, &second.flight));
        drop(first);
        let third = flights.join(digest, &stored);
        assert!(Arc::ptr_eq(&second.flight, &third.flight), "one who leaves does not end it");
        let outcome = Outcome { matched: None, network: network("::1") };
        third.flight.outcome.set(outcome).unwrap();
        drop(third);
        assert!(!Arc::ptr_eq(&second.flight, &flights.join(digest, &stored).flight));
        drop(second);
        assert!(flights.0.lock().is_empty());
    }

    #[test]
    fn passwords_from_after_a_reload_are_compared_anew() {
        let flights = SingleFlight::default();
        let digest = [0; 32];
        let before = flights.join(digest, &passwords());
        let after = flights.join(digest, &passwords());
        assert!(!Arc::ptr_eq(&before.flight, &after.flight));
        drop(before);
        assert_eq!(flights.0.lock().len(), 1);
        drop(after);
        assert!(flights.0.lock().is_empty());
    }
}
