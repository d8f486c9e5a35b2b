//! The few hashes that run at once, and who waits for them: in turn by client network.
//!
//! Whoever holds many networks, or shares one with many, waits behind its own; a login from a quiet
//! network waits behind a few others, whatever the flood. Each standing has turns of its own and its
//! share of the room: a flood from networks all over the world is one among four.

use std::sync::Arc;

use ipnet::IpNet;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::network::Network;
use super::round_robin::RoundRobin;
use crate::principals::password::HashMemory;

/// Runs at most some at once.
pub(super) struct Pool(Arc<Mutex<State>>);

struct State {
    /// The memory of those that are not taken.
    free: Vec<HashMemory>,
    waiting: RoundRobin<Group, oneshot::Sender<Slot>>,
}

/// The right to hash, and memory to do it in. The next in turn has both when it is dropped.
pub(super) struct Slot {
    state: Arc<Mutex<State>>,
    /// What hashes are computed in.
    pub(super) memory: HashMemory,
}

/// Where a login stands among the others; each standing has its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// From loopback or a trusted network, without failures.
    Trusted,
    /// Has logged in from that network before, without failures since.
    Familiar,
    /// From another network without failures.
    Quiet,
    /// Failures are on record.
    Suspect,
}

/// What turns are taken between.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Standing(Standing),
    Network(IpNet),
}

/// Nobody waits for more than there is room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full {
    /// The network has filled its own share.
    pub(super) own: bool,
}

/// How many may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// All in all.
    pub(super) total: usize,
    /// Of one network.
    pub(super) share: usize,
}

impl Pool {
    pub(super) fn new(slots: usize) -> Self {
        let free = std::iter::repeat_with(HashMemory::default).take(slots).collect();
        Self(Arc::new(Mutex::new(State { free, waiting: RoundRobin::new() })))
    }

    /// Where the memory of those that are not taken is and how much, in blocks.
    #[cfg(test)]
    pub(super) fn memory(&self) -> Vec<(usize, usize)> {
        self.0.lock().free.iter().map(HashMemory::place).collect()
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        let mut state = self.0.lock();
        state.waiting.retain(&|turn| !turn.is_closed());
        state.waiting.len()
    }

    /// Waits for a slot. One who stops waiting gives its place up.
    pub(super) async fn slot(
        &self,
        network: Network,
        standing: Standing,
        room: Room,
    ) -> Result<Slot, Full> {
        let turn = match self.slot_or_turn(network, standing, room)? {
            Ok(slot) => return Ok(slot),
            Err(turn) => turn,
        };
        // Pushed out by one that has waited for less.
        turn.await.map_err(|_| Full { own: false })
    }

