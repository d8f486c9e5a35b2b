//! `sesgate policy explain`: what the relay would decide about a message, and why.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use anstyle::{AnsiColor, Style};
use clap::{Args, ValueHint};
use serde_json::{Value, json};

use super::super::problems::tell;
use crate::address::Address;
use crate::authorize::{Authorizer, Client, Denial, Message, Occasion, STEPS, Verdict};
use crate::message::HeaderSection;
use crate::policy::{self, Explained, Layers, Outcome, Request, Spelled, StepBudget};
use crate::principals::Principal;
use crate::redact::{printable, printable_json};
use crate::relay::Refusal;
use crate::smtp::{Envelope, Reply};

/// Exit status for a question that cannot be asked.
const EX_USAGE: u8 = 64;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    config: super::super::ConfigFile,
    /// The user of the relay.
    #[arg(long)]
    user: String,
    /// The message, a file or `-`; only its header section is read. Without one, From is the address
    /// of --from.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    message: Option<PathBuf>,
    /// The reverse-path, as in MAIL FROM.
    #[arg(long, value_name = "ADDRESS", required_unless_present = "context")]
    from: Option<String>,
    /// A forward-path, as in RCPT TO; may be repeated.
    #[arg(long, value_name = "ADDRESS", required_unless_present = "context")]
    rcpt: Vec<String>,
    /// Instead of a message, a context key with its value; may be repeated, also for a key with
    /// several values. The keys of client and user are there already.
    #[arg(long, value_name = "KEY=VALUE", conflicts_with_all = ["message", "from", "rcpt"])]
    context: Vec<String>,
    /// With --context, the ARN of the resource.
    #[arg(long, value_name = "ARN", default_value = "*", requires = "context")]
    resource: String,
    /// With --context, the action.
    #[arg(long, default_value = "ses:SendRawEmail", requires = "context")]
    action: String,
    /// The client's address.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    source_ip: IpAddr,
    /// The client has no TLS.
    #[arg(long)]
    no_tls: bool,
    /// The client's EHLO name.
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    ehlo: String,
    /// Prints one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

