//! One SMTP session: what the client sent → what the caller does next.
//!
//! This file holds the state and the ways in. `commands` answers command lines, `login` is AUTH,
//! `transfer` is everything between 354 and the end of data, `input` keeps bytes not yet used.

mod commands;
mod input;
mod login;
mod said;
mod transfer;

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::Arc;

pub use self::commands::RECIPIENTS;
use self::input::Input;
pub use self::said::Said;
use self::transfer::Transfer;
use super::command::Verb;
use super::envelope::{Envelope, ReversePath, Transaction};
use super::reply::Reply;
use super::sasl::{Credentials, Exchange};
use super::settings::{Auth, SessionSettings};
use crate::address::Address;
use crate::message::HeaderSection;

/// What the caller does next.
///
/// A step that names a method waits for that call; another call, or none, ends the session.
pub enum Step {
    /// Hand more bytes to [`Session::receive`].
    Read,
    /// Write it. The first step of a session is its banner.
    Reply(Reply),
    /// Write it, shake hands, call [`Session::tls_started`]. Bytes in other buffers must be dropped.
    StartTls(Reply),
    /// Check them, call [`Session::authenticated`].
    Authenticate(Credentials),
    /// May this user still start a transaction? Call [`Session::mail_answered`].
    Mail(ReversePath),
    /// Is there room for content now? Call [`Session::data_answered`].
    Data(Arc<Envelope>),
    /// The header section is complete and readable. Call [`Session::header_answered`].
    Header(Arc<Envelope>, Arc<HeaderSection>),
    /// Carry it out, call [`Session::relayed`].
    Relay(Transaction),
    /// A message was refused without asking; note it. The reply to it is a later step.
    Refused(Arc<Envelope>, Reply),
    /// Write it if there is one, close.
    Close(Option<Reply>),
}

/// What the caller found out about credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// They are right.
    Accepted,
    /// User name or password is wrong: `535`.
    Invalid,
    /// They cannot be checked now: `454`. Does not count as a failed login.
    Busy,
}

/// What the session waits for, so that the caller can choose a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// From the banner to AUTH; never on a listener without AUTH.
    Unauthenticated,
    /// Commands of a user.
    Command,
    /// From 354 to the end of data, and until the message is answered.
    Content,
    /// Nothing more: the connection is to be closed.
    Closed,
}

/// One SMTP session, a value without I/O.
pub struct Session {
    settings: Arc<SessionSettings>,
    input: Input,
    steps: VecDeque<Step>,
    state: State,
    tls: bool,
    authenticated: bool,
    draining: bool,
    ehlo: Option<String>,
    draft: Option<Draft>,
    /// SIZE of the last MAIL.
    declared_bytes: Option<u64>,
    /// The step told last refuses a command or a message, and is one of many.
    is_slowed: bool,
    /// The command that the step told last refuses.
    refused: Option<Said>,
    counters: Counters,
}

enum State {
    Greeting,
    Command,
    Exchange(Exchange),
    Content(Transfer),
    Waiting(Waiting),
    Closed,
}

/// Which method the caller owes.
enum Waiting {
    Tls,
    Authentication,
    Mail(Draft),
    Data(Arc<Envelope>),
    Header(Transfer),
    Relay,
}

/// The envelope before DATA.
struct Draft {
    reverse_path: Address,
    body_8bit: bool,
    forward_paths: Vec<Address>,
}

#[derive(Debug, Default)]
struct Counters {
    errors: u32,
    unknown: u32,
    idle_commands: u32,
    auth_failures: u32,
    messages: u32,
}

impl Session {
    /// Starts a session; `tls` tells whether TLS is in place already (implicit TLS).
    pub fn new(settings: Arc<SessionSettings>, tls: bool) -> Session {
        let authenticated = settings.auth == Auth::None;
        Session {
            settings,
            input: Input::default(),
            steps: VecDeque::new(),
            state: State::Greeting,
            tls,
            authenticated,
            draining: false,
            ehlo: None,
            draft: None,
            declared_bytes: None,
            is_slowed: false,
            refused: None,
            counters: Counters::default(),
        }
    }

