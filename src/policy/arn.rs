//! ARNs: their six fields, and the comparison of the Arn operators.
//!
//! `Resource` matches whole ARNs by other rules; see `resource`.

use std::borrow::Cow;

use super::budget::StepBudget;
use super::error::Problem;
use super::pattern::{Pattern, Piece, Reach};
use super::request::Context;
use super::rules;
use super::variable::{Syntax, Template};

/// Splits an ARN at its first five colons; `None` when it is not `arn:` with six fields.
pub(super) fn fields(text: &str) -> Option<[&str; 6]> {
    let mut fields = text.splitn(6, ':');
    let mut next = || fields.next();
    let all = [next()?, next()?, next()?, next()?, next()?, next()?];
    (all.first() == Some(&"arn")).then_some(all)
}

/// An operand of an Arn operator.
#[derive(Debug, Clone)]
pub(super) enum ArnOperand {
    /// `*`
    Every,
    /// Six patterns, one a field.
    Fixed(Box<[Pattern<'static>; 6]>),
    /// With variables; split after they are filled in.
    Variable(Template),
}

/// How an operand compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Match,
    Mismatch,
    /// A variable made the operand something else than an ARN.
    Malformed,
}

impl ArnOperand {
    /// Reads an operand.
    ///
    /// # Errors
    ///
    /// What is wrong and what to write instead.
    pub(super) fn parse(text: &str, variables: bool) -> Result<ArnOperand, Problem> {
        match Template::parse(text, Syntax { variables, wildcards: true })? {
            variable @ Template::Variable(_) => Ok(ArnOperand::Variable(variable)),
            Template::Fixed(pattern) if is_every(&pattern) => Ok(ArnOperand::Every),
            Template::Fixed(pattern) => split(&pattern)
                .map(|fields| ArnOperand::Fixed(Box::new(fields.map(Pattern::into_owned))))
                .ok_or_else(|| {
                    Problem::new(
                        rules::TYPE_OF_VALUE,
                        "not an ARN",
                        "write `arn:` with all six fields, such as `arn:aws:ses:*:*:identity/*`",
                    )
                }),
        }
    }

    /// The context keys of its variables.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        let template = match self {
            ArnOperand::Variable(template) => Some(template),
            ArnOperand::Every | ArnOperand::Fixed(_) => None,
        };
        template.into_iter().flat_map(Template::variables)
    }

    /// Compares with the fields of the request's ARN, each for itself.
    pub(super) fn compare(
        &self,
        value: &[&str; 6],
        context: &Context<'_>,
        budget: &StepBudget,
    ) -> Comparison {
        match self {
            ArnOperand::Every => Comparison::Match,
            ArnOperand::Fixed(fields) => compare_fields(fields, value, budget),
            ArnOperand::Variable(template) => template
                .with(context, |pattern| {
                    if is_every(pattern) {
                        return Comparison::Match;
                    }
                    match split(pattern) {
                        Some(fields) => compare_fields(&fields, value, budget),
                        None => Comparison::Malformed,
                    }
                })
                .unwrap_or(Comparison::Mismatch),
        }
    }
}

fn is_every(pattern: &Pattern<'_>) -> bool {
    matches!(pattern.pieces(), [Piece::Any(Reach::Anything)])
}

fn compare_fields(
    patterns: &[Pattern<'_>; 6],
    value: &[&str; 6],
    budget: &StepBudget,
) -> Comparison {
    let all = patterns.iter().zip(value).all(|(pattern, field)| pattern.matches(field, budget));
    if all { Comparison::Match } else { Comparison::Mismatch }
}

/// Splits a pattern at the first five colons of its texts.
fn split<'p>(pattern: &'p Pattern<'_>) -> Option<[Pattern<'p>; 6]> {
    let mut fields: [Pattern<'p>; 6] = Default::default();
    let mut number = 0;
    for piece in pattern.pieces() {
        let Piece::Text(text) = piece else {
            fields.get_mut(number)?.push(piece.clone());
            continue;
        };
        let mut rest = text.as_ref();
        while number < 5
            && let Some((before, after)) = rest.split_once(':')
        {
            fields.get_mut(number)?.push(Piece::Text(Cow::Borrowed(before)));
            number += 1;
            rest = after;
        }
        fields.get_mut(number)?.push(Piece::Text(Cow::Borrowed(rest)));
    }
    let begins = fields.first()?.pieces() == [Piece::Text(Cow::Borrowed("arn"))];
    (number == 5 && begins).then_some(fields)
}
