//! Findings about the time in which the conditions of a statement can hold.

use super::super::date;
use super::super::keys::is_time_key;
use super::super::operator::{Family, Relation};
use super::view::{Condition, Statement};
use super::{Findings, rules};

/// One end of a time.
#[derive(Clone, Copy)]
struct End {
    millis: i64,
    /// The moment itself belongs to the time.
    included: bool,
    at: usize,
}

/// Checks whether there is a time in which the conditions hold, and whether it is over.
pub(super) fn check(statement: &Statement<'_>, now: i64, findings: &mut Findings<'_>) {
    let (mut start, mut end): (Option<End>, Option<End>) = (None, None);
    for condition in statement.conditions.iter().filter(|condition| is_time(condition)) {
        let Family::Date(relation) = condition.operator.family else { continue };
        let operands = condition
            .operands
            .iter()
            .filter_map(|operand| Some((date::parse(&operand.text)?, operand.at)));
        // Of several values one is enough: the earliest start and the latest end.
        let earliest = operands.clone().min_by_key(|(millis, _)| *millis);
        let latest = operands.max_by_key(|(millis, _)| *millis);
        let of = |found: Option<(i64, usize)>, included| {
            found.map(|(millis, at)| End { millis, included, at })
        };
        match relation {
            Relation::GreaterThan => start = later(start, of(earliest, false)),
            Relation::GreaterThanEquals => start = later(start, of(earliest, true)),
            Relation::LessThan => end = earlier(end, of(latest, false)),
            Relation::LessThanEquals => end = earlier(end, of(latest, true)),
            Relation::Equals => {
                start = later(start, of(earliest, true));
                end = earlier(end, of(latest, true));
            }
        }
    }
    let Some(end) = end else { return };
    if let Some(start) = start
        && (start.millis > end.millis
            || (start.millis == end.millis && !(start.included && end.included)))
    {
        let (from, to) = (date::format(start.millis), date::format(end.millis));
        findings.add(
            rules::EMPTY_WINDOW,
            end.at.max(start.at),
            format!("no time is after {from} and before {to}"),
            "exchange the two, or give an end after the start",
        );
    } else if end.millis < now || (end.millis == now && !end.included) {
        findings.add(
            rules::PAST_WINDOW,
            end.at,
            format!("holds until {} only, which is over", date::format(end.millis)),
            "give a time to come, or remove the statement",
        );
    }
}

fn is_time(condition: &Condition) -> bool {
    is_time_key(&condition.folded_key) && !condition.operator.negated
}

fn later(one: Option<End>, other: Option<End>) -> Option<End> {
    match (one, other) {
        (Some(one), Some(other)) if one.millis >= other.millis => Some(one),
        (one, other) => other.or(one),
    }
}

fn earlier(one: Option<End>, other: Option<End>) -> Option<End> {
    match (one, other) {
        (Some(one), Some(other)) if one.millis <= other.millis => Some(one),
        (one, other) => other.or(one),
    }
}
