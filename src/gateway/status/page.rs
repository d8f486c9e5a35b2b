//! `/status`: what is in use and how it goes, as JSON for people and scripts.
//!
//! No mail, no secret, no address of a client: it is shown to whoever reaches the admin port.

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::{Value, json};

use super::CandidatePolicies;
use super::GatewayStatus;
use crate::config::Problem;
use crate::{build_info, clock};

impl GatewayStatus {
    /// Returns the page.
    pub(in crate::gateway) fn page(&self) -> String {
        let active = self.active().clone();
        let (open, before_login) = self.sources.admission.connections();
        let counts = self.sources.relay.rules().principals.guard().counts();
        let listeners: Vec<_> = active
            .listeners
            .iter()
            .map(|door| {
                let certificate = door.certificate.as_ref().map(|certificate| {
                    json!({
                        "sha256": certificate.fingerprint,
                        "not_after": DateTime::from_secs(certificate.not_after).fmt(Format::DateTime).ok(),
                        "self_signed": certificate.self_signed,
                    })
                });
                json!({ "address": door.address, "tls": door.tls, "certificate": certificate })
            })
            .collect();
        let files: Vec<_> = active
            .files
            .iter()
            .map(|(file, hash)| json!({ "file": file.display().to_string(), "sha256": hash }))
            .collect();
        let refused = active.refused.map(|(at, problems)| {
            json!({ "at": clock::rfc3339(at), "problems": problems, "see": "the log, or `sesgate check`" })
        });
        let status = json!({
            "version": build_info::VERSION,
            "commit": build_info::COMMIT,
            "features": build_info::features().collect::<Vec<_>>(),
            "started": clock::rfc3339(self.started),
            "ready": self.sources.readiness.is_ready(),
            "not_ready_because": self.sources.readiness.obstacles(),
            "configuration": {
                "file": active.file.map(|file| file.display().to_string()),
                "in_use_since": clock::rfc3339(active.since),
                "last_reload_refused": refused,
                "users": active.users,
                "files": files,
            },
            "candidate": active.candidate.as_ref().map(|it| self.candidate_status(it)),
            "listeners": listeners,
            "connections": { "open": open, "before_login": before_login },
            "memory": { "budget_bytes": self.sources.memory.bytes(), "used_bytes": self.sources.memory.used() },
            "logins": {
                "accepted": counts.accepted,
                "invalid": counts.invalid,
                "locked": counts.turned_away,
                "busy": counts.busy,
                "locks_of_networks": counts.network_locks,
                "locks_of_users": counts.user_locks,
            },
            "pace": self.pace_status(),
            "ses": self.ses_status(),
        });
        format!("{status:#}\n")
    }

    fn candidate_status(&self, candidate: &CandidatePolicies) -> Value {
        let metrics = self.sources.relay.metrics();
        let users = candidate.users().into_iter().map(|user| {
            let counts = metrics.candidate_differences(user);
            let counts =
                counts.into_iter().map(|(direction, count)| (direction.to_owned(), count.into()));
            json!({ "user": user, "differences": counts.collect::<serde_json::Map<_, _>>() })
        });
        let told =
            |problems: &[Problem]| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        json!({
            "in_use": candidate.problems.is_empty(),
            "problems": told(&candidate.problems),
            "matches_no_policy": told(&candidate.unmatched),
            "users": users.collect::<Value>(),
        })
    }

    fn pace_status(&self) -> Value {
        let pace = self.sources.pace.status();
        let waiting: Vec<_> = pace
            .waiting_by_user
            .iter()
            .map(|(user, messages, recipients)| {
                json!({ "user": user, "messages": messages, "recipients": recipients })
            })
            .collect();
        let days: Vec<_> = pace
            .day_used_by_user
            .iter()
            .map(|(user, recipients)| json!({ "user": user, "recipients": recipients }))
            .collect();
        let quota = pace.quota.map(|(quota, age)| {
            json!({
                "max_send_rate": quota.max_send_rate,
                "max_24_hour_send": quota.max_24_hour_send,
                "sent_last_24_hours": quota.sent_last_24_hours,
                "age_seconds": age.as_secs(),
                "taken_since": pace.taken_since_reading,
            })
        });
        json!({
            "recipients_per_second": { "allowed": pace.nominal_rate, "current": pace.current_rate },
            "throttled_by_ses": pace.throttles,
            "waiting_messages": pace.waiting,
            "waiting_by_user": waiting,
            "used_of_day_by_user": days,
            "quota": quota,
            "quota_used_up": pace.is_quota_used_up,
        })
    }

    fn ses_status(&self) -> Value {
        let Some(said) = self.sources.inventory.as_ref().map(|inventory| inventory.snapshot())
        else {
            return Value::Null;
        };
        let account = said.account.as_ref().map(|account| {
            json!({
                "production_access": account.production_access,
                "sending_enabled": account.sending_enabled,
                "enforcement_status": account.enforcement_status,
            })
        });
        json!({
            "account": account,
            "identities": said.identities.len(),
            "identities_complete": said.complete,
            "identities_listed": said.taken.map(clock::rfc3339),
        })
    }
}
