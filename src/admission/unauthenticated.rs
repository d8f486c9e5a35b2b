//! Connections that have not logged in, and which of them gives way when there are too many.
//!
//! It is the oldest of the network that has the most of them, and of networks from which somebody has
//! logged in before, only where there are no others. So who holds many keeps out its own. `order` has the
//! networks by that, and its last is the next to give way; a network is taken out before its connections
//! change and put back after, or its rank would be one that is not in the set.
//! The newcomer is counted with its network first. Only where that still ranks below the one that would give
//! way does this happen at once: among equals two networks would take turns in closing each other, and many
//! who come at once would all start anew. There the oldest goes once it had two seconds to log in. A client
//! behind a balancer has no network until its PROXY header is read: it may be anybody, so it takes a place
//! like the least of them, and gives way with all the others that are not named yet.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Networks that are remembered because somebody has logged in from there.
const KNOWN: usize = 10_000;
/// So long a connection has to log in before another of the same standing takes its place.
const TIME: Duration = Duration::from_secs(2);

/// Connections that have not logged in; those whose client is not named yet are together.
#[derive(Debug, Default)]
pub(super) struct Unauthenticated {
    count: usize,
    next: u64,
    networks: HashMap<Option<IpAddr>, Members>,
    /// The networks; the last is the next to give way.
    order: BTreeSet<Rank>,
    known: HashSet<IpAddr>,
}

/// The connections of one network, the oldest first.
type Members = BTreeMap<u64, Newcomer>;

/// One connection.
#[derive(Debug)]
pub(super) struct Newcomer {
    /// When it began.
    pub(super) since: Instant,
    /// Tells it to go.
    pub(super) token: CancellationToken,
}

/// Whether nobody has logged in from there, connections, the oldest, and the network.
type Rank = (bool, usize, Reverse<u64>, Option<IpAddr>);

impl Unauthenticated {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Takes one in; returns its number.
    pub(super) fn enter(&mut self, network: Option<IpAddr>, newcomer: Newcomer) -> u64 {
        let number = self.next;
        self.next += 1;
        self.change(network, |members| members.insert(number, newcomer));
        self.count += 1;
        number
    }

    /// Takes one out; it may have given way already.
    pub(super) fn leave(&mut self, network: Option<IpAddr>, number: u64) -> Option<Newcomer> {
        let newcomer = self.change(network, |members| members.remove(&number))?;
        self.count -= 1;
        Some(newcomer)
    }

    /// Tells one to go for one more from this network, and counts it no more; returns whether there was
    /// one that has to.
    pub(super) fn make_room(&mut self, network: Option<IpAddr>, now: Instant) -> bool {
        let Some((unknown, most, Reverse(number), of)) = self.order.last().copied() else {
            return false;
        };
        // Among equals nobody is closed who has just come, or two floods would close each other forever.
        let oldest = self.networks.get(&of).and_then(|members| members.get(&number));
        let had_time = oldest.is_some_and(|oldest| now.duration_since(oldest.since) >= TIME);
        if !had_time && self.standing(network) >= (unknown, most) {
            return false;
        }
        let newcomer = self.leave(of, number);
        if let Some(newcomer) = &newcomer {
            newcomer.token.cancel();
        }
        newcomer.is_some()
    }

    /// The rank of a network with one more. A client that is not named yet may be anybody.
    fn standing(&self, network: Option<IpAddr>) -> (bool, usize) {
        let members = self.networks.get(&network).filter(|_| network.is_some());
        let unknown = network.is_some_and(|network| !self.known.contains(&network));
        (unknown, members.map_or(0, BTreeMap::len) + 1)
    }

