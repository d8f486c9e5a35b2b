//! Command lines inside a session.

use std::sync::Arc;

use super::super::command::{self, Line, Verb};
use super::super::envelope::Envelope;
use super::super::reply::Reply;
use super::super::settings::Auth;
use super::input::NextLine;
use super::{Draft, Session, Step, Waiting};

/// Most recipients of a message; more are taken by RCPT and refused after DATA, as SES does (decision 2).
pub const RECIPIENTS: usize = 50;

impl Session {
    /// Answers the next command line; returns whether there was one.
    pub(super) fn command(&mut self) -> bool {
        if self.draining && self.draft.is_none() {
            self.close(Some(Reply::service_closing()));
            return true;
        }
        let limits = &self.settings.limits;
        match self.input.next_line(limits.command_line_bytes, limits.auth_line_bytes) {
            NextLine::None => return false,
            NextLine::Line(line) => self.line(&line),
            other => self.close_for(&other),
        }
        true
    }

    /// Ends the session for a line behind which no command can be found again.
    pub(super) fn close_for(&mut self, line: &NextLine) {
        let reply = match line {
            NextLine::BareLf => Reply::bare_lf_line(),
            NextLine::TooLong => Reply::line_too_long(),
            _ => Reply::not_smtp(),
        };
        self.close(Some(reply));
    }

    fn line(&mut self, line: &[u8]) {
        let Line { verb, arguments } = Line::split(line);
        self.answer(verb, arguments.as_deref());
        self.remember(verb, arguments.as_deref());
    }

    fn answer(&mut self, verb: Verb, arguments: Option<&str>) {
        // A handshake follows: bytes in clear behind it would be run under TLS (CVE-2011-0411).
        if verb == Verb::StartTls && !self.input.is_empty() {
            return self.close(Some(Reply::starttls_not_last()));
        }
        match verb {
            Verb::Foreign => return self.close(Some(Reply::not_smtp())),
            Verb::Bdat => return self.close(Some(Reply::no_chunking())),
            _ => {}
        }
        let Some(arguments) = arguments else {
            return match verb {
                Verb::Data => self.refuse_data(Reply::illegal_byte()),
                Verb::Auth => self.refuse_with_rest(Reply::illegal_byte()),
                Verb::Ehlo => self.reject(Reply::illegal_host_name("EHLO")),
                Verb::Helo => self.reject(Reply::illegal_host_name("HELO")),
                _ => self.reject(Reply::illegal_byte()),
            };
        };
        match verb {
            Verb::Ehlo => self.ehlo(arguments),
            Verb::Helo => self.helo(arguments),
            Verb::StartTls => self.starttls(arguments),
            Verb::Auth => self.auth(arguments),
            Verb::Mail => self.mail(arguments),
            Verb::Rcpt => self.rcpt(arguments),
            Verb::Data => self.data(arguments),
            Verb::Rset if is_blank(arguments) => {
                self.draft = None;
                self.idle_command(Reply::ok());
            }
            Verb::Rset => self.reject(Reply::syntax("RSET")),
            Verb::Noop => self.idle_command(Reply::ok()),
            Verb::Help => self.idle_command(Reply::help()),
            Verb::Lookup(name) => match self.not_let_in() {
                Some(reply) => self.reject(reply),
                None => self.idle_command(Reply::disabled(name)),
            },
            Verb::Quit if is_blank(arguments) => self.close(Some(Reply::bye())),
            Verb::Quit => self.reject(Reply::syntax("QUIT")),
            Verb::NotOffered(name) => self.reject(Reply::disabled(name)),
            Verb::Unknown | Verb::Bdat | Verb::Foreign => self.unknown(),
        }
    }

    fn ehlo(&mut self, arguments: &str) {
        match command::ehlo_name(arguments, "EHLO hostname") {
            Ok(name) => {
                self.ehlo = Some(name.to_owned());
                self.draft = None;
                let mut extensions = vec![
                    "8BITMIME".to_owned(),
                    format!("SIZE {}", self.settings.message_bytes),
                    "PIPELINING".to_owned(),
                ];
                if self.settings.starttls && !self.tls {
                    extensions.push("STARTTLS".to_owned());
                }
                if self.auth_is_usable() {
                    extensions.push("AUTH PLAIN LOGIN".to_owned());
                }
                self.idle_command(Reply::ehlo(&self.settings.hostname, &extensions));
            }
            Err(reply) => self.reject(reply),
        }
    }

    fn helo(&mut self, arguments: &str) {
        match command::ehlo_name(arguments, "HELO hostname") {
            Ok(name) => {
                self.ehlo = Some(name.to_owned());
                self.draft = None;
                self.idle_command(Reply::helo(&self.settings.hostname));
            }
            Err(reply) => self.reject(reply),
        }
    }

