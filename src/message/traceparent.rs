//! The fields that carry an app's trace on (W3C Trace Context): `traceparent` and `tracestate`.
//!
//! They say nothing about a message. What cannot be read, or is there twice, is left alone: never a
//! reason to refuse mail.

use std::ops::Range;

use super::fields::unfold;
use super::header::Field;
use super::names::BLANKS;

/// The most characters of `tracestate` that are carried on (W3C Trace Context section 3.3.1.5).
const STATE_CHARS: usize = 512;
/// The most entries of `tracestate`.
const STATE_ENTRIES: usize = 32;

/// The span of the app in which it sent the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace; not all zero.
    pub trace_id: [u8; 16],
    /// The app's span; not all zero.
    pub span_id: [u8; 8],
    /// Whether the app records the trace.
    pub sampled: bool,
    /// `tracestate`, as it is written.
    pub state: Option<String>,
}

/// The trace fields of one header section while it is read.
#[derive(Clone, Debug, Default)]
pub(super) struct TraceFields {
    parents: Vec<Option<TraceParent>>,
    states: Vec<Option<String>>,
    /// Their whole lines.
    ranges: Vec<Range<usize>>,
}

impl TraceFields {
    /// Takes a field in if it is one of the two.
    pub(super) fn read(&mut self, field: &Field<'_>) -> bool {
        let text = |field: &Field<'_>| unfold(field.value).ok().map(|(text, _)| text);
        if field.is("traceparent") {
            self.parents.push(text(field).and_then(|text| parent(text.trim_matches(BLANKS))));
        } else if field.is("tracestate") {
            self.states.push(text(field).and_then(|text| state(text.trim_matches(BLANKS))));
        } else {
            return false;
        }
        self.ranges.push(field.range.clone());
        true
    }

