//! Who is next: start-time fair queueing over the users that wait.
//!
//! Each user has a line, first in, first out. The head of a line has a start tag: the end of what the
//! user had before, or the tag now being served if that is later. The lowest tag is served, and its
//! user's next tag is that plus the recipients served. So users who always wait get equal shares of
//! recipients, one message apart, and one who comes with nothing taken before is next. A user that
//! may not go for a reason of its own is held aside and earns nothing meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::time::Instant;

/// Lines are looked through for forgotten users when there are this many, at least.
const SWEEP: usize = 64;

/// One message that waits.
#[derive(Debug)]
pub(super) struct Waiter<T> {
    /// Its place in the order of arrival, never given twice.
    pub(super) ticket: u64,
    /// What it costs.
    pub(super) recipients: u32,
    /// Whom to tell.
    pub(super) who: T,
}

/// Lines of waiting messages, one a user.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    lines: HashMap<Arc<str>, Line<T>>,
    /// Lines whose head may go, by tag, then by arrival.
    ready: BTreeMap<(u64, u64), Arc<str>>,
    /// Lines held aside, by the time at which they may go.
    held: BTreeMap<(Instant, u64), Arc<str>>,
    /// The tag last served.
    served: u64,
    /// The highest tag that any user ended at.
    last_end: u64,
    waiting: usize,
    sweep_at: usize,
}

#[derive(Debug)]
struct Line<T> {
    waiting: BTreeMap<u64, (u32, T)>,
    recipients: u64,
    end: u64,
    place: Place,
}

/// Where a line stands, with its key there.
#[derive(Debug, Clone, Copy)]
enum Place {
    Empty,
    Ready((u64, u64)),
    Held((Instant, u64)),
}

impl<T> FairQueue<T> {
    /// Returns a queue in which nobody waits.
    pub(super) fn new() -> Self {
        Self {
            lines: HashMap::new(),
            ready: BTreeMap::new(),
            held: BTreeMap::new(),
            served: 0,
            last_end: 0,
            waiting: 0,
            sweep_at: SWEEP,
        }
    }

    /// Returns how many messages wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// Says whether anybody waits who might go if there were room.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Returns when the first of the users held aside may go.
    pub(super) fn held_until(&self) -> Option<Instant> {
        self.held.first_key_value().map(|((until, _), _)| *until)
    }

    /// Returns how many recipients a user has waiting.
    pub(super) fn backlog(&self, user: &str) -> u64 {
        // Most often nobody waits, and nothing need be looked up.
        if self.waiting == 0 { 0 } else { self.lines.get(user).map_or(0, |line| line.recipients) }
    }

    /// Returns each user that waits, with its messages and recipients.
    pub(super) fn users(&self) -> impl Iterator<Item = (&Arc<str>, usize, u64)> {
        self.lines
            .iter()
            .filter(|(_, line)| !line.waiting.is_empty())
            .map(|(user, line)| (user, line.waiting.len(), line.recipients))
    }

    /// Appends a message to the line of its user.
    pub(super) fn push(&mut self, user: &Arc<str>, waiter: Waiter<T>) {
        if self.lines.len() >= self.sweep_at {
            let served = self.served;
            self.lines.retain(|_, line| !line.waiting.is_empty() || line.end > served);
            self.sweep_at = SWEEP.max(self.lines.len().saturating_mul(2));
        }
        let line = self.lines.entry(Arc::clone(user)).or_insert_with(Line::new);
        line.recipients += u64::from(waiter.recipients);
        line.waiting.insert(waiter.ticket, (waiter.recipients, waiter.who));
        self.waiting += 1;
        if let Place::Empty = line.place {
            let key = (self.served.max(line.end), waiter.ticket);
            line.place = Place::Ready(key);
            self.ready.insert(key, Arc::clone(user));
        }
    }

    /// Takes a message out that waits no longer, for which its user pays nothing.
    pub(super) fn remove(&mut self, user: &str, ticket: u64) -> Option<Waiter<T>> {
        let line = self.lines.get_mut(user)?;
        let (recipients, who) = line.waiting.remove(&ticket)?;
        line.recipients -= u64::from(recipients);
        self.waiting -= 1;
        if line.waiting.is_empty() {
            match line.place {
                Place::Ready(key) => drop(self.ready.remove(&key)),
                Place::Held(key) => drop(self.held.remove(&key)),
                Place::Empty => {}
            }
            line.place = Place::Empty;
            if line.end <= self.served {
                self.lines.remove(user);
            }
        }
        Some(Waiter { ticket, recipients, who })
    }

