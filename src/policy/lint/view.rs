//! The parts of a document with their places, as far as they can be read.
//!
//! Unlike the reading of a policy it never refuses: what has the wrong shape is left out, since it is
//! reported already.

use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged;

use super::super::effect::Effect;
use super::super::keys::fold_key;
use super::super::kind::PolicyKind;
use super::super::operator::{Family, Operator, Qualifier};
use super::Attached;
use super::purpose::Purpose;

/// A policy document.
pub(super) struct Document<'t> {
    pub(super) kind: PolicyKind,
    /// The ARN of the identity that it belongs to, if that is known.
    pub(super) identity: Option<&'t str>,
    pub(super) text: &'t str,
    pub(super) at: usize,
    pub(super) version: Version,
    pub(super) statements: Vec<Statement<'t>>,
}

/// The version of a document, with its place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Absent,
    Old(usize),
    Current,
    /// None that exists; reported already.
    Other,
}

/// A statement.
#[derive(Default)]
pub(super) struct Statement<'t> {
    pub(super) at: usize,
    pub(super) effect: Option<Effect>,
    pub(super) empty_sid: Option<usize>,
    pub(super) actions: List,
    /// What the actions are good for, where they can be read.
    pub(super) purpose: Option<Purpose>,
    pub(super) resources: List,
    pub(super) principals: Option<Principals<'t>>,
    pub(super) conditions: Vec<Condition>,
    /// Whether there is a `Condition` that adds something.
    pub(super) is_conditional: bool,
    /// Places of objects without members, in `Condition`.
    pub(super) empty_objects: Vec<usize>,
    /// The text of every member but the `Sid`, in an order of its own.
    pub(super) members: Vec<(&'t str, &'t str)>,
}

/// The entries of a member or of its negation.
#[derive(Default)]
pub(super) struct List {
    /// The place of the member's name.
    pub(super) at: usize,
    pub(super) negated: bool,
    pub(super) entries: Vec<Text>,
}

/// A text with its place.
#[derive(Clone)]
pub(super) struct Text {
    pub(super) at: usize,
    pub(super) text: String,
}

/// `Principal` or `NotPrincipal`.
pub(super) struct Principals<'t> {
    pub(super) at: usize,
    pub(super) value_at: usize,
    pub(super) negated: bool,
    pub(super) everybody: bool,
    pub(super) is_empty: bool,
    /// The services, where nobody else is named.
    pub(super) services_alone: Vec<Text>,
    pub(super) text: &'t str,
}

/// A condition whose operator exists.
pub(super) struct Condition {
    pub(super) operator: Operator,
    /// The operator as written.
    pub(super) name: String,
    pub(super) key: String,
    pub(super) folded_key: String,
    pub(super) key_at: usize,
    pub(super) value_at: usize,
    pub(super) operands: Vec<Text>,
}

impl Condition {
    /// The operator without qualifier and `IfExists`.
    fn base(&self) -> &str {
        let name = self.name.rsplit_once(':').map_or(self.name.as_str(), |(_, base)| base);
        name.strip_suffix("IfExists").unwrap_or(name)
    }

    /// The operator with another base and all else as it is: what a fix names.
    pub(super) fn with_base(&self, base: &str) -> String {
        let qualifier = self.name.split_once(':').map(|(qualifier, _)| format!("{qualifier}:"));
        let if_exists = if self.operator.if_exists { "IfExists" } else { "" };
        format!("{}{base}{if_exists}", qualifier.unwrap_or_default())
    }

    /// The operator with another qualifier and all else as it is.
    pub(super) fn with_qualifier(&self, qualifier: &str) -> String {
        let if_exists = if self.operator.if_exists { "IfExists" } else { "" };
        format!("{qualifier}:{}{if_exists}", self.base())
    }

    /// Tells whether the condition holds for a request without the key.
    pub(super) fn holds_when_absent(&self) -> bool {
        match (self.operator.family, self.operator.qualifier) {
            (_, Some(Qualifier::ForAllValues)) => true,
            (_, Some(Qualifier::ForAnyValue)) => false,
            (Family::Null, None) => {
                self.operands.iter().any(|operand| operand.text.eq_ignore_ascii_case("true"))
            }
            (_, None) => self.operator.negated || self.operator.if_exists,
        }
    }

    /// Tells whether the condition asks for the presence of a key.
    pub(super) fn requires(&self, folded_key: &str) -> bool {
        self.operator.family == Family::Null
            && self.operator.qualifier != Some(Qualifier::ForAllValues)
            && self.folded_key == folded_key
            && !self.operands.is_empty()
            && !self.operands.iter().any(|operand| operand.text.eq_ignore_ascii_case("true"))
    }
}

impl Statement<'_> {
    pub(super) fn allows(&self) -> bool {
        self.effect == Some(Effect::Allow)
    }

    pub(super) fn denies(&self) -> bool {
        self.effect == Some(Effect::Deny)
    }

    /// Tells whether the statement may concern SES at all; in doubt it may.
    pub(super) fn is_about_ses(&self) -> bool {
        self.purpose.as_ref().is_none_or(|purpose| purpose.ses)
    }

    /// Tells whether the statement concerns mail over SMTP that a user sends.
    pub(super) fn is_about_mail(&self) -> bool {
        let services = self.principals.as_ref().filter(|it| !it.negated);
        self.purpose.as_ref().is_some_and(|purpose| purpose.smtp)
            && services.is_none_or(|it| it.services_alone.is_empty())
    }
}

