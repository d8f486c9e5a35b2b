//! Commands that do not exist, and what was meant by them.

use clap::error::{ContextKind, ContextValue, Error};

/// What other programs call it, and the command.
const MEANT: [(&str, &[&str]); 4] = [
    ("serve", &["start", "run", "up", "daemon", "server", "relay", "listen"]),
    ("check", &["validate", "verify", "test", "configtest", "lint"]),
    ("healthcheck", &["health", "status", "ping", "ready"]),
    ("policy", &["explain", "evaluate", "simulate", "policies"]),
];

/// Adds the command that was meant where its name is not similar.
pub(super) fn with_suggestion(mut error: Error) -> Error {
    if let Some(ContextValue::String(said)) = error.get(ContextKind::InvalidSubcommand)
        && let Some((meant, _)) = MEANT.iter().find(|(_, names)| names.contains(&said.as_str()))
    {
        let meant = ContextValue::Strings(vec![(*meant).to_owned()]);
        error.insert(ContextKind::SuggestedSubcommand, meant);
    }
    error
}