    /// Lets those back in whose time to be held aside is over.
    pub(super) fn release(&mut self, now: Instant) {
        while let Some(entry) = self.held.first_entry() {
            let (until, ticket) = *entry.key();
            if until > now {
                break;
            }
            let user = entry.remove();
            let Some(line) = self.lines.get_mut(&user) else { continue };
            let key = (self.served.max(line.end), ticket);
            line.place = Place::Ready(key);
            self.ready.insert(key, user);
        }
    }

    /// Returns the user that is next, and the head of its line.
    pub(super) fn first(&self) -> Option<(&Arc<str>, u64, &T)> {
        let (_, user) = self.ready.first_key_value()?;
        let (ticket, (_, who)) = self.lines.get(user)?.waiting.first_key_value()?;
        Some((user, *ticket, who))
    }

    /// Returns somebody who waits.
    pub(super) fn anyone(&self) -> Option<(u64, &T)> {
        let user = self.ready.values().next().or_else(|| self.held.values().next())?;
        let (ticket, (_, who)) = self.lines.get(user)?.waiting.first_key_value()?;
        Some((*ticket, who))
    }

    /// Holds the user that is next aside until then.
    pub(super) fn hold(&mut self, until: Instant) {
        let Some(((_, ticket), user)) = self.ready.pop_first() else { return };
        if let Some(line) = self.lines.get_mut(&user) {
            line.place = Place::Held((until, ticket));
            self.held.insert((until, ticket), user);
        }
    }

    /// Serves the message that is next.
    pub(super) fn serve(&mut self) -> Option<(Arc<str>, Waiter<T>)> {
        let ((tag, _), user) = self.ready.pop_first()?;
        let line = self.lines.get_mut(&user)?;
        let (ticket, (recipients, who)) = line.waiting.pop_first()?;
        self.waiting -= 1;
        line.recipients -= u64::from(recipients);
        self.served = self.served.max(tag);
        line.end = tag.saturating_add(u64::from(recipients));
        self.last_end = self.last_end.max(line.end);
        line.place = match line.waiting.first_key_value() {
            Some((next, _)) => {
                let key = (line.end, *next);
                self.ready.insert(key, Arc::clone(&user));
                Place::Ready(key)
            }
            None => Place::Empty,
        };
        Some((user, Waiter { ticket, recipients, who }))
    }

    /// Forgets what users had before: there is room and nobody waits for it.
    pub(super) fn rest(&mut self) {
        self.served = self.last_end;
        if self.waiting == 0 && !self.lines.is_empty() {
            self.lines = HashMap::new();
            self.sweep_at = SWEEP;
        }
    }
}

