//! What the decision log costs: a record put together, and put into a file in both ways.

#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark")]

use std::time::{Duration, SystemTime};

use divan::Bencher;
use sesgate::decision_log::{DecisionLog, DecisionLogSettings, Event, Record};
use sesgate::redact::{Addresses, Redaction};
use tempfile::TempDir;
use tokio::time::Instant;
use tracing::Level;
use uuid::Uuid;

fn main() {
    divan::main();
}

/// The record of an ordinary message to one recipient.
fn record<'a>(event: Event, recipients: &'a Addresses, from: &'a Addresses) -> Record<'a> {
    Record {
        principal: Some("marketing"),
        principal_arn: Some("arn:aws:iam::123456789012:user/marketing"),
        client: Some("10.1.2.3:40000"),
        listener: Some("10.1.2.4:2525"),
        tls: Some("TLSv1_3"),
        ehlo: Some("app.example.com"),
        reverse_path: Some("marketing@example.com"),
        recipients: &recipients.shown,
        from: &from.shown,
        bytes: Some(2_048),
        verdict: Some("Allowed"),
        statement: Some("/etc/sesgate/policies/from-marketing.json:4: statement `Marketing`"),
        message_id: Some("0100018f3b2c4d5e-6f708192-a3b4-c5d6-e7f8-091a2b3c4d5e-000000"),
        reply_code: Some(250),
        reply: Some("250 Ok 0100018f3b2c4d5e-6f708192-a3b4-c5d6-e7f8-091a2b3c4d5e-000000"),
        elapsed_ms: Some(60),
        ..Record::new(event, Uuid::now_v7())
    }
}

fn addresses() -> (Addresses, Addresses) {
    let shown = |address| Redaction::Full.show_each([address]);
    (shown("someone@example.net"), shown("marketing@example.com"))
}

fn open(required: bool, sync: bool) -> (TempDir, DecisionLog) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("decisions.jsonl");
    let log =
        DecisionLog::open(DecisionLogSettings { file, required, sync, is_in_log: false }).unwrap();
    (folder, log)
}

#[divan::bench]
fn put_together(bencher: Bencher<'_, '_>) {
    let (recipients, from) = addresses();
    let record = record(Event::Relayed, &recipients, &from);
    let now = SystemTime::now();
    bencher.bench_local(|| record.to_line(now));
}

#[divan::bench]
fn best_effort(bencher: Bencher<'_, '_>) {
    let (_folder, log) = open(false, false);
    let (recipients, from) = addresses();
    let record = record(Event::Relayed, &recipients, &from);
    bencher.bench_local(|| log.note(&record, Level::INFO));
}

/// Both records of a message, one message at a time: the worst case.
#[divan::bench(args = [false, true])]
fn required(bencher: Bencher<'_, '_>, sync: bool) {
    let (_folder, log) = open(true, sync);
    let (recipients, from) = addresses();
    let intention = record(Event::Permitted, &recipients, &from);
    let outcome = record(Event::Relayed, &recipients, &from);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    bencher.bench_local(|| {
        runtime.block_on(async {
            let by = Instant::now() + Duration::from_secs(5);
            log.intend(&intention, by).await.unwrap();
            log.taken(&outcome, by).await;
        });
    });
}
