//! The file of the decision log when its disk hangs: a pipe that nobody reads stands for that.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use sesgate::decision_log::{DecisionLog, DecisionLogSettings, Event, Record, Unwritten};
use tokio::time::Instant;
use tracing::Level;
use uuid::Uuid;

fn pipe(folder: &Path) -> PathBuf {
    let file = folder.join("pipe");
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    file
}

fn open(file: PathBuf, required: bool) -> DecisionLog {
    DecisionLog::open(DecisionLogSettings { file, required, sync: false, is_in_log: false })
        .unwrap()
}

/// A log in which every mail must be recorded, and what makes its disk hang.
pub(crate) fn hanging(folder: &Path) -> (DecisionLog, impl Fn() + use<>) {
    let log = open(pipe(folder), true);
    let hung = log.clone();
    let long = "x".repeat(200_000);
    (log, move || {
        let record =
            Record { principal: Some(&long), ..Record::new(Event::Refused, Uuid::now_v7()) };
        hung.note(&record, Level::INFO);
    })
}

/// Reads the pipe from now on, each line as it comes, after `begun`.
fn reading(pipe: File, begun: &'static [u8]) -> mpsc::Receiver<Value> {
    let (lines, read) = mpsc::channel();
    std::thread::spawn(move || {
        let pipe = std::io::BufReader::new(begun.chain(pipe));
        for line in std::io::BufRead::lines(pipe) {
            let _ = lines.send(serde_json::from_str(&line.unwrap()).unwrap());
        }
    });
    read
}

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn what_there_is_no_room_for_is_counted_in_its_place() {
    const RECORDS: u64 = 10_000;
    let folder = tempfile::tempdir().unwrap();
    let file = pipe(folder.path());
    let log = open(file.clone(), false);
    let long = "x".repeat(1_000);
    for _ in 0..RECORDS {
        let record =
            Record { principal: Some(&long), ..Record::new(Event::Refused, Uuid::now_v7()) };
        log.note(&record, Level::INFO);
    }
    assert!(log.dropped() > 0);
    let read = reading(File::open(file).unwrap(), b"");
    let mut records = 0;
    let lost = loop {
        let line = read.recv_timeout(SOON).unwrap();
        if line["event"] == "lost" {
            break line["records"].as_u64().unwrap();
        }
        records += 1;
    };
    assert_eq!((records + lost, lost), (RECORDS, log.dropped()));
    // Some four MiB and the pipe.
    assert!((3_500..4_500).contains(&records), "{records}");
    // It goes on.
    log.note(&Record::new(Event::Settled, Uuid::now_v7()), Level::DEBUG);
    assert_eq!(read.recv_timeout(SOON).unwrap()["event"], "settled");
    log.close().await;
}

#[tokio::test]
async fn an_intention_that_nobody_waits_for_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = pipe(folder.path());
    let log = open(file.clone(), true);
    let permits = log.permits().unwrap();
    let long = "x".repeat(200_000);
    let blocking = Record { principal: Some(&long), ..Record::new(Event::Refused, Uuid::now_v7()) };
    log.note(&blocking, Level::INFO);
    // The thread is in the middle of it, and can take nothing else.
    let (mut pipe, mut first) = (File::open(file).unwrap(), [0]);
    pipe.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"{");
    // Its turn does not come before it is given up.
    let given_up = Uuid::now_v7();
    let outcome = log.intend(&Record::new(Event::Permitted, given_up), soon(300)).await;
    assert!(matches!(outcome, Err(Unwritten::TooSlow(_))), "{outcome:?}");
    assert!(!*permits.borrow());
    let taken = Uuid::now_v7();
    log.taken(&Record::new(Event::Relayed, taken), soon(100)).await;
    let read = reading(pipe, b"{");
    let mut seen = Vec::new();
    while seen.last() != Some(&taken.to_string()) {
        let line = read.recv_timeout(SOON).unwrap();
        seen.push(line["decision"].as_str().unwrap().to_owned());
    }
    assert!(!seen.contains(&given_up.to_string()), "{seen:?}");
    assert!(log.intend(&Record::new(Event::Permitted, Uuid::now_v7()), soon(5_000)).await.is_ok());
    assert!(*permits.borrow());
    log.close().await;
}

/// While the disk hangs, what waits for it stays within bounds, and what it is about is not sent.
#[tokio::test]
async fn intentions_that_the_disk_does_not_take_are_refused_before_they_pile_up() {
    let folder = tempfile::tempdir().unwrap();
    let (log, hang) = hanging(folder.path());
    hang();
    let long = "x".repeat(100_000);
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (log, long) = (log.clone(), long.clone());
        waiting.spawn(async move {
            let record = Record::new(Event::Permitted, Uuid::now_v7());
            log.intend(&Record { principal: Some(&long), ..record }, soon(3_000)).await
        });
    }
    let outcomes = waiting.join_all().await;
    let refused = |outcome: &Result<(), Unwritten>| matches!(outcome, Err(Unwritten::Failed(_)));
    let late = |outcome: &Result<(), Unwritten>| matches!(outcome, Err(Unwritten::TooSlow(_)));
    let count = |is: &dyn Fn(&Result<(), Unwritten>) -> bool| {
        outcomes.iter().filter(|outcome| is(outcome)).count()
    };
    // Some four MiB of them wait.
    assert_eq!((count(&refused) + count(&late), outcomes.len()), (100, 100), "{outcomes:?}");
    assert!((35..45).contains(&count(&late)), "{}", count(&late));
    // Those have been given up: others may wait in their place.
    let next = log.intend(&Record::new(Event::Permitted, Uuid::now_v7()), soon(300)).await;
    assert!(matches!(next, Err(Unwritten::TooSlow(_))), "{next:?}");
}

/// What follows an intention in the file is not dropped for want of room, or the file would say that
/// nobody knows what came of it.
#[tokio::test]
async fn a_refusal_behind_an_intention_is_kept_where_others_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let file = pipe(folder.path());
    let log = open(file.clone(), true);
    let long = "x".repeat(100_000);
    for _ in 0..60 {
        let record =
            Record { principal: Some(&long), ..Record::new(Event::Refused, Uuid::now_v7()) };
        log.note(&record, Level::INFO);
    }
    let (others, behind) = (Uuid::now_v7(), Uuid::now_v7());
    let dropped = log.dropped();
    assert!(dropped > 0);
    log.note(
        &Record { principal: Some(&long), ..Record::new(Event::Refused, others) },
        Level::INFO,
    );
    assert_eq!(log.dropped(), dropped + 1);
    log.note_outcome(
        &Record { principal: Some(&long), ..Record::new(Event::Refused, behind) },
        Level::INFO,
    );
    assert_eq!(log.dropped(), dropped + 1);
    let read = reading(File::open(file).unwrap(), b"");
    let mut seen = Vec::new();
    while seen.last() != Some(&behind.to_string()) {
        let line = read.recv_timeout(SOON).unwrap();
        seen.push(line["decision"].as_str().unwrap_or_default().to_owned());
    }
    assert!(!seen.contains(&others.to_string()));
    log.close().await;
}

fn soon(millis: u64) -> Instant {
    Instant::now() + Duration::from_millis(millis)
}
