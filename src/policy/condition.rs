//! Conditions: one operator, one context key, its operands.

use std::collections::HashMap;

use jsonc_parser::ast::Value;
use jsonc_parser::common::Ranged;

use super::budget::StepBudget;
use super::compare::Operands;
use super::effect::{Effect, SpellingUsed};
use super::error::Problems;
use super::keys::fold_key;
use super::operator::{Operator, Qualifier};
use super::request::{Context, Entry, Spelled};
use super::rules;
use super::syntax;
use super::words::quoted;

/// A condition of a statement.
#[derive(Debug, Clone)]
pub struct Condition {
    operator_name: Box<str>,
    operator: Operator,
    key: Box<str>,
    folded_key: Box<str>,
    operands: Operands,
    written: Vec<Box<str>>,
    /// Whether the document has variables.
    variables: bool,
    line: usize,
}

/// How a condition came out, or whether a statement is about a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held<'a> {
    No,
    Yes,
    /// Only because of another spelling of a value.
    BySpelling(SpellingUsed<'a>),
}

impl<'a> Held<'a> {
    /// Both together. Of two spellings the first is told.
    pub(super) fn and(self, other: Held<'a>) -> Held<'a> {
        match (self, other) {
            (Held::No, _) | (_, Held::No) => Held::No,
            (Held::Yes, other) => other,
            (by_spelling, _) => by_spelling,
        }
    }
}

impl Condition {
    /// Reads the `Condition` member of a statement.
    pub(super) fn read_all<'t>(
        value: &Value<'t>,
        variables: bool,
        problems: &mut Problems<'t>,
    ) -> Vec<Condition> {
        let mut conditions = Vec::new();
        let Value::Object(block) = value else {
            problems.add(
                value.range().start,
                rules::INVALID_TYPE,
                format!("`Condition` is {}", syntax::kind(value)),
                r#"write an object such as {"StringLike": {"ses:FromAddress": "*@example.com"}}"#,
            );
            return conditions;
        };
        for member in &block.properties {
            let name = member.name.as_str();
            if problems.is_full() {
                break;
            }
            let operator = match Operator::parse(name) {
                Ok(operator) => operator,
                Err(problem) => {
                    problems.push(member.name.range().start, problem);
                    continue;
                }
            };
            let Value::Object(keys) = &member.value else {
                let name = quoted(name);
                let message = format!("operator {name} takes an object of context keys and values");
                problems.add(member.value.range().start, rules::INVALID_TYPE, message, "");
                continue;
            };
            let mut seen = HashMap::new();
            for entry in &keys.properties {
                let key = entry.name.as_str();
                let at = entry.name.range().start;
                if key.contains("${") {
                    let message = format!("variable in context key {}", quoted(key));
                    problems.add(at, rules::VARIABLE_IN_ELEMENT, message, "write the key itself");
                }
                match seen.insert(fold_key(key).into_owned(), key) {
                    Some(other) if other != key => {
                        let message =
                            format!("{} and {} are the same key", quoted(key), quoted(other));
                        problems.add(at, rules::DUPLICATE_KEY, message, "merge the two");
                    }
                    _ => {}
                }
                let line = problems.line(at);
                let (operands, written) =
                    read_operands(&entry.value, operator, variables, problems);
                conditions.push(Condition {
                    operator_name: name.into(),
                    operator,
                    key: key.into(),
                    folded_key: fold_key(key).into(),
                    operands,
                    written,
                    variables,
                    line,
                });
            }
        }
        conditions
    }

    /// Returns the operator as written.
    pub fn operator(&self) -> &str {
        &self.operator_name
    }

    /// Returns the context key as written.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Iterates over the operands; numbers and booleans as their text.
    pub fn operands(&self) -> impl Iterator<Item = &str> {
        self.written.iter().map(AsRef::as_ref)
    }

    /// Returns the line of the context key, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Returns for each operand a condition of its own, which holds for a request with a value that is
    /// this operand, is like it, or stands to it as the operator says: also where the operator is
    /// negated, and so asks for other values.
    ///
    /// None has anything to say of a request without the key, except of `Null`.
    #[must_use]
    pub fn each_operand(&self) -> Vec<Condition> {
        let operator = Operator {
            qualifier: self.operator.qualifier.map(|_| Qualifier::ForAnyValue),
            negated: false,
            if_exists: false,
            ..self.operator
        };
        let alone = |text: &str| {
            let mut operands = Operands::none(operator.family);
            // It was taken with the others.
            let _ = operands.add(text, operator, self.variables);
            operands.build_index();
            Condition { operator, operands, written: vec![text.into()], ..self.clone() }
        };
        self.operands().map(alone).collect()
    }

    /// Tells whether the condition holds for a request, in a statement of the given effect.
    #[must_use]
    pub fn holds(&self, context: &Context<'_>, effect: Effect) -> bool {
        self.held(context, effect, &StepBudget::unbounded()) != Held::No
    }

