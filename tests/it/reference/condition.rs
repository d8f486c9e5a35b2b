//! Condition operators: when a condition holds, by the tables of the IAM User Guide.

use serde_json::Value;

use super::text::{Unit, lower_case, matches, one_case, units};
use super::variable::{expand, pieces};
use super::{Question, Spelled, convert, is_list_key, network, statement};

/// The parts of an operator's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operator<'a> {
    pub(super) qualifier: Option<Qualifier>,
    pub(super) base: &'a str,
    pub(super) if_exists: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Qualifier {
    ForAllValues,
    ForAnyValue,
}

pub(super) const BASES: [&str; 27] = [
    "StringEquals",
    "StringNotEquals",
    "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase",
    "StringLike",
    "StringNotLike",
    "NumericEquals",
    "NumericNotEquals",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "DateEquals",
    "DateNotEquals",
    "DateLessThan",
    "DateLessThanEquals",
    "DateGreaterThan",
    "DateGreaterThanEquals",
    "Bool",
    "BinaryEquals",
    "IpAddress",
    "NotIpAddress",
    "ArnEquals",
    "ArnLike",
    "ArnNotEquals",
    "ArnNotLike",
    "Null",
];

impl<'a> Operator<'a> {
    pub(super) fn read(name: &'a str) -> Option<Self> {
        let (qualifier, rest) = if let Some(rest) = name.strip_prefix("ForAllValues:") {
            (Some(Qualifier::ForAllValues), rest)
        } else if let Some(rest) = name.strip_prefix("ForAnyValue:") {
            (Some(Qualifier::ForAnyValue), rest)
        } else {
            (None, name)
        };
        let (base, if_exists) = match rest.strip_suffix("IfExists") {
            Some(base) => (base, true),
            None => (rest, false),
        };
        let is_known = BASES.contains(&base) && !(base == "Null" && if_exists);
        is_known.then_some(Operator { qualifier, base, if_exists })
    }

    pub(super) fn is_negated(self) -> bool {
        self.base.contains("Not")
    }

    pub(super) fn takes_variables(self) -> bool {
        self.base.starts_with("String") || self.base.starts_with("Arn")
    }
}

/// Numbers and booleans among the operands are the text they are written with.
pub(super) fn operand_texts(operands: &Value) -> Vec<String> {
    let text = |operand: &Value| match operand {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    statement::list(operands).iter().map(text).collect()
}

/// The circumstances of a condition.
struct Asked<'a> {
    operator: Operator<'a>,
    operands: Vec<String>,
    is_2012: bool,
    is_deny: bool,
    question: &'a Question,
}

pub(super) fn holds(
    operator: &str,
    key: &str,
    operands: &Value,
    is_2012: bool,
    is_deny: bool,
    question: &Question,
) -> bool {
    let operator = Operator::read(operator).unwrap();
    let operands = operand_texts(operands);
    let values = question.values(key);
    if operator.base == "Null" {
        // "true": the key must be absent. Every text but "true" is "false". A set qualifier asks of
        // each value instead, of which an absent key has none: all of them pass, and not any of them.
        return match (operator.qualifier, values) {
            (Some(Qualifier::ForAllValues), None) => true,
            (Some(Qualifier::ForAnyValue), None) => false,
            _ => operands.iter().any(|it| convert::boolean(it) == values.is_none()),
        };
    }
    let Some(values) = values else { return holds_without_key(operator, &operands) };
    if operands.is_empty() {
        return false;
    }
    if operator.qualifier.is_none() && (is_list_key(key) || values.len() > 1) {
        // Without a qualifier a list is never compared, with one value neither.
        return false;
    }
    let asked = Asked { operator, operands, is_2012, is_deny, question };
    match operator.qualifier {
        None => asked.passes(&values[0]),
        Some(Qualifier::ForAllValues) => values.iter().all(|value| asked.passes(value)),
        Some(Qualifier::ForAnyValue) => values.iter().any(|value| asked.passes(value)),
    }
}

fn holds_without_key(operator: Operator<'_>, operands: &[String]) -> bool {
    match operator.qualifier {
        Some(Qualifier::ForAllValues) => true,
        Some(Qualifier::ForAnyValue) => false,
        None if operator.if_exists => true,
        None => operator.is_negated() && !operands.is_empty(),
    }
}

