//! The settings in force as they can be shown: values and where each came from, secrets masked.

use std::fmt::Write;

use serde_json::{Value as Json, json};
use toml_span::value::ValueInner;

use super::Origin;
use super::path::{self, Asked, Shown, Step};
use super::place::Place;
use crate::redact::printable;

/// Stands for a secret; no hash, so that a configuration with it is refused.
const MASK: &str = "\"********\"";

/// The settings of a configuration, in the order in which they are read.
#[derive(Debug)]
pub struct Settings {
    pub(super) asked: Vec<Asked>,
    pub(super) origin: Origin,
}

impl Settings {
    /// Writes them as a configuration file, with a comment behind each value that says where it came
    /// from. Once the secrets are filled in it says the same as what it was made from: paths are
    /// absolute in it.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        let asked: Vec<_> = self.asked.iter().collect();
        self.write(&mut out, 0, &asked);
        out.trim_start().to_owned()
    }

    /// Returns them as a list of objects with `key`, `value` and `from`; `value` is null where it was
    /// not understood.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let shown = self.asked.iter().filter_map(|asked| {
            let value = match &asked.shown {
                Shown::Absent => return None,
                Shown::Wrong => Json::Null,
                Shown::Value(_) | Shown::Default(_) => to_json(&literal(asked)?),
            };
            let key = path::key(&asked.path);
            Some(json!({ "key": key, "value": value, "from": self.from(asked) }))
        });
        shown.collect()
    }

    /// Writes the tables that begin with so many steps in common.
    fn write(&self, out: &mut String, depth: usize, asked: &[&Asked]) {
        let (own, mut inner): (Vec<&Asked>, Vec<&Asked>) =
            asked.iter().partition(|asked| asked.path.len() == depth + 1);
        for asked in own {
            self.write_one(out, asked);
        }
        // Tables stand together, in the order in which they were asked for first.
        while let Some(first) = inner.first().copied() {
            let is_item = matches!(first.path.get(depth + 1), Some(Step::Item(_)));
            let deeper = depth + if is_item { 2 } else { 1 };
            let steps = first.path.get(..deeper).unwrap_or_default();
            let (table, others) =
                inner.into_iter().partition(|asked| asked.path.starts_with(steps));
            inner = others;
            let mut body = String::new();
            self.write(&mut body, deeper, &table);
            if !body.is_empty() || is_item {
                let keys = steps.iter().filter_map(|step| match step {
                    Step::Key(key) => Some(*key),
                    Step::Item(_) => None,
                });
                let name = keys.collect::<Vec<_>>().join(".");
                // A table that holds tables alone needs no line of its own.
                if is_item {
                    let _ = writeln!(out, "\n[[{name}]]");
                } else if !body.starts_with('\n') {
                    let _ = writeln!(out, "\n[{name}]");
                }
                out.push_str(&body);
            }
        }
    }

    fn write_one(&self, out: &mut String, asked: &Asked) {
        let Some(Step::Key(key)) = asked.path.last() else { return };
        // One comment, whatever the file is called.
        let mut from = printable(&self.from(asked)).into_owned();
        // A file does not take it in clear.
        let key = if *key == "password" {
            from.push_str(", hashed at the start");
            "password_hash"
        } else {
            *key
        };
        let _ = match &asked.shown {
            Shown::Absent => return,
            Shown::Wrong => writeln!(out, "# {key} was not understood  # {from}"),
            Shown::Value(_) | Shown::Default(_) => match literal(asked) {
                Some(value) => writeln!(out, "{key} = {value}  # {from}"),
                None => return,
            },
        };
    }

    fn from(&self, asked: &Asked) -> String {
        if asked.place == Place::default() {
            return "default".to_owned();
        }
        let at = self.origin.at(asked.place);
        let mut others = self.asked.iter().filter(|other| other.place == asked.place);
        match others.find(|other| follows(asked, other)) {
            Some(other) => format!("follows from {}: {at}", path::key(&other.path)),
            None => at,
        }
    }
}

/// Whether of two settings of one place this one follows from the other (see `sidecar`).
fn follows(asked: &Asked, other: &Asked) -> bool {
    let last = |asked: &Asked| asked.path.last().copied();
    matches!(
        (last(asked), last(other)),
        (Some(Step::Key("id")), Some(Step::Key("arn")))
            | (Some(Step::Key("arn")), Some(Step::Key("name")))
    )
}

/// The value as TOML, masked if it is secret.
fn literal(asked: &Asked) -> Option<String> {
    match &asked.shown {
        Shown::Value(_) if asked.secret => Some(MASK.to_owned()),
        Shown::Value(value) | Shown::Default(value) => Some(value.clone()),
        Shown::Absent | Shown::Wrong => None,
    }
}

fn to_json(literal: &str) -> Json {
    let text = format!("value = {literal}");
    let Ok(mut parsed) = toml_span::parse(&text) else { return Json::Null };
    match parsed.take() {
        ValueInner::Table(table) => {
            table.into_values().next().map_or(Json::Null, |mut value| json_of(value.take()))
        }
        _ => Json::Null,
    }
}

fn json_of(value: ValueInner<'_>) -> Json {
    match value {
        ValueInner::String(text) => Json::from(text.into_owned()),
        ValueInner::Integer(number) => Json::from(number),
        ValueInner::Float(number) => Json::from(number),
        ValueInner::Boolean(flag) => Json::from(flag),
        ValueInner::Array(values) => {
            values.into_iter().map(|mut value| json_of(value.take())).collect()
        }
        ValueInner::Table(table) => {
            let pairs = table.into_iter();
            pairs.map(|(key, mut value)| (key.name.into_owned(), json_of(value.take()))).collect()
        }
    }
}