impl<'t> Document<'t> {
    pub(super) fn read(object: &Object<'t>, attached: Attached<'t>, text: &'t str) -> Self {
        let Attached { kind, identity } = attached;
        let version = match object.get("Version").map(|member| &member.value) {
            None => Version::Absent,
            Some(Value::StringLit(version)) if version.value == "2012-10-17" => Version::Current,
            Some(Value::StringLit(version)) if version.value == "2008-10-17" => {
                Version::Old(version.range.start)
            }
            Some(_) => Version::Other,
        };
        let elements = match object.get("Statement").map(|member| &member.value) {
            Some(Value::Array(array)) => array.elements.as_slice(),
            Some(single) => std::slice::from_ref(single),
            None => &[],
        };
        let statements = elements.iter().filter_map(|element| match element {
            Value::Object(object) => Some(Statement::read(object, text)),
            _ => None,
        });
        Document {
            kind,
            identity,
            text,
            at: object.range.start,
            version,
            statements: statements.collect(),
        }
    }

    /// Tells whether `${…}` is a variable.
    pub(super) fn has_variables(&self) -> bool {
        matches!(self.version, Version::Current | Version::Other)
    }
}

impl<'t> Statement<'t> {
    fn read(object: &Object<'t>, text: &'t str) -> Self {
        let string = |name: &str| object.get_string(name);
        let mut statement = Statement {
            at: object.range.start,
            effect: string("Effect").and_then(|effect| match effect.value.as_ref() {
                "Allow" => Some(Effect::Allow),
                "Deny" => Some(Effect::Deny),
                _ => None,
            }),
            empty_sid: string("Sid").filter(|sid| sid.value.is_empty()).map(|sid| sid.range.start),
            actions: List::read(object, "Action", "NotAction"),
            resources: List::read(object, "Resource", "NotResource"),
            principals: Principals::read(object, text),
            ..Statement::default()
        };
        let List { negated, entries, .. } = &statement.actions;
        statement.purpose = Purpose::of(entries.iter().map(|entry| entry.text.as_str()), *negated);
        statement.read_conditions(object);
        for member in &object.properties {
            let (name, value) = (member.name.range(), member.value.range());
            if member.name.as_str() != "Sid" {
                statement.members.push((
                    text.get(name.start..name.end).unwrap_or_default(),
                    text.get(value.start..value.end).unwrap_or_default(),
                ));
            }
        }
        statement.members.sort_unstable();
        statement
    }

    fn read_conditions(&mut self, statement: &Object<'t>) {
        let Some(Value::Object(block)) = statement.get("Condition").map(|member| &member.value)
        else {
            // Of another shape it is refused; nothing is said about the statement without it.
            self.is_conditional = statement.get("Condition").is_some();
            return;
        };
        if block.properties.is_empty() {
            self.empty_objects.push(block.range.start);
        }
        for member in &block.properties {
            let Value::Object(keys) = &member.value else {
                self.is_conditional = true;
                continue;
            };
            if keys.properties.is_empty() {
                self.empty_objects.push(keys.range.start);
            } else {
                self.is_conditional = true;
            }
            let Ok(operator) = Operator::parse(member.name.as_str()) else { continue };
            for entry in &keys.properties {
                let key = entry.name.as_str();
                self.conditions.push(Condition {
                    operator,
                    name: member.name.as_str().to_owned(),
                    key: key.to_owned(),
                    folded_key: fold_key(key).into_owned(),
                    key_at: entry.name.range().start,
                    value_at: entry.value.range().start,
                    operands: texts(&entry.value),
                });
            }
        }
    }
}

impl List {
    fn read(object: &Object<'_>, name: &str, not_name: &str) -> List {
        let member = match object.get(name) {
            Some(member) => Some((false, member)),
            None => object.get(not_name).map(|member| (true, member)),
        };
        let Some((negated, member)) = member else { return List::default() };
        List { at: member.name.range().start, negated, entries: texts(&member.value) }
    }
}

impl<'t> Principals<'t> {
    fn read(object: &Object<'t>, text: &'t str) -> Option<Self> {
        let (negated, member) = match object.get("Principal") {
            Some(member) => (false, member),
            None => (true, object.get("NotPrincipal")?),
        };
        let range = member.value.range();
        let everybody = match &member.value {
            Value::StringLit(text) => text.value == "*",
            Value::Object(kinds) => kinds.get("AWS").is_some_and(|accounts| {
                texts(&accounts.value).iter().any(|account| account.text == "*")
            }),
            _ => false,
        };
        let is_empty = matches!(&member.value, Value::Object(kinds) if kinds.properties.is_empty());
        let services_alone = match &member.value {
            Value::Object(kinds) if kinds.properties.len() == 1 => {
                kinds.get("Service").map(|services| texts(&services.value)).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        Some(Principals {
            at: member.name.range().start,
            value_at: range.start,
            negated,
            everybody,
            is_empty,
            services_alone,
            text: text.get(range.start..range.end).unwrap_or_default(),
        })
    }
}

/// Returns the texts of a value or a list of values; numbers and booleans as theirs.
fn texts(value: &Value<'_>) -> Vec<Text> {
    let elements = match value {
        Value::Array(array) => array.elements.as_slice(),
        single => std::slice::from_ref(single),
    };
    let text = |element: &Value<'_>| {
        let text = match element {
            Value::StringLit(text) => text.value.to_string(),
            Value::NumberLit(number) => number.value.to_owned(),
            Value::BooleanLit(boolean) => boolean.value.to_string(),
            _ => return None,
        };
        Some(Text { at: element.range().start, text })
    };
    elements.iter().filter_map(text).collect()
}
