//! Log lines for people at a terminal: one short line first, the details behind it or below.

use std::fmt::{self, Debug, Write as _};

use anstyle::{AnsiColor, Style};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::redact::printable;

/// A line with its details is no longer than this, in characters; else they stand below.
const WIDTH: usize = 110;
/// What the first line has of a transaction, in this order, and what stands before each.
const HEAD: [(&str, &str); 5] = [
    ("principal", " "),
    ("reverse_path", ": "),
    ("recipients", " to "),
    ("reply_code", ", "),
    ("nearest", ", "),
];
/// Of a transaction these say the same as others, or nothing to people.
const LEFT_OUT: [&str; 5] = ["version", "event", "principal_arn", "client", "listener"];

/// Writes lines for people.
pub(super) struct Text<T>(pub(super) T);

impl<S, N, T> FormatEvent<S, N> for Text<T>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    T: FormatTime,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let is_record = said.value("event").is_some();
        let mut head = std::mem::take(&mut said.message);
        if is_record {
            for (name, before) in HEAD {
                if let Some(value) = said.take(name) {
                    let _ = write!(head, "{before}{value}");
                }
            }
            said.fields.retain(|(name, _)| !LEFT_OUT.contains(name));
        }
        let mut details = String::new();
        for (name, value) in said.fields.iter().filter(|(_, value)| !value.is_empty()) {
            let _ = write!(details, " {name}={value}");
        }
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                let _ = write!(details, " {}", fields.as_str());
            }
        }
        let level = *event.metadata().level();
        let colors = writer.has_ansi_escapes();
        let (style, dimmed) =
            if colors { (style(level), Style::new().dimmed()) } else { Default::default() };
        write!(writer, "{dimmed}")?;
        self.0.format_time(&mut writer)?;
        write!(writer, "{dimmed:#} {style}{level:>5}{style:#} {head}")?;
        if details.is_empty() {
            return writeln!(writer);
        }
        let is_short = head.chars().count() + details.chars().count() <= WIDTH;
        let apart = if is_short { "" } else { "\n     " };
        writeln!(writer, "{apart}{dimmed}{details}{dimmed:#}")
    }
}

fn style(level: Level) -> Style {
    let color = match level {
        Level::ERROR => AnsiColor::Red,
        Level::WARN => AnsiColor::Yellow,
        Level::INFO => AnsiColor::Green,
        _ => AnsiColor::Blue,
    };
    Style::new().fg_color(Some(color.into())).bold()
}

/// What an event says: its message, and its fields as they are shown. Clients have a say in many.
#[derive(Default)]
struct Said {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Said {
    fn value(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(field, _)| *field == name);
        found.map(|(_, value)| value.as_str())
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.fields.iter().position(|(field, _)| *field == name)?;
        Some(self.fields.remove(at).1).filter(|value| !value.is_empty())
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = printable(value).into_owned();
            return;
        }
        let is_word = !value.contains([' ', '"', '=']);
        let shown = if is_word || HEAD.iter().any(|(name, _)| *name == field.name()) {
            printable(value).into_owned()
        } else {
            format!("\"{}\"", printable(value).replace('"', "\\\""))
        };
        self.fields.push((field.name(), shown));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = printable(&format!("{value:?}")).into_owned();
        if field.name() == "message" {
            self.message = text;
        } else {
            self.fields.push((field.name(), text));
        }
    }
}
