//! What a case of `test` expects, and whether it came.

use std::fmt;

use jsonc_parser::ast::Value;

use super::json::{self, Mistake, excerpt, one_or_list};
use crate::policy::{Decision, Settled, SpellingUsed};

/// The words for decisions, those of `policy evaluate` first, and what each takes.
const DECISIONS: [(&str, &str, &[&str]); 4] = [
    ("Allowed", "allow", &["Allowed"]),
    ("Denied", "deny", &["ExplicitlyDenied", "ImplicitlyDenied"]),
    ("ExplicitlyDenied", "explicit deny", &["ExplicitlyDenied"]),
    ("ImplicitlyDenied", "implicit deny", &["ImplicitlyDenied"]),
];

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

#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// In the words of `policy evaluate`.
    decision: Option<&'static str>,
    statement: Option<Which>,
    spelling: Option<String>,
    /// How the decision is shown.
    text: Option<String>,
    /// How each statement of the identity policies stands to the request.
    outcomes: Option<Vec<String>>,
    /// What the client is told of a message.
    reply: Option<String>,
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
    Answer(&'a Answer),
}

/// What came of a request or a message.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Of the policies, if it came to them.
    decision: Option<&'static str>,
    sid: Option<String>,
    /// Counted from 1.
    number: Option<usize>,
    spelling: Option<String>,
    /// How statement and decision are shown.
    settled: Option<String>,
    text: String,
    pub(super) outcomes: Vec<String>,
    /// What refuses a message.
    pub(super) reply: Option<String>,
}

impl Answer {
    /// Tells of a decision.
    pub(super) fn of(decision: &Decision<'_>) -> Self {
        let settled = decision.settled();
        let statement = settled.map(Settled::statement);
        let spelling = settled.and_then(Settled::spelling).map(|used| match used {
            SpellingUsed::Value { spelling, .. } => spelling,
            SpellingUsed::Resource { parent } => parent,
        });
        Self {
            decision: Some(decision.name()),
            sid: statement.and_then(|it| it.sid()).map(str::to_owned),
            number: statement.map(|it| it.index() + 1),
            spelling: spelling.map(str::to_owned),
            settled: settled.map(ToString::to_string),
            text: decision.to_string(),
            ..Self::default()
        }
    }

    /// Tells of a message that is refused before policies are asked, or whatever they say.
    pub(super) fn refused(reply: String) -> Self {
        Self { reply: Some(reply), ..Self::default() }
    }
}

/// What was to come of a case, and what did.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) expected: String,
    pub(super) got: String,
}

impl Expect {
    /// Reads what is expected of a request, or of a message.
    pub(super) fn read(value: &Value<'_>, is_message: bool) -> Result<Expect, Mistake> {
        const MEMBERS: [&str; 8] =
            ["decision", "statement", "spelling", "text", "outcomes", "error", "problems", "reply"];
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
        let decision = member("decision").map(decision).transpose()?;
        match (member("reply"), member("outcomes")) {
            (Some(reply), _) if !is_message => {
                return Err(Mistake::of(reply, "`reply` is of a `message`, not of a `request`"));
            }
            (_, Some(outcomes)) if is_message => {
                let what = "`outcomes` is of a `request`: a message makes several";
                return Err(Mistake::of(outcomes, what));
            }
            (Some(reply), _) if decision == Some("Allowed") => {
                return Err(Mistake::of(reply, "`reply` is what refuses a message"));
            }
            (None, _) if decision.is_none() => {
                let or = if is_message { ", `reply`" } else { "" };
                let what = format!("`expect` has neither `decision`{or} nor `error`");
                return Err(Mistake::of(value, what));
            }
            _ => {}
        }
        let statement = match member("statement") {
            None => None,
            Some(Value::StringLit(sid)) => Some(Which::Sid(sid.value.to_string())),
            Some(other) => Some(Which::Number(number(other)?)),
        };
        let outcomes = member("outcomes").map(|it| strings(it, "an outcome")).transpose()?;
        let (spelling, text, reply) = (string("spelling")?, string("text")?, string("reply")?);
        let wanted = Wanted { decision, statement, spelling, text, outcomes, reply };
        Ok(Expect::Decided(Box::new(wanted)))
    }

