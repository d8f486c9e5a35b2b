//! What a case of `test` expects, and whether it came.

use jsonc_parser::ast::Value;

use super::json::{self, Mistake, excerpt, one_or_list};
use crate::policy::{Decision, SpellingUsed};

/// What is to come of a case.
#[derive(Debug)]
pub(super) enum Expect {
    /// The policies do not load.
    Refused {
        /// Each occurs in the problems.
        texts: Vec<String>,
        /// How many problems there are.
        problems: Option<usize>,
    },
    Decided(Box<Wanted>),
}

#[derive(Debug)]
pub(super) struct Wanted {
    decision: String,
    statement: Option<Which>,
    spelling: Option<String>,
    /// How the decision is shown.
    text: Option<String>,
    /// How each statement of the identity policies stands to the request.
    outcomes: Option<Vec<String>>,
}

/// How a case names a statement.
#[derive(Debug)]
enum Which {
    Sid(String),
    /// Counted from 1.
    Number(usize),
}

/// What came of a case.
#[derive(Debug)]
pub(super) enum Got<'a> {
    Problems(&'a [String]),
    Decision { decision: &'a Decision<'a>, outcomes: &'a [String] },
}

/// What was to come of a case, and what did.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) expected: String,
    pub(super) got: String,
}

impl Expect {
    pub(super) fn read(value: &Value<'_>) -> Result<Expect, Mistake> {
        const MEMBERS: [&str; 7] =
            ["decision", "statement", "spelling", "text", "outcomes", "error", "problems"];
        let object = json::object(value, "`expect`", &MEMBERS)?;
        let member = |name: &str| json::member(object, name);
        let string = |name: &str| {
            let text = member(name).map(|value| json::string(value, &format!("`{name}`")));
            text.transpose().map(|text| text.map(str::to_owned))
        };
        let strings = |value: &Value<'_>, what: &str| {
            let texts = one_or_list(value).iter().map(|text| json::string(text, what));
            texts.map(|text| text.map(str::to_owned)).collect::<Result<Vec<_>, _>>()
        };
        if let Some(error) = member("error") {
            if object.properties.iter().any(|it| !["error", "problems"].contains(&it.name.as_str()))
            {
                return Err(Mistake::of(value, "policies that do not load decide nothing"));
            }
            let texts = strings(error, "a text of `error`")?;
            if texts.is_empty() {
                return Err(Mistake::of(error, "`error` is empty; write what is to be said"));
            }
            let problems = member("problems").map(number).transpose()?;
            return Ok(Expect::Refused { texts, problems });
        }
        if let Some(problems) = member("problems") {
            return Err(Mistake::of(problems, "`problems` without `error`"));
        }
        let Some(decision) = string("decision")? else {
            return Err(Mistake::of(value, "`expect` has neither `decision` nor `error`"));
        };
        if !["allow", "explicit deny", "implicit deny"].contains(&decision.as_str()) {
            let what = format!(
                "`{}` is no decision; write `allow`, `explicit deny` or `implicit deny`",
                excerpt(&decision)
            );
            return Err(Mistake::of(value, what));
        }
        let statement = match member("statement") {
            None => None,
            Some(Value::StringLit(sid)) => Some(Which::Sid(sid.value.to_string())),
            Some(other) => Some(Which::Number(number(other)?)),
        };
        let outcomes = member("outcomes").map(|it| strings(it, "an outcome")).transpose()?;
        let (spelling, text) = (string("spelling")?, string("text")?);
        Ok(Expect::Decided(Box::new(Wanted { decision, statement, spelling, text, outcomes })))
    }

    /// What a condition gives that holds or does not, alone in its statement `Under`.
    pub(super) fn of_condition(holds: bool, denies: bool) -> Expect {
        let (decision, sid) = match (holds, denies) {
            (true, true) => ("explicit deny", Some("Under")),
            (true, false) => ("allow", Some("Under")),
            (false, true) => ("allow", Some("Rest")),
            (false, false) => ("implicit deny", None),
        };
        Expect::Decided(Box::new(Wanted {
            decision: decision.to_owned(),
            statement: sid.map(|sid| Which::Sid(sid.to_owned())),
            spelling: None,
            text: None,
            outcomes: None,
        }))
    }

    /// Compares with what came.
    pub(super) fn check(&self, got: &Got<'_>) -> Result<(), Failure> {
        let failure = |expected: String| Err(Failure { expected, got: got.to_string() });
        match (self, got) {
            (Expect::Refused { texts, problems }, Got::Problems(found)) => {
                let all = found.join("\n");
                if let Some(missing) = texts.iter().find(|text| !all.contains(text.as_str())) {
                    return failure(format!("a problem with \"{missing}\""));
                }
                match problems {
                    Some(count) if *count != found.len() => failure(format!("{count} problems")),
                    _ => Ok(()),
                }
            }
            (Expect::Refused { .. }, Got::Decision { .. }) => {
                failure("policies that do not load".to_owned())
            }
            (Expect::Decided(wanted), Got::Problems(_)) => failure(wanted.to_string()),
            (Expect::Decided(wanted), Got::Decision { decision, outcomes }) => {
                if wanted.is_decided(decision) {
                    wanted.check_words(decision, outcomes)
                } else {
                    failure(wanted.to_string())
                }
            }
        }
    }
}

