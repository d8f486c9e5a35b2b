//! Case files of `sesgate policy test`: policies, a request, and what is to come of it.
//!
//! A file is a list of cases, or an object with `cases` and members that every case of it has
//! unless it says otherwise; `about` may say what it is for. A case has a `name`, an `expect`, a
//! `request` and policies:
//!
//! - `policies`, `boundary`, `session_policy`, `rcps`, `resource_policy`: one document or a list;
//!   `scps`: a list of levels, each one document or a list. A document is an object, a string that
//!   holds its text to the byte, or `{"file": …}` with a path from where the command is run.
//! - `policy_files`: a list of paths relative to the case file, of identity policies beside
//!   `policies`.
//! - `condition` instead of `policies`: one statement `Under` with that condition that allows
//!   everything, or denies it with `effect` set to `Deny`, next to a statement `Rest` that allows
//!   everything. `version` sets its version.
//! - `holds` and `fails` instead of `request` and `expect`: contexts in which the condition holds or
//!   does not, each a case of its own.
//! - `message` instead of `request`: `from` and `to` of the envelope, and the lines of the header in
//!   `header`, or a file in `eml`; without either From is the address of `from`. It is decided as the
//!   relay would under `config`: a file of the relay, or an object with its sections (`account`,
//!   `identities`, `listeners`, `users`, `groups`), in which policies may also stand as they are. Without
//!   it there is the user alone. `user`, `client` (`listener`, `source_ip`, `vpc_endpoint`, `tls`, `ehlo`,
//!   and `vpc` where no listener states it) and `at` are as the flags of `policy explain`. Policies
//!   and boundary of the case take the place of the user's.
//! - `request`: `action`, `resource`, `resource_account`, `principal`, `context`, `parents`, each
//!   with a default. A value with other spellings is an object of `text` and `spellings`, and of
//!   `in_any_case` where a Deny does not mind its letter case, as with every key of SES. A key that is not
//!   known is a mistake; one of another service than `aws` and `ses` is known when the policies ask for it.
//! - `expect`: `decision` in the words of `policy evaluate` (`Allowed`, `ExplicitlyDenied`,
//!   `ImplicitlyDenied`, and `Denied` for either of these two; `allow`, `explicit deny`, `implicit deny`
//!   and `deny` are the same), with `statement` (its Sid, or its number from 1) and `spelling` (the one
//!   that settled it; without it none may have, unless the decision is `Denied`), `text` (how the decision
//!   is shown), `outcomes` (how each statement of `policies` stands to the request), and of a message
//!   `reply`, what the client is told of a refusal, without the id of the decision; or `error`, one or several texts that all occur in the problems of the policies, and
//!   `problems`, their number.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use jsonc_parser::ast::Value;

use super::super::progress::Progress;
use super::case::Case;
use super::coverage::Coverage;
use super::expect::{Answer, Expect, Failure, Got};
use super::json::{self, Mistake};
use super::layers::Policies;
use super::message::{self, Configurations};
use super::question::{self, Spellings, Who};
use super::sources;
use crate::policy::{Context, Request, evaluate};

const ACCOUNT: &str = "111122223333";
const RESOURCE: &str = "arn:aws:ses:us-east-1:111122223333:identity/example.com";

const MEMBERS: [&str; 21] = [
    "name",
    "message",
    "config",
    "user",
    "client",
    "at",
    "policies",
    "policy_files",
    "condition",
    "effect",
    "version",
    "boundary",
    "session_policy",
    "scps",
    "rcps",
    "resource_policy",
    "request",
    "expect",
    "holds",
    "fails",
    "about",
];

/// A case that was played.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) name: String,
    /// Where in the file it begins, counted from 1.
    pub(super) line: usize,
    pub(super) result: Result<(), Failure>,
    /// How long it took; policies that cases share are read within the first.
    pub(super) took: Duration,
}

/// What cases of a run share.
#[derive(Debug)]
pub(super) struct Player<'p> {
    pub(super) progress: &'p Progress,
    pub(super) configurations: Configurations,
    /// What they reach, where that is asked for.
    pub(super) coverage: Option<Coverage>,
}

