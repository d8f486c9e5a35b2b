//! Names that have logged in before, each with the networks that it came from: they have turns and
//! room of their own among those who wait, so that no flood of strangers shuts them out.
//!
//! It is no reason to let anybody in. Whoever shares such a network can learn, as long as the queue
//! is full, that a name has logged in from there.

use super::capped_map::CappedMap;

const ENTRIES: usize = 10_000;

/// A keyed digest of a user name and what a customer is given of networks: an IPv4 /24, an IPv6 /48.
/// An app that starts anew has another address, most often of the same one.
pub(super) type Origin = [u8; 16];

/// Where names have logged in from; what was not used for longest goes first.
pub(super) struct Familiar(CappedMap<Origin, ()>);

impl Default for Familiar {
    fn default() -> Self {
        Self(CappedMap::new(ENTRIES))
    }
}

impl Familiar {
    pub(super) fn logged_in(&mut self, origin: Origin) {
        self.0.insert(origin, (), 0);
    }

    pub(super) fn knows(&self, origin: &Origin) -> bool {
        self.0.get(origin).is_some()
    }
}
