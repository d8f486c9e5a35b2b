//! `sesgate policy evaluate`: one decision for each line of JSON, as AWS would make it.
//!
//! For each line of standard input there is one line on standard output, in the same order. In:
//!
//! ```json
//! {"id": 1, "policies": [{…}], "action": "ses:SendRawEmail", "resource": "arn:aws:ses:…",
//!  "principal": "arn:aws:iam::111122223333:user/app", "context": {"ses:FromAddress": ["a@b.test"]},
//!  "boundary": [{…}], "session_policy": {…}, "scps": [[{…}]], "rcps": [[{…}]],
//!  "resource_policy": {…}, "resource_account": "111122223333"}
//! ```
//!
//! `id` (a string or a number) and all from `boundary` on may be left out. A document is an object,
//! or a string that holds its text. Nothing is added to the context, neither the time nor the keys
//! of the principal. The owner of the resource is the account in its ARN, else `resource_account`,
//! else the account of the principal. Out:
//!
//! ```json
//! {"id": 1, "decision": "Allowed", "statement": {"policy": "policies[0]", "sid": "S", "index": 0}}
//! ```
//!
//! `decision` is `Allowed`, `ExplicitlyDenied` or `ImplicitlyDenied`; `statement` is there when one
//! settled it, its `index` counted from 0. Where a line or a document is refused there is `error`
//! instead of both. Spellings and parent domains (decision 7) are the relay's; there are none here.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::process::ExitCode;

use jsonc_parser::ast::{Object, Value};

use super::documents::{Compiled, LineDocuments};
use super::json::{self, Mistake, excerpt, kind};
use super::layers::Policies;
use super::lines;
use super::question::{self, Spellings, Who, is_account};
use crate::policy::{Request, evaluate};

const BUFFER_BYTES: usize = 64 * 1024;

const MEMBERS: [&str; 12] = [
    "id",
    "policies",
    "action",
    "resource",
    "principal",
    "context",
    "boundary",
    "session_policy",
    "scps",
    "rcps",
    "resource_policy",
    "resource_account",
];

pub(in crate::cli) fn run() -> ExitCode {
    let input = BufReader::with_capacity(BUFFER_BYTES, io::stdin().lock());
    let output = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
    match answer_all(input, output) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the answers has enough of them.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot read or write lines: {error}");
            ExitCode::FAILURE
        }
    }
}

fn answer_all(mut input: BufReader<impl Read>, mut output: impl Write) -> io::Result<()> {
    let mut compiled = Compiled::default();
    let mut line = Vec::new();
    // Before it waits for more input it writes out every answer.
    while let Some(read) = lines::next(&mut input, &mut line, || output.flush())? {
        let answer = if read.is_too_long() {
            Answer::refused(None, lines::TOO_LONG.to_owned())
        } else {
            match std::str::from_utf8(&line) {
                Ok(line) => answer(line, &mut compiled),
                Err(error) => {
                    let column = error.valid_up_to() + 1;
                    Answer::refused(None, format!("byte {column} of the line is not UTF-8"))
                }
            }
        };
        answer.write(&mut output)?;
    }
    output.flush()
}

/// What is written for a line.
struct Answer {
    /// As it was written in the line.
    id: Option<String>,
    decided: Result<Decided, String>,
}

struct Decided {
    decision: &'static str,
    /// Policy, Sid and index of the statement.
    statement: Option<(String, Option<String>, usize)>,
}

impl Answer {
    fn refused(id: Option<String>, error: String) -> Self {
        Answer { id, decided: Err(error) }
    }

    fn write(&self, output: &mut impl Write) -> io::Result<()> {
        output.write_all(b"{")?;
        if let Some(id) = &self.id {
            write!(output, "\"id\":{id},")?;
        }
        match &self.decided {
            Ok(decided) => {
                write!(output, "\"decision\":\"{}\"", decided.decision)?;
                if let Some((policy, sid, index)) = &decided.statement {
                    write!(output, ",\"statement\":{{\"policy\":\"{policy}\",")?;
                    if let Some(sid) = sid {
                        output.write_all(b"\"sid\":")?;
                        serde_json::to_writer(&mut *output, sid)?;
                        output.write_all(b",")?;
                    }
                    write!(output, "\"index\":{index}}}")?;
                }
            }
            Err(error) => {
                output.write_all(b"\"error\":")?;
                serde_json::to_writer(&mut *output, error)?;
            }
        }
        output.write_all(b"}\n")
    }
}

