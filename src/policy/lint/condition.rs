//! Findings about conditions: the operator, the key, and how they go together.

use super::super::budget::StepBudget;
use super::super::compare::Operands;
use super::super::effect::Effect;
use super::super::keys::is_list_key;
use super::super::operator::{Family, Qualifier};
use super::super::request::Context;
use super::super::words::quoted;
use super::key::{Key, Type};
use super::view::Condition;
use super::{
    Check, Findings, absence, address, cover, key, list, operand, resource, rules, together,
};

/// Checks the conditions of a statement.
pub(super) fn check(check: &mut Check<'_, '_>) {
    let &mut Check { document, statement, .. } = check;
    for at in &statement.empty_objects {
        check.findings.add(
            rules::EMPTY_OBJECT,
            *at,
            "empty object, which adds no condition",
            "leave it out, or name an operator, a key and a value",
        );
    }
    let is_about_ses = statement.is_about_ses();
    for condition in &statement.conditions {
        // A key with a variable in it is refused, which is reported already.
        if is_about_ses && !condition.key.contains("${") {
            key::check_name(&condition.key, condition.key_at, check.findings);
        }
        check_shape(condition, check.findings);
        if let Some(key) = Key::find(&condition.key) {
            check_type(condition, key, check.findings);
            if is_about_ses {
                check_key(check, condition, key);
                absence::check(check, condition, key);
            }
        }
        operand::check(document, condition, check.findings);
        if is_about_ses {
            address::check(check, condition);
        }
        for text in &condition.operands {
            if condition.operator.takes_variables() {
                resource::variables(check, text);
            }
        }
        cover::check_values(condition, document, check.budget, check.findings);
    }
    if is_about_ses {
        list::check(statement, check.findings);
        together::check(statement, check.findings);
    }
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
        findings.add(rules::EMPTY_ARRAY, *value_at, message, "give a value");
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
    }
}

/// Checks whether operator and key are of one type.
fn check_type(condition: &Condition, key: &Key, findings: &mut Findings<'_>) {
    let Condition { operator, name, key: written, key_at, .. } = condition;
    if fits(operator.family, key.kind) {
        return;
    }
    let shown = quoted(written);
    if matches!(key.kind, Type::Date | Type::Epoch) && operator.is_string() {
        let message = format!("{} compares texts, and {shown} is a moment", quoted(name));
        findings.add(rules::TIME_OF_DAY, *key_at, message, key::TIME_OF_DAY);
        return;
    }
    findings.add(
        rules::TYPE_MISMATCH,
        *key_at,
        format!("{} does not fit {shown}, which is {}", quoted(name), described(key.kind)),
        format!("write {} operators", fitting(key.kind)),
    );
}

fn check_key(check: &mut Check<'_, '_>, condition: &Condition, key: &Key) {
    let statement = check.statement;
    let Condition { operator, name, key: written, key_at, .. } = condition;
    let shown = quoted(written);
    if operator.family == Family::Null {
        return;
    }
    if operator.qualifier.is_some() && !is_list_key(written) {
        check.findings.add(
            rules::SINGLE_VALUED,
            *key_at,
            format!("{shown} has one value, so that {} is not meant for it", quoted(name)),
            format!("write `{}`", name.split_once(':').map_or(name.as_str(), |(_, base)| base)),
        );
    }
    if key.name == "aws:UserAgent" {
        check.findings.add(
            rules::CALLER_CHOSEN,
            *key_at,
            format!("{shown} is whatever the client writes"),
            "decide by `ses:FromAddress` or the principal",
        );
    }
    let says_address =
        |other: &Condition| other.folded_key == "ses:fromaddress" && !other.operator.negated;
    if key.name == "ses:FromDisplayName"
        && statement.allows()
        && !operator.negated
        && !statement.conditions.iter().any(says_address)
    {
        check.findings.add(
            rules::CALLER_CHOSEN_NAME,
            *key_at,
            format!("{shown} is whatever the sender writes, and any address goes with it"),
            "add `ses:FromAddress`",
        );
    }
    if key.name == "ses:ApiVersion" && excludes_smtp(condition) && statement.is_about_mail() {
        check.findings.add(
            rules::API_VERSION,
            *key_at,
            "never holds for mail over SMTP, whose `ses:ApiVersion` is `2`",
            "write `2`",
        );
    }
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
            matches!(kind, Type::Text | Type::Texts | Type::Arn)
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
        Type::Text | Type::Texts => "text",
        Type::Date | Type::Epoch => "a date",
        Type::Number => "a number",
        Type::Boolean => "a boolean",
        Type::Address => "an IP address",
        Type::Arn => "an ARN",
    }
}

fn fitting(kind: Type) -> &'static str {
    match kind {
        Type::Text | Type::Texts => "String",
        Type::Date => "Date",
        Type::Epoch => "Date or Numeric",
        Type::Number => "Numeric",
        Type::Boolean => "`Bool`",
        Type::Address => "`IpAddress` or `NotIpAddress`",
        Type::Arn => "Arn or String",
    }
}
