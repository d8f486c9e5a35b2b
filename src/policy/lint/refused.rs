//! Which kind of finding a problem is for which a policy is refused.

use super::super::error::PolicyError;
use super::Finding;
use super::rules::{self, Rule};

/// Words of the problems that the reading of a policy reports, the first that fits decides. `…`
/// stands for the user's own words.
const WORDS: [(&str, Rule); 51] = [
    ("larger than", rules::LIMIT),
    ("nested deeper than", rules::LIMIT),
    ("not valid JSON", rules::SYNTAX),
    ("starts with a byte order mark", rules::SYNTAX),
    ("was given before", rules::DUPLICATE_MEMBER),
    ("unknown member", rules::INVALID_ELEMENT),
    ("`Statement` is missing", rules::MISSING_STATEMENT),
    ("`Statement` is empty", rules::MISSING_STATEMENT),
    ("`Effect` is missing", rules::MISSING_EFFECT),
    ("`Action` is missing", rules::MISSING_ACTION),
    ("`Resource` is missing", rules::MISSING_RESOURCE),
    ("`Principal` is missing", rules::MISSING_PRINCIPAL),
    ("together; write one of them", rules::UNSUPPORTED_COMBINATION),
    ("`Id` in", rules::UNSUPPORTED_COMBINATION),
    ("`Principal` in", rules::UNSUPPORTED_COMBINATION),
    ("`NotPrincipal` in", rules::UNSUPPORTED_COMBINATION),
    ("a resource control policy takes", rules::UNSUPPORTED_PRINCIPAL),
    ("`Effect` is", rules::INVALID_EFFECT),
    ("`Version` is", rules::INVALID_VERSION),
    ("was used before", rules::DUPLICATE_SID),
    ("empty list", rules::EMPTY_LIST),
    ("unknown type of principal", rules::INVALID_PRINCIPAL),
    ("wildcard in principal", rules::WILDCARD_IN_PRINCIPAL),
    ("not a principal", rules::INVALID_PRINCIPAL),
    ("empty principal", rules::INVALID_PRINCIPAL),
    ("unknown operator", rules::INVALID_OPERATOR),
    ("does not exist; write `…`, which asks", rules::NULL_IF_EXISTS),
    ("are the same key", rules::DUPLICATE_KEY),
    ("variable in context key", rules::VARIABLE_IN_ELEMENT),
    ("variables do not work in actions", rules::VARIABLE_IN_ELEMENT),
    ("variables work in String and Arn operators only", rules::VARIABLE_FOR_OPERATOR),
    ("has no closing", rules::MISSING_BRACE),
    ("after its default", rules::MISSING_BRACE),
    ("blank in variable", rules::SPACE_IN_VARIABLE),
    ("empty variable", rules::EMPTY_VARIABLE),
    ("default of variable", rules::MISSING_QUOTE),
    ("names no key", rules::INVALID_VARIABLE),
    ("in its name", rules::INVALID_VARIABLE),
    ("the service is letters", rules::WILDCARD_IN_SERVICE),
    ("wildcard in the service of the ARN", rules::WILDCARD_IN_SERVICE),
    ("an action is", rules::INVALID_ACTION),
    ("more than one colon", rules::INVALID_ACTION),
    ("not a resource", rules::INVALID_ARN),
    ("the ARN has", rules::MISSING_ARN_FIELD),
    ("write it as a string", rules::INVALID_TYPE),
    ("as a condition value", rules::INVALID_TYPE),
    ("is an object, not", rules::INVALID_TYPE),
    ("takes an object of", rules::INVALID_TYPE),
    ("write an object such as", rules::INVALID_TYPE),
    ("value `…`: ", rules::TYPE_OF_VALUE),
    ("`Sid` ", rules::INVALID_SID),
];

/// Members of a policy, which problems name in backticks.
const MEMBERS: [&str; 9] = [
    "Version",
    "Id",
    "Statement",
    "Sid",
    "Effect",
    "Action",
    "Resource",
    "Principal",
    "NotPrincipal",
];

/// Turns a problem of the document `name` into a finding.
pub(super) fn finding(name: &str, error: &PolicyError) -> Finding {
    let problem = error.problem();
    let (message, fix) = match problem.rsplit_once("; ") {
        // A semicolon within the user's own words parts nothing.
        Some((message, fix)) if message.matches('`').count() % 2 == 0 => (message, fix),
        _ => (problem, ""),
    };
    Finding {
        rule: rule(problem),
        name: name.to_owned(),
        line: error.line(),
        column: error.column(),
        message: message.to_owned(),
        fix: fix.to_owned(),
    }
}

fn rule(problem: &str) -> Rule {
    let mut plain = String::new();
    for (number, part) in problem.split('`').enumerate() {
        match number {
            _ if number % 2 == 0 => plain.push_str(part),
            // Only at the beginning it is surely not one of the user's words.
            1 if plain.is_empty() && MEMBERS.contains(&part) => plain.extend(["`", part, "`"]),
            _ => plain.push_str("`…`"),
        }
    }
    WORDS.iter().find(|(words, _)| plain.contains(words)).map_or(rules::REFUSED, |(_, rule)| *rule)
}