fn answer(line: &str, compiled: &mut Compiled) -> Answer {
    let refused = |id, mistake: Mistake| {
        let (_, column) = mistake.place(line);
        Answer::refused(id, format!("column {column}: {}", mistake.what))
    };
    let value = match json::parse(line) {
        Ok(value) => value,
        Err(mistake) => return refused(None, mistake),
    };
    let id = match id(&value, line) {
        Ok(id) => id,
        Err(mistake) => return refused(None, mistake),
    };
    match decide(&value, line, compiled) {
        Ok(decided) => Answer { id, decided: Ok(decided) },
        Err(Refused::Line(mistake)) => refused(id, mistake),
        Err(Refused::Documents(problems)) => Answer::refused(id, problems),
    }
}

/// Finds the id, so that a line that is refused can be told by it too.
fn id(line: &Value<'_>, text: &str) -> Result<Option<String>, Mistake> {
    let Value::Object(object) = line else {
        return Err(Mistake::of(line, format!("a line is an object, not {}", kind(line))));
    };
    let mut ids = object.properties.iter().filter(|member| member.name.as_str() == "id");
    match (ids.next().map(|member| &member.value), ids.next()) {
        (None, _) => Ok(None),
        (Some(id @ (Value::StringLit(_) | Value::NumberLit(_))), None) => {
            Ok(Some(json::written(id, text).to_owned()))
        }
        (Some(_), Some(again)) => Err(Mistake::of(&again.value, "`id` is given twice")),
        (Some(other), None) => {
            Err(Mistake::of(other, format!("`id` is a string or a number, not {}", kind(other))))
        }
    }
}

enum Refused {
    Line(Mistake),
    /// One line for each problem of theirs.
    Documents(String),
}

impl From<Mistake> for Refused {
    fn from(mistake: Mistake) -> Self {
        Refused::Line(mistake)
    }
}

fn decide(line: &Value<'_>, text: &str, compiled: &mut Compiled) -> Result<Decided, Refused> {
    let object = json::object(line, "a line", &MEMBERS)?;
    let required = |name: &str| {
        json::member(object, name).ok_or_else(|| Mistake::of(line, format!("`{name}` is missing")))
    };
    required("policies")?;
    let action = action(required("action")?)?;
    let resource = resource(required("resource")?)?;
    let who = Who::read(required("principal")?)?;
    let context = question::context(required("context")?, Spellings::Refused)?;
    let principal = who.principal();
    let resource_account = match resource_account(object, resource)? {
        Some(account) => account,
        None => principal.account(),
    };
    let mut documents = LineDocuments::new(text, compiled);
    let policies = Policies::load(|name| json::member(object, name), &mut documents)?;
    if !documents.problems.is_empty() {
        return Err(Refused::Documents(documents.problems.join("\n")));
    }
    let request = Request {
        action,
        resource,
        parents: &[],
        resource_account,
        principal: &principal,
        context: &context,
    };
    let decision = evaluate(&policies.layers(), &request);
    let statement = decision.settled().map(|settled| {
        let statement = settled.statement();
        let sid = statement.sid().map(str::to_owned);
        (documents.place(settled.policy()).to_owned(), sid, statement.index())
    });
    Ok(Decided { decision: decision.name(), statement })
}

/// Takes an action, which is never a pattern.
fn action<'v>(value: &'v Value<'_>) -> Result<&'v str, Mistake> {
    let text = json::string(value, "`action`")?;
    let is_action = text.split_once(':').is_some_and(|(service, name)| {
        !service.is_empty() && !name.is_empty() && !name.contains(':')
    });
    if is_action && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"*?".contains(&byte)) {
        return Ok(text);
    }
    let text = excerpt(text);
    let what = format!("`{text}` is not an action; write `service:Name` without wildcards");
    Err(Mistake::of(value, what))
}

/// Takes the ARN of a resource, or `*` for an action that has none.
fn resource<'v>(value: &'v Value<'_>) -> Result<&'v str, Mistake> {
    let text = json::string(value, "`resource`")?;
    if text == "*" || text.starts_with("arn:") && text.splitn(6, ':').count() == 6 {
        return Ok(text);
    }
    let text = excerpt(text);
    let what = format!("`{text}` is not a resource; write an ARN of six fields, or `*`");
    Err(Mistake::of(value, what))
}

/// Finds the account that owns the resource, if the line tells.
fn resource_account<'v>(
    line: &'v Object<'_>,
    resource: &'v str,
) -> Result<Option<&'v str>, Mistake> {
    let named = question::owner(resource);
    let Some(value) = json::member(line, "resource_account") else { return Ok(named) };
    let account = json::string(value, "`resource_account`")?;
    if !is_account(account) {
        let account = excerpt(account);
        let what = format!("`{account}` is not an account; write its 12 digits");
        return Err(Mistake::of(value, what));
    }
    match named {
        Some(named) if named != account => {
            let what = format!("`resource_account` is {account}, but the ARN names {named}");
            Err(Mistake::of(value, what))
        }
        _ => Ok(Some(account)),
    }
}
