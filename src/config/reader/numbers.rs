//! Truth values, numbers, and moments.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use toml_span::value::ValueInner;

use super::super::place::Placed;
use super::Reader;

/// A plain value: read from TOML, or from the text of a variable or a flag.
pub(in crate::config) trait Setting: Copy + Display + PartialOrd {
    fn from_toml(value: &ValueInner<'_>) -> Option<Self>;
    fn from_text(text: &str) -> Option<Self>;
    /// What completes "`key` must be …".
    fn must_be(bounds: &RangeInclusive<Self>) -> String;
}

impl Setting for bool {
    fn from_toml(value: &ValueInner<'_>) -> Option<Self> {
        value.as_bool()
    }

    fn from_text(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }

    fn must_be(_: &RangeInclusive<Self>) -> String {
        "`true` or `false`".to_owned()
    }
}

macro_rules! whole_numbers {
    ($($number:ty),*) => {$(
        impl Setting for $number {
            fn from_toml(value: &ValueInner<'_>) -> Option<Self> {
                Self::try_from(value.as_integer()?).ok()
            }

            fn from_text(text: &str) -> Option<Self> {
                let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
                text.parse().ok().filter(|_| is_plain)
            }

            fn must_be(bounds: &RangeInclusive<Self>) -> String {
                format!("a whole number from {} to {}", bounds.start(), bounds.end())
            }
        }
    )*};
}

whole_numbers!(u32, u64, usize);

impl Setting for f64 {
    fn from_toml(value: &ValueInner<'_>) -> Option<Self> {
        let whole = value.as_integer().and_then(|number| i32::try_from(number).ok());
        whole.map(f64::from).or_else(|| value.as_float())
    }

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn must_be(bounds: &RangeInclusive<Self>) -> String {
        format!("a number from {} to {}", bounds.start(), bounds.end())
    }
}

impl Reader<'_, '_> {
    /// A value within bounds that may be absent.
    pub(in crate::config) fn number<T: Setting>(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<T>,
    ) -> Option<T> {
        let mut value = self.take(key, false)?;
        let found = value.take();
        let text = found.as_str().filter(|_| self.source.is_override(value.span));
        let read = text.map_or_else(|| T::from_toml(&found), T::from_text);
        let read = read.filter(|read| bounds.contains(read));
        match read {
            Some(read) => self.record_value(read.to_string()),
            None => {
                let but = text.map(|text| format!(", not `{text}`")).unwrap_or_default();
                let message = format!("`{key}` must be {}{but}", T::must_be(&bounds));
                self.source.report(value.span, message);
            }
        }
        read
    }

    /// A value within bounds, or its default.
    pub(in crate::config) fn number_or<T: Setting>(
        &mut self,
        key: &'static str,
        default: T,
        bounds: RangeInclusive<T>,
    ) -> T {
        self.with_default(key, default, |table| table.number(key, bounds)).unwrap_or(default)
    }

    /// True or false, if it is there.
    pub(in crate::config) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        self.number(key, false..=true)
    }

    /// True or false, or its default.
    pub(in crate::config) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        self.number_or(key, default, false..=true)
    }

    /// A number of events per second, above zero; it may have a fraction.
    pub(in crate::config) fn rate(&mut self, key: &'static str) -> Option<f64> {
        self.number(key, 0.001..=1_000_000.0)
    }

    /// A share of a whole, or its default.
    pub(in crate::config) fn share(&mut self, key: &'static str, default: f64) -> f64 {
        self.number_or(key, default, 0.0..=1.0)
    }

    /// A duration in whole seconds within bounds.
    pub(in crate::config) fn seconds(
        &mut self,
        key: &'static str,
        default: u64,
        bounds: RangeInclusive<u64>,
    ) -> Duration {
        Duration::from_secs(self.number_or(key, default, bounds))
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
