//! How each operator compares: operands of conditions, converted when the policy is read, and the
//! comparison of one request value with them. Names of operators are in `operator`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::arn::{self, ArnOperand, Comparison};
use super::budget::StepBudget;
use super::date;
use super::effect::Effect;
use super::error::Problem;
use super::network::{Address, Network};
use super::number::Number;
use super::operator::{Family, Operator, Relation};
use super::pattern_set::PatternSet;
use super::request::Context;
use super::rules;
use super::text;
use super::variable::{Syntax, Template};

/// The operands of one condition, of one family.
#[derive(Debug, Clone)]
pub(super) enum Operands {
    /// StringEquals and StringLike.
    Text(PatternSet),
    Folded(FoldedTexts),
    Numeric(Relation, Vec<Number<'static>>),
    Date(Relation, Vec<i64>),
    Bool(Vec<bool>),
    /// Canonical base64, where equal texts and equal bytes are the same.
    Binary(Vec<Box<str>>),
    IpAddress(Vec<Network>),
    Arn(Vec<ArnOperand>),
    Null(Vec<bool>),
}

/// Operands of the IgnoreCase operators.
#[derive(Debug, Clone, Default)]
pub(super) struct FoldedTexts {
    /// In lower case, sorted.
    fixed: Vec<Box<str>>,
    /// The same folded, sorted; none where they are the same.
    folded: Option<Vec<Box<str>>>,
    variable: Vec<Template>,
}

impl Operands {
    /// Returns no operands, of the family of the operator.
    pub(super) fn none(family: Family) -> Operands {
        match family {
            Family::StringEquals | Family::StringLike => Operands::Text(PatternSet::default()),
            Family::StringEqualsIgnoreCase => Operands::Folded(FoldedTexts::default()),
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
    ) -> Result<(), Problem> {
        if variables && !operator.takes_variables() && operand.contains("${") {
            return Err(Problem::new(
                rules::VARIABLE_FOR_OPERATOR,
                "variables work in String and Arn operators only",
                "write the value itself",
            ));
        }
        let mismatch = |message, fix| Problem::new(rules::TYPE_OF_VALUE, message, fix);
        let wildcards = operator.family == Family::StringLike;
        match self {
            Operands::Text(all) => {
                all.push(Template::parse(operand, Syntax { variables, wildcards })?);
            }
            Operands::Folded(all) => {
                all.push(Template::parse(operand, Syntax { variables, wildcards })?);
            }
            Operands::Numeric(_, all) => {
                let number = Number::parse(operand).ok_or_else(|| {
                    mismatch("not a decimal number", "write one such as `10` or `0.5`")
                })?;
                all.push(number.into_owned());
            }
            Operands::Date(_, all) => {
                all.push(date::parse(operand).ok_or_else(|| {
                    let what = match is_time_of_day(operand) {
                        true => "a time of the day, and IAM knows moments alone",
                        false => "not a date",
                    };
                    mismatch(what, "write one such as `2018-08-31T12:00:00Z`, or epoch seconds")
                })?);
            }
            Operands::Bool(all) | Operands::Null(all) => all.push(is_true(operand)),
            Operands::Binary(all) => {
                STANDARD.decode(operand).map_err(|_| {
                    mismatch("not base64 in its canonical, padded form", "write it as such")
                })?;
                all.push(operand.into());
            }
            Operands::IpAddress(all) => all.push(Network::parse(operand)?),
            Operands::Arn(all) => all.push(ArnOperand::parse(operand, variables)?),
        }
        Ok(())
    }

    /// Prepares for many values, when all operands are there.
    pub(super) fn build_index(&mut self) {
        match self {
            Operands::Text(all) => {
                all.build_index();
                all.build_folded();
            }
            Operands::Folded(all) => all.build_folded(),
            _ => {}
        }
    }

    /// The context keys whose values the operands hold.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        let (text, folded, arns) = match self {
            Operands::Text(all) => (Some(all), None, None),
            Operands::Folded(all) => (None, Some(all), None),
            Operands::Arn(all) => (None, None, Some(all)),
            _ => (None, None, None),
        };
        let text = text.into_iter().flat_map(PatternSet::variables);
        let folded = folded.into_iter().flat_map(|all| &all.variable);
        let arns = arns.into_iter().flatten();
        text.chain(folded.flat_map(Template::variables)).chain(arns.flat_map(ArnOperand::variables))
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Operands::Text(all) => all.is_empty(),
            Operands::Folded(all) => all.fixed.is_empty() && all.variable.is_empty(),
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
        budget: &StepBudget,
    ) -> bool {
        // The value is read once, and compared with each operand by the families that keep a list.
        budget.spend(10 + value.len());
        match self {
            Operands::Text(all) => all.matches(value, context, budget) != negated,
            Operands::Folded(all) => all.hold(value, context, budget) != negated,
            Operands::Numeric(relation, all) => match Number::parse(value) {
                Some(number) => {
                    budget.spend(20 * all.len());
                    all.iter().any(|operand| relation.holds(number.compare(operand))) != negated
                }
                None => negated,
            },
            Operands::Date(relation, all) => match date::parse(value) {
                Some(millis) => {
                    budget.spend(all.len());
                    all.iter().any(|operand| relation.holds(millis.cmp(operand))) != negated
                }
                None => negated,
            },
            Operands::Bool(all) => all.contains(&is_true(value)),
            Operands::Binary(all) => {
                budget.spend(4 * all.len());
                all.iter().any(|operand| operand.as_ref() == value)
            }
            Operands::IpAddress(all) => match Address::parse(value) {
                Some(address) => all.iter().any(|network| network.contains(address)) != negated,
                None => false,
            },
            Operands::Arn(all) => match arn::fields(value) {
                Some(fields) => arn_holds(all, &fields, negated, context, effect, budget),
                None => false,
            },
            // Asks about the key, not about values.
            Operands::Null(_) => false,
        }
    }

