//! Findings about conditions: the operator, the key, and how they go together.

use super::super::budget::StepBudget;
use super::super::error::quoted;
use super::super::operand::Operands;
use super::super::operator::{Family, Qualifier};
use super::super::request::{Context, is_list_key};
use super::super::statement::Effect;
use super::key::{Key, Presence, Type};
use super::view::{Condition, Document, Statement};
use super::{Findings, cover, key, operand, resource, rules};

/// Checks the conditions of a statement.
pub(super) fn check(
    document: &Document<'_>,
    statement: &Statement<'_>,
    budget: &mut cover::Budget,
    findings: &mut Findings<'_>,
) {
    for at in &statement.empty_objects {
        findings.add(
            rules::EMPTY_OBJECT,
            *at,
            "empty object, which adds no condition",
            "leave it out, or name an operator, a key and a value",
        );
    }
    for condition in &statement.conditions {
        // A key with a variable in it is refused, which is reported already.
        if !condition.key.contains("${") {
            key::check_name(&condition.key, condition.key_at, findings);
        }
        check_shape(condition, findings);
        if let Some(key) = Key::find(&condition.key) {
            check_key(statement, condition, key, findings);
        }
        operand::check(document, statement, condition, findings);
        for text in &condition.operands {
            if condition.operator.takes_variables() {
                resource::variables(document, text, findings);
            }
        }
        cover::check_values(condition, document, budget, findings);
    }
    check_null_checks(statement, findings);
}

/// Checks what is wrong whatever the key is.
fn check_shape(condition: &Condition, findings: &mut Findings<'_>) {
    let Condition { operator, name, key, key_at, value_at, operands, .. } = condition;
    if operands.is_empty() {
        let then = match operator.qualifier {
            Some(Qualifier::ForAllValues) => "it holds for an absent key alone",
            _ => "it never holds for a key that is there",
        };
        let message = format!("no value for {}: {then}", quoted(key));
        findings.add(rules::EMPTY_ARRAY, *value_at, message, "give a value, or leave it out");
    }
    if operator.family == Family::Null {
        let without_key = match operator.qualifier {
            None => return,
            Some(Qualifier::ForAllValues) => "holds",
            Some(Qualifier::ForAnyValue) => "does not hold",
        };
        let (name, key) = (quoted(name), quoted(key));
        let message = format!("{name} {without_key} for a request without {key}, whatever it says");
        findings.add(rules::NULL_QUALIFIED, *key_at, message, "write `Null`");
        return;
    }
    if is_list_key(key) && operator.qualifier.is_none() {
        findings.add(
            rules::MISSING_QUALIFIER,
            *key_at,
            format!("{} is a list, for which {} never holds", quoted(key), quoted(name)),
            format!("write `ForAllValues:{name}` or `ForAnyValue:{name}`"),
        );
    }
}

fn check_key(
    statement: &Statement<'_>,
    condition: &Condition,
    key: &Key,
    findings: &mut Findings<'_>,
) {
    let Condition { operator, name, key: written, key_at, .. } = condition;
    let shown = quoted(written);
    if !key.is_implemented() {
        findings.add(
            rules::NOT_IMPLEMENTED,
            *key_at,
            format!("{shown} is not among the keys that SES says it implements"),
            "the relay supplies it where it can; try out whether SES does",
        );
    }
    if !fits(operator.family, key.kind) {
        findings.add(
            rules::TYPE_MISMATCH,
            *key_at,
            format!("{} does not fit {shown}, which is {}", quoted(name), described(key.kind)),
            format!("write {} operators", fitting(key.kind)),
        );
    }
    if operator.family == Family::Null {
        return;
    }
    if operator.qualifier.is_some() && !is_list_key(written) {
        findings.add(
            rules::SINGLE_VALUED,
            *key_at,
            format!("{shown} has one value, so that {} is not meant for it", quoted(name)),
            format!("write `{}`", name.split_once(':').map_or(name.as_str(), |(_, base)| base)),
        );
    }
    if matches!(key.name, "ses:FromDisplayName" | "aws:UserAgent") {
        findings.add(
            rules::CALLER_CHOSEN,
            *key_at,
            format!("{shown} is whatever the sender writes"),
            "decide by `ses:FromAddress` or the principal",
        );
    }
    if key.name == "ses:ApiVersion" && excludes_smtp(condition) {
        findings.add(
            rules::API_VERSION,
            *key_at,
            "never holds for mail over SMTP, whose `ses:ApiVersion` is `2`",
            "write `2`, or leave the condition out",
        );
    }
    if !statement.conditions.iter().any(|other| other.requires(&condition.folded_key)) {
        check_absence(statement, condition, key, findings);
    }
}

