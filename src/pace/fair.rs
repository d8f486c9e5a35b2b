//! Who is next: start-time fair queueing over the users that wait.
//!
//! Each user has a line, first in, first out. The head of a line has a start tag: the end of what the
//! user had before, or the tag now being served if that is later. The lowest tag is served, and its
//! user's next tag is that plus the recipients served. So users who always wait get equal shares of
//! recipients, one message apart, and one who comes with nothing taken before is next. Of equal tags
//! the user served longest ago is first, so that they take turns. A user that may not go for a reason
//! of its own is held aside and earns nothing meanwhile.
//!
//! A large message has no tag: its user pays for it out of its share (`shares`), and when there is
//! room the one that is nearest to having paid goes. What was paid for a message that gave up is
//! kept for the user's next one, until it would have earned four of the largest messages.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::time::Instant;

use super::bucket::ROUNDING;
use super::shares::{Goal, Shares};

/// Lines are looked through for forgotten users when there are this many, at least.
const SWEEP: usize = 64;
/// The recipients that SES takes in one message, by which the account is overdrawn at most.
const LARGEST: f64 = 50.0;
/// How much everybody's share brings until what a user has paid in advance is forgotten.
const KEPT: f64 = 4.0 * LARGEST;

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
    /// Lines whose head may go, by tag; of equal ones first who was served longest ago, then by
    /// arrival.
    ready: BTreeMap<Tag, Arc<str>>,
    /// Lines held aside, by the time at which they may go.
    held: BTreeMap<(Instant, u64), Arc<str>>,
    /// Lines whose head is large and is being paid for.
    saving: BTreeMap<Goal, Arc<str>>,
    /// Lines whose head is large and paid for, by its recipients.
    paid: BTreeMap<(u32, u64), Arc<str>>,
    shares: Shares,
    /// What the account has room for.
    room: f64,
    /// Messages with more recipients are large.
    large_above: f64,
    /// The tag last served.
    served: u64,
    /// The highest tag that any user ended at.
    last_end: u64,
    /// How many messages were served.
    messages: u64,
    waiting: usize,
    sweep_at: usize,
}

#[derive(Debug)]
struct Line<T> {
    waiting: BTreeMap<u64, (u32, T)>,
    recipients: u64,
    end: u64,
    /// When it was served last, counted in messages served.
    last: u64,
    place: Place,
    /// What is paid for the next large message, and what a share had brought by then.
    advance: (f64, f64),
    /// Set while it does not wait and has its share for what it had.
    earns: Option<Goal>,
}

/// The start tag of a line, when it was served last, and the ticket of its head.
type Tag = (u64, u64, u64);

/// Where a line stands, with its key there.
#[derive(Debug, Clone, Copy)]
enum Place {
    Empty,
    Ready(Tag),
    Held((Instant, u64)),
    Saves(Goal),
    Paid((u32, u64)),
    /// A large message has gone that is not paid for. Others may wait behind it.
    Owes(Goal),
}

/// From where the next message comes, and what it takes.
#[derive(Debug, Clone, Copy)]
enum Lane {
    Paid,
    Ready,
    Saving,
    /// A small message where the pool is empty and the account is not.
    Surplus,
}

impl<T> FairQueue<T> {
    /// Returns a queue in which nobody waits.
    pub(super) fn new() -> Self {
        Self {
            lines: HashMap::new(),
            ready: BTreeMap::new(),
            held: BTreeMap::new(),
            saving: BTreeMap::new(),
            paid: BTreeMap::new(),
            shares: Shares::default(),
            room: f64::INFINITY,
            large_above: f64::INFINITY,
            served: 0,
            last_end: 0,
            messages: 0,
            waiting: 0,
            sweep_at: SWEEP,
        }
    }

    /// Takes over what the account has room for, at most and now, what the rate has brought since
    /// this was last told, and which messages are large from now on.
    pub(super) fn set_room(&mut self, room: f64, capacity: f64, gain: f64, large_above: f64) {
        self.large_above = large_above;
        if self.shares.are_kept() {
            let through = if room == f64::INFINITY {
                self.shares.end()
            } else {
                self.shares.share(gain, self.ready.len())
            };
            for user in through {
                self.pays_no_more(&user);
            }
        }
        self.room = room;
        self.shares.set_room(room, capacity);
    }

    /// Returns how many messages wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// Says whether anybody waits who might go if there were room.
    pub(super) fn has_ready(&self) -> bool {
        !(self.ready.is_empty() && self.saving.is_empty() && self.paid.is_empty())
    }

