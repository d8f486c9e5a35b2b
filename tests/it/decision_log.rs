//! The file of the decision log when its disk hangs: a pipe that nobody reads stands for that.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use sesgate::decision_log::{DecisionLog, Event, Record, Settings, Unwritten};
use tokio::time::Instant;
use tracing::Level;
use uuid::Uuid;

fn pipe(folder: &Path) -> PathBuf {
    let file = folder.join("pipe");
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    file
}

fn open(file: PathBuf, required: bool) -> DecisionLog {
    DecisionLog::open(Settings { file, required, sync: false, is_in_log: false }).unwrap()
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
        let record = Record { ehlo: Some(&long), ..Record::new(Event::Refused, Uuid::now_v7()) };
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
    let blocking = Record { ehlo: Some(&long), ..Record::new(Event::Refused, Uuid::now_v7()) };
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

fn soon(millis: u64) -> Instant {
    Instant::now() + Duration::from_millis(millis)
}