/// Checks what an absent key means, where no Null condition asks for it.
fn check_absence(
    statement: &Statement<'_>,
    condition: &Condition,
    key: &Key,
    findings: &mut Findings<'_>,
) {
    let Condition { operator, name, key: written, key_at, .. } = condition;
    let shown = quoted(written);
    if key.presence == Presence::Always || operator.qualifier == Some(Qualifier::ForAllValues) {
        return;
    }
    let holds_when_absent = condition.holds_without_key();
    if statement.allows() && holds_when_absent && operator.negated {
        findings.add(
            rules::NEGATED_ABSENT,
            *key_at,
            format!("{} also holds for a request without {shown}", quoted(name)),
            format!("add \"Null\": {{\"{}\": \"false\"}}", key_text(written)),
        );
    } else if statement.denies() && !holds_when_absent && key.presence == Presence::Sometimes {
        let fix = if operator.qualifier.is_none() {
            format!("write `{name}IfExists`, or deny with a negated operator what is not wanted")
        } else {
            "deny with a negated operator what is not wanted".to_owned()
        };
        findings.add(
            rules::DENY_ABSENT,
            *key_at,
            format!("a request without {shown} is not denied"),
            fix,
        );
    }
}

/// ForAllValues in an Allow holds for a request without the key.
fn check_null_checks(statement: &Statement<'_>, findings: &mut Findings<'_>) {
    for condition in &statement.conditions {
        let Condition { operator, name, key, folded_key, key_at, .. } = condition;
        if statement.allows()
            && operator.qualifier == Some(Qualifier::ForAllValues)
            && operator.family != Family::Null
            && is_list_key(key)
            && !statement.conditions.iter().any(|other| other.requires(folded_key))
        {
            findings.add(
                rules::ALL_VALUES_WITHOUT_NULL,
                *key_at,
                format!("{} also holds for a request without {}", quoted(name), quoted(key)),
                format!("add \"Null\": {{\"{}\": \"false\"}}", key_text(key)),
            );
        }
    }
}

fn key_text(key: &str) -> String {
    key.chars().filter(|character| !character.is_control()).take(64).collect()
}

/// Tells whether the condition never holds for the `ses:ApiVersion` that SMTP has.
fn excludes_smtp(condition: &Condition) -> bool {
    let mut operands = Operands::none(condition.operator.family);
    let operator = condition.operator;
    let all_read = condition.operands.iter().all(|operand| {
        !operand.text.contains("${") && operands.add(&operand.text, operator, false).is_ok()
    });
    let nothing = Context::new();
    all_read
        && operator.is_string()
        && !operands.is_empty()
        && !operands.hold_for(
            "2",
            operator.negated,
            &nothing,
            Effect::Allow,
            &StepBudget::unbounded(),
        )
}

fn fits(family: Family, kind: Type) -> bool {
    match family {
        Family::Null => true,
        Family::Binary => false,
        Family::StringEquals | Family::StringEqualsIgnoreCase | Family::StringLike => {
            matches!(kind, Type::Text | Type::Arn)
        }
        Family::Numeric(_) => matches!(kind, Type::Number | Type::Epoch),
        Family::Date(_) => matches!(kind, Type::Date | Type::Epoch),
        Family::Bool => kind == Type::Boolean,
        Family::IpAddress => kind == Type::Address,
        Family::Arn => kind == Type::Arn,
    }
}

fn described(kind: Type) -> &'static str {
    match kind {
        Type::Text => "text",
        Type::Date | Type::Epoch => "a date",
        Type::Number => "a number",
        Type::Boolean => "a boolean",
        Type::Address => "an IP address",
        Type::Arn => "an ARN",
    }
}

fn fitting(kind: Type) -> &'static str {
    match kind {
        Type::Text => "String",
        Type::Date => "Date",
        Type::Epoch => "Date or Numeric",
        Type::Number => "Numeric",
        Type::Boolean => "`Bool`",
        Type::Address => "`IpAddress` or `NotIpAddress`",
        Type::Arn => "Arn or String",
    }
}
