//! What a reply is, and how it goes over the wire.
//!
//! Foreign text is made one line of printable ASCII here and cut; the words are left to `reply`.

use std::borrow::Cow;
use std::fmt;

/// Longest text of a reply line: 512 octets less code, blank and CRLF (RFC 5321 section 4.5.3.1.5).
pub(super) const TEXT_BYTES: usize = 506;

/// An answer to a client: a code and one or more lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    lines: Vec<Cow<'static, str>>,
}

impl Reply {
    /// Returns the reply code, 200 to 599.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Returns whether the client may try the same again later (`4yz`).
    pub fn is_temporary(&self) -> bool {
        (400..500).contains(&self.code)
    }

    /// Returns whether the server is about to close the connection (RFC 5321 section 3.8).
    pub fn is_closing(&self) -> bool {
        matches!(self.code, 221 | 421)
    }

    /// Appends the reply as it goes over the wire, each line with its CRLF.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        for (index, line) in self.lines.iter().enumerate() {
            let separator = if index + 1 == self.lines.len() { ' ' } else { '-' };
            out.extend_from_slice(format!("{}{separator}{line}\r\n", self.code).as_bytes());
        }
    }

    /// Makes a reply of one line out of words of ours.
    pub(super) fn fixed(code: u16, text: &'static str) -> Reply {
        Reply { code, lines: vec![Cow::Borrowed(text)] }
    }

    /// Makes a reply of several lines, which may hold foreign text.
    pub(super) fn lines(code: u16, texts: impl IntoIterator<Item = String>) -> Reply {
        let lines = texts.into_iter().map(|text| Cow::Owned(printable(&text, TEXT_BYTES)));
        Reply { code, lines: lines.collect() }
    }

    /// Makes a reply of one line that holds foreign text.
    pub(super) fn composed(code: u16, text: &str) -> Reply {
        Reply { code, lines: vec![Cow::Owned(printable(text, TEXT_BYTES))] }
    }
}

/// Shows the lines as they go over the wire, without the last CRLF.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.lines.iter().enumerate() {
            let last = index + 1 == self.lines.len();
            write!(f, "{}{}{line}", self.code, if last { ' ' } else { '-' })?;
            if !last {
                f.write_str("\r\n")?;
            }
        }
        Ok(())
    }
}

/// Makes one line of printable ASCII out of foreign text, at most `bytes` long.
///
/// A run of anything else becomes one `?`, so that what was cut out stays visible.
pub fn printable(text: &str, bytes: usize) -> String {
    let mut line = String::new();
    let mut replaced = false;
    for character in text.chars() {
        if line.len() >= bytes {
            break;
        }
        let keep = character == ' ' || character.is_ascii_graphic();
        if keep {
            line.push(character);
        } else if !replaced {
            line.push('?');
        }
        replaced = !keep;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_multi_line_reply_marks_its_last_line() {
        let reply = Reply::ehlo("gate.test", &["8BITMIME".to_owned()]);
        assert_eq!(wire(&reply), "250-gate.test\r\n250-8BITMIME\r\n250 Ok\r\n");
        assert_eq!(reply.to_string(), "250-gate.test\r\n250-8BITMIME\r\n250 Ok");
    }

    #[test]
    fn foreign_text_cannot_add_a_line() {
        let reply = Reply::transaction_failed("a\r\n250 Ok\u{1b}[2J\u{e9}");
        assert_eq!(wire(&reply), "554 Transaction failed: a?250 Ok?[2J?\r\n");
        assert_eq!(
            wire(&Reply::invalid_address(&"x".repeat(100))),
            format!("553 <{}> Invalid email address\r\n", "x".repeat(64))
        );
    }

    #[test]
    fn no_line_exceeds_512_octets_and_a_denial_keeps_its_id() {
        let long = "y".repeat(4_000);
        assert_eq!(wire(&Reply::message_rejected(&long)).len(), 512);
        let denial = wire(&Reply::access_denied(&long, &long, "0192f1a4"));
        assert_eq!(denial.len(), 512);
        assert!(denial.ends_with("' [0192f1a4]\r\n"), "{denial}");
    }

    #[test]
    fn a_denial_has_the_words_of_ses() {
        let reply = Reply::access_denied(
            "arn:aws:iam::123456789012:user/app",
            "arn:aws:ses:eu-west-1:123456789012:identity/example.com",
            "7f",
        );
        assert_eq!(
            reply.to_string(),
            "554 Access denied: User `arn:aws:iam::123456789012:user/app' is not authorized to \
             perform `ses:SendRawEmail' on resource \
             `arn:aws:ses:eu-west-1:123456789012:identity/example.com' [7f]"
        );
    }
}