    /// Compares one folded value with the operands of a String operator, folded as well, so that
    /// letter case tells nothing apart. `text` is the value as it was compared already.
    pub(super) fn hold_for_folded(
        &self,
        folded: &str,
        text: &str,
        context: &Context<'_>,
        budget: &StepBudget,
    ) -> bool {
        budget.spend(10 + folded.len());
        let has_case = match self {
            Operands::Text(all) => all.has_case(),
            Operands::Folded(all) => all.folded.is_some() || !all.variable.is_empty(),
            _ => return false,
        };
        if folded == text && !has_case {
            return false;
        }
        match self {
            Operands::Text(all) => all.matches_folded(folded, context, budget),
            Operands::Folded(all) => all.hold_folded(folded, context, budget),
            _ => false,
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
    budget: &StepBudget,
) -> bool {
    for operand in operands {
        match operand.compare(value, context, budget) {
            Comparison::Match => return !negated,
            Comparison::Malformed => return effect == Effect::Deny,
            Comparison::Mismatch => {}
        }
    }
    negated
}

impl FoldedTexts {
    fn push(&mut self, template: Template) {
        match template {
            variable @ Template::Variable(_) => self.variable.push(variable),
            Template::Fixed(pattern) => {
                let lowered = text::lower(pattern.text());
                if let Err(at) = self.place(&lowered) {
                    self.fixed.insert(at, lowered.into());
                }
            }
        }
    }

    fn build_folded(&mut self) {
        let mut folded: Vec<Box<str>> =
            self.fixed.iter().map(|text| text::fold(text).into()).collect();
        folded.sort_unstable();
        self.folded = Some(folded).filter(|folded| *folded != self.fixed);
    }

    fn hold_folded(&self, value: &str, context: &Context<'_>, budget: &StepBudget) -> bool {
        let fixed = self.folded.as_ref().unwrap_or(&self.fixed);
        let mut variable = self.variable.iter().take_while(|_| !budget.is_used_up());
        fixed.binary_search_by(|known| known.as_ref().cmp(value)).is_ok()
            || variable.any(|template| {
                // For one without a value too.
                budget.spend(100);
                let equals = |text: &str| {
                    budget.spend(text::folding(text));
                    !budget.is_used_up() && text::fold(text) == value
                };
                template.with(context, |pattern| equals(pattern.text())).unwrap_or(false)
            })
    }

    fn place(&self, lowered: &str) -> Result<usize, usize> {
        self.fixed.binary_search_by(|known| known.as_ref().cmp(lowered))
    }

    fn hold(&self, value: &str, context: &Context<'_>, budget: &StepBudget) -> bool {
        budget.spend(lowering(value));
        if budget.is_used_up() {
            return false;
        }
        let fixed = match self.fixed.as_slice() {
            // Without a copy of the value in lower case.
            [only] => text::equals_lowered(value, only),
            [] => false,
            _ => self.place(&text::lower(value)).is_ok(),
        };
        let mut variable = self.variable.iter().take_while(|_| !budget.is_used_up());
        fixed
            || variable.any(|template| {
                budget.spend(100);
                let equals = |text: &str| {
                    budget.spend(lowering(text) + lowering(value));
                    !budget.is_used_up() && text::equals_lowered(value, &text::lower(text))
                };
                template.with(context, |pattern| equals(pattern.text())).unwrap_or(false)
            })
    }
}

/// The steps that it takes to bring a text to lower case.
fn lowering(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { 15 * text.len() }
}

/// Tells whether a text is meant as a time of the day, such as `09:00`, `T17:30Z` or `9am`.
fn is_time_of_day(text: &str) -> bool {
    let text = text.trim_start_matches('T').trim_end_matches('Z').to_ascii_lowercase();
    let clock = text.trim_end_matches(['a', 'p', 'm', '.', ' ']);
    let mut parts = clock.split(':');
    let is_number = |part: &str| {
        (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_clock = clock.contains(':') || clock.len() < text.len();
    is_clock && parts.clone().count() <= 3 && parts.all(is_number)
}

/// Reads a boolean: `true` in any case, and everything else is false.
fn is_true(text: &str) -> bool {
    text.eq_ignore_ascii_case("true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_without_a_value_is_paid_for() {
        let syntax = Syntax { variables: true, wildcards: false };
        let mut texts = FoldedTexts::default();
        let many = (0..2_000).map(|at| format!("${{aws:PrincipalTag/{at}}}"));
        many.for_each(|text| texts.push(Template::parse(&text, syntax).unwrap()));
        for hold in [FoldedTexts::hold, FoldedTexts::hold_folded] {
            let budget = StepBudget::of(100_000);
            assert!(!hold(&texts, "x", &Context::new(), &budget));
            assert!(budget.is_used_up());
        }
    }

    #[test]
    fn lower_case_is_paid_for() {
        let syntax = Syntax { variables: true, wildcards: false };
        let mut context = Context::new();
        context.set("ses:FromDisplayName", "\u{c9}".repeat(5_000));
        for operands in [&["a", "b"][..], &["a"], &["${ses:FromDisplayName}"]] {
            let mut texts = FoldedTexts::default();
            operands.iter().for_each(|text| texts.push(Template::parse(text, syntax).unwrap()));
            for (value, is_dear) in [("\u{c9}".repeat(5_000), true), ("E".repeat(10), false)] {
                let budget = StepBudget::of(100_000);
                let _ = texts.hold(&value, &context, &budget);
                let has_variable = operands[0].starts_with('$');
                let is_dear = is_dear || has_variable;
                assert_eq!(budget.is_used_up(), is_dear, "{operands:?} {}", value.len());
                let budget = StepBudget::of(100_000);
                assert!(!texts.hold_folded("x", &context, &budget));
                assert_eq!(budget.is_used_up(), has_variable, "{operands:?}, folded");
            }
        }
    }
}
