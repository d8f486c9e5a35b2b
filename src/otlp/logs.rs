//! Log lines to the log records of OTLP (`opentelemetry/proto/logs/v1/logs.proto`).

use std::fmt;
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::queue::{Queue, RECORD};
use super::wire::Message;
use crate::clock;
use crate::trace;

const ATTRIBUTES: u32 = 6;

/// Takes the lines that go to standard output, with what the connection's span says.
#[derive(Debug)]
pub(super) struct Lines(pub(super) Arc<Queue>);

/// What a span says: the last value of each field, written as an attribute.
#[derive(Debug, Default)]
struct Fields(Vec<(&'static str, Vec<u8>)>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut records = Message::default();
        records.message(RECORD, |record| {
            let now = clock::nanoseconds(clock::time_of_day());
            record.fixed64(1, now);
            record.fixed64(11, now);
            let (number, text) = severity(*event.metadata().level());
            record.number(2, number);
            record.text(3, text);
            if let Some(span) = context.event_span(event)
                && let Some(Fields(fields)) = span.extensions().get()
            {
                // What the line says itself is not said twice.
                let own = event.metadata().fields();
                for (_, field) in fields.iter().filter(|(name, _)| own.field(name).is_none()) {
                    record.fields(field);
                }
            }
            event.record(&mut Line(record));
            if let Some(ids) = trace::ids() {
                record.fixed32(8, u32::from(ids.recorded));
                record.bytes(9, &ids.trace);
                record.bytes(10, &ids.span);
            }
        });
        self.0.add(&records.into_bytes(), 1);
    }
}

fn severity(level: Level) -> (u64, &'static str) {
    match level {
        Level::TRACE => (1, "TRACE"),
        Level::DEBUG => (5, "DEBUG"),
        Level::INFO => (9, "INFO"),
        Level::WARN => (13, "WARN"),
        Level::ERROR => (17, "ERROR"),
    }
}

/// Writes the fields of a line into its record; `message` is the body.
struct Line<'a>(&'a mut Message);

impl Line<'_> {
    fn attribute(&mut self, name: &str, write: impl FnOnce(&mut Message)) {
        if name == "message" {
            self.0.message(5, write);
        } else {
            self.0.attribute(ATTRIBUTES, name, write);
        }
    }
}

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.attribute(field.name(), |message| message.text(1, &format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.attribute(field.name(), |message| message.text(1, value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.attribute(field.name(), |message| message.number(2, u64::from(value)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.attribute(field.name(), |message| message.number(3, value.cast_unsigned()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record_i64(field, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.attribute(field.name(), |message| message.fixed64(4, value.to_bits()));
    }
}

impl Fields {
    fn set(&mut self, field: &Field, write: impl FnOnce(&mut Line<'_>)) {
        let mut message = Message::default();
        write(&mut Line(&mut message));
        let bytes = message.into_bytes();
        let name = field.name();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = bytes,
            None => self.0.push((name, bytes)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, |line| line.record_debug(field, value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, |line| line.record_str(field, value));
    }
}
