//! `sesgate policy`: the tools to live with policies.

mod asker;
mod case;
mod cases;
mod configuration;
mod coverage;
mod decider;
mod documents;
mod evaluate;
mod expect;
mod explain;
mod files;
mod fingerprint;
mod json;
mod junit;
mod layers;
mod lines;
mod lint;
mod mail;
mod message;
mod new;
mod question;
mod records;
mod replay;
mod sarif;
mod sources;
mod test;

use std::process::ExitCode;

use clap::Subcommand;

/// Exit status for a question that cannot be asked: EX_USAGE of sysexits.h.
const EX_USAGE: u8 = 64;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Says what the relay would decide about a message, and why.
    ///
    /// With users, listeners, policies and identities of the configuration. Every claim of the message
    /// is shown with its decision, why the resource is asked about at all, the layer that refused, and
    /// of the statement that is nearest everything that does not fit. SES is not asked.
    Explain(Box<explain::Arguments>),
    /// Decides requests as AWS would: a line of JSON on standard input, one on standard output.
    ///
    /// In: {"id"?, "policies": [document…], "action", "resource", "principal", "context": {"key":
    /// ["value"…]}, "boundary"?: [document…], "session_policy"?: document, "scps"?: [[document…]…],
    /// "rcps"?: [[document…]…], "resource_policy"?: document, "resource_account"?}
    ///
    /// Out: {"id"?, "decision": "Allowed"|"ExplicitlyDenied"|"ImplicitlyDenied", "statement"?:
    /// {"policy", "sid"?, "index"}}, or {"id"?, "error"} for a line or a document that is refused.
    Evaluate,
    /// Finds mistakes in policies, also those that IAM accepts.
    ///
    /// Each finding has a place, a kind, and mostly what to write instead. Of a folder all files
    /// `*.json` are taken, at any depth; files of cases among them are passed over.
    Lint(lint::Arguments),
    /// Writes a policy from wishes, with cases that show what it lets through and what it stops.
    ///
    /// For whoever never wrote one. On a terminal it asks for what no flag says. What is printed is a
    /// file of cases for `policy test`, the policy in it under `policies`; --write makes two files of it.
    /// All that is wished has to hold together. The linter has no objection, and the cases pass.
    New(Box<new::Arguments>),
    /// Plays files of cases: policies, a message or a request, and the decision expected.
    ///
    /// A file is a JSON list of cases, or an object with `cases` and members that all of them share.
    /// A case has `name`, `policy_files` (paths relative to the file) or `policies`, and `expect` with
    /// `decision` (Allowed, Denied, ExplicitlyDenied or ImplicitlyDenied) and perhaps the Sid of the
    /// `statement` that settles it. It asks about a `message` with `from`, `to` and `header` (or a file
    /// in `eml`), sent by `user` from a `client` at a moment `at`, as the relay would decide it under
    /// `config`, a file of the relay or an object with its sections; or it asks about a bare `request`
    /// with `action`, `resource`, `principal` and `context`. Of a folder all files `*.json` are taken,
    /// at any depth; policies among them are passed over.
    Test(test::Arguments),
    /// Decides the mail of a decision log again, by other policies, and tells what differs.
    ///
    /// Each record is decided as the relay would with this configuration, at the moment of then, and
    /// compared with what was decided. Groups of differences are shown with an example, the most
    /// frequent first. Records can be decided that were written with a file in `[decision_log]` and
    /// `addresses = "full"` in `[log]`; all others are left out and counted.
    Replay(Box<replay::Arguments>),
}

pub(super) fn run(command: &Command) -> ExitCode {
    match command {
        Command::Explain(arguments) => explain::run(arguments),
        Command::Evaluate => evaluate::run(),
        Command::Lint(arguments) => lint::run(arguments),
        Command::New(arguments) => new::run(arguments),
        Command::Test(arguments) => test::run(arguments),
        Command::Replay(arguments) => replay::run(arguments),
    }
}
