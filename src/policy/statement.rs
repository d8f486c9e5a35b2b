//! Statements: reading their members, and whether one applies to a request.

use std::fmt;

use jsonc_parser::ast::{Object, ObjectProp, Value};
use jsonc_parser::common::Ranged;

use super::condition::{Condition, Held};
use super::document::PolicyKind;
use super::error::{Problems, nearest, quoted};
use super::json;
use super::pattern::Pattern;
use super::principal::{Naming, Principals};
use super::request::Request;
use super::resource::ResourcePattern;
use super::variable::{Syntax, Template};

/// What a statement does when it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It allows.
    Allow,
    /// It denies, whatever allows.
    Deny,
}

/// One statement of a policy.
#[derive(Debug, Clone)]
pub struct Statement {
    sid: Option<Box<str>>,
    effect: Effect,
    index: usize,
    line: usize,
    column: usize,
    actions: List<ActionPattern>,
    resources: List<ResourcePattern>,
    principals: Option<Principals>,
    conditions: Vec<Condition>,
}

/// A list of entries, or everything but them.
#[derive(Debug, Clone)]
struct List<T> {
    negated: bool,
    entries: Vec<T>,
}

/// An entry of `Action` or `NotAction`.
#[derive(Debug, Clone)]
struct ActionPattern {
    written: Box<str>,
    pattern: Pattern<'static>,
}

/// How a statement stands to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It applies; only because of a spelling, if one is given.
    Applies(Option<SpellingUsed<'a>>),
    /// Its actions are others.
    ActionDiffers,
    /// It is about other principals.
    PrincipalDiffers,
    /// Its resources are others.
    ResourceDiffers,
    /// A condition does not hold, the first of these.
    ConditionFails {
        /// The operator as written.
        operator: &'a str,
        /// The context key as written.
        key: &'a str,
    },
}

/// A spelling, other than what was written, that made a Deny apply (decision 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpellingUsed<'a> {
    /// Of a value of a context key.
    Value {
        /// The context key.
        key: &'a str,
        /// The value as written.
        text: &'a str,
        /// The spelling that matched.
        spelling: &'a str,
    },
    /// Of the resource: the identity of a parent domain.
    Resource {
        /// The ARN that matched.
        parent: &'a str,
    },
}

impl fmt::Display for SpellingUsed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpellingUsed::Value { key, text, spelling } => {
                write!(f, "{key} {} read as {}", quoted(text), quoted(spelling))
            }
            SpellingUsed::Resource { parent } => write!(f, "resource read as {}", quoted(parent)),
        }
    }
}

impl Statement {
    /// Returns what the statement does when it applies.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Returns the `Sid`, if there is one that is not empty.
    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    /// Returns the place among the statements of its document, counted from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the line in which the statement begins, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Returns the column in which the statement begins, in characters counted from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// Iterates over the entries of `Resource` or `NotResource` as written.
    pub fn resource_patterns(&self) -> impl Iterator<Item = &str> {
        self.resources.entries.iter().map(ResourcePattern::written)
    }

    /// Tells whether the resources are given as `NotResource`.
    pub fn is_not_resource(&self) -> bool {
        self.resources.negated
    }

    /// Iterates over the entries of `Action` or `NotAction` as written.
    pub fn action_patterns(&self) -> impl Iterator<Item = &str> {
        self.actions.entries.iter().map(|action| action.written.as_ref())
    }

    /// Tells whether the actions are given as `NotAction`.
    pub fn is_not_action(&self) -> bool {
        self.actions.negated
    }

