//! Names of condition operators: set qualifier, base name and `IfExists`. They compare in `compare`.

use std::cmp::Ordering;

use super::error::Problem;
use super::rules;
use super::words::{nearest, quoted};

/// A condition operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operator {
    pub(super) qualifier: Option<Qualifier>,
    pub(super) family: Family,
    /// The operator holds when no operand matches.
    pub(super) negated: bool,
    pub(super) if_exists: bool,
}

/// A set qualifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Qualifier {
    ForAllValues,
    ForAnyValue,
}

/// What an operator compares and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    StringEquals,
    StringEqualsIgnoreCase,
    StringLike,
    Numeric(Relation),
    Date(Relation),
    Bool,
    Binary,
    IpAddress,
    /// ArnEquals and ArnLike are the same.
    Arn,
    Null,
}

/// How the value of the request stands to the operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Equals,
    LessThan,
    LessThanEquals,
    GreaterThan,
    GreaterThanEquals,
}

impl Relation {
    pub(super) fn holds(self, value_to_operand: Ordering) -> bool {
        match self {
            Relation::Equals => value_to_operand.is_eq(),
            Relation::LessThan => value_to_operand.is_lt(),
            Relation::LessThanEquals => value_to_operand.is_le(),
            Relation::GreaterThan => value_to_operand.is_gt(),
            Relation::GreaterThanEquals => value_to_operand.is_ge(),
        }
    }
}

/// Every base name with its family and whether it is negated.
const BASES: [(&str, Family, bool); 27] = [
    ("StringEquals", Family::StringEquals, false),
    ("StringNotEquals", Family::StringEquals, true),
    ("StringEqualsIgnoreCase", Family::StringEqualsIgnoreCase, false),
    ("StringNotEqualsIgnoreCase", Family::StringEqualsIgnoreCase, true),
    ("StringLike", Family::StringLike, false),
    ("StringNotLike", Family::StringLike, true),
    ("NumericEquals", Family::Numeric(Relation::Equals), false),
    ("NumericNotEquals", Family::Numeric(Relation::Equals), true),
    ("NumericLessThan", Family::Numeric(Relation::LessThan), false),
    ("NumericLessThanEquals", Family::Numeric(Relation::LessThanEquals), false),
    ("NumericGreaterThan", Family::Numeric(Relation::GreaterThan), false),
    ("NumericGreaterThanEquals", Family::Numeric(Relation::GreaterThanEquals), false),
    ("DateEquals", Family::Date(Relation::Equals), false),
    ("DateNotEquals", Family::Date(Relation::Equals), true),
    ("DateLessThan", Family::Date(Relation::LessThan), false),
    ("DateLessThanEquals", Family::Date(Relation::LessThanEquals), false),
    ("DateGreaterThan", Family::Date(Relation::GreaterThan), false),
    ("DateGreaterThanEquals", Family::Date(Relation::GreaterThanEquals), false),
    ("Bool", Family::Bool, false),
    ("BinaryEquals", Family::Binary, false),
    ("IpAddress", Family::IpAddress, false),
    ("NotIpAddress", Family::IpAddress, true),
    ("ArnEquals", Family::Arn, false),
    ("ArnLike", Family::Arn, false),
    ("ArnNotEquals", Family::Arn, true),
    ("ArnNotLike", Family::Arn, true),
    ("Null", Family::Null, false),
];

impl Operator {
    /// Reads the name of an operator; case counts.
    ///
    /// # Errors
    ///
    /// What is wrong with the name and what to write instead.
    pub(super) fn parse(name: &str) -> Result<Operator, Problem> {
        let (qualifier, rest) = if let Some(rest) = name.strip_prefix("ForAllValues:") {
            (Some(Qualifier::ForAllValues), rest)
        } else if let Some(rest) = name.strip_prefix("ForAnyValue:") {
            (Some(Qualifier::ForAnyValue), rest)
        } else {
            (None, name)
        };
        let (base, if_exists) = match rest.strip_suffix("IfExists") {
            Some(base) => (base, true),
            None => (rest, false),
        };
        match BASES.iter().find(|(known, _, _)| *known == base) {
            Some((_, Family::Null, _)) if if_exists => Err(Problem::new(
                rules::NULL_IF_EXISTS,
                format!("operator {} does not exist", quoted(name)),
                "write `Null`, which asks whether the key exists",
            )),
            Some((_, family, negated)) => {
                Ok(Operator { qualifier, family: *family, negated: *negated, if_exists })
            }
            None => Err(unknown(name)),
        }
    }

    /// Tells whether the operands may hold variables.
    pub(super) fn takes_variables(self) -> bool {
        self.is_string() || self.family == Family::Arn
    }

    /// Tells whether it is one of the String operators.
    pub(super) fn is_string(self) -> bool {
        matches!(
            self.family,
            Family::StringEquals | Family::StringEqualsIgnoreCase | Family::StringLike
        )
    }
}

fn unknown(name: &str) -> Problem {
    let candidates = ["", "ForAllValues:", "ForAnyValue:"].iter().flat_map(|prefix| {
        BASES.iter().flat_map(move |(base, family, _)| {
            let suffixes: &[&str] = if *family == Family::Null { &[""] } else { &["", "IfExists"] };
            suffixes.iter().map(move |suffix| format!("{prefix}{base}{suffix}"))
        })
    });
    let fix = match nearest(name, candidates) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "write one of IAM's, such as `StringLike`".to_owned(),
    };
    Problem::new(rules::INVALID_OPERATOR, format!("unknown operator {}", quoted(name)), fix)
}