impl Player<'_> {
    /// Plays the cases of a file in their order, counting each; `None` for a policy document, which is none.
    ///
    /// # Errors
    ///
    /// The first thing that cannot be read, with its place.
    pub(super) fn play(&mut self, path: &Path) -> Result<Option<Vec<Played>>, String> {
        let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let text = String::from_utf8(text)
            .map_err(|error| format!("{}: not UTF-8: {}", path.display(), error.utf8_error()))?;
        self.play_text(path, &text).map_err(|mistake| {
            let (line, column) = mistake.place(&text);
            format!("{}:{line}:{column}: {}", path.display(), mistake.what)
        })
    }

    /// Plays the cases of a text, as if it stood in a file.
    ///
    /// # Errors
    ///
    /// As for a file.
    pub(super) fn play_text(
        &mut self,
        path: &Path,
        text: &str,
    ) -> Result<Option<Vec<Played>>, Mistake> {
        let value = json::parse(text)?;
        let (cases, shared) = match &value {
            Value::Array(cases) => (cases, None),
            Value::Object(file) => match json::member(file, "cases") {
                Some(Value::Array(cases)) => (cases, Some(file)),
                Some(other) => return Err(Mistake::of(other, "`cases` is a list")),
                None if json::member(file, "Statement").is_some() => return Ok(None),
                None => return Err(Mistake::of(&value, "`cases` is missing")),
            },
            other => return Err(Mistake::of(other, "a file of cases is a list or an object")),
        };
        if shared.is_some() {
            let known: Vec<&str> = MEMBERS.into_iter().chain(["cases"]).collect();
            json::object(&value, "a file of cases", &known)?;
        }
        let mut played = Vec::new();
        for value in &cases.elements {
            let own = json::object(value, "a case", &MEMBERS)?;
            let case = Case { value, own, shared, text, path };
            self.play_all(&case, &mut played)?;
        }
        Ok(Some(played))
    }

    /// Plays the case, once for each context of `holds` and `fails`.
    fn play_all(&mut self, case: &Case<'_, '_>, played: &mut Vec<Played>) -> Result<(), Mistake> {
        let name = json::string(case.required("name")?, "`name`")?;
        let mut begun = now();
        let policies = sources::load(case, &mut self.coverage)?;
        let progress = self.progress;
        let mut add = |name: String, at: &Value<'_>, result| {
            let (line, _) = Mistake::of(at, "").place(case.text);
            let ended = now();
            played.push(Played { name, line, result, took: ended - begun });
            begun = ended;
            progress.count();
        };
        let contexts = [(true, case.member("holds")), (false, case.member("fails"))];
        if contexts.iter().all(|(_, contexts)| contexts.is_none()) {
            let is_message = case.member("message").is_some();
            let expect = Expect::read(case.required("expect")?, is_message)?;
            let result = match (&policies, is_message) {
                (Err(problems), _) => expect.check(&Got::Problems(problems)),
                (Ok(policies), true) => {
                    let (configurations, coverage) = (&mut self.configurations, &mut self.coverage);
                    let answer = message::decide(case, policies, configurations, coverage)?;
                    expect.check(&Got::Answer(&answer))
                }
                (Ok(policies), false) => {
                    self.play_request(policies, case.member("request"), None, &expect)?
                }
            };
            add(name.to_owned(), case.value, result);
            return Ok(());
        }
        case.required("condition")?;
        for (holds, contexts) in contexts {
            let expect = Expect::of_condition(holds, case.string("effect")? == Some("Deny"));
            for context in contexts.map_or(&[][..], json::one_or_list) {
                let result = match &policies {
                    Ok(policies) => self.play_request(policies, None, Some(context), &expect)?,
                    Err(problems) => expect.check(&Got::Problems(problems)),
                };
                let name = format!("{name} with {}", json::written(context, case.text));
                add(name, context, result);
            }
        }
        Ok(())
    }

    /// Asks the policies, and compares the answer with what is expected.
    fn play_request(
        &mut self,
        policies: &Policies,
        request: Option<&Value<'_>>,
        context: Option<&Value<'_>>,
        expect: &Expect,
    ) -> Result<Result<(), Failure>, Mistake> {
        const MEMBERS: [&str; 6] =
            ["action", "resource", "resource_account", "principal", "context", "parents"];
        let request = request.map(|it| json::object(it, "`request`", &MEMBERS)).transpose()?;
        let member = |name: &str| request.and_then(|it| json::member(it, name));
        let string = |name: &str| {
            member(name).map(|value| json::string(value, &format!("`{name}`"))).transpose()
        };
        let resource = string("resource")?.unwrap_or(RESOURCE);
        let owner = question::owner(resource).unwrap_or(ACCOUNT);
        let who = match member("principal") {
            Some(value) => Who::read(value)?,
            None => Who::User {
                account: owner.to_owned(),
                arn: format!("arn:aws:iam::{owner}:user/app"),
            },
        };
        let context = match context.or_else(|| member("context")) {
            Some(value) => {
                question::check_keys(value, policies)?;
                question::context(value, Spellings::Taken)?
            }
            None => Context::new(),
        };
        let parents = member("parents").map_or(&[][..], json::one_or_list);
        let parents = parents
            .iter()
            .map(|parent| json::string(parent, "a parent").map(str::to_owned))
            .collect::<Result<Vec<_>, _>>()?;
        let principal = who.principal();
        let request = Request {
            action: string("action")?.unwrap_or("ses:SendRawEmail"),
            resource,
            parents: &parents,
            resource_account: string("resource_account")?.unwrap_or(owner),
            principal: &principal,
            context: &context,
        };
        let layers = policies.layers();
        if let Some(coverage) = &mut self.coverage {
            coverage.observe(&layers, &request);
        }
        let mut answer = Answer::of(&evaluate(&layers, &request));
        let statements = policies.identity.iter().flat_map(|policy| policy.statements());
        let outcomes = statements.map(|statement| statement.outcome(&layers, &request).to_string());
        answer.outcomes = outcomes.collect();
        Ok(expect.check(&Got::Answer(&answer)))
    }
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "how long a case takes")]
    Instant::now()
}
