//! Bytes received and not yet used.

use std::fmt;

use memchr::memchr;
use zeroize::{Zeroize as _, Zeroizing};

use super::super::command;

/// A larger buffer is given back once it is empty, in bytes.
const KEPT_BYTES: usize = 16 * 1024;
/// The same while commands are awaited: a connection may be silent for long.
const IDLE_BYTES: usize = 1_024;

/// Bytes received and not yet used. Lines are wiped when they are taken, since any may hold a
/// password that was typed at the wrong moment.
#[derive(Default)]
pub(super) struct Input {
    bytes: Zeroizing<Vec<u8>>,
    start: usize,
    /// Bytes behind `start` that are known to hold no LF.
    searched: usize,
}

/// The next command line, if there is one.
pub(super) enum NextLine {
    /// Not complete.
    None,
    /// Ended by CRLF, which is cut off.
    Line(Zeroizing<Vec<u8>>),
    /// Ended by a bare LF.
    BareLf,
    /// Longer than allowed; there may be no end in sight.
    TooLong,
    /// The start of a TLS record.
    TlsRecord,
}

impl Input {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let length = self.bytes.len() - self.start;
        if self.start > 0 || self.bytes.capacity() - self.bytes.len() < bytes.len() {
            // Moves by hand, so that the bytes left behind are wiped.
            let room = (length + bytes.len()).max(2 * length).max(1_024);
            let mut moved = Zeroizing::new(Vec::with_capacity(room));
            moved.extend_from_slice(self.rest());
            self.bytes = moved;
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest().is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.zeroize();
        *self = Input::default();
    }

    /// Forgets bytes that were used as content.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.bytes.len());
        self.searched = 0;
        if self.start == self.bytes.len() {
            self.start = 0;
            self.bytes.clear();
            if self.bytes.capacity() > KEPT_BYTES {
                self.bytes = Zeroizing::default();
            }
        }
    }

    /// Gives back what content needed and commands do not, if nothing is left of it.
    pub(super) fn rests(&mut self) {
        if self.is_empty() && self.bytes.capacity() > IDLE_BYTES {
            self.bytes = Zeroizing::default();
        }
    }

    /// Takes the next line of at most `line_bytes` bytes without its CRLF, `auth_bytes` if it belongs
    /// to AUTH. The answer does not depend on how the bytes were split.
    pub(super) fn next_line(&mut self, line_bytes: usize, auth_bytes: usize) -> NextLine {
        let rest = self.rest();
        if command::starts_tls_record(rest) {
            return NextLine::TlsRecord;
        }
        let limit = if command::is_auth(rest) { auth_bytes } else { line_bytes };
        let unsearched = rest.get(self.searched..).unwrap_or_default();
        let Some(lf) = memchr(b'\n', unsearched).map(|at| self.searched + at) else {
            let kept = rest.strip_suffix(b"\r").unwrap_or(rest);
            if kept.len() > limit {
                return NextLine::TooLong;
            }
            self.searched = rest.len();
            return NextLine::None;
        };
        let before = rest.get(..lf).unwrap_or_default();
        let stripped = before.strip_suffix(b"\r");
        let line = stripped.unwrap_or(before);
        if line.len() > limit {
            return NextLine::TooLong;
        }
        if stripped.is_none() {
            return NextLine::BareLf;
        }
        let line = Zeroizing::new(line.to_vec());
        if let Some(used) = self.bytes.get_mut(self.start..).and_then(|rest| rest.get_mut(..=lf)) {
            used.zeroize();
        }
        self.consume(lf + 1);
        NextLine::Line(line)
    }
}

/// Hides the bytes: they may be a password or content.
impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("bytes", &self.rest().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Session, Step};
    use super::IDLE_BYTES;
    use crate::smtp::{Auth, BareLf, Reply, SessionLimits, SessionSettings};

    #[test]
    fn a_client_that_waits_between_messages_holds_no_memory_for_content() {
        let mut session = Session::new(
            Arc::new(SessionSettings {
                hostname: "gate.test".to_owned(),
                message_bytes: 100_000,
                starttls: false,
                require_tls: false,
                auth: Auth::None,
                bare_lf: BareLf::Refuse,
                limits: SessionLimits::default(),
            }),
            false,
        );
        let content = [b"From: a@example.com\r\n\r\n", [b'x'; 16_000].as_slice(), b"\r\n.\r\n"];
        let lines: [&[u8]; 6] = [
            b"",
            b"EHLO x\r\n",
            b"MAIL FROM:<a@example.com>\r\n",
            b"RCPT TO:<b@example.com>\r\n",
            b"DATA\r\n",
            &content.concat(),
        ];
        let mut relayed = 0;
        for line in lines {
            session.receive(line);
            loop {
                match session.next_step() {
                    Step::Read => break,
                    Step::Mail(_) => session.mail_answered(Ok(())),
                    Step::Data(_) => session.data_answered(Ok(())),
                    Step::Header(..) => session.header_answered(Ok(())),
                    Step::Relay(_) => {
                        assert!(session.input.bytes.capacity() >= 16_000);
                        session.relayed(Reply::ok());
                        relayed += 1;
                    }
                    Step::Reply(reply) => assert!(reply.code() < 400, "{reply}"),
                    _ => unreachable!(),
                }
            }
        }
        assert_eq!(relayed, 1);
        assert!(session.input.bytes.capacity() <= IDLE_BYTES);
    }
}
