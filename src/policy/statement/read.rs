//! Reading the members of a statement.

use jsonc_parser::ast::{Object, ObjectProp, Value};
use jsonc_parser::common::Ranged;

use super::{Actions, Effect, Statement};
use crate::policy::action::ActionPattern;
use crate::policy::condition::Condition;
use crate::policy::document::PolicyKind;
use crate::policy::error::Problems;
use crate::policy::json;
use crate::policy::principal::Principals;
use crate::policy::resource::{ResourcePattern, Resources};
use crate::policy::words::{nearest, quoted};

/// What the reading of a statement depends on.
#[derive(Debug, Clone, Copy)]
pub(in crate::policy) struct Dialect {
    pub(in crate::policy) kind: PolicyKind,
    /// Version 2012-10-17.
    pub(in crate::policy) variables: bool,
}

const MEMBERS: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

impl Statement {
    /// Reads a statement; `None` when it is too broken to be one. Whatever is wrong goes to
    /// `problems`.
    pub(in crate::policy) fn read<'t>(
        index: usize,
        object: &Object<'t>,
        dialect: Dialect,
        problems: &mut Problems<'t>,
    ) -> Option<Statement> {
        let at = object.range.start;
        let sid =
            object.get_string("Sid").map(|sid| sid.value.as_ref()).filter(|sid| !sid.is_empty());
        problems.enter(Some(match sid {
            Some(sid) => quoted(sid),
            None => (index + 1).to_string(),
        }));
        check_members(object, &MEMBERS, "a statement", problems);
        if let Some(member) = object.get("Sid") {
            check_sid(&member.value, dialect.kind, problems);
        }
        let (line, column) = problems.position(at);
        let effect = read_effect(object, problems);
        let actions = read_pair(object, "Action", "NotAction", "an action", problems);
        let actions = actions.map(|(negated, texts)| Actions {
            negated,
            entries: compile(texts, problems, |text| ActionPattern::parse(text, dialect.variables)),
        });
        let resources = read_pair(object, "Resource", "NotResource", "a resource", problems);
        let resources = resources.map(|(negated, texts)| {
            let entries = compile(texts, problems, |text| {
                ResourcePattern::parse(text, dialect.kind, dialect.variables)
            });
            // Without an effect there is no statement.
            Resources::new(effect.unwrap_or(Effect::Deny), negated, entries)
        });
        let principals = read_principals(object, dialect.kind, problems);
        let conditions = match object.get("Condition") {
            Some(member) => Condition::read_all(&member.value, dialect.variables, problems),
            None => Vec::new(),
        };
        problems.enter(None);
        Some(Statement {
            sid: sid.map(Into::into),
            effect: effect?,
            index,
            line,
            column,
            actions: actions?,
            resources: resources?,
            principals,
            conditions,
        })
    }
}

/// Reports members that IAM does not know; names are case-sensitive.
pub(in crate::policy) fn check_members<'t>(
    object: &Object<'t>,
    known: &[&str],
    owner: &str,
    problems: &mut Problems<'t>,
) {
    for member in &object.properties {
        let name = member.name.as_str();
        if known.contains(&name) || problems.is_full() {
            continue;
        }
        let hint = match nearest(name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("{owner} takes {}", known.join(", ")),
        };
        let name = quoted(name);
        problems.add(member.name.range().start, format!("unknown member {name}; {hint}"));
    }
}

fn check_sid<'t>(value: &Value<'t>, kind: PolicyKind, problems: &mut Problems<'t>) {
    let at = value.range().start;
    match value {
        Value::StringLit(text) => {
            let is_plain = text.value.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if !is_plain && kind != PolicyKind::Resource {
                let sid = quoted(&text.value);
                problems.add(at, format!("`Sid` {sid} may hold letters and digits only"));
            }
        }
        other => {
            let kind = json::kind(other);
            problems.add(at, format!("`Sid` is {kind}; write a string of letters and digits"));
        }
    }
}

fn read_effect<'t>(object: &Object<'t>, problems: &mut Problems<'t>) -> Option<Effect> {
    let Some(member) = object.get("Effect") else {
        problems.add(object.range.start, "`Effect` is missing; write `Allow` or `Deny`");
        return None;
    };
    match member.value.as_string_lit().map(|text| text.value.as_ref()) {
        Some("Allow") => Some(Effect::Allow),
        Some("Deny") => Some(Effect::Deny),
        other => {
            let shown = other.map_or_else(|| json::kind(&member.value).to_owned(), quoted);
            problems.add(
                member.value.range().start,
                format!("`Effect` is {shown}; write exactly `Allow` or `Deny`"),
            );
            None
        }
    }
}

/// Finds the one of two members that exclude each other; reports both or, when `required`, none.
fn one_of<'o, 't>(
    object: &'o Object<'t>,
    name: &str,
    not_name: &str,
    required: bool,
    problems: &mut Problems<'t>,
) -> Option<(bool, &'o ObjectProp<'t>)> {
    match (object.get(name), object.get(not_name)) {
        (Some(member), None) => Some((false, member)),
        (None, Some(member)) => Some((true, member)),
        (None, None) => {
            if required {
                let problem = format!("`{name}` is missing; write it, or `{not_name}`");
                problems.add(object.range.start, problem);
            }
            None
        }
        (Some(first), Some(second)) => {
            let at = first.name.range().start.max(second.name.range().start);
            problems.add(at, format!("`{name}` and `{not_name}` together; write one of them"));
            None
        }
    }
}

type Located = Vec<(usize, String)>;

fn read_pair<'t>(
    object: &Object<'t>,
    name: &str,
    not_name: &str,
    what: &str,
    problems: &mut Problems<'t>,
) -> Option<(bool, Located)> {
    let (negated, member) = one_of(object, name, not_name, true, problems)?;
    Some((negated, json::strings(&member.value, what, problems)))
}

fn compile<T>(
    texts: Located,
    problems: &mut Problems<'_>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let mut entries = Vec::with_capacity(texts.len());
    for (at, text) in texts {
        match parse(&text) {
            Ok(entry) => entries.push(entry),
            Err(problem) => problems.add(at, format!("{}: {problem}", quoted(&text))),
        }
    }
    entries
}

fn read_principals<'t>(
    object: &Object<'t>,
    kind: PolicyKind,
    problems: &mut Problems<'t>,
) -> Option<Principals> {
    let takes_principal = matches!(kind, PolicyKind::Resource | PolicyKind::ResourceControl);
    if !takes_principal {
        for name in ["Principal", "NotPrincipal"] {
            if let Some(member) = object.get(name) {
                let at = member.name.range().start;
                problems.add(at, format!("`{name}` in {kind}; leave it out"));
            }
        }
        return None;
    }
    let (negated, member) = one_of(object, "Principal", "NotPrincipal", true, problems)?;
    let principals = Principals::read(&member.value, negated, problems);
    if kind == PolicyKind::ResourceControl && !principals.is_everybody() {
        problems.add(
            member.value.range().start,
            "a resource control policy takes `\"Principal\": \"*\"` only",
        );
    }
    Some(principals)
}
