//! A trace to the spans of OTLP (`opentelemetry/proto/trace/v1/trace.proto`).

use super::queue::RECORD;
use super::wire::Message;
use crate::trace::{Ended, Kind, Span};

const SAMPLED: u32 = 1;
/// It is known whether the parent is in another process, and it is.
const LOCAL_PARENT: u32 = 0x100;
const REMOTE_PARENT: u32 = 0x300;
const ERROR: u64 = 2;

/// Writes the spans of a trace as records of the queue.
pub(super) fn write(ended: &Ended<'_>) -> Vec<u8> {
    let mut records = Message::default();
    for span in ended.spans {
        records.message(RECORD, |record| write_span(record, ended, span));
    }
    records.into_bytes()
}

fn write_span(record: &mut Message, ended: &Ended<'_>, span: &Span) {
    record.bytes(1, &ended.id);
    record.bytes(2, &span.id);
    if let Some(state) = ended.state {
        record.text(3, state);
    }
    if let Some(parent) = &span.parent {
        record.bytes(4, parent);
    }
    record.text(5, span.name);
    record.number(6, kind(span.kind));
    record.fixed64(7, span.begun);
    record.fixed64(8, span.ended);
    record.attributes(9, &span.attributes);
    for event in &span.events {
        record.message(11, |message| {
            message.fixed64(1, event.at);
            message.text(2, event.name);
            message.attributes(3, &event.attributes);
        });
    }
    if let Some(failure) = &span.failure {
        record.message(15, |status| {
            status.text(2, failure);
            status.number(3, ERROR);
        });
    }
    let parent = if span.is_remote_parent { REMOTE_PARENT } else { LOCAL_PARENT };
    record.fixed32(16, SAMPLED | parent);
}

fn kind(kind: Kind) -> u64 {
    match kind {
        Kind::Internal => 1,
        Kind::Server => 2,
        Kind::Client => 3,
    }
}