pub(in crate::cli) fn run(arguments: &Arguments) -> ExitCode {
    let (_, parts, _) = match super::super::read(&arguments.config.sources()) {
        Ok(read) => read,
        Err(status) => return status,
    };
    let (authorizer, users) = parts.into_authorizer();
    let user = users.into_iter().find(|user| user.principal.name == arguments.user);
    let Some(user) = user else {
        tell(&format!("there is no user `{}` in the configuration", arguments.user));
        return ExitCode::from(EX_USAGE);
    };
    let answer = match answer(arguments, &authorizer, user.principal) {
        Ok(answer) => answer,
        Err(problem) => {
            tell(&problem);
            return ExitCode::from(EX_USAGE);
        }
    };
    let allowed = answer.allowed;
    let printed = if arguments.json { answer.print_json() } else { answer.print_text() };
    match (printed, allowed) {
        (Ok(()), true) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn answer(
    arguments: &Arguments,
    authorizer: &Authorizer,
    principal: Principal,
) -> Result<Answer, String> {
    let client = Client {
        principal: Arc::new(principal),
        password: None,
        peer: (arguments.source_ip, 0).into(),
        source_ip: arguments.source_ip.to_canonical(),
        vpc: None,
        secure_transport: !arguments.no_tls,
        listener: "".into(),
        tls: None,
    };
    #[expect(clippy::disallowed_methods, reason = "the moment of the decision (decision 8)")]
    let now = SystemTime::now();
    if arguments.context.is_empty() {
        of_message(arguments, authorizer, &client, now)
    } else {
        of_context(arguments, authorizer, &client, now)
    }
}

fn of_message(
    arguments: &Arguments,
    authorizer: &Authorizer,
    client: &Client,
    now: SystemTime,
) -> Result<Answer, String> {
    let address = |text: &str| {
        Address::parse(text).map_err(|error| format!("`{text}` is no address: {error}"))
    };
    let from = arguments.from.as_deref().unwrap_or_default();
    let envelope = Envelope {
        reverse_path: address(from)?,
        forward_paths: arguments.rcpt.iter().map(|path| address(path)).collect::<Result<_, _>>()?,
        ehlo: arguments.ehlo.clone(),
        body_8bit: false,
    };
    let section = match &arguments.message {
        Some(file) => section(file).map_err(|error| format!("{}: {error}", file.display()))?,
        None => format!("From: {from}\r\n\r\n").into_bytes(),
    };
    let header = HeaderSection::parse(&section)
        .map_err(|error| format!("the message cannot be read: {error}"))?;
    let occasion = Occasion { id: uuid::Uuid::nil(), now, steps: STEPS };
    let denial = authorizer.decide(client, &envelope, &header, occasion).err();
    let mut requests = Vec::new();
    let chosen = authorizer.chosen(client, &envelope, &header);
    let x_ses = chosen.map_or_else(|_| header.xses().clone(), |chosen| chosen.x_ses);
    let message = Message { envelope: &envelope, header: &header, x_ses: &x_ses };
    authorizer.ask(client, message, now, &StepBudget::unbounded(), |asked| {
        requests.push(Asking::new(&asked.layers, &asked.request));
    });
    Ok(Answer { allowed: denial.is_none(), reply: denial.map(reply), requests })
}

fn of_context(
    arguments: &Arguments,
    authorizer: &Authorizer,
    client: &Client,
    now: SystemTime,
) -> Result<Answer, String> {
    let mut values: BTreeMap<&str, Vec<Spelled<'_>>> = BTreeMap::new();
    for pair in &arguments.context {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            format!("`{pair}` is no context key: write `ses:FromAddress=a@b.test`")
        })?;
        values.entry(key).or_default().push(value.into());
    }
    let mut context = authorizer.context(client, &arguments.ehlo, now);
    for (key, values) in values {
        context.set_list(key, values);
    }
    let principal = &client.principal;
    let who = policy::Principal::User { account: &principal.account, arn: &principal.arn };
    let request = Request {
        action: &arguments.action,
        resource: &arguments.resource,
        parents: &[],
        resource_account: &principal.account,
        principal: &who,
        context: &context,
    };
    let asking = Asking::new(&authorizer.layers(principal, &[]), &request);
    Ok(Answer { allowed: asking.allowed, reply: None, requests: vec![asking] })
}

/// The reply, without the decision id that only a real transaction has.
fn reply(source: Denial) -> String {
    let id = uuid::Uuid::nil();
    Reply::from(&Refusal::Denied { id, source }).to_string().replace(&format!(" [{id}]"), "")
}

/// Header section of a file, its line ends made CRLF: an editor's file is as good as the wire's.
fn section(file: &PathBuf) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file.as_os_str() == "-" {
        io::stdin().read_to_end(&mut bytes)?;
    } else {
        bytes = std::fs::read(file)?;
    }
    let mut section = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        section.extend_from_slice(line);
        section.extend_from_slice(b"\r\n");
        if line.is_empty() {
            return Ok(section);
        }
    }
    section.extend_from_slice(b"\r\n");
    Ok(section)
}

/// What the relay would say, and every request behind it.
struct Answer {
    allowed: bool,
    /// What refuses the message.
    reply: Option<String>,
    requests: Vec<Asking>,
}

/// One request with its explanation, in words.
struct Asking {
    resource: String,
    verdict: Verdict,
    allowed: bool,
    context: BTreeMap<String, Vec<String>>,
    statements: Vec<Value>,
}

impl Asking {
    fn new(layers: &Layers<'_>, request: &Request<'_>) -> Self {
        let decision = policy::evaluate(layers, request);
        let context = request.context.iter().map(|(key, values)| {
            (key.to_owned(), values.iter().map(|value| value.text().to_owned()).collect())
        });
        let explained = policy::explain(layers, request);
        Self {
            resource: request.resource.to_owned(),
            verdict: Verdict::of(&decision),
            allowed: decision.is_allowed(),
            context: context.collect(),
            statements: explained.iter().map(statement).collect(),
        }
    }
}

