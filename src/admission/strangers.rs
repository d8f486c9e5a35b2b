//! Connections that have not logged in, and which of them gives way when there are too many.
//!
//! It is the oldest of the network that has the most of them, and of networks from which somebody has
//! logged in before, only where there are no others. So who holds many keeps out its own.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use tokio_util::sync::CancellationToken;

/// Networks that are remembered because somebody has logged in from there.
const KNOWN: usize = 10_000;

/// Connections that have not logged in; those whose client is not named yet are together.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    count: usize,
    next: u64,
    networks: HashMap<Option<IpAddr>, BTreeMap<u64, CancellationToken>>,
    /// The networks; the last is the next to give way.
    order: BTreeSet<Rank>,
    known: HashSet<IpAddr>,
}

/// Whether nobody has logged in from there, connections, the oldest, and the network.
type Rank = (bool, usize, Reverse<u64>, Option<IpAddr>);

impl Strangers {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Takes one in, to be told by the token when it has to go; returns its number.
    pub(super) fn enter(&mut self, network: Option<IpAddr>, token: CancellationToken) -> u64 {
        let number = self.next;
        self.next += 1;
        self.change(network, |members| members.insert(number, token));
        self.count += 1;
        number
    }

    /// Takes one out, with its token; it may have given way already.
    pub(super) fn leave(
        &mut self,
        network: Option<IpAddr>,
        number: u64,
    ) -> Option<CancellationToken> {
        let token = self.change(network, |members| members.remove(&number))?;
        self.count -= 1;
        Some(token)
    }

    /// Tells one to go, which counts no more; returns whether there was any.
    pub(super) fn make_room(&mut self) -> bool {
        let Some((_, _, Reverse(number), network)) = self.order.last().copied() else {
            return false;
        };
        let token = self.leave(network, number);
        if let Some(token) = &token {
            token.cancel();
        }
        token.is_some()
    }

    /// Somebody has logged in from this network.
    pub(super) fn knows(&mut self, network: IpAddr) {
        if self.known.contains(&network) {
            return;
        }
        if self.known.len() >= KNOWN {
            self.known.clear();
        }
        let rank = self.rank(Some(network));
        self.known.insert(network);
        if rank.is_some_and(|rank| self.order.remove(&rank)) {
            self.order.extend(self.rank(Some(network)));
        }
    }

    /// Changes the connections of one network and puts it into its new place.
    fn change<T>(
        &mut self,
        network: Option<IpAddr>,
        change: impl FnOnce(&mut BTreeMap<u64, CancellationToken>) -> T,
    ) -> T {
        if let Some(rank) = self.rank(network) {
            self.order.remove(&rank);
        }
        let members = self.networks.entry(network).or_default();
        let changed = change(members);
        if members.is_empty() {
            self.networks.remove(&network);
        }
        self.order.extend(self.rank(network));
        changed
    }

    fn rank(&self, network: Option<IpAddr>) -> Option<Rank> {
        let members = self.networks.get(&network)?;
        let (oldest, _) = members.first_key_value()?;
        let stranger = network.is_none_or(|network| !self.known.contains(&network));
        Some((stranger, members.len(), Reverse(*oldest), network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    /// Takes in one connection for each network, and returns which were told to go, in that order.
    fn gone(strangers: &mut Strangers, networks: &[&str], times: usize) -> Vec<usize> {
        let tokens: Vec<_> = networks.iter().map(|_| CancellationToken::new()).collect();
        for (network_text, token) in networks.iter().zip(&tokens) {
            strangers.enter(network(network_text), token.clone());
        }
        let mut gone = Vec::new();
        for _ in 0..times {
            strangers.make_room();
            let told = (0..tokens.len()).filter(|at| tokens[*at].is_cancelled());
            let new: Vec<_> = told.filter(|at| !gone.contains(at)).collect();
            gone.extend(new);
        }
        gone
    }

    #[test]
    fn the_oldest_of_the_network_with_the_most_gives_way() {
        let mut strangers = Strangers::default();
        let networks = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.2", "192.0.2.2"];
        assert_eq!(gone(&mut strangers, &networks, 9), [1, 3, 0, 2, 4]);
        assert_eq!(strangers.count(), 0);
        assert!(!strangers.make_room());
        assert!(strangers.networks.is_empty() && strangers.order.is_empty());
    }

    #[test]
    fn where_somebody_has_logged_in_they_are_the_last() {
        let mut strangers = Strangers::default();
        let networks = ["192.0.2.1", "192.0.2.2", "192.0.2.1"];
        strangers.knows(network("192.0.2.1").unwrap());
        assert_eq!(gone(&mut strangers, &networks, 3), [1, 0, 2]);
        // Also when the login comes after them.
        let mut strangers = Strangers::default();
        let first = CancellationToken::new();
        strangers.enter(network("192.0.2.2"), first.clone());
        strangers.knows(network("192.0.2.2").unwrap());
        assert_eq!(gone(&mut strangers, &["192.0.2.9"], 1), [0]);
        assert!(!first.is_cancelled());
        assert!(strangers.make_room() && first.is_cancelled());
    }

    #[test]
    fn who_left_is_not_told() {
        let mut strangers = Strangers::default();
        let tokens = [CancellationToken::new(), CancellationToken::new()];
        let [first, _] = tokens.each_ref().map(|token| strangers.enter(None, token.clone()));
        assert!(strangers.leave(None, first).is_some());
        assert!(strangers.leave(None, first).is_none());
        assert!(strangers.make_room());
        assert_eq!(tokens.map(|token| token.is_cancelled()), [false, true]);
    }

    #[test]
    fn what_is_known_is_bounded() {
        let mut strangers = Strangers::default();
        for at in 0..=u32::try_from(KNOWN).unwrap() {
            strangers.knows(IpAddr::V4(at.into()));
        }
        assert!(strangers.known.len() <= KNOWN);
    }
}
