//! Content between DATA and the end of data, in any pieces (RFC 5321 sections 4.1.1.4 and 4.5.2).
//!
//! Only CRLF.CRLF ends it, a leading dot is removed after a real line end alone, and NUL, bare CR and
//! bare LF spoil it: readers that take those for line ends would see another message
//! (CVE-2023-51764, -51765, -51766). Each byte is looked at once. What the content says is left to
//! `message`, what a fault is answered with to the session.

use std::fmt;
use std::mem;

use memchr::memchr3;

use super::settings::BareLf;

/// First allocation for content, in bytes; never the declared SIZE.
const FIRST_BYTES: usize = 16 * 1024;

/// Decodes one message's content.
pub struct Decoder {
    state: State,
    bare_lf: BareLf,
    message_bytes: usize,
    kept: Vec<u8>,
    keeping: bool,
    too_long: bool,
    fault: Option<Fault>,
    line_is_empty: bool,
    header_ended: bool,
}

/// Where decoding stands after some input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// All input was used.
    More,
    /// The blank line behind the header section was read; told once, while content is kept.
    HeaderEnd,
    /// The end of data was read.
    End,
}

/// What spoils content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A NUL.
    Nul,
    /// A CR without an LF behind it.
    BareCr,
    /// An LF without a CR before it, where that is refused (decision 5).
    BareLf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the start of a line; `hard` if a real CRLF, or DATA itself, came before.
    LineStart { hard: bool },
    /// Behind a leading dot, which is dropped.
    Dot { hard: bool },
    /// Behind CRLF.CR.
    DotCr,
    /// Inside a line.
    Text,
    /// Behind a CR inside a line.
    Cr,
    /// Behind CRLF.CRLF.
    End,
}

impl Decoder {
    /// Starts a message whose content may have `message_bytes` bytes when decoded.
    pub fn new(bare_lf: BareLf, message_bytes: usize) -> Decoder {
        Decoder {
            state: State::LineStart { hard: true },
            bare_lf,
            message_bytes,
            kept: Vec::new(),
            keeping: true,
            too_long: false,
            fault: None,
            line_is_empty: true,
            header_ended: false,
        }
    }

    /// Reads input up to the next event, and returns how many bytes were used.
    pub fn decode(&mut self, input: &[u8]) -> (usize, Event) {
        let mut rest = input;
        let mut event = Event::More;
        while event == Event::More && !rest.is_empty() {
            (rest, event) = self.step(rest);
        }
        (input.len() - rest.len(), event)
    }

    /// Drops what is kept, and all that follows.
    pub fn discard(&mut self) {
        self.keeping = false;
        self.kept = Vec::new();
    }

    /// Returns the decoded content so far; empty once it is not kept.
    pub fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// Takes the decoded content out.
    pub fn take(&mut self) -> Vec<u8> {
        mem::take(&mut self.kept)
    }

    /// Returns whether the blank line behind the header section was read.
    pub fn header_ended(&self) -> bool {
        self.header_ended
    }

    /// Returns the first thing that spoils the content.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Returns whether the content is larger than allowed.
    pub fn is_too_long(&self) -> bool {
        self.too_long
    }

    fn step<'a>(&mut self, input: &'a [u8]) -> (&'a [u8], Event) {
        match (self.state, input) {
            (_, []) => (input, Event::More),
            (State::LineStart { hard }, [b'.', rest @ ..]) => {
                self.state = State::Dot { hard };
                (rest, Event::More)
            }
            (State::Dot { hard: true }, [b'\r', rest @ ..]) => {
                self.state = State::DotCr;
                (rest, Event::More)
            }
            (State::DotCr, [b'\n', rest @ ..]) => {
                self.state = State::End;
                (rest, Event::End)
            }
            (State::Cr, [b'\n', rest @ ..]) => (rest, self.end_line(true)),
            (State::DotCr | State::Cr, _) => {
                self.spoil(Fault::BareCr);
                self.state = State::Text;
                (input, Event::More)
            }
            (State::LineStart { .. } | State::Dot { .. } | State::Text, _) => self.text(input),
            (State::End, _) => (input, Event::End),
        }
    }

    /// Reads up to the next byte that means something.
    fn text<'a>(&mut self, input: &'a [u8]) -> (&'a [u8], Event) {
        self.state = State::Text;
        let at = memchr3(b'\r', b'\n', 0, input).unwrap_or(input.len());
        let (text, rest) = input.split_at_checked(at).unwrap_or((input, &[]));
        self.line_is_empty &= text.is_empty();
        self.keep(text);
        match rest {
            [] => (rest, Event::More),
            [b'\r', rest @ ..] => {
                self.state = State::Cr;
                (rest, Event::More)
            }
            [b'\n', rest @ ..] if self.bare_lf == BareLf::Normalize => (rest, self.end_line(false)),
            [byte, rest @ ..] => {
                self.spoil(if *byte == b'\n' { Fault::BareLf } else { Fault::Nul });
                (rest, Event::More)
            }
        }
    }

    fn end_line(&mut self, hard: bool) -> Event {
        self.keep(b"\r\n");
        self.state = State::LineStart { hard };
        let blank = mem::replace(&mut self.line_is_empty, true);
        if blank && self.keeping && !self.header_ended {
            self.header_ended = true;
            return Event::HeaderEnd;
        }
        Event::More
    }

    fn spoil(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
        self.line_is_empty = false;
        self.discard();
    }

    fn keep(&mut self, bytes: &[u8]) {
        if !self.keeping {
            return;
        }
        let needed = self.kept.len() + bytes.len();
        if needed > self.message_bytes {
            self.too_long = true;
            self.discard();
            return;
        }
        if needed > self.kept.capacity() {
            let doubled = (2 * self.kept.capacity()).max(FIRST_BYTES).min(self.message_bytes);
            self.kept.reserve_exact(doubled.max(needed) - self.kept.len());
        }
        self.kept.extend_from_slice(bytes);
    }
}

/// Hides the content.
impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("state", &self.state)
            .field("kept_bytes", &self.kept.len())
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}
