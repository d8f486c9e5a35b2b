//! What is known of each identity, how old it is, and which one is read next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{Details, KnownIdentity};

/// More than the 10,000 identities of an account.
pub(super) const IDENTITIES: usize = 50_000;
/// Bytes of policy texts that are kept in all. Beyond them details count as not known, so that an
/// account of ten thousand identities with twenty long policies each does not fill the memory:
/// compiled, a policy takes about ten times the bytes of its text.
const POLICY_BYTES: usize = 32 * 1024 * 1024;

/// All identities.
#[derive(Debug, Default)]
pub(super) struct Store {
    entries: BTreeMap<String, Entry>,
    policy_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    known: Arc<KnownIdentity>,
    /// What the list said last; the details may say something newer.
    listed: bool,
    /// When the details were read.
    read: Option<SystemTime>,
    /// From when on they are to be read.
    due: Instant,
    /// Not known, or known to be other than they were.
    is_urgent: bool,
    is_wanted: bool,
    /// Whether the last reading of this one failed for a reason of its own.
    is_failing: bool,
}

impl Entry {
    /// SES sends from it, by the newest that is known.
    fn is_read(&self) -> bool {
        self.listed || self.known.verified_for_sending
    }
}

impl Store {
    /// Takes an identity from the copy on disk.
    pub(super) fn restore(
        &mut self,
        known: KnownIdentity,
        listed: bool,
        read: Option<SystemTime>,
        due: Instant,
    ) {
        let is_urgent = known.details.is_none();
        self.policy_bytes += policy_bytes(known.details.as_ref());
        let name = known.name.clone();
        let known = Arc::new(known);
        let (is_wanted, is_failing) = (false, false);
        let entry = Entry { known, listed, read, due, is_urgent, is_wanted, is_failing };
        self.entries.insert(name, entry);
    }

    /// Takes a whole list; says whether anything changed.
    pub(super) fn merge(&mut self, list: BTreeMap<String, bool>, now: Instant) -> bool {
        let before = self.entries.len();
        self.entries.retain(|name, _| list.contains_key(name));
        self.policy_bytes =
            self.entries.values().map(|entry| policy_bytes(entry.known.details.as_ref())).sum();
        let mut changed = self.entries.len() != before;
        for (name, verified_for_sending) in list {
            let Some(entry) = self.entries.get_mut(&name) else {
                let known = KnownIdentity { name, verified_for_sending, details: None };
                self.restore(known, verified_for_sending, None, now);
                changed = true;
                continue;
            };
            if entry.listed != verified_for_sending {
                let details = entry.known.details.clone();
                entry.known = Arc::new(KnownIdentity { name, verified_for_sending, details });
                entry.listed = verified_for_sending;
                (entry.is_urgent, entry.due) = (true, now);
                changed = true;
            }
        }
        changed
    }

    /// Marks an identity as in use: it is read before the others unless its details are known.
    pub(super) fn want(&mut self, name: &str) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.is_wanted = entry.is_urgent;
        }
    }

    /// The identity to read next: those in use first, then those that are not known, then the
    /// oldest.
    pub(super) fn next(&self, now: Instant) -> Option<&str> {
        self.entries
            .iter()
            .filter(|(_, entry)| entry.is_read() && entry.due <= now)
            .min_by_key(|(_, entry)| (!entry.is_wanted, !entry.is_urgent, entry.due, entry.read))
            .map(|(name, _)| name.as_str())
    }

    /// When the next one is to be read.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.entries.values().filter(|entry| entry.is_read()).map(|entry| entry.due).min()
    }

    /// Takes what was read of an identity; says whether anything changed. `None` when it does not
    /// fit any more.
    pub(super) fn read(
        &mut self,
        name: &str,
        verified_for_sending: bool,
        details: Details,
        at: SystemTime,
        due: Instant,
    ) -> Option<bool> {
        let Some(entry) = self.entries.get_mut(name) else { return Some(false) };
        let before = policy_bytes(entry.known.details.as_ref());
        let bytes = self.policy_bytes - before + policy_bytes(Some(&details));
        if bytes > POLICY_BYTES {
            return None;
        }
        self.policy_bytes = bytes;
        let details = Some(details);
        let known = KnownIdentity { name: name.to_owned(), verified_for_sending, details };
        (entry.read, entry.due) = (Some(at), due);
        (entry.is_urgent, entry.is_wanted, entry.is_failing) = (false, false, false);
        let changed = *entry.known != known;
        if changed {
            entry.known = Arc::new(known);
        }
        Some(changed)
    }

    /// Notes that an identity cannot be read for a reason of its own: the others go first.
    pub(super) fn postpone(&mut self, name: &str, due: Instant) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.due = due;
            entry.is_failing = true;
            // Unless a message asks for it again.
            entry.is_wanted = false;
        }
    }

    /// Takes out an identity that is no more; says whether it was there.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let removed = self.entries.remove(name);
        let details = removed.as_ref().and_then(|entry| entry.known.details.as_ref());
        self.policy_bytes -= policy_bytes(details);
        removed.is_some()
    }

    /// Whether one cannot be read for a reason of its own.
    pub(super) fn is_failing(&self) -> bool {
        self.entries.values().any(|entry| entry.is_failing)
    }

    pub(super) fn identities(&self) -> Vec<Arc<KnownIdentity>> {
        self.entries.values().map(|entry| Arc::clone(&entry.known)).collect()
    }

    /// What the copy on disk holds of each.
    pub(super) fn copy(&self) -> Vec<(Arc<KnownIdentity>, bool, Option<SystemTime>)> {
        let entries = self.entries.values();
        entries.map(|entry| (Arc::clone(&entry.known), entry.listed, entry.read)).collect()
    }
}

/// When details of that age are to be read again.
pub(super) fn due(age: Option<Duration>, refresh: Duration, now: Instant) -> Instant {
    age.map_or(now, |age| now + refresh.saturating_sub(age))
}

fn policy_bytes(details: Option<&Details>) -> usize {
    details.map_or(0, |details| details.policies.values().map(String::len).sum())
}