fn statement(explained: &Explained<'_>) -> Value {
    let statement = explained.statement;
    json!({
        "layer": match explained.layer {
            // Decision 7: of these only a Deny counts, which is how the engine takes such a layer.
            "resource control" => "sending authorization of a related identity",
            layer => layer,
        },
        "policy": explained.policy.name(),
        "line": statement.line(),
        "index": statement.index(),
        "sid": statement.sid(),
        "effect": format!("{:?}", statement.effect()),
        "applies": matches!(explained.outcome, Outcome::Applies(_)),
        "outcome": explained.outcome.to_string(),
        "seen": explained.seen,
        "hint": explained.hint,
    })
}

impl Answer {
    fn print_json(&self) -> io::Result<()> {
        let requests = self.requests.iter().map(|request| {
            json!({
                "resource": request.resource,
                "decision": request.verdict.decision,
                "statement": request.verdict.statement,
                "spelling": request.verdict.spelling,
                "context": request.context,
                "statements": request.statements,
            })
        });
        let answer = json!({
            "allowed": self.allowed,
            "reply": self.reply,
            "requests": requests.collect::<Vec<_>>(),
        });
        writeln!(io::stdout(), "{}", printable_json(&format!("{answer:#}")))
    }

    fn print_text(&self) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        let (good, bad, weak) = (
            Style::new().fg_color(Some(AnsiColor::Green.into())).bold(),
            Style::new().fg_color(Some(AnsiColor::Red.into())).bold(),
            Style::new().dimmed(),
        );
        match (self.allowed, &self.reply) {
            (true, _) => writeln!(out, "{good}allowed{good:#}")?,
            (false, reply) => {
                let reply = printable(reply.as_deref().unwrap_or_default());
                writeln!(out, "{bad}refused{bad:#} {reply}")?;
            }
        }
        for (at, request) in self.requests.iter().enumerate() {
            let style = if request.allowed { good } else { bad };
            let (number, all) = (at + 1, self.requests.len());
            writeln!(out, "\nrequest {number} of {all}: {}", printable(&request.resource))?;
            for (key, values) in &request.context {
                if key.starts_with("ses:") {
                    let (key, values) = (printable(key), values.join(", "));
                    writeln!(out, "  {weak}{key}{weak:#} {}", printable(&values))?;
                }
            }
            let settled = request.verdict.statement.as_deref().unwrap_or("no statement allows it");
            let settled = printable(settled);
            writeln!(out, "  {style}{}{style:#}: {settled}", request.verdict.decision)?;
            if let Some(spelling) = &request.verdict.spelling {
                writeln!(out, "    by a spelling: {}", printable(spelling))?;
            }
            if request.allowed {
                continue;
            }
            for statement in &request.statements {
                print_statement(&mut out, statement, weak)?;
            }
        }
        Ok(())
    }
}

fn print_statement(out: &mut impl Write, statement: &Value, weak: Style) -> io::Result<()> {
    let text =
        |key: &str| printable(statement.get(key).and_then(Value::as_str).unwrap_or_default());
    let sid = statement.get("sid").and_then(Value::as_str).map_or_else(
        || {
            let index = statement.get("index").and_then(Value::as_u64).unwrap_or_default();
            (index + 1).to_string()
        },
        |sid| format!("`{}`", printable(sid)),
    );
    let line = statement.get("line").and_then(Value::as_u64).unwrap_or_default();
    writeln!(
        out,
        "  {}:{line}: {} statement {sid} {weak}({}){weak:#} {}",
        text("policy"),
        text("effect"),
        text("layer"),
        text("outcome"),
    )?;
    for (name, key) in [("seen", "seen"), ("hint", "hint")] {
        if !text(key).is_empty() {
            writeln!(out, "    {weak}{name}{weak:#} {}", text(key))?;
        }
    }
    Ok(())
}
