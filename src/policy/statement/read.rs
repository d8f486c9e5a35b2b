//! Reading the members of a statement.

use jsonc_parser::ast::{Object, ObjectProp, Value};
use jsonc_parser::common::Ranged;

use super::{Actions, Statement};
use crate::policy::action::ActionPattern;
use crate::policy::condition::Condition;
use crate::policy::effect::Effect;
use crate::policy::error::{Problem, Problems};
use crate::policy::json;
use crate::policy::kind::PolicyKind;
use crate::policy::principal::Principals;
use crate::policy::resource::{ResourcePattern, Resources};
use crate::policy::rules::{self, Rule};
use crate::policy::syntax;
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
        let actions =
            read_pair(object, "Action", "NotAction", "an action", rules::MISSING_ACTION, problems);
        let actions = actions.map(|(negated, texts)| Actions {
            negated,
            entries: compile(texts, problems, |text| ActionPattern::parse(text, dialect.variables)),
        });
        let resources = read_pair(
            object,
            "Resource",
            "NotResource",
            "a resource",
            rules::MISSING_RESOURCE,
            problems,
        );
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
            needed_keys: conditions.iter().filter_map(Condition::needed_key).collect(),
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
        let message = format!("unknown member {}", quoted(name));
        problems.add(member.name.range().start, rules::INVALID_ELEMENT, message, hint);
    }
}

fn check_sid<'t>(value: &Value<'t>, kind: PolicyKind, problems: &mut Problems<'t>) {
    let at = value.range().start;
    match value {
        Value::StringLit(text) => {
            let is_plain = text.value.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if !is_plain && kind != PolicyKind::Resource {
                let sid = quoted(&text.value);
                let message = format!("`Sid` {sid} may hold letters and digits only");
                problems.add(at, rules::INVALID_SID, message, "");
            }
        }
        other => {
            let message = format!("`Sid` is {}", syntax::kind(other));
            let fix = "write a string of letters and digits";
            problems.add(at, rules::INVALID_SID, message, fix);
        }
    }
}

fn read_effect<'t>(object: &Object<'t>, problems: &mut Problems<'t>) -> Option<Effect> {
    let Some(member) = object.get("Effect") else {
        let (at, fix) = (object.range.start, "write `Allow` or `Deny`");
        problems.add(at, rules::MISSING_EFFECT, "`Effect` is missing", fix);
        return None;
    };
    match member.value.as_string_lit().map(|text| text.value.as_ref()) {
        Some("Allow") => Some(Effect::Allow),
        Some("Deny") => Some(Effect::Deny),
        other => {
            let shown = other.map_or_else(|| syntax::kind(&member.value).to_owned(), quoted);
            problems.add(
                member.value.range().start,
                rules::INVALID_EFFECT,
                format!("`Effect` is {shown}"),
                "write exactly `Allow` or `Deny`",
            );
            None
        }
    }
}

/// Finds the one of two members that exclude each other; reports both, and none as `missing`.
fn one_of<'o, 't>(
    object: &'o Object<'t>,
    name: &str,
    not_name: &str,
    missing: Rule,
    problems: &mut Problems<'t>,
) -> Option<(bool, &'o ObjectProp<'t>)> {
    match (object.get(name), object.get(not_name)) {
        (Some(member), None) => Some((false, member)),
        (None, Some(member)) => Some((true, member)),
        (None, None) => {
            let fix = format!("write it, or `{not_name}`");
            problems.add(object.range.start, missing, format!("`{name}` is missing"), fix);
            None
        }
        (Some(first), Some(second)) => {
            let at = first.name.range().start.max(second.name.range().start);
            let message = format!("`{name}` and `{not_name}` together");
            problems.add(at, rules::UNSUPPORTED_COMBINATION, message, "write one of them");
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
    missing: Rule,
    problems: &mut Problems<'t>,
) -> Option<(bool, Located)> {
    let (negated, member) = one_of(object, name, not_name, missing, problems)?;
    Some((negated, json::strings(&member.value, what, problems)))
}

fn compile<T>(
    texts: Located,
    problems: &mut Problems<'_>,
    parse: impl Fn(&str) -> Result<T, Problem>,
) -> Vec<T> {
    let mut entries = Vec::with_capacity(texts.len());
    for (at, text) in texts {
        match parse(&text) {
            Ok(entry) => entries.push(entry),
            Err(problem) => problems.push(at, problem.of(&quoted(&text))),
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
                let (at, message) = (member.name.range().start, format!("`{name}` in {kind}"));
                problems.add(at, rules::UNSUPPORTED_COMBINATION, message, "leave it out");
            }
        }
        return None;
    }
    let missing = rules::MISSING_PRINCIPAL;
    let (negated, member) = one_of(object, "Principal", "NotPrincipal", missing, problems)?;
    let principals = Principals::read(&member.value, negated, problems);
    if kind == PolicyKind::ResourceControl && !principals.is_everybody() {
        problems.add(
            member.value.range().start,
            rules::UNSUPPORTED_PRINCIPAL,
            r#"a resource control policy takes `"Principal": "*"` only"#,
            "",
        );
    }
    Some(principals)
}
