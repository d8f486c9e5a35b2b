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
use crate::message::HEADER_BYTES;

/// First allocation for content, in bytes; never the declared SIZE. It doubles up to `DOUBLED_BYTES`.
const FIRST_BYTES: usize = 16 * 1024;
/// From here on memory grows by this much or by an eighth, whichever is more: little is held in
/// vain, and each byte is moved a bounded number of times.
const DOUBLED_BYTES: usize = 1024 * 1024;

/// Decodes one message's content.
pub struct Decoder {
    state: State,
    bare_lf: BareLf,
    message_bytes: usize,
    kept: Vec<u8>,
    keeping: bool,
    fault: Option<Fault>,
    ambiguous: bool,
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
    /// The header section is longer than any may be; told once, while content is kept.
    HeaderTooLong,
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
    /// More bytes than a message may have.
    TooLong,
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
            fault: None,
            ambiguous: false,
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
            if event == Event::More && self.in_header() && self.kept.len() > HEADER_BYTES {
                self.header_ended = true;
                event = Event::HeaderTooLong;
            }
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

    /// Returns the memory held for content, in bytes: what is kept and the room behind it.
    pub fn held_bytes(&self) -> usize {
        self.kept.capacity()
    }

    /// Returns how much more memory `input_bytes` of further input can take, in bytes.
    pub fn growth(&self, input_bytes: usize) -> usize {
        if !self.keeping {
            return 0;
        }
        // A CR is kept once its LF is there, and a bare LF may become two bytes.
        let most = match self.bare_lf {
            BareLf::Refuse => input_bytes,
            BareLf::Normalize => input_bytes.saturating_mul(2),
        };
        let pending = usize::from(input_bytes > 0);
        let needed = self.kept.len().saturating_add(most).saturating_add(pending);
        self.grown(needed.min(self.message_bytes)) - self.kept.capacity()
    }

    /// Takes the decoded content out.
    pub fn take(&mut self) -> Vec<u8> {
        mem::take(&mut self.kept)
    }

