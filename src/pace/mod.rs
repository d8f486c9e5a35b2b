//! The pace: messages go to SES no faster than SES allows, and every user gets its share.
//!
//! A message asks for its turn before it is handed to SES:
//!
//! 1. Is the quota of the account used up, or the user's budget of the day? Then it is refused.
//! 2. Does nobody wait, and do the account's rate and the user's own have room? Then it goes at
//!    once, without waiting for anything.
//! 3. Else it waits in the line of its user. Lines are served fairly by recipients (`fair`), as fast
//!    as the rate allows (`bucket`, `rate`), each message in its user's order. A user at the limit of
//!    its own rate is held aside meanwhile. After a bounded time the message is refused.
//!
//! All is counted in recipients, as SES counts. There is no task of its own: those who wait wake
//! each other (`state`), and one who stops waiting hands on what it had to do. The relay
//! asks, and says how SES answered; reading GetAccount, the words of the reply and the log are
//! left to others. Nothing is kept over a restart.

mod account;
mod bucket;
mod day;
mod fair;
mod quota;
mod rate;
mod shares;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

pub use self::account::Budget;
pub use self::quota::Quota;
use self::state::{Entry, Next, State, Ticket};

use crate::clock;

/// What the operator sets.
#[derive(Debug, Clone, PartialEq)]
pub struct PaceSettings {
    /// Recipients per second, above zero; caps what SES says. Without either there is no limit.
    pub rate: Option<f64>,
    /// How long a message may wait for its turn.
    pub wait: Duration,
}

/// Why a message gets no turn. The client may try again later (decision 14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    /// The rate of the account left no room in the time that it could wait.
    #[error("the sending rate of the account is exceeded")]
    Rate,
    /// The user's own rate left no room in that time.
    #[error("the user exceeds its own sending rate")]
    UserRate,
    /// The account may send no more now: its quota for 24 hours is used up.
    #[error("the account's quota for 24 hours is used up")]
    Quota,
    /// The user's budget for 24 hours has no room for the message.
    #[error("the user's budget for 24 hours is used up")]
    UserQuota,
}

/// What there is to see.
#[derive(Debug, Clone, PartialEq)]
pub struct PaceStatus {
    /// Recipients per second that SES and the operator allow; `None` is not known, and no limit.
    pub nominal_rate: Option<f64>,
    /// Recipients per second just now: lower after SES has throttled; `None` is no limit.
    pub current_rate: Option<f64>,
    /// Throttled answers since the start.
    pub throttles: u64,
    /// Messages that wait.
    pub waiting: usize,
    /// The 100 users with the most messages waiting: name, messages, recipients.
    pub waiting_by_user: Vec<(String, usize, u64)>,
    /// What GetAccount said last, and how long ago.
    pub quota: Option<(Quota, Duration)>,
    /// Recipients that SES has taken since then.
    pub taken_since_reading: u64,
    /// Messages are refused because the quota is used up.
    pub is_quota_used_up: bool,
    /// The 100 users that have used most of a budget per day: name, recipients in 24 hours.
    pub day_used_by_user: Vec<(String, u64)>,
}

/// The pace of all messages; clones share it.
#[derive(Debug, Clone)]
pub struct Pace {
    state: Arc<Mutex<State>>,
    /// Told at each word of SES that the quota is used up.
    doubts: watch::Sender<()>,
}

impl Pace {
    /// Returns a pace that knows nothing of SES yet.
    #[must_use]
    pub fn new(settings: &PaceSettings) -> Self {
        let state = Arc::new(Mutex::new(State::new(settings, clock::now())));
        Self { state, doubts: watch::Sender::new(()) }
    }