impl<T> Line<T> {
    fn new() -> Self {
        Self { waiting: BTreeMap::new(), recipients: 0, end: 0, place: Place::Empty }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests begin at some time")]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    /// Fills a queue from `user recipients, user recipients, …`.
    fn queue(messages: &str) -> FairQueue<()> {
        let mut queue = FairQueue::new();
        push(&mut queue, 0, messages);
        queue
    }

    fn push(queue: &mut FairQueue<()>, first_ticket: u64, messages: &str) {
        for (ticket, message) in (first_ticket..).zip(messages.split(", ")) {
            let (user, recipients) = message.split_once(' ').unwrap();
            let recipients = recipients.parse().unwrap();
            queue.push(&user.into(), Waiter { ticket, recipients, who: () });
        }
    }

    /// Serves so many and returns their users.
    fn serve(queue: &mut FairQueue<()>, messages: usize) -> String {
        (0..messages).filter_map(|_| queue.serve()).map(|(user, _)| user.to_string()).collect()
    }

    #[test]
    fn orders() {
        for (waiting, order) in [
            ("a 1, a 1, a 1, b 1", "abaa"),
            ("a 1, b 1, c 1, a 1, b 1, c 1", "abcabc"),
            ("a 50, a 50, b 1, b 1, b 1", "abbba"),
            ("a 2, a 2, a 2, b 1, b 1, b 1, b 1", "abbabba"),
            ("a 1, b 50, b 50, a 1, a 1", "abaab"),
        ] {
            assert_eq!(serve(&mut queue(waiting), 9), order, "{waiting}");
        }
    }

    #[test]
    fn who_comes_late_is_next_but_not_for_what_it_did_not_take() {
        let mut queue = queue(&vec!["noisy 1"; 300].join(", "));
        assert_eq!(serve(&mut queue, 100), "noisy".repeat(100));
        push(&mut queue, 1_000, "late 1, late 1, late 1");
        assert_eq!(serve(&mut queue, 6), "latenoisylatenoisylatenoisy");
    }

    #[test]
    fn who_is_held_aside_does_not_hold_up_others_and_saves_nothing_up() {
        let start = std::time::Instant::now().into();
        let later = start + Duration::from_secs(1);
        let mut queue = queue("a 1, a 1, a 1, b 1, b 1, b 1, b 1, b 1, b 1");
        queue.hold(later);
        assert_eq!(serve(&mut queue, 4), "bbbb");
        assert_eq!(queue.held_until(), Some(later));
        queue.release(start);
        assert_eq!(queue.backlog("a"), 3);
        queue.release(later);
        assert_eq!(serve(&mut queue, 9), "aabab", "a tie goes to who came first");
    }

    #[test]
    fn idle_users_are_forgotten() {
        let mut queue = queue("a 1, b 9");
        serve(&mut queue, 2);
        assert_eq!(queue.lines.len(), 2, "they still pay for what they had");
        queue.rest();
        assert_eq!(queue.lines.len(), 0);
        for ticket in 0..10_000 {
            let user = (ticket / 2).to_string().into();
            queue.push(&user, Waiter { ticket, recipients: 1, who: () });
            queue.serve();
        }
        assert!(queue.lines.len() <= SWEEP, "{} lines", queue.lines.len());
    }

    proptest! {
        /// Between any two users that wait all the time, what they got differs by one message of
        /// each at most.
        #[test]
        fn shares_are_equal(
            sizes in prop::collection::vec(prop::collection::vec(1u32..=50, 200), 2..6),
            served in 1usize..150,
        ) {
            let mut queue = FairQueue::new();
            let mut ticket = 0;
            for (user, sizes) in sizes.iter().enumerate() {
                for recipients in sizes.iter().copied() {
                    queue.push(&user.to_string().into(), Waiter { ticket, recipients, who: () });
                    ticket += 1;
                }
            }
            let mut shares = vec![0; sizes.len()];
            for _ in 0..served {
                let (user, waiter) = queue.serve().unwrap();
                shares[user.parse::<usize>().unwrap()] += waiter.recipients;
            }
            let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            prop_assert!(most - least <= 100, "{:?}", shares);
        }

        /// Whatever happens, nobody is lost: the places agree with the lines, and at the end all
        /// who waited were served or taken out.
        #[test]
        fn nobody_is_lost(steps in prop::collection::vec((0u8..6, 0usize..4, 1u32..60), 1..300)) {
            let start: Instant = std::time::Instant::now().into();
            let users: Vec<Arc<str>> = ["a", "b", "c", "d"].map(Arc::from).into();
            let mut queue = FairQueue::new();
            let mut here = BTreeMap::new();
            for (ticket, (step, user, number)) in (0u64..).zip(steps) {
                let now = start + Duration::from_secs(ticket);
                match step {
                    0 | 1 => {
                        queue.push(&users[user], Waiter { ticket, recipients: number, who: () });
                        here.insert(ticket, user);
                    }
                    2 => {
                        let gone = here.iter().nth(number as usize).map(|(t, u)| (*t, *u));
                        if let Some((ticket, user)) = gone {
                            prop_assert!(queue.remove(&users[user], ticket).is_some());
                            prop_assert!(queue.remove(&users[user], ticket).is_none());
                            here.remove(&ticket);
                        }
                    }
                    3 => queue.hold(now + Duration::from_secs(number.into())),
                    4 => queue.release(now),
                    _ => if let Some((_, waiter)) = queue.serve() {
                        prop_assert!(here.remove(&waiter.ticket).is_some());
                    }
                }
                prop_assert_eq!(queue.len(), here.len());
                prop_assert_eq!(queue.anyone().is_some(), !here.is_empty());
                let lines = queue.lines.values().filter(|line| !line.waiting.is_empty()).count();
                prop_assert_eq!(lines, queue.ready.len() + queue.held.len());
            }
            queue.release(start + Duration::from_secs(10_000));
            while let Some((_, waiter)) = queue.serve() {
                prop_assert!(here.remove(&waiter.ticket).is_some());
            }
            prop_assert!(here.is_empty());
        }
    }
}
