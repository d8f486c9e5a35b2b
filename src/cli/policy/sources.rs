//! The policies of a case of `test`: written in the case, in files, or as a condition alone.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use jsonc_parser::ast::Value;

use super::case::Case;
use super::coverage::Coverage;
use super::json::{self, Mistake, kind, one_or_list};
use super::layers::{Documents, Policies};
use crate::policy::{Policy, PolicyKind};

/// Reads all policies of a case; the inner error holds every problem of every document.
///
/// # Errors
///
/// What is wrong with the case itself, or a file that cannot be read.
pub(super) fn load(
    case: &Case<'_, '_>,
    coverage: &mut Option<Coverage>,
) -> Result<Result<Policies, Vec<String>>, Mistake> {
    let mut documents = CaseDocuments { text: case.text, problems: Vec::new(), coverage };
    let mut beside = Vec::new();
    if let Some(condition) = case.member("condition") {
        if let Some(both) = case.member("policies") {
            return Err(Mistake::of(both, "`policies` and `condition` together"));
        }
        let text = shorthand(case, condition)?;
        beside.extend(documents.parse("policy", PolicyKind::Identity, &text));
    }
    for file in case.member("policy_files").map_or(&[][..], one_or_list) {
        let path = json::string(file, "a path")?;
        let place = case.folder().join(path);
        let text = read(&place, file)?;
        beside.extend(documents.of_file(path, &place, PolicyKind::Identity, &text));
    }
    let mut policies = Policies::load(|name| case.member(name), &mut documents)?;
    policies.identity.extend(beside);
    Ok(if documents.problems.is_empty() { Ok(policies) } else { Err(documents.problems) })
}

/// The documents of a case: one or a list, also in files, whose problems name member or file.
struct CaseDocuments<'a> {
    /// Of the case file.
    text: &'a str,
    problems: Vec<String>,
    coverage: &'a mut Option<Coverage>,
}

impl Documents for CaseDocuments<'_> {
    fn read(
        &mut self,
        place: &str,
        kind_of: PolicyKind,
        value: &Value<'_>,
    ) -> Result<Vec<Arc<Policy>>, Mistake> {
        let member = place.split('[').next().unwrap_or(place);
        let name = if member == "policies" { "policy" } else { member };
        let mut policies = Vec::new();
        for document in one_or_list(value) {
            let policy = match document {
                Value::StringLit(text) => self.parse(name, kind_of, &text.value),
                Value::Object(object) if json::member(object, "file").is_some() => {
                    let object = json::object(document, "a document in a file", &["file"])?;
                    let file = json::member(object, "file").unwrap_or(document);
                    let path = json::string(file, "`file`")?;
                    let text = read(Path::new(path), file)?;
                    self.of_file(path, Path::new(path), kind_of, &text)
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

    fn levels<'v, 't>(&self, _: &str, value: &'v Value<'t>) -> Result<&'v [Value<'t>], Mistake> {
        Ok(one_or_list(value))
    }
}

impl CaseDocuments<'_> {
    fn of_file(
        &mut self,
        name: &str,
        path: &Path,
        kind_of: PolicyKind,
        text: &str,
    ) -> Option<Arc<Policy>> {
        let policy = self.parse(name, kind_of, text)?;
        if let Some(coverage) = self.coverage {
            coverage.add(&policy, path, text);
        }
        Some(policy)
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
