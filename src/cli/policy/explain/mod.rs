//! `sesgate policy explain`: what the relay would decide about a message, and why.

mod answer;
mod asking;
mod assumed;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, ValueHint};

use super::super::problems;
use super::EX_USAGE;
use super::asker::{self, Asker, Wanted};
use super::mail;
use crate::authorize::{Authorizer, Client, Denial, Message, Occasion, STEPS};
use crate::message::HeaderSection;
use crate::policy::{self, Request, Spelled, StepBudget};
use answer::{Answer, Remarks};
use asking::Asking;

/// Requests of each outcome that are explained; of a message with many authors and recipients there
/// are thousands, all alike.
const EXPLAINED: usize = 20;

/// What counts where the command line does not say it.
const EHLO: &str = "localhost";
const ACTION: &str = "ses:SendRawEmail";
const RESOURCE: &str = "*";

const SANDBOX: &str =
    "the account is in the sandbox, where recipients' identities are resources too";
const NOT_VERIFIED: &str = "SES takes no mail of an address that no identity of the account covers, whatever policies allow";

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    config: super::super::ConfigFile,
    #[command(flatten)]
    client: Wanted,
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
    /// With --context, the ARN of the resource. Default: `*`.
    #[arg(long, value_name = "ARN", requires = "context")]
    resource: Option<String>,
    /// With --context, the action. Default: ses:SendRawEmail.
    #[arg(long, requires = "context")]
    action: Option<String>,
    /// The client's EHLO name. Default: localhost.
    #[arg(long, value_name = "NAME")]
    ehlo: Option<String>,
    /// Prints one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn ehlo(&self) -> &str {
        self.ehlo.as_deref().unwrap_or(EHLO)
    }
}

pub(in crate::cli) fn run(arguments: &Arguments) -> ExitCode {
    let (read, problems) = super::super::read_all(&arguments.config.sources());
    let Some((config, loaded)) = read else { return super::super::refuse(&problems) };
    #[expect(clippy::disallowed_methods, reason = "the moment of the decision (decision 8)")]
    let now = SystemTime::now();
    let explainer = loaded.parts.into_explainer(&config, now);
    let asker = match Asker::find(&arguments.client, &config, &explainer.users) {
        Ok(asker) => asker,
        Err(problem) => {
            // What is missing may be what could not be read.
            problems::print(&problems, problems::Severity::Mistake);
            problems::tell(&problem);
            return ExitCode::from(EX_USAGE);
        }
    };
    if !asker::is_enough(&config, &asker.client.principal, false) {
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
    let remarks = Remarks {
        asker: &asker,
        assumed: &assumed::of(arguments, &asker, at),
        problems: &problems,
        unknown: &explainer.unknown,
    };
    let printed =
        if arguments.json { answer.print_json(&remarks) } else { answer.print_text(&remarks) };
    match (printed, answer.allowed) {
        (Ok(()), true) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn of_message(
    arguments: &Arguments,
    authorizer: &Authorizer,
    client: &Client,
    now: SystemTime,
) -> Result<Answer, String> {
    let from = arguments.from.as_deref().unwrap_or_default();
    let paths = arguments.rcpt.iter().map(|path| mail::address(path)).collect::<Result<_, _>>()?;
    let envelope = match mail::envelope(mail::address(from)?, paths, arguments.ehlo()) {
        Ok(envelope) => envelope,
        Err(reply) => return Ok(Answer { reply: Some(reply.to_string()), ..Answer::default() }),
    };
    let section = match &arguments.message {
        Some(file) => {
            mail::section(&bytes(file).map_err(|error| format!("{}: {error}", file.display()))?)
        }
        None => mail::only_from(from),
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
    let (allowed, reply) = (denial.is_none(), denial.map(mail::reply));
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
    let mut context = authorizer.context(client, arguments.ehlo(), now);
    for (key, values) in values {
        context.set_list(key, values);
    }
    let principal = &client.principal;
    let who = policy::Principal::User { account: &principal.account, arn: &principal.arn };
    let request = Request {
        action: arguments.action.as_deref().unwrap_or(ACTION),
        resource: arguments.resource.as_deref().unwrap_or(RESOURCE),
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

/// The bytes of a file, or of standard input for `-`.
fn bytes(file: &PathBuf) -> io::Result<Vec<u8>> {
    if file.as_os_str() != "-" {
        return std::fs::read(file);
    }
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    Ok(bytes)
}
