//! What SES lets the account do.

use aws_sdk_sesv2::operation::get_account::GetAccountOutput;

use super::aws::{Api, within};
use super::policies;
use super::report::Report;
use crate::config::Config;
use crate::ses_error::Class;

const CHECK: &str = "account";
/// A larger part of the daily quota is told, in percent.
const MUCH: f64 = 80.0;

/// Reports on the account; false when nothing else can be asked.
pub(super) async fn check(config: &Config, api: &mut Api, report: &mut Report) -> bool {
    report.progress("asking SES about the account");
    let (client, patience) = api.turn().await;
    match within(patience, client.get_account().send()).await {
        Ok(account) => {
            let before = report.problems();
            access(config, &account, report);
            sending(config, &account, report);
            quota(config, &account, report);
            if report.problems() == before {
                report.ok(CHECK, "in good standing, sending is enabled");
            }
            true
        }
        Err(trouble) if trouble.class == Class::Denied => {
            let seen = format!("the role may not ask: {}", trouble.said);
            report.warning(CHECK, seen, policies::reading());
            true
        }
        Err(trouble) => {
            report.failed(CHECK, format!("GetAccount: {}", trouble.said), trouble.fix);
            !trouble.class.is_of_credentials()
        }
    }
}

fn access(config: &Config, account: &GetAccountOutput, report: &mut Report) {
    let file = &config.origin;
    match (account.production_access_enabled(), config.account.sandbox) {
        (true, Some(false) | None) => {}
        (true, Some(true)) => report.warning(
            CHECK,
            "has production access, the configuration says sandbox: policies must allow more \
             than AWS asks",
            format!("{file}: `[account] sandbox = false`"),
        ),
        (false, said) => {
            // Without a word of it the relay goes by what SES says, when it asks.
            let is_known = said.unwrap_or(config.rate.ask_ses || config.identities.from_ses);
            let region = &config.account.region;
            let line = format!("{file}: `[account] sandbox = true`");
            let seen = "in the sandbox: recipients must be verified";
            let seen = if is_known { seen.to_owned() } else { format!("{seen}; not configured") };
            let fix = format!(
                "`aws sesv2 put-account-details --region {region} --production-access-enabled \
                 --mail-type TRANSACTIONAL --website-url URL`"
            );
            let fix = if is_known { fix } else { format!("{line}; to leave it {fix}") };
            report.warning(CHECK, seen, fix);
        }
    }
}

fn sending(config: &Config, account: &GetAccountOutput, report: &mut Report) {
    if !account.sending_enabled() {
        let fix = format!(
            "`aws sesv2 put-account-sending-attributes --region {} --sending-enabled`",
            config.account.region,
        );
        report.failed(CHECK, "sending is paused", fix);
    }
    match account.enforcement_status().unwrap_or_default() {
        "HEALTHY" | "" => {}
        "SHUTDOWN" => report.failed(
            CHECK,
            "enforcement status SHUTDOWN: AWS has ended the account's sending",
            "answer the case of AWS in the Support Center",
        ),
        other => report.warning(
            CHECK,
            format!("enforcement status {other}: AWS reviews the account"),
            "see bounces and complaints on the Reputation page of the SES console",
        ),
    }
}

fn quota(config: &Config, account: &GetAccountOutput, report: &mut Report) {
    let Some(quota) = account.send_quota() else {
        return report.warning(CHECK, "SES tells no quota", "`aws sesv2 get-account`");
    };
    let (most, sent, rate) =
        (quota.max24_hour_send(), quota.sent_last24_hours(), quota.max_send_rate());
    // -1 means without limit.
    if most < 0.0 {
        return report.ok(CHECK, format!("{sent} sent in 24 h, no quota; {rate} a second"));
    }
    let part = if most > 0.0 { sent / most * 100.0 } else { 100.0 };
    let seen = format!("{sent} of {most} sent in 24 h ({part:.0} %); {rate} a second");
    let fix = format!(
        "`aws service-quotas list-service-quotas --service-code ses --region {}`, then \
         `aws service-quotas request-service-quota-increase`",
        config.account.region,
    );
    if part >= 100.0 {
        report.failed(CHECK, seen, fix);
    } else if part > MUCH {
        report.warning(CHECK, seen, fix);
    } else {
        report.ok(CHECK, seen);
    }
}