    /// Hands over bytes read from the socket.
    ///
    /// Call it when asked to by [`Step::Read`], with at most some 64 KiB at a time: memory in use is
    /// that, one line, and one message. All complete lines and all content are used up before the next
    /// [`Step::Read`], so that not more than one incomplete line, within its limit, is held over.
    pub fn receive(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Closed) {
            self.input.push(bytes);
        }
    }

    /// Returns what to do next.
    pub fn next_step(&mut self) -> Step {
        loop {
            if let Some(step) = self.steps.pop_front() {
                if matches!(step, Step::Close(_)) {
                    self.is_slowed = false;
                    self.end();
                }
                return step;
            }
            self.is_slowed = false;
            self.refused = None;
            match mem::replace(&mut self.state, State::Command) {
                State::Greeting => self.greet(),
                State::Command => {
                    if !self.command() {
                        self.input.rests();
                        return Step::Read;
                    }
                }
                State::Exchange(exchange) => {
                    if !self.exchange(exchange) {
                        return Step::Read;
                    }
                }
                State::Content(transfer) => {
                    if !self.transfer(transfer) {
                        return Step::Read;
                    }
                }
                // The caller did not answer: nothing can go on, so nothing is relayed.
                State::Waiting(_) => self.close(Some(Reply::service_closing())),
                State::Closed => self.close(None),
            }
        }
    }

    /// Says that TLS is in place. The session forgets what it was told in clear (RFC 3207 section 4.2).
    pub fn tls_started(&mut self) {
        if self.answered(|waiting| matches!(waiting, Waiting::Tls).then_some(())).is_some() {
            self.tls = true;
            self.authenticated = self.settings.auth == Auth::None;
            self.ehlo = None;
            self.draft = None;
            self.input.clear();
        }
    }

    /// Says whether credentials are right.
    pub fn authenticated(&mut self, result: Authentication) {
        let answered =
            self.answered(|waiting| matches!(waiting, Waiting::Authentication).then_some(()));
        if answered.is_some() {
            self.login_answered(result);
        }
    }

    /// Says whether this user may start a transaction.
    pub fn mail_answered(&mut self, result: Result<(), Reply>) {
        let draft = self.answered(|waiting| match waiting {
            Waiting::Mail(draft) => Some(draft),
            _ => None,
        });
        match (draft, result) {
            (Some(draft), Ok(())) => {
                self.draft = Some(draft);
                self.reply(Reply::ok());
            }
            (Some(draft), Err(reply)) => {
                self.idle_command(reply);
                self.remember(Verb::Mail, Some(&format!("FROM:<{}>", draft.reverse_path.as_str())));
            }
            (None, _) => {}
        }
    }

    /// Says whether there is room for content now.
    pub fn data_answered(&mut self, result: Result<(), Reply>) {
        let envelope = self.answered(|waiting| match waiting {
            Waiting::Data(envelope) => Some(envelope),
            _ => None,
        });
        match (envelope, result) {
            (Some(envelope), Ok(())) => self.start_transfer(envelope),
            (Some(_), Err(reply)) if self.input.is_empty() => self.idle_command(reply),
            // As for every refused DATA: what is behind it may be content.
            (Some(_), Err(reply)) => self.close(Some(reply)),
            (None, _) => {}
        }
    }

    /// Says whether the message may still be sent. If not, the rest is read without keeping it, then
    /// that reply is given.
    pub fn header_answered(&mut self, result: Result<(), Reply>) {
        let transfer = self.answered(|waiting| match waiting {
            Waiting::Header(transfer) => Some(transfer),
            _ => None,
        });
        if let Some(mut transfer) = transfer {
            if let Err(reply) = result {
                transfer.refuse(reply);
            }
            self.state = State::Content(transfer);
        }
    }

    /// Says what became of the message. Returns whether the reply tells the client that it was accepted: from
    /// then on it must not get lost on the way.
    pub fn relayed(&mut self, reply: Reply) -> bool {
        let waiting = self.answered(|waiting| matches!(waiting, Waiting::Relay).then_some(()));
        waiting.is_some() && self.finish_transaction(reply)
    }

    /// Returns what the session waits for.
    pub fn phase(&self) -> Phase {
        match &self.state {
            State::Closed => Phase::Closed,
            State::Content(_) | State::Waiting(Waiting::Header(_) | Waiting::Relay) => {
                Phase::Content
            }
            _ if !self.authenticated => Phase::Unauthenticated,
            _ => Phase::Command,
        }
    }

    /// Returns the SIZE that the last MAIL declared, in bytes and within the limit (RFC 1870). It is a
    /// claim of the client: nothing is allocated for it.
    pub fn declared_bytes(&self) -> Option<u64> {
        self.declared_bytes
    }

    /// Returns whether the reply just told by [`Self::next_step`] is to be written late, as it refuses
    /// one more than [`SessionLimits::errors_before_delay`](super::settings::SessionLimits). Write what is
    /// due, wait, then write this one.
    pub fn is_slowed(&self) -> bool {
        self.is_slowed
    }

    /// Returns whether the connection is under TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Returns how many commands and messages were refused since the last accepted message.
    pub fn errors(&self) -> u32 {
        self.counters.errors
    }

    /// Ends the session because the client was silent too long; write the reply, close.
    pub fn timed_out(&mut self) -> Reply {
        self.end();
        Reply::timeout()
    }

    /// Says that sesgate shuts down. An idle session ends: write the reply, close. One in a
    /// transaction, or with an answer on its way, goes on and closes behind it.
    pub fn shutting_down(&mut self) -> Option<Reply> {
        self.draining = true;
        let idle = matches!(self.state, State::Greeting | State::Command | State::Exchange(_));
        if !idle || self.draft.is_some() || !self.steps.is_empty() {
            return None;
        }
        self.end();
        Some(Reply::service_closing())
    }

    fn greet(&mut self) {
        // A client that talks first in clear is no SMTP client, or was made to by someone else.
        if !self.tls && !self.input.is_empty() {
            return self.close(Some(Reply::not_synchronized()));
        }
        self.reply(Reply::banner(&self.settings.hostname));
    }

    /// Takes what the caller owed; the session then reads commands unless told otherwise. An answer
    /// to a question that was not asked ends the session, unless it has ended already.
    fn answered<T>(&mut self, pick: impl FnOnce(Waiting) -> Option<T>) -> Option<T> {
        let answered = match mem::replace(&mut self.state, State::Command) {
            State::Closed => {
                self.state = State::Closed;
                return None;
            }
            State::Waiting(waiting) => pick(waiting),
            _ => None,
        };
        if answered.is_none() {
            self.close(Some(Reply::service_closing()));
        }
        answered
    }

    fn wait(&mut self, step: Step, waiting: Waiting) {
        self.state = State::Waiting(waiting);
        self.steps.push_back(step);
    }

    fn reply(&mut self, reply: Reply) {
        if reply.is_closing() {
            self.close(Some(reply));
        } else {
            self.steps.push_back(Step::Reply(reply));
        }
    }

    /// Refuses a command or a message, and ends the session at the limit.
    fn reject(&mut self, reply: Reply) {
        self.reply(reply);
        self.counters.errors = self.counters.errors.saturating_add(1);
        self.is_slowed = self.counters.errors > self.settings.limits.errors_before_delay;
        if self.counters.errors >= self.settings.limits.errors {
            self.close(Some(Reply::too_many_errors()));
        }
    }

    fn close(&mut self, reply: Option<Reply>) {
        self.steps.push_back(Step::Close(reply));
    }

    fn end(&mut self) {
        self.state = State::Closed;
        self.steps.clear();
        self.input.clear();
        self.draft = None;
    }
}

/// Hides what was received, and the envelope.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("phase", &self.phase())
            .field("tls", &self.tls)
            .field("draining", &self.draining)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

/// Hides the header section; credentials and content hide themselves.
impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Read => f.write_str("Read"),
            Step::Reply(reply) => f.debug_tuple("Reply").field(reply).finish(),
            Step::StartTls(reply) => f.debug_tuple("StartTls").field(reply).finish(),
            Step::Authenticate(credentials) => {
                f.debug_tuple("Authenticate").field(credentials).finish()
            }
            Step::Mail(reverse_path) => f.debug_tuple("Mail").field(reverse_path).finish(),
            Step::Data(envelope) => f.debug_tuple("Data").field(envelope).finish(),
            Step::Header(envelope, _) => {
                f.debug_tuple("Header").field(envelope).finish_non_exhaustive()
            }
            Step::Relay(transaction) => f.debug_tuple("Relay").field(transaction).finish(),
            Step::Refused(envelope, reply) => {
                f.debug_tuple("Refused").field(envelope).field(reply).finish()
            }
            Step::Close(reply) => f.debug_tuple("Close").field(reply).finish(),
        }
    }
}
