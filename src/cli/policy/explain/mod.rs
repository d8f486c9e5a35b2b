//! `sesgate policy explain`: what the relay would decide about a message, and why.

mod answer;
mod asking;
mod client;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, ValueHint};

use super::super::problems;
use crate::address::Address;
use crate::authorize::{Authorizer, Client, Denial, Message, Occasion, STEPS};
use crate::config::Config;
use crate::gateway;
use crate::message::HeaderSection;
use crate::policy::{self, Policy, Request, Spelled, StepBudget};
use crate::principals::Principal;
use crate::relay::Refusal;
use crate::smtp::{Envelope, RECIPIENTS, Reply};
use answer::{Answer, Remarks};
use asking::Asking;
use client::Asker;

/// Requests of each outcome that are explained; of a message with many authors and recipients there
/// are thousands, all alike.
const EXPLAINED: usize = 20;

/// Exit status for a question that cannot be asked.
const EX_USAGE: u8 = 64;

const SANDBOX: &str =
    "the account is in the sandbox, where recipients' identities are resources too";
const NOT_VERIFIED: &str = "SES takes no mail of an address that no identity of the account covers, whatever policies allow";

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    config: super::super::ConfigFile,
    /// The user of the relay. Default: the one for whom the listener speaks, or the only one.
    #[arg(long)]
    user: Option<String>,
    /// The listener that the client comes through, by its address or port. What it states of its
    /// clients counts. Default: the first that takes the user.
    #[arg(long, value_name = "ADDRESS")]
    listener: Option<String>,
    /// The moment of the decision, such as 2026-12-31T23:59:59Z. Default: now.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<SystemTime>,
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
    /// The client's address. Default: one that the listener takes, such as 127.0.0.1.
    #[arg(long, value_name = "ADDRESS")]
    source_ip: Option<IpAddr>,
    /// The endpoint of a VPC that a PROXY header names.
    #[arg(long, value_name = "VPCE")]
    vpc_endpoint: Option<String>,
    /// The client has no TLS, on a listener that offers it.
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
    let (read, problems) = super::super::read_all(&arguments.config.sources());
    let Some((config, loaded)) = read else { return super::super::refuse(&problems) };
    #[expect(clippy::disallowed_methods, reason = "the moment of the decision (decision 8)")]
    let now = SystemTime::now();
    let explainer = loaded.parts.into_explainer(&config, now);
    let asker = match Asker::find(arguments, &config, &explainer.users) {
        Ok(asker) => asker,
        Err(problem) => {
            // What is missing may be what could not be read.
            problems::print(&problems, problems::Severity::Mistake);
            problems::tell(&problem);
            return ExitCode::from(EX_USAGE);
        }
    };
    if !is_enough(&config, &asker.client.principal) {
        return super::super::refuse(&problems);
    }
    let at = arguments.at.unwrap_or(now);
    let answer = if arguments.context.is_empty() {
        of_message(arguments, &explainer.authorizer, &asker.client, at)
    } else {
        of_context(arguments, &explainer.authorizer, &asker.client, at)
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(problem) => {
            problems::tell(&problem);
            return ExitCode::from(EX_USAGE);
        }
    };
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let remarks = Remarks { asker: &asker, problems: &problems, unknown: &explainer.unknown };
    let printed =
        if arguments.json { answer.print_json(&remarks) } else { answer.print_text(&remarks) };
    match (printed, answer.allowed) {
        (Ok(()), true) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Whether a configuration with mistakes says enough to decide about this user's mail: whose account
/// it is, and every policy that counts.
fn is_enough(config: &Config, principal: &Principal) -> bool {
    let user = config.users.iter().find(|user| user.name.value == principal.name);
    let groups: Vec<_> =
        user.into_iter().flat_map(|user| &user.groups).map(|name| name.value.as_str()).collect();
    let counts = |used: &gateway::Used<'_>| match used.by {
        gateway::By::All => true,
        gateway::By::User(name) => name == principal.name,
        gateway::By::Group(name) => groups.contains(&name),
    };
    let is_readable = |used: &gateway::Used<'_>| {
        let text = used.document.value.read();
        text.is_ok_and(|text| Policy::parse(used.kind, "", &text).is_ok())
    };
    let known = config.groups.iter().map(|group| group.name.value.as_str());
    let known: Vec<_> = known.collect();
    ![&config.account.id, &config.account.region, &principal.account].iter().any(|it| it.is_empty())
        && groups.iter().all(|group| known.contains(group))
        && gateway::documents(config).iter().filter(|used| counts(used)).all(is_readable)
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
    let mut forward_paths = Vec::new();
    for path in &arguments.rcpt {
        let path = address(path)?;
        if !forward_paths.contains(&path) {
            forward_paths.push(path);
        }
    }
    if forward_paths.len() > RECIPIENTS {
        let reply = Some(Reply::too_many_recipients().to_string());
        return Ok(Answer { reply, ..Answer::default() });
    }
    let envelope = Envelope {
        reverse_path: address(from)?,
        forward_paths,
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
    let mut requests: Vec<Asking> = Vec::new();
    let mut more = 0;
    let chosen = authorizer.chosen(client, &envelope, &header);
    let x_ses = chosen.map_or_else(|_| header.xses().clone(), |chosen| chosen.x_ses);
    let message = Message { envelope: &envelope, header: &header, x_ses: &x_ses };
    authorizer.ask(client, message, now, &StepBudget::unbounded(), |asked| {
        let allowed = asked.decision().is_some_and(|decision| decision.is_allowed());
        if requests.iter().filter(|request| request.allowed == allowed).count() >= EXPLAINED {
            more += 1;
            return;
        }
        let asking = Asking::new(&asked.layers, &asked.request, asked.reasons());
        if !requests.iter_mut().any(|earlier| earlier.takes(&asking)) {
            requests.push(asking);
        }
    });
    let reason = denial.as_ref().and_then(|denial| match denial {
        // The reply says the rest.
        Denial::Unsure(unsure) if unsure.identity.is_empty() => Some(unsure.reason.clone()),
        Denial::Unsure(_) | Denial::TooManySteps => Some(denial.to_string()),
        Denial::Policy { is_sandbox: true, .. } => Some(SANDBOX.to_owned()),
        Denial::NotVerified { .. } => Some(NOT_VERIFIED.to_owned()),
        _ => None,
    });
    let uncovered = authorizer.uncovered(message);
    let (allowed, reply) = (denial.is_none(), denial.map(reply));
    Ok(Answer { allowed, reply, reason, uncovered, requests, more })
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
    let asking = Asking::new(&authorizer.layers(principal, &[]), &request, Vec::new());
    Ok(Answer { allowed: asking.allowed, requests: vec![asking], ..Answer::default() })
}

fn moment(text: &str) -> Result<SystemTime, String> {
    policy::moment(text).ok_or_else(|| {
        "write a moment as policies do, such as `2026-12-31T23:59:59Z` or `2026-12-31`".to_owned()
    })
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