    /// The context keys that decide it: its own, and those whose values its operands hold.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.folded_key.as_ref()).chain(self.operands.variables())
    }

    /// Its context key in lower case, where it does not hold for a request without that key.
    pub(super) fn needed_key(&self) -> Option<&str> {
        Some(self.folded_key.as_ref()).filter(|_| !self.holds_without_key())
    }

    /// Evaluates the condition in a statement of the given effect.
    ///
    /// In a Deny, a positive String operator that does not hold for the values as written is tried
    /// with their other spellings too, and without letter case where it does not count (decision 7).
    pub(super) fn held<'a>(
        &self,
        context: &'a Context<'a>,
        effect: Effect,
        budget: &StepBudget,
    ) -> Held<'a> {
        let Some(entry) = context.find(&self.folded_key) else {
            return if self.holds_without_key() { Held::Yes } else { Held::No };
        };
        if self.operands.is_empty() {
            return Held::No;
        }
        if let Operands::Null(operands) = &self.operands {
            // Every value is there, so that a set qualifier changes nothing.
            return if operands.contains(&false) { Held::Yes } else { Held::No };
        }
        let plain = |text: &str| {
            self.operands.hold_for(text, self.operator.negated, context, effect, budget)
        };
        let holds = match self.operator.qualifier {
            Some(Qualifier::ForAllValues) => entry.values().iter().all(|value| plain(value.text())),
            Some(Qualifier::ForAnyValue) => entry.values().iter().any(|value| plain(value.text())),
            None => entry.single().is_some_and(plain),
        };
        if holds {
            return Held::Yes;
        }
        if effect == Effect::Deny && self.operator.is_string() && !self.operator.negated {
            return self.held_by_spelling(entry, plain, |folded, text| {
                self.operands.hold_for_folded(folded, text, context, budget)
            });
        }
        Held::No
    }

    /// Tells whether the operator holds for one value alone, its qualifier aside.
    pub(super) fn holds_for(&self, value: &str, context: &Context<'_>) -> bool {
        let budget = &StepBudget::unbounded();
        self.operands.hold_for(value, self.operator.negated, context, Effect::Allow, budget)
    }

    /// The outcome for a key that the context does not have.
    ///
    /// With a set qualifier there is no value to ask about, whatever the operator is: that of `Null`
    /// too.
    fn holds_without_key(&self) -> bool {
        match (self.operator.qualifier, &self.operands) {
            (Some(Qualifier::ForAllValues), _) => true,
            (Some(Qualifier::ForAnyValue), _) => false,
            (None, Operands::Null(operands)) => operands.contains(&true),
            (None, operands) if operands.is_empty() => self.operator.if_exists,
            (None, _) => self.operator.if_exists || self.operator.negated,
        }
    }

    /// `plain` compares a text, `in_any_case` one that is folded, knowing the value as written.
    fn held_by_spelling<'a>(
        &self,
        entry: &'a Entry<'a>,
        plain: impl Fn(&str) -> bool,
        in_any_case: impl Fn(&str, &str) -> bool,
    ) -> Held<'a> {
        let mut used = None;
        let values = entry.values();
        let mut holds_for = |value: &'a Spelled<'a>| {
            let mut folded = value.folded();
            let spelling = value
                .spellings()
                .find(|spelling| plain(spelling))
                .or_else(|| folded.find(|folded| in_any_case(folded, value.text())));
            if used.is_none()
                && let Some(spelling) = spelling
            {
                used = Some(SpellingUsed::Value { key: entry.key(), text: value.text(), spelling });
            }
            spelling.is_some()
        };
        let holds = match self.operator.qualifier {
            Some(Qualifier::ForAllValues) => {
                values.iter().all(|value| plain(value.text()) || holds_for(value))
            }
            Some(Qualifier::ForAnyValue) => values.iter().any(holds_for),
            None => !entry.is_list() && values.iter().any(holds_for),
        };
        match used {
            Some(used) if holds => Held::BySpelling(used),
            _ => Held::No,
        }
    }
}

fn read_operands<'t>(
    value: &Value<'t>,
    operator: Operator,
    variables: bool,
    problems: &mut Problems<'t>,
) -> (Operands, Vec<Box<str>>) {
    let elements = match value {
        Value::Array(array) => array.elements.as_slice(),
        single => std::slice::from_ref(single),
    };
    let mut operands = Operands::none(operator.family);
    let mut written = Vec::with_capacity(elements.len());
    for element in elements {
        let at = element.range().start;
        let text = match element {
            Value::StringLit(text) => text.value.as_ref(),
            Value::NumberLit(number) => number.value,
            Value::BooleanLit(boolean) if boolean.value => "true",
            Value::BooleanLit(_) => "false",
            other => {
                let message = format!("{} as a condition value", syntax::kind(other));
                problems.add(at, rules::INVALID_TYPE, message, "write a string");
                continue;
            }
        };
        written.push(text.into());
        if let Err(problem) = operands.add(text, operator, variables) {
            problems.push(at, problem.of(&format!("value {}", quoted(text))));
        }
    }
    operands.build_index();
    (operands, written)
}
