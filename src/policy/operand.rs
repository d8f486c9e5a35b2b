//! Operands of conditions, converted when the policy is read, and the comparison of one request
//! value with them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::arn::{self, ArnOperand, Comparison};
use super::date;
use super::network::{Address, Network};
use super::number::Number;
use super::operator::{Family, Operator, Relation};
use super::request::Context;
use super::statement::Effect;
use super::text;
use super::variable::{Syntax, Template};

/// The operands of one condition, of one family.
#[derive(Debug, Clone)]
pub(super) enum Operands {
    /// StringEquals and StringLike.
    Text(Vec<Template>),
    Folded(Vec<FoldedText>),
    Numeric(Relation, Vec<Number<'static>>),
    Date(Relation, Vec<i64>),
    Bool(Vec<bool>),
    /// Canonical base64, where equal texts and equal bytes are the same.
    Binary(Vec<Box<str>>),
    IpAddress(Vec<Network>),
    Arn(Vec<ArnOperand>),
    Null(Vec<bool>),
}

/// An operand of the IgnoreCase operators.
#[derive(Debug, Clone)]
pub(super) enum FoldedText {
    /// In lower case.
    Fixed(Box<str>),
    Variable(Template),
}

impl Operands {
    /// Returns no operands, of the family of the operator.
    pub(super) fn none(family: Family) -> Operands {
        match family {
            Family::StringEquals | Family::StringLike => Operands::Text(Vec::new()),
            Family::StringEqualsIgnoreCase => Operands::Folded(Vec::new()),
            Family::Numeric(relation) => Operands::Numeric(relation, Vec::new()),
            Family::Date(relation) => Operands::Date(relation, Vec::new()),
            Family::Bool => Operands::Bool(Vec::new()),
            Family::Binary => Operands::Binary(Vec::new()),
            Family::IpAddress => Operands::IpAddress(Vec::new()),
            Family::Arn => Operands::Arn(Vec::new()),
            Family::Null => Operands::Null(Vec::new()),
        }
    }

    /// Reads one operand and adds it.
    ///
    /// # Errors
    ///
    /// What is wrong and what to write instead.
    pub(super) fn add(
        &mut self,
        operand: &str,
        operator: Operator,
        variables: bool,
    ) -> Result<(), String> {
        if variables && !operator.takes_variables() && operand.contains("${") {
            return Err("variables work in String and Arn operators only; write the value itself"
                .to_owned());
        }
        let wildcards = operator.family == Family::StringLike;
        match self {
            Operands::Text(all) => {
                all.push(Template::parse(operand, Syntax { variables, wildcards })?);
            }
            Operands::Folded(all) => {
                let template = Template::parse(operand, Syntax { variables, wildcards })?;
                all.push(match template {
                    Template::Fixed(pattern) => {
                        FoldedText::Fixed(text::lower(pattern.text()).into())
                    }
                    variable @ Template::Variable(_) => FoldedText::Variable(variable),
                });
            }
            Operands::Numeric(_, all) => {
                let number = Number::parse(operand)
                    .ok_or("not a decimal number; write one such as `10` or `0.5`")?;
                all.push(number.into_owned());
            }
            Operands::Date(_, all) => {
                all.push(date::parse(operand).ok_or(
                    "not a date; write one such as `2018-08-31T12:00:00Z`, or epoch seconds",
                )?);
            }
            Operands::Bool(all) | Operands::Null(all) => all.push(is_true(operand)),
            Operands::Binary(all) => {
                STANDARD.decode(operand).map_err(|_| {
                    "not base64 in its canonical, padded form; write it as such".to_owned()
                })?;
                all.push(operand.into());
            }
            Operands::IpAddress(all) => all.push(Network::parse(operand)?),
            Operands::Arn(all) => all.push(ArnOperand::parse(operand, variables)?),
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Operands::Text(all) => all.is_empty(),
            Operands::Folded(all) => all.is_empty(),
            Operands::Numeric(_, all) => all.is_empty(),
            Operands::Date(_, all) => all.is_empty(),
            Operands::Bool(all) | Operands::Null(all) => all.is_empty(),
            Operands::Binary(all) => all.is_empty(),
            Operands::IpAddress(all) => all.is_empty(),
            Operands::Arn(all) => all.is_empty(),
        }
    }

    /// Compares one value: whether the operator holds for it alone, negation included.
    ///
    /// What a value that does not convert gives differs by family: Numeric and Date negated hold,
    /// IpAddress and Arn never do, Bool reads it as false.
    pub(super) fn hold_for(
        &self,
        value: &str,
        negated: bool,
        context: &Context<'_>,
        effect: Effect,
    ) -> bool {
        match self {
            Operands::Text(all) => {
                let is_match = |operand: &Template| {
                    operand.with(context, |pattern| pattern.matches(value)).unwrap_or(false)
                };
                all.iter().any(is_match) != negated
            }
            Operands::Folded(all) => {
                all.iter().any(|operand| operand.equals(value, context)) != negated
            }
            Operands::Numeric(relation, all) => match Number::parse(value) {
                Some(number) => {
                    all.iter().any(|operand| relation.holds(number.compare(operand))) != negated
                }
                None => negated,
            },
            Operands::Date(relation, all) => match date::parse(value) {
                Some(millis) => {
                    all.iter().any(|operand| relation.holds(millis.cmp(operand))) != negated
                }
                None => negated,
            },
            Operands::Bool(all) => all.contains(&is_true(value)),
            Operands::Binary(all) => all.iter().any(|operand| operand.as_ref() == value),
            Operands::IpAddress(all) => match Address::parse(value) {
                Some(address) => all.iter().any(|network| network.contains(address)) != negated,
                None => false,
            },
            Operands::Arn(all) => match arn::fields(value) {
                Some(fields) => arn_holds(all, &fields, negated, context, effect),
                None => false,
            },
            // Asks about the key, not about values.
            Operands::Null(_) => false,
        }
    }
}

/// Compares the operands in order. An operand that a variable made malformed ends the search: it
/// lets a Deny hold and an Allow not, in positive and negated operators alike.
fn arn_holds(
    operands: &[ArnOperand],
    value: &[&str; 6],
    negated: bool,
    context: &Context<'_>,
    effect: Effect,
) -> bool {
    for operand in operands {
        match operand.compare(value, context) {
            Comparison::Match => return !negated,
            Comparison::Malformed => return effect == Effect::Deny,
            Comparison::Mismatch => {}
        }
    }
    negated
}

impl FoldedText {
    fn equals(&self, value: &str, context: &Context<'_>) -> bool {
        match self {
            FoldedText::Fixed(lowered) => text::equals_lowered(value, lowered),
            FoldedText::Variable(template) => template
                .with(context, |pattern| text::equals_lowered(value, &text::lower(pattern.text())))
                .unwrap_or(false),
        }
    }
}

/// Reads a boolean: `true` in any case, and everything else is false.
fn is_true(text: &str) -> bool {
    text.eq_ignore_ascii_case("true")
}
