//! Truth values, numbers, and moments.

use std::ops::RangeInclusive;
use std::time::Duration;
use std::time::SystemTime;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use toml_span::Span;
use toml_span::value::ValueInner;

use super::super::source::Placed;
use super::Reader;

impl<'s, 't> Reader<'s, 't> {
    pub(in crate::config) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let mut value = self.take(key, false)?;
        let flag = match value.take() {
            ValueInner::Boolean(flag) => flag,
            ValueInner::String(text) if self.source.is_said(value.span) => {
                match text.to_ascii_lowercase().as_str() {
                    "true" | "1" => true,
                    "false" | "0" => false,
                    _ => {
                        let found = ValueInner::String(text);
                        self.wanted(key, "`true` or `false`", &found, value.span);
                        return None;
                    }
                }
            }
            found => {
                self.wanted(key, "true or false", &found, value.span);
                return None;
            }
        };
        self.shows(flag.to_string());
        Some(flag)
    }

    /// True or false, or its default.
    pub(in crate::config) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let is_there = self.has(key);
        let flag = self.boolean(key);
        if !is_there {
            self.defaults(default);
        }
        flag.unwrap_or(default)
    }

    /// A whole number within bounds.
    pub(in crate::config) fn number(
        &mut self,
        key: &'static str,
        default: usize,
        bounds: RangeInclusive<usize>,
    ) -> usize {
        let is_there = self.has(key);
        let number = self.number_if_any(key, bounds);
        if !is_there {
            self.defaults(default);
        }
        number.unwrap_or(default)
    }

    /// A whole number within bounds that may be absent.
    pub(in crate::config) fn number_if_any(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<usize>,
    ) -> Option<usize> {
        let mut value = self.take(key, false)?;
        let found = value.take();
        let number = match &found {
            ValueInner::Integer(number) => usize::try_from(*number).ok(),
            ValueInner::String(text) if self.source.is_said(value.span) => {
                let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
                text.parse().ok().filter(|_| is_plain)
            }
            _ => None,
        };
        let number = number.filter(|number| bounds.contains(number));
        match number {
            Some(number) => self.shows(number.to_string()),
            None => {
                let (start, end) = (bounds.start(), bounds.end());
                let what = format!("`{key}` must be a whole number from {start} to {end}");
                self.source.note(value.span, self.but_is(what, &found, value.span));
            }
        }
        number
    }

    /// The text that a variable or a flag gives, behind what it should be.
    fn but_is(&self, what: String, found: &ValueInner<'_>, span: Span) -> String {
        match found.as_str() {
            Some(text) if self.source.is_said(span) => format!("{what}, not `{text}`"),
            _ => what,
        }
    }

    /// A number of events per second, above zero; it may have a fraction.
    pub(in crate::config) fn rate(&mut self, key: &'static str) -> Option<f64> {
        self.fraction(key, 0.001..=1_000_000.0)
    }

    /// A share of a whole, or its default.
    pub(in crate::config) fn share(&mut self, key: &'static str, default: f64) -> f64 {
        let is_there = self.has(key);
        let share = self.fraction(key, 0.0..=1.0);
        if !is_there {
            self.defaults(default);
        }
        share.unwrap_or(default)
    }

    fn fraction(&mut self, key: &'static str, bounds: RangeInclusive<f64>) -> Option<f64> {
        let mut value = self.take(key, false)?;
        let found = value.take();
        let number = match &found {
            ValueInner::Integer(number) => i32::try_from(*number).ok().map(f64::from),
            ValueInner::Float(number) => Some(*number),
            ValueInner::String(text) if self.source.is_said(value.span) => text.parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| bounds.contains(number));
        match number {
            Some(number) => self.shows(number.to_string()),
            None => {
                let (least, most) = (bounds.start(), bounds.end());
                let what = format!("`{key}` must be a number from {least} to {most}");
                self.source.note(value.span, self.but_is(what, &found, value.span));
            }
        }
        number
    }

    /// A duration in whole seconds within bounds.
    pub(in crate::config) fn seconds(
        &mut self,
        key: &'static str,
        default: u64,
        bounds: RangeInclusive<usize>,
    ) -> Duration {
        let default = usize::try_from(default).unwrap_or(usize::MAX);
        let seconds = self.number(key, default, bounds);
        Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX))
    }

    /// A day, which begins at midnight UTC, or a moment.
    pub(in crate::config) fn moment(&mut self, key: &'static str) -> Option<Placed<SystemTime>> {
        let text = self.string(key)?;
        let day = format!("{}T00:00:00Z", text.value);
        let moment = [&text.value, &day]
            .into_iter()
            .find_map(|text| DateTime::from_str(text, Format::DateTime).ok())
            .and_then(|moment| SystemTime::try_from(moment).ok());
        if moment.is_none() {
            let message = format!(
                "`{key}` must be a day such as `2027-01-31` or a moment such as \
                 `2027-01-31T12:00:00Z`, not `{}`",
                text.value
            );
            self.wrong(text.place, message);
        }
        Some(Placed { value: moment?, place: text.place })
    }
}