    /// Returns how much the rate must bring until somebody may go or is nearer to it, beside room
    /// for one recipient.
    pub(super) fn next_change(&self) -> Option<f64> {
        if self.waiting == 0 {
            return None;
        }
        let paid = self
            .paid
            .first_key_value()
            .map(|((recipients, _), _)| (room_for_paid(*recipients) - self.room).max(0.0));
        self.shares.next_change(self.ready.len()).into_iter().chain(paid).reduce(f64::min)
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

    /// Says whether a message may go without waiting. Such a message `passes`.
    pub(super) fn may_pass(&self, user: &str, recipients: u32) -> bool {
        if self.has_ready() {
            return false;
        }
        if !self.shares.are_kept() {
            return self.is_open();
        }
        (self.is_open() || !self.is_large(recipients) && self.shares.is_open())
            && self.lines.get(user).is_none_or(|line| matches!(line.place, Place::Empty))
    }

    /// Counts a message that goes without waiting.
    pub(super) fn pass(&mut self, user: &str, ticket: u64, recipients: u32) {
        if !self.shares.are_kept() {
            self.rest();
            if !self.is_large(recipients) {
                return;
            }
        }
        let user = user.into();
        let is_large = self.is_large(recipients);
        self.line(&user);
        if !is_large && self.shares.is_open() {
            self.shares.take(recipients);
        }
        self.charge(&user, ticket, recipients, is_large);
    }

    /// Appends a message to the line of its user.
    pub(super) fn push(&mut self, user: &Arc<str>, waiter: Waiter<T>) {
        let line = self.line(user);
        line.recipients += u64::from(waiter.recipients);
        line.waiting.insert(waiter.ticket, (waiter.recipients, waiter.who));
        let is_empty = matches!(line.place, Place::Empty);
        self.waiting += 1;
        if is_empty {
            self.stand(user);
        }
    }

    /// Takes a message out that waits no longer, for which its user pays nothing.
    pub(super) fn remove(&mut self, user: &str, ticket: u64) -> Option<Waiter<T>> {
        let line = self.lines.get_mut(user)?;
        let is_head = line.waiting.first_key_value().is_some_and(|(head, _)| *head == ticket);
        let (recipients, who) = line.waiting.remove(&ticket)?;
        line.recipients -= u64::from(recipients);
        self.waiting -= 1;
        let is_empty = line.waiting.is_empty();
        match line.place {
            Place::Ready(key) if is_empty => {
                self.ready.remove(&key);
                line.place = Place::Empty;
            }
            Place::Held(key) if is_empty => {
                self.held.remove(&key);
                line.place = Place::Empty;
            }
            // The next may be large.
            Place::Ready(key) if is_head => {
                self.ready.remove(&key);
                self.stand_again(user);
            }
            // What it has paid is kept for the next.
            Place::Saves(goal) if is_head => {
                self.saving.remove(&goal);
                let rest = self.shares.stop(goal);
                line.advance = (f64::from(recipients) - rest, self.shares.earned());
                self.stand_again(user);
            }
            Place::Paid(key) if is_head => {
                self.paid.remove(&key);
                line.advance = (f64::from(recipients), self.shares.earned());
                self.stand_again(user);
            }
            _ => {}
        }
        if self.lines.get(user).is_some_and(|line| self.is_forgotten(line)) {
            self.lines.remove(user);
        }
        Some(Waiter { ticket, recipients, who })
    }

    /// Takes back what a message had that did not go after all.
    pub(super) fn give_back(&mut self, user: &str, recipients: u32) {
        if !self.is_large(recipients) {
            if self.shares.are_kept() {
                self.shares.give_back(recipients);
            }
            return;
        }
        let Some((user, line)) = self.lines.get_key_value(user) else { return };
        let (user, place) = (Arc::clone(user), line.place);
        let mut advance = f64::from(recipients);
        if let Place::Owes(goal) = place {
            advance -= self.shares.stop(goal);
        }
        let earned = self.shares.earned();
        if let Some(line) = self.lines.get_mut(&user) {
            line.advance = (advance.max(0.0), earned);
            if matches!(place, Place::Owes(_)) {
                line.place = Place::Empty;
                self.stand(&user);
            }
        }
    }

    /// Lets those back in whose time to be held aside is over.
    pub(super) fn release(&mut self, now: Instant) {
        while let Some(entry) = self.held.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let user = entry.remove();
            self.stand(&user);
        }
    }

