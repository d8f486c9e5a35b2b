//! The policies of a case of `test`: written in the case, in files, or as a condition alone.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use jsonc_parser::ast::Value;

use super::cases::Case;
use super::json::{self, Mistake, kind, one_or_list};
use crate::policy::{Layers, Policy, PolicyKind};

/// The policies of a case, by layer.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) identity: Vec<Arc<Policy>>,
    boundary: Option<Vec<Arc<Policy>>>,
    session: Option<Vec<Arc<Policy>>>,
    scps: Vec<Vec<Arc<Policy>>>,
    rcps: Vec<Arc<Policy>>,
    resource: Vec<Arc<Policy>>,
}

impl Sources {
    /// Reads all policies of a case; the inner error holds every problem of every document.
    ///
    /// # Errors
    ///
    /// What is wrong with the case itself, or a file that cannot be read.
    pub(super) fn load(case: &Case<'_, '_>) -> Result<Result<Sources, Vec<String>>, Mistake> {
        let mut loader = Loader { text: case.text, problems: Vec::new() };
        let mut sources = Sources::default();
        if let Some(condition) = case.member("condition") {
            if let Some(both) = case.member("policies") {
                return Err(Mistake::of(both, "`policies` and `condition` together"));
            }
            let text = shorthand(case, condition)?;
            sources.identity.extend(loader.parse("policy", PolicyKind::Identity, &text));
        }
        if let Some(value) = case.member("policies") {
            sources.identity.extend(loader.list("policy", PolicyKind::Identity, value)?);
        }
        if let Some(value) = case.member("policy_files") {
            for file in one_or_list(value) {
                let path = json::string(file, "a path")?;
                let text = read(&case.folder.join(path), file)?;
                sources.identity.extend(loader.parse(path, PolicyKind::Identity, &text));
            }
        }
        if let Some(value) = case.member("boundary") {
            sources.boundary = Some(loader.list("boundary", PolicyKind::Boundary, value)?);
        }
        if let Some(value) = case.member("session_policy") {
            sources.session = Some(loader.list("session_policy", PolicyKind::Session, value)?);
        }
        if let Some(value) = case.member("rcps") {
            sources.rcps = loader.list("rcps", PolicyKind::ResourceControl, value)?;
        }
        if let Some(value) = case.member("resource_policy") {
            sources.resource = loader.list("resource_policy", PolicyKind::Resource, value)?;
        }
        for level in case.member("scps").map_or(&[][..], one_or_list) {
            sources.scps.push(loader.list("scps", PolicyKind::ServiceControl, level)?);
        }
        Ok(if loader.problems.is_empty() { Ok(sources) } else { Err(loader.problems) })
    }

    pub(super) fn layers(&self) -> Layers<'_> {
        Layers {
            identity: &self.identity,
            boundary: self.boundary.as_deref(),
            session: self.session.as_deref(),
            scps: &self.scps,
            rcps: &self.rcps,
            resource: &self.resource,
        }
    }
}

struct Loader<'a> {
    /// Of the case file.
    text: &'a str,
    problems: Vec<String>,
}

impl Loader<'_> {
    fn list(
        &mut self,
        name: &str,
        kind_of: PolicyKind,
        value: &Value<'_>,
    ) -> Result<Vec<Arc<Policy>>, Mistake> {
        let mut policies = Vec::new();
        for document in one_or_list(value) {
            let policy = match document {
                Value::StringLit(text) => self.parse(name, kind_of, &text.value),
                Value::Object(object) if json::member(object, "file").is_some() => {
                    let object = json::object(document, "a document in a file", &["file"])?;
                    let file = json::member(object, "file").unwrap_or(document);
                    let path = json::string(file, "`file`")?;
                    let text = read(Path::new(path), file)?;
                    self.parse(path, kind_of, &text)
                }
                Value::Object(_) => {
                    let mut text = String::new();
                    lay_out(document, self.text, 0, &mut text);
                    self.parse(name, kind_of, &text)
                }
                other => {
                    let what = format!("a policy document is an object, not {}", kind(other));
                    return Err(Mistake::of(other, what));
                }
            };
            policies.extend(policy);
        }
        Ok(policies)
    }

    fn parse(&mut self, name: &str, kind_of: PolicyKind, text: &str) -> Option<Arc<Policy>> {
        match Policy::parse(kind_of, name, text) {
            Ok(policy) => Some(Arc::new(policy)),
            Err(problems) => {
                self.problems.extend(problems.iter().map(ToString::to_string));
                None
            }
        }
    }
}

fn read(path: &Path, named: &Value<'_>) -> Result<String, Mistake> {
    fs::read_to_string(path)
        .map_err(|error| Mistake::of(named, format!("{}: {error}", path.display())))
}

/// Writes the document around a condition.
fn shorthand(case: &Case<'_, '_>, condition: &Value<'_>) -> Result<String, Mistake> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let version = quoted(case.string("version")?.unwrap_or("2012-10-17"));
    let effect = case.string("effect")?.unwrap_or("Allow");
    let mut text = format!(
        r#"{{"Version": {version}, "Statement": [{{"Sid": "Under", "Effect": {}, "Action": "*", "Resource": "*", "Condition": {}}}"#,
        quoted(effect),
        json::written(condition, case.text),
    );
    if effect == "Deny" {
        text.push_str(r#", {"Sid": "Rest", "Effect": "Allow", "Action": "*", "Resource": "*"}"#);
    }
    text.push_str("]}");
    let mut laid_out = String::new();
    lay_out(&json::parse(&text)?, &text, 0, &mut laid_out);
    Ok(laid_out)
}

/// Writes a value with one member or element a line: so the lines
/// that a decision names do not depend on how the case file is laid out.
fn lay_out(value: &Value<'_>, text: &str, depth: usize, out: &mut String) {
    let mut separator = "";
    let mut begin = |out: &mut String| {
        let _ = write!(out, "{separator}\n{:1$}", "", 2 * (depth + 1));
        separator = ",";
    };
    match value {
        Value::Object(object) if !object.properties.is_empty() => {
            out.push('{');
            for member in &object.properties {
                begin(out);
                let name = serde_json::Value::from(member.name.as_str());
                let _ = write!(out, "{name}: ");
                lay_out(&member.value, text, depth + 1, out);
            }
            let _ = write!(out, "\n{:1$}}}", "", 2 * depth);
        }
        Value::Array(array) if !array.elements.is_empty() => {
            out.push('[');
            for element in &array.elements {
                begin(out);
                lay_out(element, text, depth + 1, out);
            }
            let _ = write!(out, "\n{:1$}]", "", 2 * depth);
        }
        Value::Object(_) => out.push_str("{}"),
        Value::Array(_) => out.push_str("[]"),
        scalar => out.push_str(json::written(scalar, text)),
    }
}