    /// Returns the first thing that spoils the content.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Returns whether a NUL, a bare CR or a bare LF was read: others may see another end of data.
    pub fn is_ambiguous(&self) -> bool {
        self.ambiguous
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
                self.ambiguous = true;
                self.spoil(Fault::BareCr);
                self.state = State::Text;
                (input, Event::More)
            }
            (State::LineStart { .. } | State::Dot { .. } | State::Text, _) => self.text(input),
            (State::End, _) => (input, Event::End),
        }
    }

    /// Reads text up to the next byte that means something, or that byte.
    fn text<'a>(&mut self, input: &'a [u8]) -> (&'a [u8], Event) {
        self.state = State::Text;
        match input {
            [b'\r', rest @ ..] => {
                self.state = State::Cr;
                (rest, Event::More)
            }
            [b'\n', rest @ ..] if self.bare_lf == BareLf::Normalize => (rest, self.end_line(false)),
            [byte @ (b'\n' | 0), rest @ ..] => {
                self.ambiguous = true;
                self.spoil(if *byte == 0 { Fault::Nul } else { Fault::BareLf });
                (rest, Event::More)
            }
            _ => {
                let mut at = memchr3(b'\r', b'\n', 0, input).unwrap_or(input.len());
                if self.in_header() {
                    // Stops right behind the limit, so that no later byte is judged before it.
                    at = at.min((HEADER_BYTES + 1).saturating_sub(self.kept.len()).max(1));
                }
                let (text, rest) = input.split_at_checked(at).unwrap_or((input, &[]));
                self.line_is_empty = false;
                self.keep(text);
                (rest, Event::More)
            }
        }
    }

    fn end_line(&mut self, hard: bool) -> Event {
        self.keep(b"\r\n");
        self.state = State::LineStart { hard };
        let blank = mem::replace(&mut self.line_is_empty, true);
        if blank && self.in_header() {
            self.header_ended = true;
            return Event::HeaderEnd;
        }
        Event::More
    }

    fn in_header(&self) -> bool {
        self.keeping && !self.header_ended
    }

    fn spoil(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
        self.discard();
    }

    fn keep(&mut self, bytes: &[u8]) {
        if !self.keeping {
            return;
        }
        let needed = self.kept.len() + bytes.len();
        if needed > self.message_bytes {
            return self.spoil(Fault::TooLong);
        }
        if needed > self.kept.capacity() {
            self.kept.reserve_exact(self.grown(needed) - self.kept.len());
        }
        self.kept.extend_from_slice(bytes);
    }

    /// The memory that `needed` bytes take: the first step of the fixed ladder that holds them. It does
    /// not depend on the pieces in which they come.
    fn grown(&self, needed: usize) -> usize {
        let mut bytes = self.kept.capacity();
        while bytes < needed {
            bytes = match bytes {
                0 => FIRST_BYTES,
                bytes if bytes < DOUBLED_BYTES => bytes * 2,
                bytes => bytes + (bytes / 8).max(DOUBLED_BYTES),
            };
            bytes = bytes.min(self.message_bytes);
        }
        bytes
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

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(decoder: &mut Decoder, mut input: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        while !input.is_empty() {
            let (used, event) = decoder.decode(input);
            input = &input[used..];
            events.push(event);
        }
        events
    }

    #[test]
    fn the_header_section_ends_at_its_blank_line_and_is_told_once() {
        let mut decoder = Decoder::new(BareLf::Refuse, 1_000);
        let content = b"From: a\r\n\r\n\r\nbody\r\n.\r\n";
        let (used, event) = decoder.decode(content);
        assert_eq!((used, event), (11, Event::HeaderEnd));
        assert_eq!(decoder.kept(), b"From: a\r\n\r\n");
        assert_eq!(decode(&mut decoder, &content[used..]), [Event::End]);
        assert_eq!(decoder.take(), b"From: a\r\n\r\n\r\nbody\r\n");
    }

    #[test]
    fn a_header_section_without_end_is_told_right_behind_its_limit() {
        for size in [1, 7, 4_096, 300_000] {
            let mut decoder = Decoder::new(BareLf::Refuse, 1_000_000);
            let content = vec![b'x'; 300_000];
            let event = content
                .chunks(size)
                .map(|piece| decoder.decode(piece).1)
                .find(|e| *e != Event::More);
            assert_eq!(event, Some(Event::HeaderTooLong));
            assert_eq!(decoder.kept().len(), HEADER_BYTES + 1);
        }
    }

    #[test]
    fn nothing_is_kept_of_refused_content() {
        for (content, fault) in [
            (&b"From: a\r\n\r\nb\nc"[..], Some(Fault::BareLf)),
            (b"From: a\r\n\r\nb\rc", Some(Fault::BareCr)),
            (b"From: a\r\n\r\nb\0c", Some(Fault::Nul)),
            (b"From: a\r\n\r\n0123456789", Some(Fault::TooLong)),
            (b"From: a\r\n\r\n0123456789\nb", Some(Fault::TooLong)),
        ] {
            let mut decoder = Decoder::new(BareLf::Refuse, 20);
            decode(&mut decoder, content);
            decode(&mut decoder, b"more\r\n\r\n");
            assert_eq!(decoder.fault(), fault);
            assert_eq!(decoder.kept.capacity(), 0);
            assert_eq!(decode(&mut decoder, b".\r\n"), [Event::End]);
        }
    }

    #[test]
    fn memory_grows_with_the_content_up_to_its_limit() {
        let mut decoder = Decoder::new(BareLf::Refuse, 100_000);
        assert_eq!(decoder.kept.capacity(), 0);
        decode(&mut decoder, b"From: a\r\n\r\n");
        assert!(decoder.kept.capacity() <= FIRST_BYTES);
        decode(&mut decoder, &[b'x'; 80_000]);
        assert!(decoder.kept.capacity() <= 100_000);
    }

    #[test]
    fn memory_is_foreseen_and_does_not_depend_on_the_pieces() {
        const MIB: usize = 1024 * 1024;
        for (bare_lf, line) in [
            (BareLf::Refuse, &b"a line of text\r\n"[..]),
            (BareLf::Normalize, b"\n"),
            (BareLf::Normalize, b"a line of text\r\n"),
        ] {
            let content =
                [b"From: a\r\n\r\n", line.repeat(2 * MIB / line.len()).as_slice()].concat();
            let mut held = Vec::new();
            for size in [7, 16_384, 65_536] {
                let mut decoder = Decoder::new(bare_lf, 20 * MIB);
                for piece in content.chunks(size) {
                    let (before, growth) = (decoder.held_bytes(), decoder.growth(piece.len()));
                    decode(&mut decoder, piece);
                    assert!(decoder.held_bytes() <= before + growth);
                }
                held.push(decoder.held_bytes());
            }
            assert_eq!(held, [held[0]; 3]);
            let bytes = content.len() * if line == b"\n" { 2 } else { 1 };
            assert!(held[0] < bytes + bytes / 8 + MIB, "{} for {bytes}", held[0]);
        }
        let mut decoder = Decoder::new(BareLf::Refuse, 3 * MIB);
        assert_eq!((decoder.growth(0), decoder.growth(1)), (0, FIRST_BYTES));
        assert_eq!(decoder.growth(100 * MIB), 3 * MIB);
        decode(&mut decoder, &[b'x'; 100]);
        decoder.discard();
        assert_eq!((decoder.held_bytes(), decoder.growth(16_384)), (0, 0));
    }
}
