//! Which connections are taken: limits in all, for each client network, for those that have not
//! logged in, and for each user.
//!
//! No clock of its own and no sockets: the caller says when. What is counted is forgotten with the last
//! connection of a network and after a minute.

mod unauthenticated;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::log_limit::LogLimit;
use unauthenticated::{Newcomer, Unauthenticated};

/// Connections begun are counted for so long.
const MINUTE: Duration = Duration::from_secs(60);
/// A refusal is logged again after so long, with the number of those in between.
const QUIET: Duration = Duration::from_secs(10);
/// Networks that are remembered for the rate of their connections.
const NETWORKS: usize = 100_000;
/// Clients on loopback share one address: so many times the limit of another network is theirs.
const LOOPBACK: usize = 4;

/// How many connections there may be. 0 means no limit of that kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// In all.
    pub connections: usize,
    /// From one client network (an IPv4 address, an IPv6 /64); four times as many from loopback.
    pub per_network: usize,
    /// That have not logged in yet. Of these one more makes another give way.
    pub unauthenticated: usize,
    /// Logged in as one user.
    pub per_user: usize,
    /// Begun within a minute from one network; loopback has no such limit.
    pub per_minute: usize,
}

/// Which limit a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OverLimit {
    /// In all.
    #[error("too many connections; see `connections` in `[limits]`")]
    Connections,
    /// From one network.
    #[error("too many connections from one client; see `connections_per_client` in `[limits]`")]
    Network,
    /// Not logged in.
    #[error(
        "too many connections that have not logged in; see `connections_before_login` in `[limits]`"
    )]
    Unauthenticated,
    /// Of one user.
    #[error("too many connections of one user; see `connections_per_user` in `[limits]`")]
    User,
    /// Within a minute.
    #[error(
        "too many connections from one client within a minute; see `connections_per_minute` in \
         `[limits]`"
    )]
    Rate,
}

impl OverLimit {
    /// Its name, in metrics and where refusals are summed up.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Network => "network",
            Self::Unauthenticated => "unauthenticated",
            Self::User => "user",
            Self::Rate => "rate",
        }
    }
}

/// Counts connections.
#[derive(Debug)]
pub struct Admission {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limits: AdmissionLimits,
    connections: usize,
    unauthenticated: Unauthenticated,
    networks: HashMap<IpAddr, usize>,
    begun: HashMap<IpAddr, (Instant, usize)>,
    users: HashMap<String, usize>,
    logged: HashMap<&'static str, LogLimit>,
}

impl Admission {
    /// Begins with no connections.
    #[must_use]
    pub fn new(limits: AdmissionLimits) -> Self {
        let state = State {
            limits,
            connections: 0,
            unauthenticated: Unauthenticated::default(),
            networks: HashMap::new(),
            begun: HashMap::new(),
            users: HashMap::new(),
            logged: HashMap::new(),
        };
        Self { state: Mutex::new(state) }
    }

    /// Changes the limits; what is over them stays until it ends.
    pub fn configure(&self, limits: AdmissionLimits) {
        self.state.lock().limits = limits;
    }

    /// How many connections there are, and how many of them have not logged in.
    #[must_use]
    pub fn connections(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.connections, state.unauthenticated.count())
    }

    /// Takes a connection in, or says which limit it is over. Whom it comes from may be said later.
    ///
    /// When too many have not logged in, one of a client that has more of them gives way
    /// ([`ConnectionSlot::evicted`]): a flood would keep everybody out otherwise.
    ///
    /// # Errors
    /// The limit.
    pub fn admit(
        self: &Arc<Self>,
        client: Option<IpAddr>,
        now: Instant,
    ) -> Result<ConnectionSlot, OverLimit> {
        let mut state = self.state.lock();
        let limits = state.limits;
        if over(state.connections, limits.connections) {
            return Err(OverLimit::Connections);
        }
        let network = client.map(|client| state.enter(client, now)).transpose()?;
        while over(state.unauthenticated.count(), limits.unauthenticated) {
            if !state.unauthenticated.make_room(network, now) {
                if let Some(network) = network {
                    release(&mut state.networks, &network);
                }
                return Err(OverLimit::Unauthenticated);
            }
        }
        state.connections += 1;
        let evicted = CancellationToken::new();
        let newcomer = Newcomer { since: now, token: evicted.clone() };
        let newcomer = Some(state.unauthenticated.enter(network, newcomer));
        Ok(ConnectionSlot { admission: Arc::clone(self), network, user: None, newcomer, evicted })
    }

    /// Whether a refusal may be logged now, and how many were not since the last that was.
    pub fn log_allowance(&self, refusal: &'static str, now: Instant) -> Option<u64> {
        let mut state = self.state.lock();
        state.logged.entry(refusal).or_insert_with(|| LogLimit::new(QUIET)).allow(now)
    }
}