    /// Returns the user that is next if there is room, and the head of its line.
    pub(super) fn first(&self) -> Option<(&Arc<str>, u64, &T)> {
        let user = match self.lane()? {
            Lane::Paid => self.paid.values().next()?,
            Lane::Ready | Lane::Surplus => self.ready.values().next()?,
            Lane::Saving => self.saving.values().next()?,
        };
        let (ticket, (_, who)) = self.lines.get(user)?.waiting.first_key_value()?;
        Some((user, *ticket, who))
    }

    /// Returns somebody who waits.
    pub(super) fn anyone(&self) -> Option<(u64, &T)> {
        if self.waiting == 0 {
            return None;
        }
        let lines = [self.ready.values().next(), self.held.values().next()];
        let large = [self.saving.values().next(), self.paid.values().next()];
        let mut users = lines.into_iter().chain(large).flatten();
        let line = match users.next() {
            Some(user) => self.lines.get(user)?,
            // All who wait are behind a large message of their own.
            None => self
                .shares
                .payers()
                .find_map(|user| self.lines.get(user).filter(|line| !line.waiting.is_empty()))?,
        };
        let (ticket, (_, who)) = line.waiting.first_key_value()?;
        Some((*ticket, who))
    }

    /// Holds the user that is next aside until then.
    pub(super) fn hold(&mut self, until: Instant) {
        let Some((user, ticket, _)) = self.first() else { return };
        let user = Arc::clone(user);
        let Some(line) = self.lines.get_mut(&user) else { return };
        let head = line.waiting.first_key_value().map_or(0, |(_, (recipients, _))| *recipients);
        match line.place {
            Place::Ready(key) => drop(self.ready.remove(&key)),
            Place::Saves(goal) => {
                self.saving.remove(&goal);
                let rest = self.shares.stop(goal);
                line.advance = (f64::from(head) - rest, self.shares.earned());
            }
            Place::Paid(key) => {
                self.paid.remove(&key);
                line.advance = (f64::from(head), self.shares.earned());
            }
            Place::Empty | Place::Held(_) | Place::Owes(_) => return,
        }
        line.place = Place::Held((until, ticket));
        self.held.insert((until, ticket), user);
    }