    fn slot_or_turn(
        &self,
        network: Network,
        standing: Standing,
        room: Room,
    ) -> Result<Result<Slot, oneshot::Receiver<Slot>>, Full> {
        let mut state = self.0.lock();
        if let Some(memory) = state.free.pop() {
            return Ok(Ok(Slot { state: Arc::clone(&self.0), memory }));
        }
        let [wide, middle, narrow] = network.path().map(Group::Network);
        let path = [Group::Standing(standing), wide, middle, narrow];
        if state.waiting.len() >= room.total || state.waiting.len_of(&path) >= room.share {
            state.waiting.retain(&|turn| !turn.is_closed());
        }
        if room.total > 0 && state.waiting.len_of(&path) >= room.share {
            return Err(Full { own: true });
        }
        let (give, turn) = oneshot::channel();
        state.waiting.push(&path, give);
        if state.waiting.len() > room.total {
            drop(state.waiting.push_out(&path));
        }
        Ok(Err(turn))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut memory = std::mem::take(&mut self.memory);
        let next = {
            let mut state = self.state.lock();
            loop {
                match state.waiting.pop() {
                    Some(next) if next.is_closed() => {}
                    Some(next) => break next,
                    None => {
                        memory.rest();
                        state.free.push(memory);
                        return;
                    }
                }
            }
        };
        // One that stopped waiting meanwhile gives it back, which drops it again.
        let _ = next.send(Self { state: Arc::clone(&self.state), memory });
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a time to begin with")]
mod tests {
    use std::time::Duration;

    use tokio::task::JoinSet;
    use tokio::time::{Instant, sleep};

    use super::super::network::tests::network;
    use super::*;
    use crate::principals::password::StoredPassword;
    use crate::principals::password::tests::argon2;

    const HASH: Duration = Duration::from_millis(100);
    const ROOM: Room = Room { total: 32, share: 8 };

    /// Who got a slot and when, in hashes, or who did not, when each asks 1 ms after the one before.
    async fn play(slots: usize, room: Room, asking: &[(&str, Standing)]) -> Vec<(usize, Outcome)> {
        let pool = Arc::new(Pool::new(slots));
        let mut all = JoinSet::new();
        let start = Instant::now();
        for (at, (peer, standing)) in asking.iter().enumerate() {
            let (pool, network, standing) = (Arc::clone(&pool), network(peer), *standing);
            all.spawn(async move {
                let slot = pool.slot(network, standing, room).await;
                let began = start.elapsed().as_millis() / HASH.as_millis();
                match slot {
                    Ok(slot) => {
                        sleep(HASH).await;
                        drop(slot);
                        (at, Outcome::Began(began))
                    }
                    Err(Full { own }) => (at, Outcome::Full { own }),
                }
            });
            sleep(Duration::from_millis(1)).await;
        }
        let mut outcomes = all.join_all().await;
        outcomes.sort_by_key(|(at, _)| *at);
        assert_eq!(pool.0.lock().free.len(), slots, "every slot comes back");
        assert_eq!(pool.waiting(), 0);
        outcomes
    }

    #[derive(Debug, PartialEq, Eq)]
    enum Outcome {
        Began(u128),
        Full { own: bool },
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_network_waits_for_few_others() {
        use Standing::{Quiet, Suspect, Trusted};
        // The flood: one network, then one /32 of IPv6 with a new /48 each time.
        let one: Vec<_> = (0..50).map(|_| "192.0.2.1".to_owned()).collect();
        let many: Vec<_> = (0..50).map(|at| format!("2001:db8:{at:x}::1")).collect();
        let local: Vec<_> = (1..51).map(|at| format!("127.0.0.{at}")).collect();
        for (flood, standing) in
            [(&one, Quiet), (&one, Suspect), (&many, Quiet), (&many, Suspect), (&local, Trusted)]
        {
            let mut asking: Vec<_> = flood.iter().map(|peer| (peer.as_str(), standing)).collect();
            asking.push(("198.51.100.7", Quiet));
            let outcomes = play(1, ROOM, &asking).await;
            let Some((_, Outcome::Began(after))) = outcomes.last() else {
                panic!("refused behind {standing:?} {flood:?}");
            };
            assert!(*after <= 2, "waits for {after} hashes behind {standing:?}: {flood:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_from_all_over_the_world_leaves_each_other_standing_its_share() {
        use Standing::{Familiar, Quiet, Suspect, Trusted};
        let standings = [Trusted, Familiar, Quiet, Suspect];
        let world: Vec<_> = (0..60).map(|at| format!("11.{at}.0.1")).collect();
        for flood in standings {
            for standing in standings {
                let mut asking: Vec<_> = world.iter().map(|peer| (peer.as_str(), flood)).collect();
                asking.push(("198.51.100.7", standing));
                let outcome = play(1, ROOM, &asking).await.pop().unwrap().1;
                if standing == flood {
                    assert_eq!(outcome, Outcome::Full { own: false });
                } else {
                    assert_eq!(outcome, Outcome::Began(2), "{standing:?} behind {flood:?}");
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_memory_of_a_hash_serves_the_next() {
        let stored = StoredPassword::parse(&argon2("secret", 64)).unwrap();
        let pool = Pool::new(2);
        let ask = || pool.slot(network("192.0.2.1"), Standing::Quiet, ROOM);
        let mut first = ask().await.unwrap();
        assert!(stored.verify_within("secret", &mut first.memory));
        let place = first.memory.place();
        drop(first);
        let mut again = ask().await.unwrap();
        assert_eq!(again.memory.place(), place, "when it was free meanwhile");
        let mut second = ask().await.unwrap();
        assert!(!stored.verify_within("wrong", &mut second.memory));
        let (waited, ()) = tokio::join!(ask(), async {
            assert!(!stored.verify_within("wrong", &mut again.memory));
            drop(again);
        });
        assert_eq!(waited.unwrap().memory.place(), place, "when somebody waited for it");
        let large = StoredPassword::parse(&argon2("secret", 33 * 1024)).unwrap();
        assert!(large.verify_within("secret", &mut second.memory));
        drop(second);
        assert!(pool.memory().iter().all(|(_, blocks)| *blocks <= 64), "much is given back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_has_a_share_of_the_room_and_knows_who_filled_it() {
        use Standing::{Quiet, Trusted};
        for (peer, standing) in [("192.0.2.1", Quiet), ("::1", Trusted)] {
            let outcomes = play(2, ROOM, &[(peer, standing); 40]).await;
            for (at, outcome) in outcomes {
                match outcome {
                    Outcome::Began(_) => assert!(at < 2 + ROOM.share, "{at}"),
                    Outcome::Full { own } => assert!(own && at >= 2 + ROOM.share, "{at}"),
                }
            }
        }
        let outcomes = play(1, Room { total: 0, share: 0 }, &[("192.0.2.1", Quiet); 2]).await;
        assert_eq!(outcomes, [(0, Outcome::Began(0)), (1, Outcome::Full { own: false })]);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_fills_the_room_gives_way() {
        use Standing::Quiet;
        let flood: Vec<_> = (0..33).map(|at| format!("203.0.113.{at}")).collect();
        let mut asking: Vec<_> = flood.iter().map(|peer| (peer.as_str(), Quiet)).collect();
        asking.extend([("198.51.100.7", Quiet), ("203.0.113.200", Quiet)]);
        let outcomes = play(1, ROOM, &asking).await;
        let refused: Vec<_> = outcomes
            .iter()
            .filter(|(_, outcome)| *outcome == Outcome::Full { own: false })
            .map(|(at, _)| *at)
            .collect();
        assert_eq!(refused, [32, 34], "the youngest of the crowd, not its neighbour");
        assert_eq!(outcomes[33].1, Outcome::Began(2));
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_stops_waiting_gives_its_place_up() {
        let pool = Pool::new(1);
        let ask = || pool.slot(network("192.0.2.1"), Standing::Quiet, ROOM);
        let held = ask().await.unwrap();
        let impatient = tokio::time::timeout(HASH, ask()).await;
        assert!(impatient.is_err());
        let (next, ()) = tokio::join!(ask(), async {
            sleep(HASH).await;
            assert_eq!(pool.waiting(), 1);
            drop(held);
        });
        drop(next.unwrap());
        assert_eq!(pool.0.lock().free.len(), 1);
    }
}