    /// Waits until a message to so many recipients may be handed to SES.
    ///
    /// It waits as long as the settings say, never beyond `by`, and not at all when nobody else
    /// waits and there is room. A message goes as soon as there is room for one recipient; those
    /// after it wait for the rest. Dropping the future takes the message out; until then it must be
    /// polled when it is woken, since those who wait wake each other.
    ///
    /// # Errors
    /// Says what is exceeded. What can be said at once is said at once.
    pub async fn turn(
        &self,
        user: &str,
        budget: Budget,
        recipients: usize,
        by: Instant,
    ) -> Result<Turn, Exceeded> {
        let recipients = u32::try_from(recipients).unwrap_or(u32::MAX).max(1);
        let now = clock::now();
        let (user, entry) = self.state.lock().enter(user, budget, recipients, by, now)?;
        let turn = Turn { pace: self.clone(), user, recipients, is_taken: false };
        match entry {
            Entry::Granted => Ok(turn),
            Entry::Waits(ticket) => Waiting { turn: Some(turn), ticket }.granted().await,
        }
    }

    /// Takes over what GetAccount says, which ends what `quota_exceeded` began.
    pub fn learn(&self, quota: Quota) {
        let now = clock::now();
        let mut state = self.state.lock();
        state.quota.learn(quota, now);
        state.rate.learn(quota.max_send_rate, now);
        state.settle(now);
    }

    /// Takes over what the operator has changed. Those who wait keep their bound.
    pub fn configure(&self, settings: &PaceSettings) {
        self.state.lock().configure(settings, clock::now());
    }

    /// Slows down: SES has throttled a call. To be told for each such answer.
    pub fn throttled(&self) {
        let now = clock::now();
        self.state.lock().throttled(now);
    }

    /// Holds messages back for a minute or until the next reading: SES said that the account's quota
    /// is used up. That may be meant of something else than all mail, so that a reading is due at once.
    pub fn quota_exceeded(&self) {
        self.state.lock().quota.exceeded(clock::now());
        self.doubts.send_replace(());
    }

    /// Returns what changes whenever GetAccount should be read at once, for [`Pace::learn`].
    #[must_use]
    pub fn doubts(&self) -> watch::Receiver<()> {
        self.doubts.subscribe()
    }

    /// Returns what there is to see.
    #[must_use]
    pub fn status(&self) -> PaceStatus {
        self.state.lock().status(clock::now())
    }
}

/// The right to hand one message to SES.
///
/// To be kept until SES has answered. Dropped without [`Turn::taken`] it gives the recipients back to
/// the quota and to the user's day, not to the rates, which SES has counted.
#[derive(Debug)]
#[must_use = "a turn is kept until SES has answered"]
pub struct Turn {
    pace: Pace,
    /// The user, if it has budgets.
    user: Option<Arc<str>>,
    recipients: u32,
    is_taken: bool,
}

impl Turn {
    /// Counts the message for good: SES took it, or may have.
    pub fn taken(mut self) {
        self.is_taken = true;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let now = clock::now();
        let mut state = self.pace.state.lock();
        state.finish(self.user.as_deref(), self.recipients, self.is_taken, now);
    }
}

/// A message that waits. Dropped before its turn it leaves its place.
#[derive(Debug)]
struct Waiting {
    turn: Option<Turn>,
    ticket: Ticket,
}

impl Waiting {
    async fn granted(mut self) -> Result<Turn, Exceeded> {
        loop {
            let next = match &self.turn {
                Some(turn) => turn.pace.state.lock().next(&self.ticket, clock::now()),
                None => return Err(Exceeded::Rate),
            };
            match next {
                Next::Go => {
                    if let Some(turn) = self.turn.take() {
                        return Ok(turn);
                    }
                }
                Next::GiveUp(why) => return Err(why),
                // Whether it was woken or slept to the end, the state says what comes next.
                Next::Sleep(until) => {
                    let _ = timeout_at(until, self.ticket.place.notified()).await;
                }
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(turn) = &self.turn {
            turn.pace.state.lock().leave(self, turn.recipients, clock::now());
        }
    }
}