fn over(count: usize, limit: usize) -> bool {
    limit != 0 && count >= limit
}

impl State {
    /// Counts a connection for the network of its client.
    fn enter(&mut self, client: IpAddr, now: Instant) -> Result<IpAddr, OverLimit> {
        let network = network(client);
        let loopback = client.to_canonical().is_loopback();
        let limits = self.limits;
        let share = limits.per_network.saturating_mul(if loopback { LOOPBACK } else { 1 });
        if over(self.networks.get(&network).copied().unwrap_or(0), share) {
            return Err(OverLimit::Network);
        }
        if !loopback && limits.per_minute != 0 {
            let begun = self.begun(network, now);
            if *begun >= limits.per_minute {
                return Err(OverLimit::Rate);
            }
            *begun += 1;
        }
        *self.networks.entry(network).or_default() += 1;
        Ok(network)
    }

    /// Connections that the network has begun in the current minute.
    fn begun(&mut self, network: IpAddr, now: Instant) -> &mut usize {
        if self.begun.len() >= NETWORKS && !self.begun.contains_key(&network) {
            self.begun.retain(|_, (since, _)| now.duration_since(*since) < MINUTE);
            if self.begun.len() >= NETWORKS {
                // More networks than that within a minute: those that did least are forgotten.
                let most = self.begun.values().map(|(_, count)| *count).max().unwrap_or(0);
                self.begun.retain(|_, (_, count)| *count == most && most > 1);
            }
        }
        let (since, count) = self.begun.entry(network).or_insert((now, 0));
        if now.duration_since(*since) >= MINUTE {
            (*since, *count) = (now, 0);
        }
        count
    }
}

/// The slot of one connection, given back when dropped.
#[derive(Debug)]
pub struct ConnectionSlot {
    admission: Arc<Admission>,
    network: Option<IpAddr>,
    user: Option<String>,
    /// Its number while it has not logged in.
    newcomer: Option<u64>,
    evicted: CancellationToken,
}

impl ConnectionSlot {
    /// The connection comes from this client, which was not known before.
    ///
    /// # Errors
    /// When there are too many from its network.
    pub fn comes_from(&mut self, client: IpAddr, now: Instant) -> Result<(), OverLimit> {
        let mut state = self.admission.state.lock();
        if self.network.is_none() {
            self.network = Some(state.enter(client, now)?);
            if let Some(token) =
                self.newcomer.and_then(|number| state.unauthenticated.leave(None, number))
            {
                self.newcomer = Some(state.unauthenticated.enter(self.network, token));
            }
        }
        Ok(())
    }

    /// Cancelled when the connection has to end at once to make room for another.
    #[must_use]
    pub fn evicted(&self) -> CancellationToken {
        self.evicted.clone()
    }

    /// The connection speaks for a user now.
    ///
    /// # Errors
    /// When that user has too many connections, and when the connection has to give way already.
    pub fn belongs_to(&mut self, user: &str) -> Result<(), OverLimit> {
        if self.user.as_deref() == Some(user) {
            return Ok(());
        }
        let mut state = self.admission.state.lock();
        let limit = state.limits.per_user;
        if limit != 0 && state.users.get(user).is_some_and(|count| *count >= limit) {
            return Err(OverLimit::User);
        }
        if let Some(number) = self.newcomer.take()
            && state.unauthenticated.leave(self.network, number).is_none()
        {
            // It has been told to go, and counts no more.
            return Err(OverLimit::Unauthenticated);
        }
        *state.users.entry(user.to_owned()).or_default() += 1;
        if let Some(earlier) = self.user.replace(user.to_owned()) {
            release(&mut state.users, &earlier);
        }
        if let Some(network) = self.network {
            state.unauthenticated.remember(network);
        }
        Ok(())
    }

    /// The counter that it belongs to.
    #[must_use]
    pub fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut state = self.admission.state.lock();
        state.connections = state.connections.saturating_sub(1);
        if let Some(number) = self.newcomer {
            state.unauthenticated.leave(self.network, number);
        }
        if let Some(network) = &self.network {
            release(&mut state.networks, network);
        }
        if let Some(user) = &self.user {
            release(&mut state.users, user);
        }
    }
}

