//! `sesgate serve`: runs the relay until a signal ends it.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use super::otlp::Export;
use super::problems::tell;
use crate::build_info;
use crate::config::{LogFormat, Problem, Sources};
use crate::gateway::{self, Gateway};
use crate::sockets::Sockets;
use crate::telemetry;

/// More descriptors than any number of connections needs.
const DESCRIPTORS: u64 = 1 << 20;

pub(super) fn run(sources: &Sources) -> ExitCode {
    // Before any secret is read.
    #[cfg(target_os = "linux")]
    forbid_dumps();
    let (read, mut problems) = super::read_all(sources);
    let mut sockets = Sockets::from_environment().unwrap_or_else(|errors| {
        problems.extend(errors.iter().map(|error| Problem {
            file: "systemd".to_owned(),
            place: None,
            message: error.to_string(),
        }));
        Sockets::default()
    });
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!(
                "cannot start threads: {error}; raise the limit of the service or container on them"
            );
            return ExitCode::FAILURE;
        }
    };
    let Some((config, mut loaded)) = read else { return super::refuse(&problems) };
    let missing = runtime.block_on(gateway::preflight(&config, &mut loaded.parts, &mut sockets));
    problems.extend(missing);
    if !problems.is_empty() {
        return super::refuse(&problems);
    }
    let parts = loaded.parts;
    let warnings = loaded.warnings;
    let json = match config.log.format {
        LogFormat::Auto => None,
        LogFormat::Json => Some(true),
        LogFormat::Text => Some(false),
    };
    raise_descriptor_limit();
    let mut export = match Export::prepare(&config) {
        Ok(export) => export,
        Err(error) => {
            tell(&error.to_string());
            return ExitCode::from(super::EX_CONFIG);
        }
    };
    let logging = telemetry::start(json, config.log.level, export.lines());
    let variables: Vec<_> = config.origin.overrides().collect();
    tracing::info!(
        version = build_info::VERSION,
        commit = build_info::COMMIT,
        config = config.origin.file().map(|file| file.display().to_string()),
        environment = variables.join(" "),
        "starting"
    );
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let status = runtime.block_on(async {
        let listen = |kind| {
            signal(kind).inspect_err(|error| {
                tracing::error!(%error, "cannot listen for signals; report this as a bug");
            })
        };
        let (Ok(mut terminate), Ok(mut interrupt), Ok(mut reload_requested), Ok(mut reopen)) = (
            listen(SignalKind::terminate()),
            listen(SignalKind::interrupt()),
            listen(SignalKind::hangup()),
            listen(SignalKind::user_defined1()),
        ) else {
            return ExitCode::FAILURE;
        };
        export.start();
        let gateway = match Gateway::start(config, parts, sockets).await {
            Ok(gateway) => gateway,
            Err(error) => {
                tracing::error!(%error, "cannot start; see what `error` names, and `sesgate doctor`");
                export.finish().await;
                return ExitCode::FAILURE;
            }
        };
        let (hungup, decisions) = (gateway.reload_requested(), gateway.decision_log());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let signals = async move {
            let mut stop = Some(stop);
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                    _ = reload_requested.recv() => {
                        decisions.reopen();
                        hungup.notify_one();
                        continue;
                    }
                    _ = reopen.recv() => {
                        decisions.reopen();
                        continue;
                    }
                }
                match stop.take() {
                    Some(stop) => drop(stop.send(())),
                    None => return,
                }
            }
        };
        let drained = gateway.run(async move { drop(stopped.await) });
        tokio::select! {
            () = drained => {
                export.finish().await;
                ExitCode::SUCCESS
            }
            () = signals => {
                tracing::warn!("a second signal: ended without draining; wait for `drain_seconds` next time");
                ExitCode::FAILURE
            }
        }
    });
    if logging.dropped_lines() > 0 {
        let lines = logging.dropped_lines();
        eprintln!("{lines} log lines were dropped: nobody read standard output fast enough");
    }
    status
}

/// Keeps private keys, passwords and mail off the disk: a crash leaves no image of the memory, and no
/// other process of this user may read it.
#[cfg(target_os = "linux")]
fn forbid_dumps() {
    // Neither needs a right; what fails all the same is no reason to hold up mail.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// Lets the process have as many descriptors as it may: a connection and its call take two.
///
/// What some systems give at first (1024) is for programs that use select(2).
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum.map(|most| most.min(DESCRIPTORS)), ..limit };
    if limit.current.is_some_and(|now| raised.current.is_none_or(|most| most > now)) {
        // Where that is forbidden, `doctor` says what is missing.
        let _ = setrlimit(Resource::Nofile, raised);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::dumpable_behavior;

    use super::*;

    #[test]
    fn nothing_is_dumped() {
        forbid_dumps();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
    }
}
