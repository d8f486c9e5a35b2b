//! What a part of a statement requires, in words.

use super::super::condition::Condition;
use super::super::operator::{Family, Operator, Qualifier, Relation};

/// Entries and values that are named; the rest is counted.
const NAMED: usize = 8;

/// The entries of `Action` or `Resource`, or of their negations.
pub(super) fn entries<'a>(entries: impl Iterator<Item = &'a str>, negated: bool) -> String {
    let entries = list(entries, if negated { "and" } else { "or" });
    if negated { format!("anything but {entries}") } else { entries }
}

/// The values that a condition takes.
pub(super) fn condition(condition: &Condition) -> String {
    let Ok(operator) = Operator::parse(condition.operator()) else { return String::new() };
    if operator.family == Family::Null {
        let is_absent = condition.operands().any(|operand| operand.eq_ignore_ascii_case("true"));
        return if is_absent { "no such key" } else { "the key, with any value" }.to_owned();
    }
    let whose = match operator.qualifier {
        Some(Qualifier::ForAllValues) => "every value ",
        Some(Qualifier::ForAnyValue) => "at least one value ",
        None => "",
    };
    let operands = list(condition.operands(), if operator.negated { "and" } else { "or" });
    let absent = if operator.if_exists { ", or no such key" } else { "" };
    format!("{whose}{}{operands}{absent}", relation(operator))
}

fn relation(operator: Operator) -> &'static str {
    match (operator.family, operator.negated) {
        (Family::StringEquals | Family::Bool | Family::Binary | Family::Null, false) => "",
        (Family::StringEqualsIgnoreCase, false) => "in any letter case ",
        (Family::StringLike | Family::Arn, false) => "like ",
        (Family::StringLike | Family::Arn, true) => "unlike ",
        (Family::StringEqualsIgnoreCase, true) => "other in any letter case than ",
        (Family::IpAddress, false) => "in ",
        (Family::IpAddress, true) => "outside of ",
        (Family::Numeric(relation), false) => match relation {
            Relation::Equals => "",
            Relation::LessThan => "less than ",
            Relation::LessThanEquals => "at most ",
            Relation::GreaterThan => "more than ",
            Relation::GreaterThanEquals => "at least ",
        },
        (Family::Date(relation), false) => match relation {
            Relation::Equals => "",
            Relation::LessThan => "before ",
            Relation::LessThanEquals => "not after ",
            Relation::GreaterThan => "after ",
            Relation::GreaterThanEquals => "not before ",
        },
        (_, true) => "other than ",
    }
}

fn list<'a>(texts: impl Iterator<Item = &'a str>, before_last: &str) -> String {
    let texts: Vec<_> = texts.map(|text| format!("`{text}`")).collect();
    let (named, rest) = texts.split_at_checked(NAMED).unwrap_or((&texts, &[]));
    match (named, rest.len()) {
        ([], _) => "nothing".to_owned(),
        ([only], 0) => only.clone(),
        ([first @ .., last], 0) => format!("{} {before_last} {last}", first.join(", ")),
        (named, more) => format!("{} {before_last} {more} more", named.join(", ")),
    }
}