    /// Serves the message that is next.
    pub(super) fn serve(&mut self) -> Option<(Arc<str>, Waiter<T>)> {
        let lane = self.lane()?;
        let user = match lane {
            Lane::Paid => self.paid.pop_first()?.1,
            Lane::Ready | Lane::Surplus => self.ready.pop_first()?.1,
            Lane::Saving => self.saving.pop_first()?.1,
        };
        let line = self.lines.get_mut(&user)?;
        let (ticket, (recipients, who)) = line.waiting.pop_first()?;
        self.waiting -= 1;
        line.recipients -= u64::from(recipients);
        match (lane, line.place) {
            // It goes on paying.
            (Lane::Saving, Place::Saves(goal)) => line.place = Place::Owes(goal),
            (Lane::Paid, _) => self.stand(&user),
            _ => {
                if let Lane::Ready = lane {
                    self.shares.take(recipients);
                }
                self.charge(&user, ticket, recipients, false);
            }
        }
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

    /// Forgets what was saved up for a burst.
    pub(super) fn drain(&mut self) {
        self.shares.drain();
    }

    fn is_open(&self) -> bool {
        self.room >= 1.0 - ROUNDING
    }

    fn is_large(&self, recipients: u32) -> bool {
        f64::from(recipients) > self.large_above
    }

    fn lane(&self) -> Option<Lane> {
        let is_paid = self
            .paid
            .first_key_value()
            .is_some_and(|((recipients, _), _)| self.room >= room_for_paid(*recipients) - ROUNDING);
        let is_open = self.is_open();
        if is_paid {
            return Some(Lane::Paid);
        }
        if !self.ready.is_empty() {
            if !self.shares.are_kept() {
                return is_open.then_some(Lane::Surplus);
            }
            if self.shares.is_open() {
                return Some(Lane::Ready);
            }
        }
        if is_open && !self.saving.is_empty() {
            return Some(Lane::Saving);
        }
        (is_open && !self.ready.is_empty()).then_some(Lane::Surplus)
    }

    fn line(&mut self, user: &Arc<str>) -> &mut Line<T> {
        if self.lines.len() >= self.sweep_at {
            let mut lines = std::mem::take(&mut self.lines);
            lines.retain(|_, line| !self.is_forgotten(line));
            self.lines = lines;
            self.sweep_at = SWEEP.max(self.lines.len().saturating_mul(2));
        }
        self.lines.entry(Arc::clone(user)).or_insert_with(Line::new)
    }

    /// Says whether it makes no difference that there was such a line.
    fn is_forgotten(&self, line: &Line<T>) -> bool {
        matches!(line.place, Place::Empty)
            && line.end <= self.served
            && line.earns.is_none_or(|goal| goal.earned <= self.shares.earned())
            && line.paid_in_advance(self.shares.earned()) == 0.0
    }

    /// Gives a line the place that its head has.
    fn stand(&mut self, user: &Arc<str>) {
        let Some(line) = self.lines.get_mut(user) else { return };
        let Some((ticket, (recipients, _))) = line.waiting.first_key_value() else {
            line.place = Place::Empty;
            return;
        };
        if let Some(goal) = line.earns.take() {
            self.shares.earns_no_more(goal);
        }
        let (ticket, recipients) = (*ticket, *recipients);
        if f64::from(recipients) <= self.large_above {
            let key = (self.served.max(line.end), line.last, ticket);
            line.place = Place::Ready(key);
            self.ready.insert(key, Arc::clone(user));
            return;
        }
        let rest = f64::from(recipients) - line.paid_in_advance(self.shares.earned());
        line.advance = (0.0, 0.0);
        if rest <= ROUNDING {
            line.place = Place::Paid((recipients, ticket));
            self.paid.insert((recipients, ticket), Arc::clone(user));
        } else {
            let goal = self.shares.pay(Arc::clone(user), rest, ticket);
            line.place = Place::Saves(goal);
            self.saving.insert(goal, Arc::clone(user));
        }
    }

    fn stand_again(&mut self, user: &str) {
        if let Some((user, _)) = self.lines.get_key_value(user) {
            let user = Arc::clone(user);
            self.stand(&user);
        }
    }

    /// Counts a message of a user that has just gone and was not paid for.
    fn charge(&mut self, user: &Arc<str>, ticket: u64, recipients: u32, is_large: bool) {
        let Some(line) = self.lines.get_mut(user) else { return };
        if is_large {
            let rest = f64::from(recipients) - line.paid_in_advance(self.shares.earned());
            line.advance = (0.0, 0.0);
            if rest > 0.0 {
                line.place = Place::Owes(self.shares.pay(Arc::clone(user), rest, ticket));
            }
            return;
        }
        let tag = self.served.max(line.end);
        self.served = tag;
        line.end = tag.saturating_add(u64::from(recipients));
        self.messages += 1;
        line.last = self.messages;
        self.last_end = self.last_end.max(line.end);
        if line.waiting.is_empty() && self.shares.are_kept() {
            let goal = self.shares.earn(Arc::clone(user), recipients, ticket);
            if let Some(before) = line.earns.replace(goal) {
                self.shares.earns_no_more(before);
            }
        }
        self.stand(user);
    }

    /// Lets a user go on that has paid.
    fn pays_no_more(&mut self, user: &Arc<str>) {
        let Some(line) = self.lines.get_mut(user) else { return };
        match line.place {
            Place::Owes(_) => self.stand(user),
            Place::Saves(goal) => {
                self.saving.remove(&goal);
                if let Some((ticket, (recipients, _))) = line.waiting.first_key_value() {
                    let key = (*recipients, *ticket);
                    line.place = Place::Paid(key);
                    self.paid.insert(key, Arc::clone(user));
                }
            }
            Place::Empty | Place::Ready(_) | Place::Held(_) | Place::Paid(_) => {}
        }
    }
}

impl<T> Line<T> {
    fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            recipients: 0,
            end: 0,
            last: 0,
            place: Place::Empty,
            advance: (0.0, 0.0),
            earns: None,
        }
    }

    fn paid_in_advance(&self, earned: f64) -> f64 {
        let (amount, since) = self.advance;
        if earned - since <= KEPT { amount } else { 0.0 }
    }
}

/// Returns the room that the account must have for a message that is paid for.
fn room_for_paid(recipients: u32) -> f64 {
    (f64::from(recipients) + 1.0 - LARGEST).min(1.0)
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
        assert_eq!(serve(&mut queue, 9), "ababa", "a tie goes to who was served longest ago");
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
