//! The configuration as `sesgate check` reads it, and the passwords of its users.

use std::time::{Duration, SystemTime};

use super::aws::{moment, span};
use super::report::Report;
use crate::config::{Config, Sources, User};
use crate::gateway;

/// Passwords and certificates that end within this time are told.
pub(super) const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// Reads the file with all that it names; a configuration with mistakes is given as well, for the
/// other checks.
pub(super) fn check(sources: &Sources, report: &mut Report) -> Option<Config> {
    let (config, mut problems) = Config::read(sources);
    let loaded = config.as_ref().map(gateway::load);
    let mut warnings = Vec::new();
    if let Some(loaded) = loaded {
        problems.extend(loaded.problems);
        warnings = loaded.warnings;
    }
    let option = sources.option();
    let again = format!("change what is named, then `sesgate check{option}`");
    for problem in &problems {
        report.failed("configuration", problem.to_string(), again.clone());
    }
    for warning in &warnings {
        report.warning("configuration", warning.to_string(), again.clone());
    }
    if let Some(config) = &config
        && problems.is_empty()
    {
        let seen = format!(
            "{}: {} listeners, {} users, {} identities",
            config.origin,
            config.listeners.len(),
            config.users.len(),
            config.identities.known.len(),
        );
        report.ok("configuration", seen);
    }
    config
}

/// Passwords that have expired or soon will, and users that may send nothing.
pub(super) fn users(config: &Config, now: SystemTime, report: &mut Report) {
    let mut good = 0;
    for user in &config.users {
        let mut is_good = passwords(config, user, now, report);
        let in_groups = config.groups.iter().any(|group| {
            !group.policies.is_empty()
                && user.groups.iter().any(|name| name.value == group.name.value)
        });
        if user.policies.is_empty() && !in_groups {
            report.warning(
                "users",
                format!("`{}` has no policy: nothing that it sends is allowed", user.name.value),
                format!(
                    "{}: add `policies = [\"policies/FILE.json\"]`",
                    config.origin.at(user.name.place),
                ),
            );
            is_good = false;
        }
        good += usize::from(is_good);
    }
    if good == config.users.len() {
        report.ok("users", format!("{good} users, each with a policy; no password ends soon"));
    }
}

/// Reports on the passwords of one user; true when all is well.
fn passwords(config: &Config, user: &User, now: SystemTime, report: &mut Report) -> bool {
    let name = &user.name.value;
    let lasts = |from: SystemTime| {
        user.passwords.iter().any(|it| it.expires.is_none_or(|expires| expires > from))
    };
    let mut is_good = true;
    for password in &user.passwords {
        let Some(expires) = password.expires else { continue };
        let line = config.origin.at(password.secret.place);
        let renew = format!("`sesgate user hash-password`, then put the new hash into {line}");
        let when = moment(expires);
        if expires <= now {
            is_good = false;
            let seen = format!("a password of `{name}` expired on {when}");
            if lasts(now) {
                report.warning("users", seen, format!("remove it: {line}"));
            } else {
                report.failed("users", format!("{seen}; `{name}` cannot log in"), renew);
            }
        } else if expires <= now + SOON && !lasts(now + SOON) {
            is_good = false;
            let left = span(expires.duration_since(now).unwrap_or_default());
            let seen = format!("a password of `{name}` expires in {left}, on {when}");
            report.warning("users", seen, renew);
        }
    }
    is_good
}
