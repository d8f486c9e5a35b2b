//! Policy documents: the top level, and what differs between the kinds of policies.

use std::collections::HashMap;

use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged;

use super::error::{PolicyErrors, Problems};
use super::json;
use super::keys::{fold_key, is_time_key};
use super::kind::PolicyKind;
use super::rules;
use super::statement::{Dialect, Statement, check_members};
use super::syntax;
use super::words::quoted;

/// A policy document, read and compiled.
///
/// Immutable; cloning copies it, so share it in an `Arc`.
#[derive(Debug, Clone)]
pub struct Policy {
    kind: PolicyKind,
    name: Box<str>,
    statements: Vec<Statement>,
    asks_for_time: bool,
}

impl Policy {
    /// Reads a policy document. `name` is what the operator knows it by, such as its file.
    ///
    /// The text is at most 64 KiB and nested at most 32 deep.
    ///
    /// # Errors
    ///
    /// All problems found, with their places: whatever IAM refuses to store, and whatever cannot be
    /// read in exactly one way. A text that is not JSON gives one problem.
    pub fn parse(kind: PolicyKind, name: &str, text: &str) -> Result<Policy, PolicyErrors> {
        let mut problems = Problems::new(name, text);
        let statements = match json::parse(text, &mut problems) {
            Some(Value::Object(document)) => read_document(&document, kind, &mut problems),
            Some(other) => {
                let kind = syntax::kind(&other);
                let message = format!("a policy is an object, not {kind}");
                problems.add(other.range().start, rules::INVALID_TYPE, message, "");
                Vec::new()
            }
            None => Vec::new(),
        };
        problems.finish()?;
        let asks_for_time = statements.iter().flat_map(Statement::keys).any(is_time_key);
        Ok(Policy { kind, name: name.into(), statements, asks_for_time })
    }

    /// Returns what the policy is attached to.
    pub fn kind(&self) -> PolicyKind {
        self.kind
    }

    /// Returns the name given to [`Policy::parse`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the statements in the order of the document.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// Tells whether a condition or a variable asks for a context key, whose letter case does not count.
    #[must_use]
    pub fn asks_for(&self, key: &str) -> bool {
        let folded = fold_key(key);
        self.statements.iter().flat_map(Statement::keys).any(|asked| asked == folded.as_ref())
    }

    /// Tells whether a condition or a variable asks for the moment of the request.
    pub fn asks_for_time(&self) -> bool {
        self.asks_for_time
    }
}

const AT_LEAST_ONE: &str = "write at least one statement";

fn read_document<'t>(
    document: &Object<'t>,
    kind: PolicyKind,
    problems: &mut Problems<'t>,
) -> Vec<Statement> {
    check_members(document, &["Version", "Id", "Statement"], "a policy", problems);
    let variables = read_version(document, problems);
    if let Some(member) = document.get("Id") {
        if kind != PolicyKind::Resource {
            let (at, message) = (member.name.range().start, format!("`Id` in {kind}"));
            problems.add(at, rules::UNSUPPORTED_COMBINATION, message, "leave it out");
        } else if member.value.as_string_lit().is_none() {
            let message = format!("`Id` is {}", syntax::kind(&member.value));
            let at = member.value.range().start;
            problems.add(at, rules::INVALID_TYPE, message, "write a string");
        }
    }
    let Some(member) = document.get("Statement") else {
        let at = document.range.start;
        problems.add(at, rules::MISSING_STATEMENT, "`Statement` is missing", AT_LEAST_ONE);
        return Vec::new();
    };
    let elements = match &member.value {
        Value::Array(array) if array.elements.is_empty() => {
            let at = array.range.start;
            problems.add(at, rules::MISSING_STATEMENT, "`Statement` is empty", AT_LEAST_ONE);
            return Vec::new();
        }
        Value::Array(array) => array.elements.as_slice(),
        single => std::slice::from_ref(single),
    };
    let mut statements = Vec::new();
    let mut sids = HashMap::new();
    for (index, element) in elements.iter().enumerate() {
        let Value::Object(object) = element else {
            let message = format!("a statement is an object, not {}", syntax::kind(element));
            problems.add(element.range().start, rules::INVALID_TYPE, message, "");
            continue;
        };
        statements.extend(Statement::read(index, object, Dialect { kind, variables }, problems));
        if kind != PolicyKind::Resource {
            check_unique(object, &mut sids, problems);
        }
    }
    statements
}

/// Reads `Version`; tells whether it is the one with variables. Without one it is 2008-10-17.
fn read_version<'t>(document: &Object<'t>, problems: &mut Problems<'t>) -> bool {
    let Some(member) = document.get("Version") else { return false };
    match member.value.as_string_lit().map(|text| text.value.as_ref()) {
        Some("2012-10-17") => true,
        Some("2008-10-17") => false,
        other => {
            let shown = other.map_or_else(|| syntax::kind(&member.value).to_owned(), quoted);
            problems.add(
                member.value.range().start,
                rules::INVALID_VERSION,
                format!("`Version` is {shown}"),
                "write \"2012-10-17\" as it is",
            );
            true
        }
    }
}

fn check_unique<'t>(
    object: &Object<'t>,
    sids: &mut HashMap<String, usize>,
    problems: &mut Problems<'t>,
) {
    let Some(sid) = object.get_string("Sid").filter(|sid| !sid.value.is_empty()) else { return };
    let at = sid.range.start;
    if let Some(first) = sids.insert(sid.value.to_string(), at) {
        let line = problems.line(first);
        let message = format!("`Sid` {} was used before, in line {line}", quoted(&sid.value));
        problems.add(at, rules::DUPLICATE_SID, message, "give each its own");
    }
}
