//! The result of a replay, for people, for machines and for CI.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::super::cases::Played;
use super::super::expect::Failure;
use super::super::junit::{self, Suite};
use super::super::records::{self, Logs};
use super::Replayed;
use super::differences::{Group, Outcome};
use crate::redact::{printable, printable_json};

/// Recipients of an example that are shown.
const SHOWN: usize = 3;

pub(super) fn text(replayed: &Replayed, logs: &Logs, unknown: &[&str]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for unknown in unknown {
        writeln!(out, "not known here: {unknown}")?;
    }
    for group in &replayed.differences.groups {
        let kind = &group.kind;
        let (user, author) = (printable(&kind.user), printable(&kind.author));
        writeln!(out, "{} × {user} as {author}: {}", group.count, printable(&change(group)))?;
        writeln!(out, "    such as {}", printable(&example(group, logs)))?;
        if let Some(reason) = &group.reason {
            writeln!(out, "    because {}", printable(reason))?;
        }
    }
    writeln!(out, "{}", summary(replayed))
}

pub(super) fn json(replayed: &Replayed, logs: &Logs, unknown: &[&str]) -> io::Result<()> {
    let outcome = |it: &Outcome| json!({ "decision": it.word, "statement": it.statement });
    let groups = replayed.differences.groups.iter().map(|group| {
        let (kind, example) = (&group.kind, &group.example);
        json!({
            "count": group.count,
            "user": kind.user,
            "author": kind.author,
            "before": outcome(&kind.before),
            "after": outcome(&kind.after),
            "example": {
                "file": records::name(logs, group.place.file),
                "line": group.place.line,
                "decision": example.decision,
                "timestamp": example.timestamp,
                "reverse_path": example.reverse_path,
                "recipients": example.recipients,
            },
            "reason": group.reason,
        })
    });
    let answer = json!({
        "decided": replayed.decided,
        "differ": replayed.differences.count(),
        "without_decision": replayed.without_decision,
        "lost": replayed.lost,
        "left_out": replayed.left_out.to_json(logs),
        "unknown": unknown,
        "differences": groups.collect::<Value>(),
    });
    writeln!(io::stdout(), "{}", printable_json(&format!("{answer:#}")))
}

/// A suite for each log, with a case for each group that it has the example of, and one for the rest.
pub(super) fn junit(replayed: &Replayed, logs: &Logs) -> io::Result<()> {
    let mut suites = Vec::new();
    for file in 0..logs.files.len() {
        let name = records::name(logs, file);
        let groups = replayed.differences.groups.iter().filter(|group| group.place.file == file);
        let mut cases: Vec<_> = groups.map(failed).collect();
        if file == 0 {
            let same = replayed.decided - replayed.differences.count();
            cases.push(Played {
                name: format!("{same} decisions come out as before"),
                line: 1,
                result: Ok(()),
                took: Duration::ZERO,
            });
        }
        suites.push(Suite { file: name.clone(), played: Ok(cases) });
        let left_out = replayed.left_out.of(file, logs);
        if !left_out.is_empty() {
            suites.push(Suite { file: name, played: Err(left_out.join("; ")) });
        }
    }
    junit::write("sesgate policy replay", &suites, None, &mut io::stdout().lock())
}

fn failed(group: &Group) -> Played {
    let kind = &group.kind;
    let got = match &group.reason {
        Some(reason) => format!("{}, because {reason}", kind.after),
        None => kind.after.to_string(),
    };
    Played {
        name: format!("{} × {} as {}", group.count, kind.user, kind.author),
        line: group.place.line,
        result: Err(Failure { expected: kind.before.to_string(), got }),
        took: Duration::ZERO,
    }
}

fn change(group: &Group) -> String {
    format!("{} -> {}", group.kind.before, group.kind.after)
}

fn example(group: &Group, logs: &Logs) -> String {
    let record = &group.example;
    let recipients = record.recipients.iter().take(SHOWN).map(String::as_str);
    let mut recipients = recipients.collect::<Vec<_>>().join(", ");
    if record.recipients.len() > SHOWN {
        recipients.push_str(&format!(" and {} more", record.recipients.len() - SHOWN));
    }
    format!(
        "{}:{}: {} from {} to {recipients}, decision {}",
        records::name(logs, group.place.file),
        group.place.line,
        record.timestamp,
        record.reverse_path,
        record.decision,
    )
}

fn summary(replayed: &Replayed) -> String {
    let (decided, differ) = (replayed.decided, replayed.differences.count());
    let mut text = match differ {
        0 => format!("{decided} decisions come out as before"),
        differ => format!("{differ} of {decided} decisions come out otherwise"),
    };
    text.push_str(", ");
    text.push_str(&replayed.left_out.summary());
    if replayed.without_decision > 0 {
        let without = replayed.without_decision;
        text.push_str(&format!(", {without} refused before anything was decided"));
    }
    if replayed.lost > 0 {
        text.push_str(&format!(", {} missing in the log itself", replayed.lost));
    }
    text
}