impl Asked<'_> {
    /// The result for one value: some operand matches it, or, negated, none does.
    fn passes(&self, value: &Spelled) -> bool {
        let base = self.operator.base;
        let is_negated = self.operator.is_negated();
        let text = value.text.as_str();
        let some = |matches: &dyn Fn(&str) -> bool| self.operands.iter().any(|it| matches(it));
        if base.starts_with("String") {
            let matches = |text: &str| some(&|operand| self.text_matches(operand, text));
            if is_negated {
                return !matches(text);
            }
            // Decision 7: a positive String operator of a Deny sees other spellings too, and compares
            // all of them with the operands without regard to case where that does not count.
            let folds_alike =
                |text: &str| some(&|operand| self.text_matches_in_any_case(operand, text));
            return matches(text)
                || (self.is_deny && value.spellings.iter().any(|it| matches(it)))
                || (self.is_deny
                    && value.in_any_case
                    && (folds_alike(text) || value.spellings.iter().any(|it| folds_alike(it))));
        }
        if let Some(comparison) = base.strip_prefix("Numeric") {
            let Some(number) = convert::decimal(text) else { return is_negated };
            return is_negated
                != some(&|it| compares(comparison, &number, &convert::decimal(it).unwrap()));
        }
        if let Some(comparison) = base.strip_prefix("Date") {
            let Some(date) = convert::date(text) else { return is_negated };
            return is_negated
                != some(&|it| compares(comparison, &date, &convert::date(it).unwrap()));
        }
        match base {
            "Bool" => some(&|operand| convert::boolean(operand) == convert::boolean(text)),
            "BinaryEquals" => {
                let Some(bytes) = convert::base64(text) else { return false };
                some(&|operand| convert::base64(operand).as_ref() == Some(&bytes))
            }
            "IpAddress" | "NotIpAddress" => {
                let Some(address) = network::address(text) else { return false };
                is_negated != some(&|it| network::network(it).unwrap().holds(&address))
            }
            _ => self.arn_passes(text),
        }
    }

    fn text_matches(&self, operand: &str, text: &str) -> bool {
        let pieces = pieces(operand, self.is_2012).unwrap();
        let Some(characters) = expand(&pieces, self.question) else { return false };
        let whole: String = characters.iter().map(|(character, _)| *character).collect();
        match self.operator.base {
            "StringEquals" | "StringNotEquals" => whole == text,
            "StringLike" | "StringNotLike" => matches(&units(characters), text),
            _ => lower_case(&whole) == lower_case(text),
        }
    }

    /// Operand and text in one letter case, whatever the operator says of it.
    fn text_matches_in_any_case(&self, operand: &str, text: &str) -> bool {
        let pieces = pieces(operand, self.is_2012).unwrap();
        let Some(characters) = expand(&pieces, self.question) else { return false };
        let has_wildcards = self.operator.base == "StringLike";
        let folded: Vec<(char, bool)> = characters
            .iter()
            .flat_map(|(character, may_be_wildcard)| {
                let is_wildcard = *may_be_wildcard && has_wildcards;
                one_case(&character.to_string())
                    .chars()
                    .map(move |it| (it, is_wildcard))
                    .collect::<Vec<_>>()
            })
            .collect();
        matches(&units(folded), &one_case(text))
    }

    /// ArnEquals is ArnLike. What substitution made malformed holds in a Deny and not in an Allow.
    fn arn_passes(&self, text: &str) -> bool {
        let value: Vec<&str> = text.splitn(6, ':').collect();
        if value.len() < 6 || value[0] != "arn" {
            return false;
        }
        for operand in &self.operands {
            let pieces = pieces(operand, self.is_2012).unwrap();
            let Some(characters) = expand(&pieces, self.question) else { continue };
            let pattern = units(characters);
            if pattern == [Unit::Any] {
                return !self.operator.is_negated();
            }
            let colon = Unit::Is(u16::from(b':'));
            let fields: Vec<&[Unit]> = pattern.splitn(6, |unit| *unit == colon).collect();
            let is_arn =
                fields.len() == 6 && fields[0] == units("arn".chars().map(|it| (it, false)));
            if !is_arn {
                return self.is_deny;
            }
            if fields.iter().zip(&value).all(|(pattern, value)| matches(pattern, value)) {
                return !self.operator.is_negated();
            }
        }
        self.operator.is_negated()
    }
}

/// Compares; `NotEquals` is `Equals` here and turned round by the caller.
fn compares<T: Ord>(comparison: &str, value: &T, operand: &T) -> bool {
    match comparison {
        "Equals" | "NotEquals" => value == operand,
        "LessThan" => value < operand,
        "LessThanEquals" => value <= operand,
        "GreaterThan" => value > operand,
        "GreaterThanEquals" => value >= operand,
        other => panic!("{other}"),
    }
}
