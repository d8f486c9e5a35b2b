//! The policies of a line of `evaluate`, read once for many lines.

use std::collections::HashMap;
use std::sync::Arc;

use jsonc_parser::ast::{Object, Value};

use super::json::{self, Mistake, kind};
use crate::policy::{Layers, Policy, PolicyKind};

/// Text of documents whose compiled form is kept, in bytes.
const MOST_KEPT_BYTES: usize = 16 * 1024 * 1024;

/// The policies of a line, by layer.
#[derive(Debug, Default)]
pub(super) struct Policies {
    identity: Vec<Arc<Policy>>,
    boundary: Option<Vec<Arc<Policy>>>,
    session: Option<Arc<Policy>>,
    scps: Vec<Vec<Arc<Policy>>>,
    rcps: Vec<Arc<Policy>>,
    /// How many of the RCPs each level has.
    rcp_levels: Vec<usize>,
    resource: Option<Arc<Policy>>,
}

impl Policies {
    /// Reads the documents of a line, all of them: the inner error has one line for each problem
    /// of theirs.
    pub(super) fn load(
        identity: &Value<'_>,
        line: &Object<'_>,
        text: &str,
        compiled: &mut Compiled,
    ) -> Result<Result<Policies, String>, Mistake> {
        let mut loader = Loader { text, compiled, problems: Vec::new() };
        let given = |name: &str| json::member(line, name);
        let mut policies = Policies {
            identity: loader.list("policies", PolicyKind::Identity, identity)?,
            ..Policies::default()
        };
        if let Some(value) = given("boundary") {
            policies.boundary = Some(loader.list("boundary", PolicyKind::Boundary, value)?);
        }
        if let Some(value) = given("session_policy") {
            policies.session = loader.one("session_policy", PolicyKind::Session, value)?;
        }
        if let Some(value) = given("scps") {
            policies.scps = loader.levels("scps", PolicyKind::ServiceControl, value)?;
        }
        if let Some(value) = given("rcps") {
            let levels = loader.levels("rcps", PolicyKind::ResourceControl, value)?;
            policies.rcp_levels = levels.iter().map(Vec::len).collect();
            policies.rcps = levels.into_iter().flatten().collect();
        }
        if let Some(value) = given("resource_policy") {
            policies.resource = loader.one("resource_policy", PolicyKind::Resource, value)?;
        }
        Ok(if loader.problems.is_empty() { Ok(policies) } else { Err(loader.problems.join("\n")) })
    }

    pub(super) fn layers(&self) -> Layers<'_> {
        Layers {
            identity: &self.identity,
            boundary: self.boundary.as_deref(),
            session: self.session.as_ref().map(std::slice::from_ref),
            scps: &self.scps,
            rcps: &self.rcps,
            resource: self.resource.as_slice(),
        }
    }

    /// Returns where a policy stands in the line, such as `scps[0][1]`.
    pub(super) fn place(&self, policy: &Policy) -> String {
        let is_it = |other: &Arc<Policy>| std::ptr::eq(&**other, policy);
        let find = |list: &[Arc<Policy>]| list.iter().position(is_it);
        if let Some(at) = find(&self.identity) {
            return format!("policies[{at}]");
        }
        if let Some(at) = self.boundary.as_deref().and_then(find) {
            return format!("boundary[{at}]");
        }
        if self.session.as_ref().is_some_and(is_it) {
            return "session_policy".to_owned();
        }
        for (level, list) in self.scps.iter().enumerate() {
            if let Some(at) = find(list) {
                return format!("scps[{level}][{at}]");
            }
        }
        let Some(mut at) = find(&self.rcps) else { return "resource_policy".to_owned() };
        let mut level = 0;
        for length in &self.rcp_levels {
            match at.checked_sub(*length) {
                Some(behind) => (at, level) = (behind, level + 1),
                None => break,
            }
        }
        format!("rcps[{level}][{at}]")
    }
}

/// Goes on behind a document with problems, so that all are told at once.
struct Loader<'a> {
    text: &'a str,
    compiled: &'a mut Compiled,
    problems: Vec<String>,
}

impl Loader<'_> {
    /// Reads a document; one with problems gives `None`.
    fn one(
        &mut self,
        place: &str,
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
        match self.compiled.policy(kind_of, place, text) {
            Ok(policy) => Ok(Some(policy)),
            Err(problems) => {
                self.problems.push(problems);
                Ok(None)
            }
        }
    }

    fn list(
        &mut self,
        place: &str,
        kind_of: PolicyKind,
        value: &Value<'_>,
    ) -> Result<Vec<Arc<Policy>>, Mistake> {
        let mut policies = Vec::new();
        for (at, element) in elements(place, value)?.iter().enumerate() {
            policies.extend(self.one(&format!("{place}[{at}]"), kind_of, element)?);
        }
        Ok(policies)
    }

    fn levels(
        &mut self,
        place: &str,
        kind_of: PolicyKind,
        value: &Value<'_>,
    ) -> Result<Vec<Vec<Arc<Policy>>>, Mistake> {
        let levels = elements(place, value)?.iter().enumerate();
        levels.map(|(at, level)| self.list(&format!("{place}[{at}]"), kind_of, level)).collect()
    }
}

fn elements<'v, 't>(place: &str, value: &'v Value<'t>) -> Result<&'v [Value<'t>], Mistake> {
    match value {
        Value::Array(array) => Ok(&array.elements),
        other => Err(Mistake::of(other, format!("`{place}` is a list, not {}", kind(other)))),
    }
}

/// Policies already read, by kind and text: most lines repeat them.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    policies: HashMap<PolicyKind, HashMap<Box<str>, Arc<Policy>>>,
    /// Of all texts kept.
    bytes: usize,
}

impl Compiled {
    /// Returns the policy of a text, or one line for each of its problems.
    fn policy(&mut self, kind: PolicyKind, name: &str, text: &str) -> Result<Arc<Policy>, String> {
        if let Some(policy) = self.policies.get(&kind).and_then(|kept| kept.get(text)) {
            return Ok(Arc::clone(policy));
        }
        let policy = Policy::parse(kind, name, text).map_err(|problems| problems.to_string())?;
        let policy = Arc::new(policy);
        if self.bytes.saturating_add(text.len()) > MOST_KEPT_BYTES {
            *self = Compiled::default();
        }
        self.bytes += text.len();
        self.policies.entry(kind).or_default().insert(text.into(), Arc::clone(&policy));
        Ok(policy)
    }
}
