//! The settings in force as they can be shown: values and where each came from, secrets masked.

use std::fmt::Write;

use serde_json::{Value as Json, json};
use toml_span::value::ValueInner;

use super::Origin;
use super::path::{self, ReadSetting, SettingValue, Step};
use super::place::Place;
use crate::redact::printable;

/// Stands for a secret; no hash, so that a configuration with it is refused.
const MASK: &str = "\"********\"";

/// The settings of a configuration, in the order in which they are read.
#[derive(Debug)]
pub struct Settings {
    pub(super) settings: Vec<ReadSetting>,
    pub(super) origin: Origin,
}

impl Settings {
    /// Writes them as a configuration file, with a comment behind each value that says where it came
    /// from. Once the secrets are filled in it says the same as what it was made from: paths are
    /// absolute in it.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        let settings: Vec<_> = self.settings.iter().collect();
        self.write(&mut out, 0, &settings);
        out.trim_start().to_owned()
    }

    /// Returns them as a list of objects with `key`, `value` and `from`; `value` is null where it was
    /// not understood.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let shown = self.settings.iter().filter_map(|setting| {
            let value = match &setting.value {
                SettingValue::Absent => return None,
                SettingValue::Wrong => Json::Null,
                SettingValue::Value(_) | SettingValue::Default(_) => to_json(&literal(setting)?),
            };
            let key = path::key(&setting.path);
            Some(json!({ "key": key, "value": value, "from": self.from(setting) }))
        });
        shown.collect()
    }

    /// Writes the tables that begin with so many steps in common.
    fn write(&self, out: &mut String, depth: usize, settings: &[&ReadSetting]) {
        let (own, mut inner): (Vec<&ReadSetting>, Vec<&ReadSetting>) =
            settings.iter().partition(|setting| setting.path.len() == depth + 1);
        for setting in own {
            self.write_one(out, setting);
        }
        // Tables stand together, in the order in which they were read first.
        while let Some(first) = inner.first().copied() {
            let is_item = matches!(first.path.get(depth + 1), Some(Step::Item(_)));
            let deeper = depth + if is_item { 2 } else { 1 };
            let steps = first.path.get(..deeper).unwrap_or_default();
            let (table, others) =
                inner.into_iter().partition(|setting| setting.path.starts_with(steps));
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

    fn write_one(&self, out: &mut String, setting: &ReadSetting) {
        let Some(Step::Key(key)) = setting.path.last() else { return };
        // One comment, whatever the file is called.
        let mut from = printable(&self.from(setting)).into_owned();
        // A file does not take it in clear.
        let key = if *key == "password" {
            from.push_str(", hashed at the start");
            "password_hash"
        } else {
            *key
        };
        let _ = match &setting.value {
            SettingValue::Absent => return,
            SettingValue::Wrong => writeln!(out, "# {key} was not understood  # {from}"),
            SettingValue::Value(_) | SettingValue::Default(_) => match literal(setting) {
                Some(value) => writeln!(out, "{key} = {value}  # {from}"),
                None => return,
            },
        };
    }

    fn from(&self, setting: &ReadSetting) -> String {
        if setting.place == Place::default() {
            return "default".to_owned();
        }
        let at = self.origin.at(setting.place);
        let mut others = self.settings.iter().filter(|other| other.place == setting.place);
        match others.find(|other| follows(setting, other)) {
            Some(other) => format!("follows from {}: {at}", path::key(&other.path)),
            None => at,
        }
    }
}

/// Whether of two settings of one place this one follows from the other (see `sidecar`).
fn follows(setting: &ReadSetting, other: &ReadSetting) -> bool {
    let last = |setting: &ReadSetting| setting.path.last().copied();
    matches!(
        (last(setting), last(other)),
        (Some(Step::Key("id")), Some(Step::Key("arn")))
            | (Some(Step::Key("arn")), Some(Step::Key("name")))
    )
}

/// The value as TOML, masked if it is secret.
fn literal(setting: &ReadSetting) -> Option<String> {
    match &setting.value {
        SettingValue::Value(_) if setting.secret => Some(MASK.to_owned()),
        SettingValue::Value(value) | SettingValue::Default(value) => Some(value.clone()),
        SettingValue::Absent | SettingValue::Wrong => None,
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
