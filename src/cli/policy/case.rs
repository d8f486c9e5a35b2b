//! One case of a case file, as it is written there.

use std::path::Path;

use jsonc_parser::ast::{Object, Value};

use super::json::{self, Mistake};

/// A case with what it shares with the others of its file.
#[derive(Clone, Copy)]
pub(super) struct Case<'v, 't> {
    pub(super) value: &'v Value<'t>,
    pub(super) own: &'v Object<'t>,
    pub(super) shared: Option<&'v Object<'t>>,
    /// Of the file.
    pub(super) text: &'t str,
    /// The file.
    pub(super) path: &'v Path,
}

impl<'v, 't> Case<'v, 't> {
    pub(super) fn member(&self, name: &str) -> Option<&'v Value<'t>> {
        json::member(self.own, name).or_else(|| json::member(self.shared?, name))
    }

    /// The folder of the file, which paths are relative to.
    pub(super) fn folder(&self) -> &'v Path {
        self.path.parent().unwrap_or(self.path)
    }

    pub(super) fn string(&self, name: &str) -> Result<Option<&'v str>, Mistake> {
        self.member(name).map(|value| json::string(value, &format!("`{name}`"))).transpose()
    }

    pub(super) fn required(&self, name: &str) -> Result<&'v Value<'t>, Mistake> {
        self.member(name).ok_or_else(|| Mistake::of(self.value, format!("a case without `{name}`")))
    }
}