    /// Iterates over the conditions: operator and context key as written.
    pub fn conditions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.conditions.iter().map(|condition| (condition.operator_name(), condition.key()))
    }

    /// Tells how the statement stands to a request; looks at action, principal, resource and
    /// conditions in this order.
    pub fn outcome<'a>(&'a self, request: &Request<'a>) -> Outcome<'a> {
        let is_action =
            |entry: &ActionPattern| entry.pattern.matches_ignoring_ascii_case(request.action);
        if self.actions.entries.iter().any(is_action) == self.actions.negated {
            return Outcome::ActionDiffers;
        }
        if self.principals.is_some() && self.naming(request).is_none() {
            return Outcome::PrincipalDiffers;
        }
        let mut spelling = None;
        if !self.covers(request.resource, request) {
            let parents = if self.effect == Effect::Deny && !self.resources.negated {
                request.parents
            } else {
                &[]
            };
            match parents.iter().find(|parent| self.covers(parent, request)) {
                Some(parent) => spelling = Some(SpellingUsed::Resource { parent }),
                None => return Outcome::ResourceDiffers,
            }
        }
        for condition in &self.conditions {
            match condition.held(request.context, self.effect) {
                Held::Yes => {}
                Held::BySpelling(used) => spelling = spelling.or(Some(used)),
                Held::No => {
                    return Outcome::ConditionFails {
                        operator: condition.operator_name(),
                        key: condition.key(),
                    };
                }
            }
        }
        Outcome::Applies(spelling)
    }

    /// Tells how directly a statement of a resource policy names the principal.
    pub(super) fn naming(&self, request: &Request<'_>) -> Option<Naming> {
        self.principals.as_ref()?.naming(request.principal, self.effect)
    }

    fn covers(&self, resource: &str, request: &Request<'_>) -> bool {
        let entries = &self.resources.entries;
        entries.iter().any(|entry| entry.matches(resource, request.context))
            != self.resources.negated
    }
}

/// What the reading of a statement depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    pub(super) kind: PolicyKind,
    /// Version 2012-10-17.
    pub(super) variables: bool,
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
    pub(super) fn read<'t>(
        index: usize,
        object: &Object<'t>,
        dialect: Dialect,
        problems: &mut Problems<'t>,
    ) -> Option<Statement> {
        let at = object.range.start;
        let sid =
            object.get_string("Sid").map(|sid| sid.value.as_ref()).filter(|sid| !sid.is_empty());
        problems.enter(Some(match sid {
            Some(sid) => sid.chars().take(64).flat_map(escaped).collect(),
            None => (index + 1).to_string(),
        }));
        check_members(object, &MEMBERS, "a statement", problems);
        if let Some(member) = object.get("Sid") {
            check_sid(&member.value, dialect.kind, problems);
        }
        let (line, column) = problems.position(at);
        let effect = read_effect(object, problems);
        let actions = read_pair(object, "Action", "NotAction", "an action", problems);
        let actions = actions.map(|(negated, texts)| List {
            negated,
            entries: compile(texts, problems, |text| ActionPattern::parse(text, dialect.variables)),
        });
        let resources = read_pair(object, "Resource", "NotResource", "a resource", problems);
        let resources = resources.map(|(negated, texts)| List {
            negated,
            entries: compile(texts, problems, |text| {
                ResourcePattern::parse(text, dialect.kind, dialect.variables)
            }),
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

fn escaped(character: char) -> impl Iterator<Item = char> {
    let escape = character.is_control().then(|| character.escape_default());
    let plain = escape.is_none().then_some(character);
    escape.into_iter().flatten().chain(plain)
}

/// Reports members that IAM does not know; names are case-sensitive.
pub(super) fn check_members<'t>(
    object: &Object<'t>,
    known: &[&str],
    owner: &str,
    problems: &mut Problems<'t>,
) {
    for member in &object.properties {
        let name = member.name.as_str();
        if known.contains(&name) {
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

impl ActionPattern {
    fn parse(text: &str, variables: bool) -> Result<ActionPattern, String> {
        if text != "*" {
            let (vendor, name) = text.split_once(':').ok_or_else(|| {
                format!("an action is `service:Name`; write `ses:{}` or `*`", cut(text))
            })?;
            if variables && text.contains("${") {
                return Err("variables do not work in actions; write the action itself".to_owned());
            }
            if name.contains(':') {
                return Err(
                    "more than one colon; write `service:Name`, such as `ses:SendRawEmail`"
                        .to_owned(),
                );
            }
            let is_vendor = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            if vendor.is_empty() || !vendor.bytes().all(is_vendor) {
                return Err(
                    "the service is letters, digits and hyphens without wildcards; write `ses:…`, or `*` alone"
                        .to_owned(),
                );
            }
        }
        let pattern = match Template::parse(text, Syntax { variables: false, wildcards: true })? {
            Template::Fixed(pattern) => pattern,
            // Cannot be: variables were not read.
            Template::Variable(_) => Pattern::default(),
        };
        Ok(ActionPattern { written: text.into(), pattern })
    }
}

fn cut(text: &str) -> String {
    text.chars().filter(|character| character.is_ascii_alphanumeric()).take(40).collect()
}