    /// Returns what the fields say together.
    pub(super) fn parent(&self) -> Option<TraceParent> {
        let [Some(parent)] = self.parents.as_slice() else { return None };
        let state = match self.states.as_slice() {
            [state] => state.clone(),
            _ => None,
        };
        Some(TraceParent { state, ..parent.clone() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Returns where the fields stand, and forgets it.
    pub(super) fn take_ranges(&mut self) -> Vec<Range<usize>> {
        std::mem::take(&mut self.ranges)
    }
}

/// Reads `version-trace_id-parent_id-flags` (W3C Trace Context section 3.2). A later version may have
/// more behind another dash.
fn parent(text: &str) -> Option<TraceParent> {
    let mut parts = text.splitn(5, '-');
    let [version] = hex::<1>(parts.next()?)?;
    let trace_id = hex::<16>(parts.next()?)?;
    let span_id = hex::<8>(parts.next()?)?;
    let [flags] = hex::<1>(parts.next()?)?;
    let more = parts.next().is_some();
    let valid = version != 0xff && !(version == 0 && more);
    (valid && trace_id != [0; 16] && span_id != [0; 8]).then_some(TraceParent {
        trace_id,
        span_id,
        sampled: flags & 1 == 1,
        state: None,
    })
}

/// Reads exactly so many bytes in lower-case hexadecimal digits.
fn hex<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    if text.len() != 2 * BYTES {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        for digit in digits {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            *byte = *byte << 4 | value;
        }
    }
    Some(bytes)
}

/// Returns `tracestate` if it is a list of `key=value` within bounds; its words are not for us.
fn state(text: &str) -> Option<String> {
    let entries = text.split(',').map(|entry| entry.trim_matches(BLANKS));
    let entries: Vec<_> = entries.filter(|entry| !entry.is_empty()).collect();
    let is_entry = |entry: &&str| {
        entry.split_once('=').is_some_and(|(key, value)| {
            !key.is_empty() && !key.contains(BLANKS) && !value.is_empty() && !value.contains('=')
        })
    };
    let valid = !entries.is_empty()
        && entries.len() <= STATE_ENTRIES
        && text.len() <= STATE_CHARS
        && entries.iter().all(is_entry);
    valid.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::HeaderSection;
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn read(fields: &str) -> Option<TraceParent> {
        let text = format!("From: a@example.com\r\n{fields}\r\n");
        HeaderSection::parse(text.as_bytes()).unwrap().trace_parent().cloned()
    }

    #[test]
    fn what_is_written_right_is_read() {
        for (fields, sampled, state) in [
            (format!("traceparent: 00-{TRACE}-{SPAN}-01\r\n"), true, None),
            (format!("TraceParent:00-{TRACE}-{SPAN}-00\t\r\n"), false, None),
            (format!("traceparent:\r\n 00-{TRACE}-{SPAN}-03\r\n"), true, None),
            (format!("traceparent: cc-{TRACE}-{SPAN}-01-what-will-be\r\n"), true, None),
            (
                format!("tracestate: a=1,\r\n b@c=2\r\ntraceparent: 00-{TRACE}-{SPAN}-01\r\n"),
                true,
                Some("a=1, b@c=2"),
            ),
            (format!("traceparent: 00-{TRACE}-{SPAN}-01\r\ntracestate: nonsense\r\n"), true, None),
            (
                format!(
                    "traceparent: 00-{TRACE}-{SPAN}-01\r\ntracestate: a=1\r\ntracestate: b=2\r\n"
                ),
                true,
                None,
            ),
            (
                format!(
                    "traceparent: 00-{TRACE}-{SPAN}-01\r\ntracestate: a={}\r\n",
                    "x".repeat(600)
                ),
                true,
                None,
            ),
        ] {
            let parent = read(&fields).unwrap_or_else(|| panic!("{fields:?}"));
            assert_eq!(parent.trace_id[..2], [0x0a, 0xf7], "{fields:?}");
            assert_eq!(parent.span_id[7], 0x31, "{fields:?}");
            assert_eq!((parent.sampled, parent.state.as_deref()), (sampled, state), "{fields:?}");
        }
    }

    #[test]
    fn anything_else_is_left_alone() {
        let zero = "0".repeat(32);
        for value in [
            "".to_owned(),
            "x".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-01 (comment)"),
            format!("00-{TRACE}-{SPAN}-0x"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{zero}-{SPAN}-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}0-{SPAN}-01"),
            format!("00-+{}-{SPAN}-01", TRACE.trim_start_matches('0')),
            format!("00 -{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-é"),
        ] {
            assert_eq!(read(&format!("traceparent: {value}\r\n")), None, "{value:?}");
        }
        let good = format!("traceparent: 00-{TRACE}-{SPAN}-01\r\n");
        assert_eq!(read(&format!("{good}{good}")), None, "twice");
        assert_eq!(read(&format!("{good}traceparent: x\r\n")), None, "twice, once malformed");
    }

    #[test]
    fn removing_takes_the_whole_lines_and_nothing_else() {
        let text = "Bcc: b@example.com\r\ntracestate: a=1,\r\n b=2\r\nFrom: a@example.com\r\n\
                    TraceParent:\r\n\tnonsense\r\nReturn-Path: <a@example.com>\r\n\
                    X-traceparent: stays\r\ntraceparent: x\r\nSubject: s\r\n\r\ntraceparent: body\r\n";
        let left = |remove: bool| {
            let mut section = HeaderSection::parse(text.as_bytes()).unwrap();
            if remove {
                section.remove_trace_fields();
            }
            String::from_utf8(section.forwarded(text.as_bytes().to_vec())).unwrap()
        };
        assert_eq!(
            left(true),
            "From: a@example.com\r\nX-traceparent: stays\r\nSubject: s\r\n\r\ntraceparent: body\r\n"
        );
        assert_eq!(
            left(false),
            "tracestate: a=1,\r\n b=2\r\nFrom: a@example.com\r\nTraceParent:\r\n\tnonsense\r\n\
             X-traceparent: stays\r\ntraceparent: x\r\nSubject: s\r\n\r\ntraceparent: body\r\n"
        );
    }
}