fn release<K, Q>(counts: &mut HashMap<K, usize>, key: &Q)
where
    K: std::borrow::Borrow<Q> + std::hash::Hash + Eq,
    Q: std::hash::Hash + Eq + ?Sized,
{
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// What one client can easily have many addresses of: IPv6 is counted by /64.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: AdmissionLimits = AdmissionLimits {
        connections: 12,
        per_network: 2,
        unauthenticated: 9,
        per_user: 3,
        per_minute: 0,
    };

    fn admission(limits: AdmissionLimits) -> Arc<Admission> {
        Arc::new(Admission::new(limits))
    }

    fn admit(admission: &Arc<Admission>, peer: &str) -> Result<ConnectionSlot, OverLimit> {
        admission.admit(Some(peer.parse().unwrap()), crate::clock::now())
    }

    #[tokio::test]
    async fn each_limit_holds_and_ends_with_the_connections() {
        let admission = admission(LIMITS);
        let two =
            [admit(&admission, "192.0.2.1").unwrap(), admit(&admission, "192.0.2.1").unwrap()];
        assert_eq!(admit(&admission, "192.0.2.1").unwrap_err(), OverLimit::Network);
        assert_eq!(admit(&admission, "::ffff:192.0.2.1").unwrap_err(), OverLimit::Network);
        let six: Vec<_> =
            (0..6).map(|at| admit(&admission, &format!("198.51.100.{at}")).unwrap()).collect();
        let ninth = admit(&admission, "127.0.0.1").unwrap();
        let again = admit(&admission, "127.0.0.1").unwrap_err();
        assert_eq!(again, OverLimit::Unauthenticated, "no other client has more");
        let tenth = admit(&admission, "127.0.0.2").unwrap();
        assert_eq!(admission.connections(), (10, 9));
        let told = |slot: &ConnectionSlot| slot.evicted().is_cancelled();
        assert_eq!(two.each_ref().map(told), [true, false], "of the client with the most");
        assert!(!six.iter().chain([&ninth, &tenth]).any(told));
        let [mut first, second] = two;
        assert_eq!(first.belongs_to("user"), Err(OverLimit::Unauthenticated), "it is to go");
        assert_eq!(admission.connections(), (10, 9));
        drop((first, second, six, ninth, tenth));
        assert_eq!(admission.connections(), (0, 0));
        admit(&admission, "192.0.2.1").unwrap();
    }

    #[tokio::test]
    async fn those_that_logged_in_count_for_their_user() {
        let admission = admission(LIMITS);
        let mut places: Vec<_> = (0..12)
            .map(|at| {
                let mut slot = admit(&admission, &format!("192.0.2.{at}")).unwrap();
                let user = format!("user{}", at / 3);
                for _ in 0..2 {
                    slot.belongs_to(&user).unwrap();
                }
                slot
            })
            .collect();
        assert_eq!(admission.connections(), (12, 0));
        assert_eq!(admit(&admission, "198.51.100.1").unwrap_err(), OverLimit::Connections);
        places.pop();
        let mut last = admit(&admission, "198.51.100.1").unwrap();
        assert_eq!(last.belongs_to("user0"), Err(OverLimit::User));
        assert_eq!(last.belongs_to("user3"), Ok(()));
        drop((places, last));
        assert!(admission.state.lock().users.is_empty());
        assert!(admission.state.lock().networks.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_begins_so_many_within_a_minute() {
        let admission = admission(AdmissionLimits { per_minute: 3, per_network: 0, ..LIMITS });
        let begin = |peer| admit(&admission, peer).map(drop);
        for _ in 0..3 {
            begin("2001:db8::1").unwrap();
        }
        assert_eq!(begin("2001:db8::2"), Err(OverLimit::Rate), "an IPv6 /64 is one client");
        begin("2001:db8:0:1::1").unwrap();
        for _ in 0..10 {
            begin("127.0.0.1").unwrap();
        }
        tokio::time::advance(MINUTE).await;
        begin("2001:db8::2").unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded() {
        let admission = admission(AdmissionLimits { per_minute: 5, per_network: 0, ..LIMITS });
        let noisy = "2001:db8:ffff::1";
        for _ in 0..5 {
            admit(&admission, noisy).unwrap();
        }
        for at in 0..=NETWORKS {
            let peer = IpAddr::V6((0x2001_0db8_u128 << 96 | (at as u128) << 64).into());
            drop(admission.admit(Some(peer), crate::clock::now()));
        }
        assert!(admission.state.lock().begun.len() <= NETWORKS);
        assert_eq!(admit(&admission, noisy).unwrap_err(), OverLimit::Rate, "it is not forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_are_summed_up() {
        let admission = admission(LIMITS);
        let allowed = |over: OverLimit| admission.log_allowance(over.name(), crate::clock::now());
        assert_eq!(allowed(OverLimit::Network), Some(0));
        assert_eq!(allowed(OverLimit::Rate), Some(0));
        for _ in 0..7 {
            assert_eq!(allowed(OverLimit::Network), None);
        }
        tokio::time::advance(QUIET).await;
        assert_eq!(allowed(OverLimit::Network), Some(7));
    }
}
