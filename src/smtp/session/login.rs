//! AUTH inside a session (RFC 4954).

use super::super::command::Verb;
use super::super::reply::Reply;
use super::super::sasl::{self, Exchange, SaslOutcome};
use super::super::settings::Auth;
use super::input::NextLine;
use super::{Authentication, Session, State, Step, Waiting};

impl Session {
    /// Returns whether AUTH may be used now.
    pub(super) fn auth_is_usable(&self) -> bool {
        match self.settings.auth {
            Auth::None => false,
            Auth::Offered { in_clear } => self.tls || in_clear,
        }
    }

    /// Answers AUTH.
    pub(super) fn auth(&mut self, arguments: &str) {
        if self.settings.auth == Auth::None {
            return self.refuse_with_rest(Reply::disabled("AUTH"));
        }
        if self.must_start_tls() {
            return self.refuse_with_rest(Reply::must_start_tls());
        }
        if !self.auth_is_usable() {
            return self.refuse_with_rest(Reply::encryption_required());
        }
        if self.authenticated {
            return self.refuse_with_rest(Reply::already_authenticated());
        }
        if self.ehlo.is_none() {
            return self.refuse_with_rest(Reply::need_ehlo());
        }
        self.outcome(sasl::start(arguments));
    }

    /// Reads the next line of an exchange; returns whether there was one.
    pub(super) fn exchange(&mut self, exchange: Exchange) -> bool {
        let limit = self.settings.limits.auth_line_bytes;
        match self.input.next_line(limit, limit) {
            NextLine::None => {
                self.state = State::Exchange(exchange);
                return false;
            }
            NextLine::Line(line) => {
                self.outcome(exchange.answer(&line));
                self.remember(Verb::Auth, None);
            }
            other => self.close_for(&other),
        }
        true
    }

    /// Tells the client whether it is in.
    pub(super) fn login_answered(&mut self, result: Authentication) {
        match result {
            Authentication::Accepted => {
                self.authenticated = true;
                self.reply(Reply::authentication_successful());
            }
            Authentication::Invalid => self.login_failed(Reply::credentials_invalid()),
            // Asking again and again is an error too.
            Authentication::Busy => {
                self.refuse_with_rest(Reply::temporary_authentication_failure())
            }
        }
    }

    fn outcome(&mut self, outcome: SaslOutcome) {
        match outcome {
            SaslOutcome::Challenge(challenge, exchange) => {
                self.state = State::Exchange(exchange);
                self.reply(challenge);
            }
            SaslOutcome::Credentials(credentials) => {
                self.wait(Step::Authenticate(credentials), Waiting::Authentication);
            }
            SaslOutcome::Refused(reply) if reply == Reply::credentials_invalid() => {
                self.login_failed(reply);
            }
            SaslOutcome::Refused(reply) => self.refuse_with_rest(reply),
        }
    }

    fn login_failed(&mut self, reply: Reply) {
        if !self.input.is_empty() {
            return self.refuse_with_rest(reply);
        }
        self.reply(reply);
        self.counters.auth_failures = self.counters.auth_failures.saturating_add(1);
        if self.counters.auth_failures >= self.settings.limits.auth_failures {
            self.close(Some(Reply::too_many_auth_failures()));
        }
    }
}
