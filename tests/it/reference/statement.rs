//! Whether a statement applies: action, resource, principal and all conditions.

use serde_json::Value;

use super::text::{Unit, matches, units};
use super::variable::{self, Piece};
use super::{Kind, Naming, Question, Seen, Who, condition};

/// The statements of that effect that apply, each as how it names the one who asks.
///
/// Policies without principals name the one they are attached to. `is_bounded` tells whether that one
/// has a permissions boundary.
pub(super) fn applying(
    kind: Kind,
    document: &Value,
    effect: &str,
    is_bounded: bool,
    question: &Question,
    seen: &Seen,
) -> Vec<Naming> {
    let is_2012 = has_variables(document);
    let mut namings = Vec::new();
    for statement in list(&document["Statement"]) {
        if statement["Effect"] != effect {
            continue;
        }
        let Some(naming) = naming(&statement, is_bounded, question) else { continue };
        if action_is_covered(&statement, question)
            && resource_is_covered(kind, is_2012, &statement, question)
            && conditions_hold(is_2012, &statement, question, seen)
        {
            namings.push(naming);
        }
    }
    namings
}

/// Policy variables came with version 2012-10-17; without `Version` a policy is of 2008-10-17.
pub(super) fn has_variables(document: &Value) -> bool {
    document["Version"] == "2012-10-17"
}

pub(super) fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values.clone(),
        Value::Null => Vec::new(),
        single => vec![single.clone()],
    }
}

pub(super) fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

fn action_is_covered(statement: &Value, question: &Question) -> bool {
    match statement.get("Action") {
        Some(patterns) => texts(patterns).iter().any(|it| action_matches(it, &question.action)),
        None => {
            let patterns = texts(&statement["NotAction"]);
            !patterns.iter().any(|pattern| action_matches(pattern, &question.action))
        }
    }
}

/// Service and action names are not case-sensitive.
fn action_matches(pattern: &str, action: &str) -> bool {
    let wildcards = |character| (character, true);
    let pattern = units(pattern.to_ascii_lowercase().chars().map(wildcards));
    matches(&pattern, &action.to_ascii_lowercase())
}

fn resource_is_covered(kind: Kind, is_2012: bool, statement: &Value, question: &Question) -> bool {
    let is_deny = statement["Effect"] == "Deny";
    // An ARN with fewer than six fields is completed. Where a wildcard may stand for what is missing,
    // AWS does not say that it does not; a Deny applies if it does either way.
    let readings = |pattern: &String, resource: &str| {
        let mut readings = vec![completed_matches(kind, is_2012, pattern, resource, question)];
        if is_deny && may_run_over_fields(is_2012, pattern) {
            let pieces = variable::pieces(pattern, is_2012).unwrap();
            readings.push(pieces_match(&pieces, resource, question));
        }
        readings
    };
    match statement.get("Resource") {
        Some(patterns) => {
            let patterns = texts(patterns);
            let some_matches = |resource: &str| {
                patterns.iter().any(|pattern| readings(pattern, resource).contains(&true))
            };
            // Decision 7: Resource of a Deny sees the identities of parent domains too.
            some_matches(&question.resource)
                || (is_deny && question.parents.iter().any(|parent| some_matches(parent)))
        }
        None => {
            let patterns = texts(&statement["NotResource"]);
            let is_excepted =
                |pattern: &String| !readings(pattern, &question.resource).contains(&false);
            !patterns.iter().any(is_excepted)
        }
    }
}

/// Whether fields are missing, and a `*` at the end of one may stand for them.
fn may_run_over_fields(is_2012: bool, pattern: &str) -> bool {
    let pieces = variable::pieces(pattern, is_2012).unwrap();
    let fields: Vec<&[Piece]> = pieces.split(|piece| *piece == Piece::Text(':')).collect();
    pattern != "*"
        && fields.len() < 6
        && fields.iter().any(|field| field.last() == Some(&Piece::Text('*')))
}

fn completed_matches(
    kind: Kind,
    is_2012: bool,
    pattern: &str,
    resource: &str,
    question: &Question,
) -> bool {
    if pattern == "*" {
        return true;
    }
    let mut pieces = variable::pieces(pattern, is_2012).unwrap();
    let mut colons = pieces.iter().filter(|piece| **piece == Piece::Text(':')).count();
    if colons < 5 && !matches!(kind, Kind::Identity | Kind::Boundary) {
        return false;
    }
    while colons < 5 {
        pieces.extend([Piece::Text(':'), Piece::Text('*')]);
        colons += 1;
    }
    pieces_match(&pieces, resource, question)
}

