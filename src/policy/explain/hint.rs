//! What was nearly right in a part of a statement that does not fit, and what to write.

use std::borrow::Cow;

use super::super::budget::StepBudget;
use super::super::condition::Condition;
use super::super::keys::{fold_key, is_list_key};
use super::super::operator::{Family, Operator, Qualifier};
use super::super::pattern::{Pattern, Piece};
use super::super::request::{Context, Request};
use super::super::statement::Statement;
use super::super::variable::{Syntax, Template};

/// Of actions that differ.
pub(super) fn action(statement: &Statement) -> Option<String> {
    let sends =
        statement.action_patterns().any(|action| action.eq_ignore_ascii_case("ses:SendEmail"));
    let hint = "mail over SMTP is `ses:SendRawEmail`, never `ses:SendEmail`";
    (sends && !statement.is_not_action()).then(|| hint.to_owned())
}

/// Of resources that differ.
pub(super) fn resource(statement: &Statement, request: &Request<'_>) -> Option<String> {
    if statement.is_not_resource() {
        return None;
    }
    let has_variables = statement.resource_variables().next().is_some();
    let syntax = Syntax { variables: has_variables, wildcards: true };
    let undefined = statement
        .resource_patterns()
        .find_map(|pattern| undefined(pattern, has_variables, request.context));
    undefined.or_else(|| {
        let alike =
            |pattern: &&str| alike_in_case(pattern, syntax, request.context, request.resource);
        let near = statement.resource_patterns().find(alike);
        near.map(|pattern| format!("differs only in letter case from `{pattern}`"))
    })
}

/// Of a condition that holds, why it may be unexpected.
pub(super) fn held(condition: &Condition, values: Option<&[String]>) -> Option<String> {
    let operator = Operator::parse(condition.operator()).ok()?;
    let is_vacuous = values.is_none() && operator.family != Family::Null;
    is_vacuous.then(|| {
        format!("`{}` also holds for a request without `{}`", condition.operator(), condition.key())
    })
}

/// Of a condition that does not hold.
pub(super) fn failed(
    condition: &Condition,
    values: Option<&[String]>,
    context: &Context<'_>,
) -> Option<String> {
    let (name, key) = (condition.operator(), condition.key());
    let operator = Operator::parse(name).ok()?;
    if is_list_key(key) && operator.qualifier.is_none() && operator.family != Family::Null {
        return Some(format!(
            "`{key}` is a list: a condition on it never holds without `ForAllValues:` or \
             `ForAnyValue:` before the operator"
        ));
    }
    let has_variables = condition.keys().nth(1).is_some();
    let mut operands = condition.operands();
    if let Some(hint) = operands.find_map(|text| undefined(text, has_variables, context)) {
        return Some(hint);
    }
    let Some(values) = values else {
        let is_behind =
            key.eq_ignore_ascii_case("aws:SourceIp") && context.find("aws:vpcsourceip").is_some();
        let hint =
            "behind an endpoint of a VPC `aws:VpcSourceIp` takes the place of `aws:SourceIp`";
        return is_behind.then(|| hint.to_owned());
    };
    if operator.is_string() && !operator.negated {
        let near = positive(condition, operator, has_variables, values, context);
        if near.is_some() {
            return near;
        }
    }
    one_of_several(condition, operator, values, context)
}

/// A positive String operator.
fn positive(
    condition: &Condition,
    operator: Operator,
    variables: bool,
    values: &[String],
    context: &Context<'_>,
) -> Option<String> {
    let name = condition.operator();
    let is_like = operator.family == Family::StringLike;
    let syntax = Syntax { variables, wildcards: is_like };
    condition.operands().find_map(|operand| {
        let is_wild = operand.contains(['*', '?']);
        values.iter().find_map(|value| {
            if operator.family != Family::StringEqualsIgnoreCase
                && alike_in_case(operand, syntax, context, value)
            {
                Some(format!("differs only in letter case from `{operand}`"))
            } else if !is_like && is_wild {
                Some(format!("`{name}` takes `*` and `?` literally; `StringLike` has wildcards"))
            } else if is_like && !is_wild && !operand.is_empty() && value.contains(operand) {
                let part = format!("write `*{operand}*` for a part of it");
                Some(format!("`{name}` compares the whole value; {part}"))
            } else {
                None
            }
        })
    })
}

/// Of a list with several values, those that keep a condition on all of them from holding.
fn one_of_several(
    condition: &Condition,
    operator: Operator,
    values: &[String],
    context: &Context<'_>,
) -> Option<String> {
    if operator.qualifier != Some(Qualifier::ForAllValues) || values.len() < 2 {
        return None;
    }
    let failing = values.iter().filter(|value| !condition.holds_for(value, context));
    let failing: Vec<_> = failing.map(|value| format!("`{value}`")).collect();
    (!failing.is_empty()).then(|| format!("without {} it would hold", failing.join(", ")))
}

/// Whether a text would match but for the case of letters.
fn alike_in_case(written: &str, syntax: Syntax, context: &Context<'_>, value: &str) -> bool {
    let budget = &StepBudget::unbounded();
    let Ok(template) = Template::parse(written, syntax) else { return false };
    let alike = template.with(context, |pattern| {
        if pattern.matches(value, budget) {
            return false;
        }
        let mut folded = Pattern::default();
        for piece in pattern.pieces() {
            folded.push(match piece {
                Piece::Text(text) => Piece::Text(Cow::Owned(text.to_lowercase())),
                wildcard => wildcard.clone(),
            });
        }
        folded.matches(&value.to_lowercase(), budget)
    });
    alike.unwrap_or(false)
}

/// Tells of a variable without a value, for which a text matches nothing.
fn undefined(written: &str, variables: bool, context: &Context<'_>) -> Option<String> {
    let template = Template::parse(written, Syntax { variables, wildcards: true }).ok()?;
    let folded = template.undefined(context)?;
    let mut names = written.split("${").skip(1).filter_map(|rest| {
        let end = rest.find(['}', ',']).unwrap_or(rest.len());
        rest.get(..end)
    });
    let name = names.find(|name| fold_key(name) == folded).unwrap_or(folded);
    let why = if is_list_key(name) {
        "is a list, which never has one value"
    } else {
        "has no value here"
    };
    Some(format!("variable `${{{name}}}` {why}, so that `{written}` matches nothing"))
}
