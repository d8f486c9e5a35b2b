//! `sesgate doctor`: what an operator wants to know before going live, and how to mend it.
//!
//! Each check looks at one thing and reports at least one line. None hides the next: what cannot be
//! looked at is skipped and says because of what. Nothing is changed anywhere; a mail is sent only
//! when `--send-from` asks for it.

mod account;
mod aws;
mod certificates;
mod configuration;
mod credentials;
mod identities;
mod policies;
mod ports;
mod region;
mod report;
mod sending;
mod system;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::progress::Quiet;
use super::{ConfigFile, EX_CONFIG};
use crate::address::Address;
use crate::clock;
use crate::config::{Config, Ses, Upstream};
use crate::upstream::SesSettings;
use aws::Caller;
use report::{Format, Report};

/// The checks that ask AWS, in their order.
const OF_SES: [&str; 7] =
    ["region", "clock", "credentials", "caller", "account", "identities", "sending"];

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Sends a mail from this address to the mailbox simulator of SES.
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    send_from: Option<String>,
    /// How the report looks.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// How long one call or connection may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 10,
          value_parser = clap::value_parser!(u64).range(1..=120))]
    timeout: u64,
    #[command(flatten)]
    quiet: Quiet,
    /// Looks at all configured identities instead of the first 20; SES takes one call a second.
    #[arg(long)]
    all: bool,
}

fn address(text: &str) -> Result<String, String> {
    match Address::parse(text) {
        Ok(_) if text.is_ascii() => Ok(text.to_owned()),
        Ok(_) => Err("an address in ASCII is wanted".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let now = clock::time_of_day();
    let mut report = Report::new(arguments.format, &arguments.quiet);
    let config = configuration::check(&arguments.file.sources(), &mut report);
    let unusable = report.has_failed();
    match config {
        Some(config) => {
            configuration::users(&config, now, &mut report);
            certificates::check(&config, now, &mut report);
            system::limits(&config, &mut report);
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(outside(&config, arguments, &mut report)),
                Err(error) => report.failed(
                    "ports",
                    format!("cannot start: {error}"),
                    "raise the limits of the process: `ulimit -a`",
                ),
            }
        }
        None => {
            let because = "because the configuration cannot be read";
            for check in ["users", "certificates", "limits", "ports"].into_iter().chain(OF_SES) {
                report.skipped(check, because);
            }
        }
    }
    let failed = report.has_failed();
    match report.finish() {
        Ok(()) if unusable => ExitCode::from(EX_CONFIG),
        Ok(()) if !failed => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// The checks that leave the process.
async fn outside(config: &Config, arguments: &Arguments, report: &mut Report) {
    let patience = Duration::from_secs(arguments.timeout);
    ports::check(config, patience, report).await;
    match &config.upstream {
        Upstream::Outbox { directory } => {
            system::outbox(directory, config.limits.message_bytes, report);
            for check in OF_SES {
                report.skipped(check, "because permitted mail goes to an outbox");
            }
        }
        Upstream::Ses(_) if config.account.region.is_empty() => {
            for check in OF_SES {
                report.skipped(check, "because the configuration names no region");
            }
        }
        Upstream::Ses(ses) => of_ses(config, ses, arguments, patience, report).await,
    }
}

async fn of_ses(
    config: &Config,
    ses: &Ses,
    arguments: &Arguments,
    patience: Duration,
    report: &mut Report,
) {
    let settings = SesSettings {
        region: config.account.region.clone(),
        endpoint_url: ses.endpoint_url.clone(),
        calls: ses.calls,
        connect: ses.connect.min(patience),
        finish: ses.finish,
    };
    let reached = region::check(config, &settings, patience, report).await;
    let found = credentials::check(&settings.region, patience, report).await;
    let Some(found) = found else {
        for check in ["caller", "account", "identities", "sending"] {
            report.skipped(check, "because there are no credentials");
        }
        return;
    };
    let caller = credentials::caller(config, &found, patience, report).await;
    let caller_arn = match caller {
        Caller::Refused => {
            for check in ["account", "identities", "sending"] {
                report.skipped(check, "because AWS refuses the credentials");
            }
            return;
        }
        Caller::Known(arn) => Some(arn),
        Caller::Unknown => None,
    };
    if !reached {
        for check in ["account", "identities", "sending"] {
            report.skipped(check, "because SES was not reached");
        }
        return;
    }
    let mut api = aws::Api::new(&settings, found, patience);
    if !account::check(config, &mut api, report).await {
        for check in ["identities", "sending"] {
            report.skipped(check, "because SES does not answer: see `account`");
        }
        return;
    }
    identities::check(config, &mut api, arguments.all, report).await;
    sending::check(config, &api, arguments, caller_arn.as_deref(), report).await;
}