    fn starttls(&mut self, arguments: &str) {
        if !is_blank(arguments) {
            self.reject(Reply::starttls_parameter());
        } else if self.tls {
            self.reject(Reply::tls_active());
        } else if self.settings.starttls {
            self.draft = None;
            self.wait(Step::StartTls(Reply::ready_for_tls()), Waiting::Tls);
        } else {
            self.reject(Reply::tls_not_supported());
        }
    }

    fn mail(&mut self, arguments: &str) {
        if let Some(reply) = self.not_yet() {
            return self.reject(reply);
        }
        if self.draft.is_some() {
            return self.reject(Reply::sender_specified());
        }
        if self.counters.messages >= self.settings.limits.messages {
            return self.close(Some(Reply::too_many_messages()));
        }
        match command::mail(arguments, self.settings.message_bytes) {
            Ok(mail) => {
                self.declared_bytes = mail.size;
                let draft = Draft {
                    reverse_path: mail.reverse_path.clone(),
                    body_8bit: mail.body_8bit,
                    forward_paths: Vec::new(),
                };
                self.wait(Step::Mail(mail.reverse_path), Waiting::Mail(draft));
            }
            Err(reply) => self.reject(reply),
        }
    }

    fn rcpt(&mut self, arguments: &str) {
        if let Some(reply) = self.not_yet() {
            return self.reject(reply);
        }
        let Some(draft) = &mut self.draft else {
            return self.reject(Reply::need_mail());
        };
        match command::rcpt(arguments) {
            Ok(forward_path) if draft.forward_paths.contains(&forward_path) => {
                self.reply(Reply::ok());
            }
            // Far above what can be sent: the list stays bounded.
            Ok(_) if draft.forward_paths.len() >= self.settings.limits.recipients => {
                self.reject(Reply::too_many_recipients());
            }
            Ok(forward_path) => {
                draft.forward_paths.push(forward_path);
                self.reply(Reply::ok());
            }
            Err(reply) => self.reject(reply),
        }
    }

    fn data(&mut self, arguments: &str) {
        if let Some(reply) = self.not_yet() {
            return self.refuse_data(reply);
        }
        let Some(draft) = self.draft.take() else {
            return self.refuse_data(Reply::need_mail());
        };
        if !is_blank(arguments) {
            return self.refuse_data(Reply::syntax("DATA"));
        }
        if draft.forward_paths.is_empty() {
            return self.refuse_data(Reply::need_rcpt());
        }
        let envelope = Arc::new(Envelope {
            reverse_path: draft.reverse_path,
            forward_paths: draft.forward_paths,
            ehlo: self.ehlo.clone().unwrap_or_default(),
            body_8bit: draft.body_8bit,
        });
        if envelope.forward_paths.len() > RECIPIENTS {
            return self.start_transfer(envelope);
        }
        self.wait(Step::Data(Arc::clone(&envelope)), Waiting::Data(envelope));
    }

    /// Refuses DATA.
    fn refuse_data(&mut self, reply: Reply) {
        self.draft = None;
        self.refuse_with_rest(reply);
    }

    /// Refuses a command behind which a client that did not wait has sent what is no command: content
    /// behind DATA, a user name and a password behind AUTH. It must never be read as commands (RFC 2920
    /// section 3.1), so bytes that are there already end the session.
    pub(super) fn refuse_with_rest(&mut self, reply: Reply) {
        if self.input.is_empty() {
            self.reject(reply);
        } else {
            self.close(Some(reply));
        }
    }

    /// Returns why mail commands are not possible yet.
    fn not_yet(&self) -> Option<Reply> {
        self.not_let_in().or_else(|| self.ehlo.is_none().then(Reply::need_ehlo))
    }

    /// Returns what is missing before anything is done for this client.
    fn not_let_in(&self) -> Option<Reply> {
        if self.must_start_tls() {
            Some(Reply::must_start_tls())
        } else if !self.authenticated {
            Some(Reply::authentication_required())
        } else {
            None
        }
    }

    /// Returns whether nothing but STARTTLS leads on.
    pub(super) fn must_start_tls(&self) -> bool {
        self.settings.require_tls && !self.tls
    }

    fn unknown(&mut self) {
        self.reject(Reply::not_implemented());
        if self.settings.auth != Auth::None && !self.authenticated {
            self.counters.unknown = self.counters.unknown.saturating_add(1);
            if self.counters.unknown >= self.settings.limits.unknown_before_auth {
                self.close(Some(Reply::too_many_errors()));
            }
        }
    }

    /// Answers a command that moves nothing forward; too many of them between messages are errors.
    pub(super) fn idle_command(&mut self, reply: Reply) {
        self.counters.idle_commands = self.counters.idle_commands.saturating_add(1);
        if self.counters.idle_commands > self.settings.limits.idle_commands {
            self.reject(reply);
        } else {
            self.reply(reply);
        }
    }
}

fn is_blank(arguments: &str) -> bool {
    arguments.bytes().all(|byte| byte == b' ')
}
