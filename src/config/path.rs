//! The way from the outermost table to a setting, and what the setting is called there: the name of
//! its environment variable, and its dotted key.

use super::place::Place;

/// What every variable begins with.
pub(super) const PREFIX: &str = "SESGATE_";
/// Lists whose first entry has a shorter name: what a sidecar has one of.
pub(super) const SINGLE: [(&str, &str); 2] = [("users", "user"), ("listeners", "listener")];

/// One step from a table to what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// A key of a table.
    Key(&'static str),
    /// An entry of a list.
    Item(usize),
}

/// A setting that was read, and what came of it.
#[derive(Debug, Clone)]
pub(super) struct ReadSetting {
    pub(super) path: Vec<Step>,
    /// Whether its value must not be shown.
    pub(super) secret: bool,
    pub(super) place: Place,
    pub(super) value: SettingValue,
}

/// The value of a setting, as TOML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SettingValue {
    /// It is not set and has no default that could be written.
    Absent,
    /// It is not set.
    Default(String),
    /// It is set.
    Value(String),
    /// It is set to something that was not understood.
    Wrong,
}

/// Returns the variable of a setting: `SESGATE_USERS_0_NAME`.
pub(super) fn variable(path: &[Step]) -> String {
    let words = path.iter().map(|step| match step {
        Step::Key(key) => key.to_ascii_uppercase(),
        Step::Item(number) => number.to_string(),
    });
    format!("{PREFIX}{}", words.collect::<Vec<_>>().join("_"))
}

/// Returns the variable of a setting by its shortest name: `SESGATE_USER_NAME`.
pub(super) fn shortest(path: &[Step]) -> String {
    single(path).unwrap_or_else(|| variable(path))
}

/// Returns the dotted key of a setting: `users.0.name`.
pub(super) fn key(path: &[Step]) -> String {
    let words = path.iter().map(|step| match step {
        Step::Key(key) => (*key).to_owned(),
        Step::Item(number) => number.to_string(),
    });
    words.collect::<Vec<_>>().join(".")
}

/// The setting by the short name of its list, if it has one.
pub(super) fn single(path: &[Step]) -> Option<String> {
    let [Step::Key(list), Step::Item(0), inner @ ..] = path else { return None };
    let (_, short) = SINGLE.iter().find(|(long, _)| long == list)?;
    Some(variable(&[&[Step::Key(short)], inner].concat()))
}
