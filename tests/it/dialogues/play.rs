//! The other end of a session: what connection.rs is in the program.

use std::sync::Arc;

use sesgate::smtp::{Authentication, Reply, Session, Step, Transaction};

use super::format::{Answers, Dialogue, Event, Expect, Turn};

/// One session and all that came out of it.
pub(crate) struct Player {
    session: Session,
    answers: Answers,
    /// Reply lines so far, `<close>` behind the last one of a session that ended.
    pub(crate) lines: Vec<String>,
    /// Transactions so far.
    pub(crate) relayed: Vec<Transaction>,
    /// The session waits for TLS.
    pub(crate) handshake: bool,
    /// A login was accepted.
    pub(crate) logged_in: bool,
    closed: bool,
}

/// Plays a dialogue; `cut` tells in which pieces the bytes of a turn arrive.
///
/// # Errors
/// Says which line of which file went otherwise.
pub(crate) fn play(dialogue: &Dialogue, cut: &dyn Fn(&[u8]) -> Vec<&[u8]>) -> Result<(), String> {
    let mut player = Player::new(dialogue);
    for turn in &dialogue.turns {
        let (lines, relayed) = (player.lines.len(), player.relayed.len());
        match turn.event {
            None => {}
            Some(Event::Tls) if !player.handshake => {
                return Err(format!(
                    "{}.smtp line {}: no handshake is due",
                    dialogue.name, turn.line
                ));
            }
            Some(Event::Tls) => player.tls_started(),
            Some(Event::Shutdown) => player.shut_down(),
            Some(Event::Timeout) => player.time_out(),
        }
        for piece in cut(&turn.send) {
            player.send(piece);
        }
        player.pump();
        compare(turn, &player.lines[lines..], &player.relayed[relayed..])
            .map_err(|problem| format!("{}.smtp line {}: {problem}", dialogue.name, turn.line))?;
    }
    Ok(())
}

impl Player {
    pub(crate) fn new(dialogue: &Dialogue) -> Player {
        Player {
            session: Session::new(Arc::new(dialogue.settings.clone()), dialogue.implicit_tls),
            answers: dialogue.answers.clone(),
            lines: Vec::new(),
            relayed: Vec::new(),
            handshake: false,
            logged_in: false,
            closed: false,
        }
    }

    /// Hands over bytes and does what the session then wants.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() && !self.closed {
            assert!(!self.handshake, "bytes before the TLS handshake");
            self.session.receive(bytes);
            self.pump();
        }
    }

    pub(crate) fn tls_started(&mut self) {
        self.handshake = false;
        self.session.tls_started();
        assert!(self.session.is_tls());
    }

    fn shut_down(&mut self) {
        if let Some(reply) = self.session.shutting_down() {
            self.write(&reply);
            self.close();
        }
    }

    fn time_out(&mut self) {
        let reply = self.session.timed_out();
        self.write(&reply);
        self.close();
    }

    /// Does what the session wants until it wants to read.
    pub(crate) fn pump(&mut self) {
        while !self.handshake && !self.closed {
            match self.session.next_step() {
                Step::Read => return,
                Step::Reply(reply) => self.write(&reply),
                Step::StartTls(reply) => {
                    self.write(&reply);
                    self.handshake = true;
                }
                Step::Authenticate(credentials) => {
                    let right =
                        credentials.username == "app" && credentials.password.as_str() == "secret";
                    self.logged_in |= right;
                    self.session.authenticated(match right {
                        _ if self.answers.auth_busy => Authentication::Busy,
                        true => Authentication::Accepted,
                        false => Authentication::Invalid,
                    });
                }
                Step::Mail(_) => {
                    let answer = answer(&mut self.answers.mail);
                    self.session.mail_answered(answer);
                }
                Step::Data(_) => {
                    let answer = answer(&mut self.answers.data);
                    self.session.data_answered(answer);
                }
                Step::Header(_, _) => {
                    let answer = answer(&mut self.answers.header);
                    self.session.header_answered(answer);
                }
                Step::Relay(transaction) => {
                    self.relayed.push(transaction);
                    let reply = answer(&mut self.answers.relay).err().unwrap_or_else(|| {
                        Reply::accepted(
                            "0107017033dbb64d-be13a01e-dbf1-44b7-b876-3622165dacc1-000000",
                        )
                    });
                    self.session.relayed(reply);
                }
                Step::Refused(_, reply) => assert!(reply.code() >= 500, "{reply}"),
                Step::Close(reply) => {
                    if let Some(reply) = reply {
                        self.write(&reply);
                    }
                    self.close();
                }
            }
        }
    }

    fn write(&mut self, reply: &Reply) {
        let mut bytes = Vec::new();
        reply.write_to(&mut bytes);
        let text = String::from_utf8(bytes).expect("a reply is ASCII");
        let text = text.strip_suffix("\r\n").expect("a reply ends with CRLF");
        self.lines.extend(text.split("\r\n").map(str::to_owned));
    }

    fn close(&mut self) {
        assert!(matches!(self.session.next_step(), Step::Close(None)), "closed stays closed");
        self.lines.push("<close>".to_owned());
        self.closed = true;
    }
}