    /// What a condition gives that holds or does not, alone in its statement `Under`.
    pub(super) fn of_condition(holds: bool, denies: bool) -> Expect {
        let (decision, sid) = match (holds, denies) {
            (true, true) => ("ExplicitlyDenied", Some("Under")),
            (true, false) => ("Allowed", Some("Under")),
            (false, true) => ("Allowed", Some("Rest")),
            (false, false) => ("ImplicitlyDenied", None),
        };
        Expect::Decided(Box::new(Wanted {
            decision: Some(decision),
            statement: sid.map(|sid| Which::Sid(sid.to_owned())),
            ..Wanted::default()
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
            (Expect::Refused { .. }, Got::Answer(_)) => {
                failure("policies that do not load".to_owned())
            }
            (Expect::Decided(wanted), Got::Problems(_)) => failure(wanted.to_string()),
            (Expect::Decided(wanted), Got::Answer(answer)) => {
                if wanted.is_decided(answer) {
                    wanted.check_words(answer)
                } else {
                    failure(wanted.to_string())
                }
            }
        }
    }
}

impl Wanted {
    /// Tells whether decision, statement and spelling are as expected.
    fn is_decided(&self, answer: &Answer) -> bool {
        let Some(wanted) = self.decision else { return true };
        let is_statement = match &self.statement {
            None => true,
            Some(Which::Sid(sid)) => answer.sid.as_ref() == Some(sid),
            Some(Which::Number(number)) => answer.number == Some(*number),
        };
        // Who asks for either denial does not ask why.
        let is_spelling = match (&self.spelling, wanted) {
            (None, "Denied") => true,
            (spelling, _) => *spelling == answer.spelling,
        };
        let takes = DECISIONS.iter().find(|it| it.0 == wanted).map_or(&[][..], |it| it.2);
        answer.decision.is_some_and(|it| takes.contains(&it)) && is_statement && is_spelling
    }

    /// Compares how the decision and the outcomes are shown, and what the client is told.
    fn check_words(&self, answer: &Answer) -> Result<(), Failure> {
        let quoted = |text: &str| format!("\"{text}\"");
        if let Some(text) = self.text.as_ref().filter(|text| **text != answer.text) {
            return Err(Failure { expected: quoted(text), got: quoted(&answer.text) });
        }
        if self.reply.is_some() && self.reply != answer.reply {
            let (expected, got) = (self.to_string(), Got::Answer(answer).to_string());
            let told = answer.reply.as_deref().unwrap_or("no refusal");
            return Err(match &self.reply {
                Some(reply) if answer.decision.is_some() => {
                    Failure { expected: quoted(reply), got: quoted(told) }
                }
                _ => Failure { expected, got },
            });
        }
        match &self.outcomes {
            Some(wanted) if *wanted != answer.outcomes => {
                Err(Failure { expected: wanted.join(" | "), got: answer.outcomes.join(" | ") })
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(decision) = self.decision else {
            return write!(f, "the reply \"{}\"", self.reply.as_deref().unwrap_or_default());
        };
        f.write_str(decision)?;
        match &self.statement {
            Some(Which::Sid(sid)) => write!(f, " by statement `{sid}`")?,
            Some(Which::Number(number)) => write!(f, " by statement {number}")?,
            None => {}
        }
        match &self.spelling {
            Some(spelling) => write!(f, " for the spelling `{spelling}`"),
            None if decision == "ExplicitlyDenied" => f.write_str(" without another spelling"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Got<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = match self {
            Got::Problems(problems) => {
                return write!(f, "policies that do not load: {}", problems.join("; "));
            }
            Got::Answer(answer) => answer,
        };
        match (answer.decision, &answer.settled) {
            (Some(decision), Some(settled)) => write!(f, "{decision} by {settled}"),
            (Some(decision), None) => f.write_str(decision),
            (None, _) => {
                write!(f, "the reply \"{}\"", answer.reply.as_deref().unwrap_or_default())
            }
        }
    }
}

/// Takes a word for a decision.
fn decision(value: &Value<'_>) -> Result<&'static str, Mistake> {
    let text = json::string(value, "`decision`")?;
    let found = DECISIONS.iter().find(|(word, other, _)| text == *word || text == *other);
    found.map(|(word, ..)| *word).ok_or_else(|| {
        let what = format!(
            "`{}` is no decision; write `Allowed`, `Denied`, `ExplicitlyDenied` or `ImplicitlyDenied`",
            excerpt(text)
        );
        Mistake::of(value, what)
    })
}

fn number(value: &Value<'_>) -> Result<usize, Mistake> {
    let number = value.as_number_lit().and_then(|number| number.value.parse().ok());
    number.ok_or_else(|| Mistake::of(value, "not a whole number"))
}
