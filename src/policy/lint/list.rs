//! Findings about conditions on lists: with the wrong qualifier one recipient decides for all.

use super::super::keys::is_list_key;
use super::super::operator::{Family, Qualifier};
use super::super::words::quoted;
use super::key::{Key, Presence};
use super::view::{Condition, Statement};
use super::{Findings, rules};

/// Checks the qualifiers of a statement's conditions on lists.
pub(super) fn check(statement: &Statement<'_>, findings: &mut Findings<'_>) {
    for condition in &statement.conditions {
        if !is_list_key(&condition.key) || condition.operator.family == Family::Null {
            continue;
        }
        check_missing(statement, condition, findings);
        if condition.folded_key == "ses:recipients" && statement.is_about_mail() {
            check_recipients(statement, condition, findings);
        }
        check_absent(statement, condition, findings);
    }
}

/// The qualifier with which a condition on a list says of every value, or of any, what it says.
fn meant(statement: &Statement<'_>, condition: &Condition) -> String {
    let (all, any) = ("ForAllValues", "ForAnyValue");
    match () {
        // Which paths of an organization a principal has is no list that all must be in.
        () if condition.folded_key != "ses:recipients" => format!(
            "write `{}` or `{}`",
            condition.with_qualifier(any),
            condition.with_qualifier(all)
        ),
        () if statement.allows() => {
            format!("write `{}`: every recipient counts", condition.with_qualifier(all))
        }
        () => format!("write `{}`: one recipient is enough", condition.with_qualifier(any)),
    }
}

fn check_missing(statement: &Statement<'_>, condition: &Condition, findings: &mut Findings<'_>) {
    if condition.operator.qualifier.is_none() {
        let (key, name) = (quoted(&condition.key), quoted(&condition.name));
        findings.add(
            rules::MISSING_QUALIFIER,
            condition.key_at,
            format!("{key} is a list, for which {name} never holds"),
            meant(statement, condition),
        );
    }
}

fn check_recipients(statement: &Statement<'_>, condition: &Condition, findings: &mut Findings<'_>) {
    let Some(qualifier) = condition.operator.qualifier else { return };
    let name = quoted(&condition.name);
    let beside = |other: &Condition, qualifier| {
        other.folded_key == condition.folded_key && other.operator.qualifier == Some(qualifier)
    };
    let has = |qualifier| statement.conditions.iter().any(|other| beside(other, qualifier));
    match qualifier {
        Qualifier::ForAnyValue if statement.allows() && !has(Qualifier::ForAllValues) => {
            findings.add(
                rules::ANY_VALUE_IN_ALLOW,
                condition.key_at,
                format!("{name} holds as soon as one recipient fits, so that mail goes to any other beside it"),
                meant(statement, condition),
            );
        }
        Qualifier::ForAllValues if statement.denies() && !has(Qualifier::ForAnyValue) => {
            let one = if condition.operator.negated { "is among these" } else { "is another" };
            findings.add(
                rules::ALL_VALUES_IN_DENY,
                condition.key_at,
                format!("{name} holds for all recipients together: one that {one} lifts the Deny"),
                meant(statement, condition),
            );
        }
        _ => {}
    }
}

/// `ForAllValues` in an Allow holds for a request without the key.
fn check_absent(statement: &Statement<'_>, condition: &Condition, findings: &mut Findings<'_>) {
    let is_asked = statement.conditions.iter().any(|other| other.requires(&condition.folded_key));
    let is_vacuous = condition.operator.qualifier == Some(Qualifier::ForAllValues);
    if !statement.allows() || !is_vacuous || is_asked {
        return;
    }
    let (name, key) = (quoted(&condition.name), quoted(&condition.key));
    let known = Key::find(&condition.key);
    if known.is_none_or(|key| key.presence != Presence::Always) {
        findings.add(
            rules::ALL_VALUES_WITHOUT_NULL,
            condition.key_at,
            format!("{name} also holds for a request without {key}"),
            null_check(condition),
        );
    }
}

/// The condition that asks for the key.
pub(super) fn null_check(condition: &Condition) -> String {
    let key = condition.key.chars().filter(|character| !character.is_control()).take(64);
    format!("add \"Null\": {{\"{}\": \"false\"}}", key.collect::<String>())
}
