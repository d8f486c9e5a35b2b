//! What the system gives: descriptors, and room for the outbox.

use std::path::Path;

use rustix::fs::{Access, access, statvfs};
use rustix::process::{Resource, getrlimit};

use super::report::Report;
use crate::config::{Config, Upstream};

/// Descriptors beside those of connections: listeners, log, runtime, policies.
const OTHERS: u64 = 64;
/// Less room than this is told.
const ROOM: u64 = 1 << 30;

/// Open files: a connection needs its socket and, as its message goes to SES or to a file, another.
pub(super) fn limits(config: &Config, report: &mut Report) {
    let connections = config.limits.admission.connections as u64;
    let calls = match &config.upstream {
        Upstream::Ses(ses) => connections.min(ses.calls as u64),
        Upstream::Outbox { .. } => connections,
    };
    let needed = connections + calls + OTHERS;
    // `serve` raises its own limit as far as it may.
    let Some(limit) = getrlimit(Resource::Nofile).maximum else {
        return report.ok("limits", "any number of open files");
    };
    let seen = format!(
        "{limit} open files for `limits.connections` = {connections}, which needs {needed}"
    );
    let fix = format!(
        "`ulimit -n {needed}` before `sesgate serve`, `LimitNOFILE={needed}` in a systemd unit, \
         `--ulimit nofile={needed}` of docker run; or {}: `[limits] connections = {}`",
        config.origin,
        limit.saturating_sub(OTHERS).div_ceil(2).max(1),
    );
    if limit >= needed {
        report.ok("limits", seen);
    } else if limit > connections {
        report.warning("limits", seen, fix);
    } else {
        report.failed("limits", seen, fix);
    }
}

/// The directory that takes permitted mail.
pub(super) fn outbox(directory: &Path, message_bytes: usize, report: &mut Report) {
    // What is missing is made at the start.
    let existing = directory.ancestors().find(|it| it.exists()).unwrap_or(Path::new("."));
    let existing = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
    let shown = directory.display();
    if !existing.is_dir() {
        let seen = format!("`{}` is no directory", existing.display());
        return report.failed("outbox", seen, "`[upstream] directory`: name a directory");
    }
    if let Err(error) = access(existing, Access::WRITE_OK | Access::EXEC_OK | Access::READ_OK) {
        let seen = format!("`{}` cannot be written: {error}", existing.display());
        let fix = format!("chown \"$(id -u)\" {0} && chmod u+rwx {0}", existing.display());
        return report.failed("outbox", seen, fix);
    }
    let room = match statvfs(existing) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => {
            let seen = format!("the room in `{shown}` is not known: {error}");
            return report.warning("outbox", seen, format!("df -h {}", existing.display()));
        }
    };
    let made = if existing == directory { "" } else { ", made at the start" };
    let seen = format!("`{shown}`{made}: writable, {} MiB free", room >> 20);
    let fix = format!("make room: `du -sh {shown}`, `df -h {}`", existing.display());
    if room < message_bytes as u64 * 2 {
        report.failed("outbox", format!("{seen}, less than two messages take"), fix);
    } else if room < ROOM {
        report.warning("outbox", seen, fix);
    } else {
        report.ok("outbox", seen);
    }
}