fn pieces_match(pieces: &[Piece], resource: &str, question: &Question) -> bool {
    // Wildcards before the fifth colon do not match a colon, but a `*` at the end of its field does.
    // The fields are those that the author of the policy wrote: no value moves their ends.
    let mut pattern = Vec::new();
    let mut colons = 0;
    for (at, piece) in pieces.iter().enumerate() {
        let ends_field = matches!(pieces.get(at + 1), None | Some(Piece::Text(':')));
        let takes_colons = colons >= 5 || (*piece == Piece::Text('*') && ends_field);
        colons += usize::from(*piece == Piece::Text(':'));
        let Some(characters) = variable::expand(&pieces[at..=at], question) else { return false };
        pattern.extend(units(characters).into_iter().map(|unit| (unit, takes_colons)));
    }
    arn_covers(&pattern, &resource.encode_utf16().collect::<Vec<u16>>())
}

/// Tries every run for a `*`; each unit of the pattern comes with whether it may match a colon.
fn arn_covers(pattern: &[(Unit, bool)], value: &[u16]) -> bool {
    const COLON: u16 = b':' as u16;
    let Some(((unit, takes_colons), rest)) = pattern.split_first() else { return value.is_empty() };
    match (unit, value) {
        (Unit::Is(wanted), [first, left @ ..]) => wanted == first && arn_covers(rest, left),
        (Unit::One, [first, left @ ..]) => {
            (*takes_colons || *first != COLON) && arn_covers(rest, left)
        }
        (Unit::Is(_) | Unit::One, []) => false,
        (Unit::Any, _) => {
            let reach = match value.iter().position(|unit| *unit == COLON) {
                Some(at) if !takes_colons => at,
                _ => value.len(),
            };
            (0..=reach).any(|taken| arn_covers(rest, &value[taken..]))
        }
    }
}

/// How the statement names the one who asks, or nothing when it does not concern them.
fn naming(statement: &Value, is_bounded: bool, question: &Question) -> Option<Naming> {
    if let Some(principal) = statement.get("Principal") {
        return named(principal, question);
    }
    let Some(others) = statement.get("NotPrincipal") else { return Some(Naming::Itself) };
    // "The NotPrincipal element with a Deny effect will always deny any IAM principal that has a
    // permissions boundary policy attached, regardless of the values specified" there.
    if is_bounded && statement["Effect"] == "Deny" {
        return Some(Naming::Itself);
    }
    let is_excepted = match named(others, question) {
        None => false,
        // An account under NotPrincipal of a Deny exempts its root user, not all its users.
        Some(Naming::Account) => {
            statement["Effect"] == "Allow" || matches!(question.who, Who::Root { .. })
        }
        Some(Naming::Itself | Naming::Role) => true,
    };
    (!is_excepted).then_some(Naming::Itself)
}

/// The closest way in which one of the principals is the one who asks.
fn named(principal: &Value, question: &Question) -> Option<Naming> {
    if *principal == "*" {
        return Some(Naming::Itself);
    }
    let account = question.who.account();
    // Services, federated and canonical users are never an IAM principal.
    let entries = texts(&principal["AWS"]);
    let has = |entry: &str| entries.iter().any(|it| it == entry);
    let itself = match &question.who {
        Who::User { arn } => has(arn),
        Who::Session { session, .. } => has(session),
        Who::Root { .. } => false,
    };
    if has("*") || itself {
        return Some(Naming::Itself);
    }
    if let Who::Session { role, .. } = &question.who
        && has(role)
    {
        return Some(Naming::Role);
    }
    let by_account = has(account) || has(&format!("arn:aws:iam::{account}:root"));
    by_account.then_some(Naming::Account)
}

/// All operators, and all keys of each operator, must hold.
fn conditions_hold(is_2012: bool, statement: &Value, question: &Question, seen: &Seen) -> bool {
    let is_deny = statement["Effect"] == "Deny";
    let Some(operators) = statement.get("Condition") else { return true };
    for (operator, keys) in operators.as_object().unwrap() {
        for (key, operands) in keys.as_object().unwrap() {
            let holds = condition::holds(operator, key, operands, is_2012, is_deny, question);
            let mut seen = seen.borrow_mut();
            seen.entry((is_deny, operator.clone())).or_default()[usize::from(holds)] += 1;
            if !holds {
                return false;
            }
        }
    }
    true
}