    /// Somebody has logged in from this network.
    pub(super) fn remember(&mut self, network: IpAddr) {
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
    fn change<T>(&mut self, network: Option<IpAddr>, change: impl FnOnce(&mut Members) -> T) -> T {
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
        let newcomer = network.is_none_or(|network| !self.known.contains(&network));
        Some((newcomer, members.len(), Reverse(*oldest), network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn newcomer() -> Newcomer {
        Newcomer { since: crate::clock::now(), token: CancellationToken::new() }
    }

    /// Takes in one connection of each network.
    fn enter(unauthenticated: &mut Unauthenticated, networks: &[&str]) -> Vec<CancellationToken> {
        let entered = networks.iter().map(|text| {
            let newcomer = newcomer();
            let token = newcomer.token.clone();
            unauthenticated.enter(network(text), newcomer);
            token
        });
        entered.collect()
    }

    /// Makes room for that network as often as that is possible; returns who went, in that order.
    fn gone(
        unauthenticated: &mut Unauthenticated,
        tokens: &[CancellationToken],
        text: &str,
    ) -> Vec<usize> {
        let told = |at: &usize| tokens[*at].is_cancelled();
        let before: Vec<_> = (0..tokens.len()).filter(told).collect();
        let mut gone = Vec::new();
        while unauthenticated.make_room(network(text), crate::clock::now()) {
            let new = (0..tokens.len())
                .filter(told)
                .find(|at| ![&before, &gone].iter().any(|known| known.contains(at)));
            gone.extend(new);
        }
        gone
    }

    const NETWORKS: [&str; 6] =
        ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.2", "192.0.2.2", "192.0.2.1"];

    #[tokio::test(start_paused = true)]
    async fn the_oldest_of_the_network_with_the_most_gives_way() {
        let mut unauthenticated = Unauthenticated::default();
        let tokens = enter(&mut unauthenticated, &NETWORKS);
        assert_eq!(
            gone(&mut unauthenticated, &tokens, "192.0.2.2"),
            [0; 0],
            "its own are the most"
        );
        assert_eq!(
            gone(&mut unauthenticated, &tokens, "192.0.2.3"),
            [1],
            "down to as many as it has"
        );
        assert_eq!(gone(&mut unauthenticated, &tokens, "192.0.2.9"), [0, 3]);
        assert_eq!(unauthenticated.count(), 3);
        tokio::time::advance(TIME).await;
        assert_eq!(
            gone(&mut unauthenticated, &tokens, "192.0.2.9"),
            [2, 4, 5],
            "each had its time"
        );
        assert_eq!(unauthenticated.count(), 0);
        assert!(!unauthenticated.make_room(None, crate::clock::now()));
        assert!(unauthenticated.networks.is_empty() && unauthenticated.order.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn where_somebody_has_logged_in_they_are_the_last_to_go() {
        let mut unauthenticated = Unauthenticated::default();
        unauthenticated.remember(network("192.0.2.2").unwrap());
        let tokens = enter(&mut unauthenticated, &NETWORKS);
        // Also when the login comes after them.
        unauthenticated.remember(network("192.0.2.3").unwrap());
        assert_eq!(gone(&mut unauthenticated, &tokens, "192.0.2.9"), [0]);
        assert_eq!(gone(&mut unauthenticated, &tokens, "192.0.2.2"), [5]);
        assert_eq!(gone(&mut unauthenticated, &tokens, "192.0.2.9"), [0; 0]);
        assert_eq!(gone(&mut unauthenticated, &tokens, "192.0.2.3"), [1]);
        tokio::time::advance(TIME).await;
        assert_eq!(gone(&mut unauthenticated, &tokens, "192.0.2.9"), [3, 2, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_not_named_yet_may_be_anybody() {
        let mut unauthenticated = Unauthenticated::default();
        let tokens = enter(&mut unauthenticated, &["192.0.2.1", "192.0.2.2"]);
        unauthenticated.enter(None, newcomer());
        assert!(unauthenticated.make_room(None, crate::clock::now()));
        assert!(tokens[0].is_cancelled());
        unauthenticated.remember(network("192.0.2.2").unwrap());
        assert!(unauthenticated.make_room(None, crate::clock::now()), "the one without a name");
        assert!(!unauthenticated.make_room(None, crate::clock::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_left_is_not_told() {
        let mut unauthenticated = Unauthenticated::default();
        let [first, second] = [newcomer(), newcomer()];
        let tokens = [first.token.clone(), second.token.clone()];
        let first = unauthenticated.enter(network("192.0.2.1"), first);
        unauthenticated.enter(network("192.0.2.1"), second);
        assert!(unauthenticated.leave(network("192.0.2.1"), first).is_some());
        assert!(unauthenticated.leave(network("192.0.2.1"), first).is_none());
        assert!(unauthenticated.make_room(None, crate::clock::now()));
        assert_eq!(tokens.map(|token| token.is_cancelled()), [false, true]);
    }

    #[test]
    fn what_is_known_is_bounded() {
        let mut unauthenticated = Unauthenticated::default();
        for at in 0..=u32::try_from(KNOWN).unwrap() {
            unauthenticated.remember(IpAddr::V4(at.into()));
        }
        assert!(unauthenticated.known.len() <= KNOWN);
    }
}