impl Wanted {
    /// Tells whether decision, statement and spelling are as expected.
    fn is_decided(&self, decision: &Decision<'_>) -> bool {
        let settled = decision.settled();
        let statement = settled.map(|it| it.statement());
        let is_statement = match &self.statement {
            None => true,
            Some(Which::Sid(sid)) => statement.and_then(|it| it.sid()) == Some(sid),
            Some(Which::Number(number)) => statement.map(|it| it.index() + 1) == Some(*number),
        };
        let spelling = settled.and_then(|it| it.spelling()).map(|used| match used {
            SpellingUsed::Value { spelling, .. } => spelling,
            SpellingUsed::Resource { parent } => parent,
        });
        name(decision) == self.decision && is_statement && spelling == self.spelling.as_deref()
    }

    /// Compares how the decision and the outcomes are shown.
    fn check_words(&self, decision: &Decision<'_>, outcomes: &[String]) -> Result<(), Failure> {
        let got = decision.to_string();
        if let Some(text) = self.text.as_ref().filter(|text| **text != got) {
            return Err(Failure { expected: format!("\"{text}\""), got: format!("\"{got}\"") });
        }
        match &self.outcomes {
            Some(wanted) if wanted != outcomes => {
                Err(Failure { expected: wanted.join(" | "), got: outcomes.join(" | ") })
            }
            _ => Ok(()),
        }
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.decision)?;
        match &self.statement {
            Some(Which::Sid(sid)) => write!(f, " by statement `{sid}`")?,
            Some(Which::Number(number)) => write!(f, " by statement {number}")?,
            None => {}
        }
        match &self.spelling {
            Some(spelling) => write!(f, " for the spelling `{spelling}`"),
            None if self.decision == "explicit deny" => f.write_str(" without another spelling"),
            None => Ok(()),
        }
    }
}

impl std::fmt::Display for Got<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Got::Problems(problems) => {
                write!(f, "policies that do not load: {}", problems.join("; "))
            }
            Got::Decision { decision, .. } => {
                f.write_str(name(decision))?;
                match decision.settled() {
                    Some(settled) => write!(f, " by {settled}"),
                    None => Ok(()),
                }
            }
        }
    }
}

fn name(decision: &Decision<'_>) -> &'static str {
    match decision {
        Decision::Allowed(_) => "allow",
        Decision::ExplicitlyDenied(_) => "explicit deny",
        Decision::ImplicitlyDenied => "implicit deny",
    }
}

fn number(value: &Value<'_>) -> Result<usize, Mistake> {
    let number = value.as_number_lit().and_then(|number| number.value.parse().ok());
    number.ok_or_else(|| Mistake::of(value, "not a whole number"))
}