/// Takes the next answer of a list; an empty list accepts.
fn answer(answers: &mut Vec<String>) -> Result<(), Reply> {
    if answers.is_empty() {
        return Ok(());
    }
    match answers.remove(0).as_str() {
        "accepted" => Ok(()),
        "denied" => Err(Reply::access_denied(
            "arn:aws:iam::123456789012:user/app",
            "arn:aws:ses:eu-west-1:123456789012:identity/example.com",
            "0192f1a4",
        )),
        "closing" => Err(Reply::service_closing()),
        "temporary-failure" => Err(Reply::temporary_failure()),
        "throttled" => Err(Reply::rate_exceeded()),
        other => panic!("unknown answer `{other}`"),
    }
}

fn compare(turn: &Turn, lines: &[String], relayed: &[Transaction]) -> Result<(), String> {
    let (lines, closed) = match lines.split_last() {
        Some((last, lines)) if last == "<close>" => (lines, true),
        _ => (lines, false),
    };
    if !fits(&turn.expect, lines) {
        return Err(format!("expected {:#?}\nread {lines:#?}", turn.expect));
    }
    if closed != turn.close {
        return Err(format!("the connection is {}", if closed { "closed" } else { "open" }));
    }
    if let Some(expected) = &turn.relayed {
        let contents: Vec<_> =
            relayed.iter().map(|relayed| relayed.content.escape_ascii().to_string()).collect();
        let expected = expected.escape_ascii().to_string();
        if contents != [expected.clone()] {
            return Err(format!("expected content {expected}\nrelayed {contents:#?}"));
        }
    }
    if let Some(expected) = &turn.envelope {
        let envelopes: Vec<_> = relayed.iter().map(envelope).collect();
        if envelopes != [expected.clone()] {
            return Err(format!("expected envelope {expected}\nrelayed {envelopes:#?}"));
        }
    }
    Ok(())
}

fn envelope(transaction: &Transaction) -> String {
    let envelope = &transaction.envelope;
    let paths: Vec<_> = envelope.forward_paths.iter().map(|path| path.as_str()).collect();
    format!("{} > {}", envelope.reverse_path.as_str(), paths.join(", "))
}

/// Returns whether reply lines are those expected.
pub(crate) fn fits(expected: &[Expect], lines: &[String]) -> bool {
    match (expected, lines) {
        ([], lines) => lines.is_empty(),
        ([Expect::Skip, rest @ ..], lines) => {
            (0..=lines.len()).any(|skipped| fits(rest, &lines[skipped..]))
        }
        ([Expect::Line(pattern), rest @ ..], [line, lines @ ..]) => {
            line_fits(pattern, line) && fits(rest, lines)
        }
        ([Expect::Line(_), ..], []) => false,
    }
}

fn line_fits(pattern: &str, line: &str) -> bool {
    match pattern.split_once("{id}") {
        None => pattern == line,
        Some((start, end)) => line
            .strip_prefix(start)
            .and_then(|rest| rest.strip_suffix(end))
            .is_some_and(|word| !word.is_empty() && !word.contains(' ')),
    }
}
