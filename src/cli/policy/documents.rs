//! The documents of a line of `evaluate`, read once for many lines.

use std::collections::HashMap;
use std::sync::Arc;

use jsonc_parser::ast::Value;

use super::json::{self, Mistake, kind};
use super::layers::Documents;
use crate::policy::{Policy, PolicyErrors, PolicyKind};

/// Text of documents whose compiled form is cached, in bytes.
const MOST_CACHED_BYTES: usize = 16 * 1024 * 1024;

/// The documents of one line: a list of them in each layer, but one session and resource policy.
pub(super) struct LineDocuments<'a> {
    text: &'a str,
    compiled: &'a mut Compiled,
    /// Each policy with its place in the line, such as `scps[0][1]`.
    places: Vec<(Arc<Policy>, String)>,
    /// One line for each problem of the documents.
    pub(super) problems: Vec<String>,
}

impl<'a> LineDocuments<'a> {
    pub(super) fn new(text: &'a str, compiled: &'a mut Compiled) -> Self {
        LineDocuments { text, compiled, places: Vec::new(), problems: Vec::new() }
    }

    /// Returns where a policy stands in the line.
    pub(super) fn place(&self, policy: &Policy) -> &str {
        let place = self.places.iter().find(|(known, _)| std::ptr::eq(&**known, policy));
        place.map_or("", |(_, place)| place)
    }

    /// Reads a document; one with problems gives `None`.
    fn one(
        &mut self,
        place: String,
        kind_of: PolicyKind,
        value: &Value<'_>,
    ) -> Result<Option<Arc<Policy>>, Mistake> {
        let text = match value {
            Value::StringLit(text) => text.value.as_ref(),
            Value::Object(_) => json::written(value, self.text),
            other => {
                let what = format!("`{place}` is a policy document, not {}", kind(other));
                return Err(Mistake::of(other, what));
            }
        };
        match self.compiled.policy(kind_of, &place, text) {
            Ok(policy) => {
                self.places.push((Arc::clone(&policy), place));
                Ok(Some(policy))
            }
            Err(problems) => {
                self.problems.push(problems.to_string());
                Ok(None)
            }
        }
    }
}

impl Documents for LineDocuments<'_> {
    fn read(
        &mut self,
        place: &str,
        kind_of: PolicyKind,
        value: &Value<'_>,
    ) -> Result<Vec<Arc<Policy>>, Mistake> {
        if matches!(kind_of, PolicyKind::Session | PolicyKind::Resource) {
            return Ok(self.one(place.to_owned(), kind_of, value)?.into_iter().collect());
        }
        let documents = self.levels(place, value)?.iter().enumerate();
        let policies =
            documents.map(|(at, document)| self.one(format!("{place}[{at}]"), kind_of, document));
        policies.filter_map(Result::transpose).collect()
    }

    fn levels<'v, 't>(
        &self,
        place: &str,
        value: &'v Value<'t>,
    ) -> Result<&'v [Value<'t>], Mistake> {
        match value {
            Value::Array(array) => Ok(&array.elements),
            other => Err(Mistake::of(other, format!("`{place}` is a list, not {}", kind(other)))),
        }
    }
}

/// Policies already read, by kind and text: most lines repeat them.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    policies: HashMap<PolicyKind, HashMap<Box<str>, Arc<Policy>>>,
    /// Of all texts cached.
    bytes: usize,
}

impl Compiled {
    /// Returns the policy of a text.
    fn policy(
        &mut self,
        kind: PolicyKind,
        name: &str,
        text: &str,
    ) -> Result<Arc<Policy>, PolicyErrors> {
        if let Some(policy) = self.policies.get(&kind).and_then(|cached| cached.get(text)) {
            return Ok(Arc::clone(policy));
        }
        let policy = Arc::new(Policy::parse(kind, name, text)?);
        if self.bytes.saturating_add(text.len()) > MOST_CACHED_BYTES {
            *self = Compiled::default();
        }
        self.bytes += text.len();
        self.policies.entry(kind).or_default().insert(text.into(), Arc::clone(&policy));
        Ok(policy)
    }
}
