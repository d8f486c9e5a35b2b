//! Input a line at a time, with a bound on what a line may be.

use std::io::{self, BufRead, BufReader, Read};

/// Longest line, in bytes without its end.
const MOST_LINE_BYTES: usize = 4 * 1024 * 1024;
/// What is wrong with a longer one.
pub(super) const TOO_LONG: &str = "the line is longer than 4194304 bytes";

/// A line that was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Its length in bytes, without its end.
    length: usize,
    /// Whether it has an end: the last one may have none.
    pub(super) is_ended: bool,
}

impl Line {
    /// Whether only its beginning was kept.
    pub(super) fn is_too_long(self) -> bool {
        self.length > MOST_LINE_BYTES
    }
}

/// Reads a line without its end, `None` at the end of input. Of a line that is too long the beginning
/// is kept. `pause` is called before it waits for more input.
///
/// # Errors
/// Those of the input, and of `pause`.
pub(super) fn next(
    input: &mut BufReader<impl Read>,
    line: &mut Vec<u8>,
    mut pause: impl FnMut() -> io::Result<()>,
) -> io::Result<Option<Line>> {
    line.clear();
    let mut length = 0_usize;
    let mut is_begun = false;
    loop {
        if input.buffer().is_empty() {
            pause()?;
        }
        let bytes = match input.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if bytes.is_empty() {
            return Ok(is_begun.then_some(Line { length, is_ended: false }));
        }
        is_begun = true;
        let end = memchr::memchr(b'\n', bytes);
        let part = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or(bytes);
        length = length.saturating_add(part.len());
        if length <= MOST_LINE_BYTES {
            line.extend_from_slice(part);
        }
        let read = part.len() + usize::from(end.is_some());
        input.consume(read);
        if end.is_some() {
            return Ok(Some(Line { length, is_ended: true }));
        }
    }
}
