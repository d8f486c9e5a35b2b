//! From 354 to the answer to a message.

use std::sync::Arc;

use super::super::content::{Decoder, Event, Fault};
use super::super::envelope::{Envelope, Transaction};
use super::super::reply::Reply;
use super::commands::RECIPIENTS;
use super::{Session, State, Step, Waiting};
use crate::message::HeaderSection;

/// One message on its way in.
pub(super) struct Transfer {
    decoder: Decoder,
    envelope: Arc<Envelope>,
    /// `None` once the message is refused: nothing is kept of it any more.
    header: Option<Arc<HeaderSection>>,
    /// The first reason to refuse the message; told after its real end.
    refusal: Option<Refusal>,
    ended: bool,
}

/// A message will not be sent, and for whose reason.
enum Refusal {
    /// The session's; the caller is told.
    Ours(Reply),
    /// The caller's, who knows it.
    Theirs(Reply),
}

impl Transfer {
    /// Gives the message up as the caller wants it.
    pub(super) fn refuse(&mut self, reply: Reply) {
        self.give_up(Refusal::Theirs(reply));
    }

    /// The memory held for content, in bytes.
    pub(super) fn held_bytes(&self) -> usize {
        self.decoder.held_bytes()
    }

    /// How much more memory further input can take, in bytes.
    pub(super) fn growth(&self, input_bytes: usize) -> usize {
        self.decoder.growth(input_bytes)
    }

    /// Gives the message up. The first reason counts.
    fn give_up(&mut self, refusal: Refusal) {
        self.refusal.get_or_insert(refusal);
        self.header = None;
        self.decoder.discard();
    }
}

/// Memory for content.
impl Session {
    /// Gives up the message under way, at any time between 354 and its end. Its memory is freed at once,
    /// the rest is read without keeping it, then [`Step::Refused`] tells of it and that reply is given.
    ///
    /// Nothing happens when there is none, or when it is refused already: the first reason counts.
    pub fn refuse_content(&mut self, reply: Reply) {
        if let State::Content(transfer) | State::Waiting(Waiting::Header(transfer)) =
            &mut self.state
        {
            transfer.give_up(Refusal::Ours(reply));
        }
    }

    /// Returns the memory held for the message under way, in bytes: all that was allocated for its
    /// content, whether it is in use yet or not. 0 when there is none, when it is refused, and behind
    /// [`Step::Relay`], which hands it over (`content.capacity()` of the transaction).
    pub fn content_bytes(&self) -> usize {
        match &self.state {
            State::Content(transfer) | State::Waiting(Waiting::Header(transfer)) => {
                transfer.held_bytes()
            }
            _ => 0,
        }
    }

    /// Returns how much memory beyond [`Self::content_bytes`] is taken at most, in bytes, when up to
    /// `bytes` are handed to [`Self::receive`] next; those received and not yet used are counted in.
    ///
    /// Charge it before reading, and set the charge to [`Self::content_bytes`] at the next
    /// [`Step::Read`]: then no memory for content is ever taken that was not granted. At [`Step::Data`]
    /// it tells what the start of content takes. Memory grows from 16 KiB by doubling, from 1 MiB on by
    /// an eighth and at least by 1 MiB, and never beyond the largest message; the declared SIZE plays
    /// no part. 0 while nothing is kept.
    pub fn content_growth(&self, bytes: usize) -> usize {
        let bytes = self.input.rest().len().saturating_add(bytes);
        match &self.state {
            State::Content(transfer) | State::Waiting(Waiting::Header(transfer)) => {
                transfer.growth(bytes)
            }
            State::Waiting(Waiting::Data(_)) => {
                Decoder::new(self.settings.bare_lf, self.settings.message_bytes).growth(bytes)
            }
            _ => 0,
        }
    }
}

impl Session {
    /// Asks for content. When the recipients are too many it is read, since SES answers after it, and
    /// dropped.
    pub(super) fn start_transfer(&mut self, envelope: Arc<Envelope>) {
        let decoder = Decoder::new(self.settings.bare_lf, self.settings.message_bytes);
        let too_many = envelope.forward_paths.len() > RECIPIENTS;
        let mut transfer =
            Transfer { decoder, envelope, header: None, refusal: None, ended: false };
        if too_many {
            transfer.give_up(Refusal::Ours(Reply::too_many_recipients()));
        }
        self.state = State::Content(transfer);
        self.reply(Reply::start_content());
    }

    /// Reads content; returns whether there was something to do.
    pub(super) fn transfer(&mut self, mut transfer: Transfer) -> bool {
        if transfer.ended {
            self.content_ended(transfer);
            return true;
        }
        if self.input.is_empty() {
            self.state = State::Content(transfer);
            return false;
        }
        let (used, event) = transfer.decoder.decode(self.input.rest());
        self.input.consume(used);
        if let Some(fault) = transfer.decoder.fault() {
            transfer.give_up(Refusal::Ours(refusal(fault)));
        }
        transfer.ended = event == Event::End;
        // Too long a header section is for `message` to refuse, and so is one without an end.
        let header_is_due = transfer.refusal.is_none() && transfer.header.is_none();
        if header_is_due && event != Event::More {
            self.header(transfer);
        } else {
            self.state = State::Content(transfer);
        }
        true
    }

    /// Answers a message, and clears the way for the next one. A message refused for good is an error
    /// like any other; that it cannot be taken now is none of the client's. Returns whether it was accepted.
    pub(super) fn finish_transaction(&mut self, reply: Reply) -> bool {
        self.draft = None;
        self.counters.idle_commands = 0;
        if reply.code() >= 500 {
            self.reject(reply);
            return false;
        }
        let is_accepted = reply.code() == 250;
        if is_accepted {
            self.counters.errors = 0;
        }
        self.reply(reply);
        is_accepted
    }

    /// Has the header section read, once.
    fn header(&mut self, mut transfer: Transfer) {
        match HeaderSection::parse(transfer.decoder.kept()) {
            Ok(header) => {
                let header = Arc::new(header);
                transfer.header = Some(Arc::clone(&header));
                let envelope = Arc::clone(&transfer.envelope);
                self.wait(Step::Header(envelope, header), Waiting::Header(transfer));
            }
            Err(error) => {
                let reply = Reply::transaction_failed(&error.to_string());
                transfer.give_up(Refusal::Ours(reply));
                self.state = State::Content(transfer);
            }
        }
    }

    fn content_ended(&mut self, mut transfer: Transfer) {
        self.counters.messages = self.counters.messages.saturating_add(1);
        let envelope = transfer.envelope;
        let reply = match (transfer.refusal, transfer.header) {
            (None, Some(header)) => {
                let content = transfer.decoder.take();
                let transaction = Transaction { envelope, header, content };
                return self.wait(Step::Relay(transaction), Waiting::Relay);
            }
            (Some(Refusal::Theirs(reply)), _) => reply,
            (Some(Refusal::Ours(reply)), _) => {
                self.steps.push_back(Step::Refused(envelope, reply.clone()));
                reply
            }
            (None, None) => Reply::temporary_failure(),
        };
        if transfer.decoder.is_ambiguous() {
            // What the client takes for the end of its message may lie before ours.
            self.close(Some(reply));
        } else {
            self.finish_transaction(reply);
        }
    }
}

fn refusal(fault: Fault) -> Reply {
    match fault {
        Fault::Nul => Reply::nul_in_content(),
        Fault::BareCr => Reply::bare_cr_in_content(),
        Fault::BareLf => Reply::bare_lf_in_content(),
        Fault::TooLong => Reply::message_too_long(),
    }
}
