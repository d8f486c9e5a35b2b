//! The users of one configuration.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;

use super::{Passwords, Principal, User};

/// All users; a reload makes new ones.
pub struct Users {
    users: HashMap<String, (Arc<Principal>, Option<Passwords>)>,
    decoys: Vec<Passwords>,
}

impl Users {
    /// Puts users together.
    #[must_use]
    pub fn new(users: Vec<User>) -> Self {
        let users: HashMap<_, _> = users
            .into_iter()
            .map(|User { principal, passwords }| {
                let passwords = (!passwords.is_empty()).then(|| passwords.into());
                (principal.name.clone(), (Arc::new(principal), passwords))
            })
            .collect();
        let stored = users.values().filter_map(|(_, passwords)| passwords.clone());
        let costs = |passwords: &Passwords| -> Vec<_> {
            passwords.iter().map(super::StoredPassword::cost).collect()
        };
        let decoys: BTreeMap<_, _> = stored.map(|stored| (costs(&stored), stored)).collect();
        Self { users, decoys: decoys.into_values().collect() }
    }

    /// Returns the user of that name, compared byte for byte.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<Principal>> {
        self.users.get(name).map(|(principal, _)| principal)
    }

    /// The user of that name with the stored passwords, when there are any.
    pub(crate) fn with_passwords(&self, name: &str) -> Option<(&Arc<Principal>, &Passwords)> {
        let (principal, passwords) = self.users.get(name)?;
        Some((principal, passwords.as_ref()?))
    }

    /// What is compared for an unknown name: it costs as much as some user, and for one name as
    /// much each time, after a reload too unless that cost is no user's any more.
    pub(crate) fn decoy(&self, name: &str, state: &impl BuildHasher) -> Option<&Passwords> {
        self.decoys.iter().max_by_key(|passwords| {
            let costs: Vec<_> = passwords.iter().map(super::StoredPassword::cost).collect();
            state.hash_one((name, costs))
        })
    }
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.users.keys()).finish()
    }
}
