//! The thread that writes the file, and the queue before it: mail never waits for a disk, unless it
//! has to.
//!
//! A thread of its own, since a disk that hangs would hold one of those that serve. What becomes of a line
//! while the file cannot be written depends on what it is about (`RecordKind`). An intention is given up and its
//! message not sent, so that it must not be written later: it would tell of a message that never went. An
//! outcome is kept whatever happens, since SES has the message; there are never more than the messages that
//! were in flight, as no further one gets its intention written. Others are kept while there is room, then
//! counted, and the count is a line itself once writing works again. After a failure what was not written
//! goes back to the front, so that the file stays in order, and is tried again each second. Lines that
//! nobody waits for are gathered for some milliseconds; one that a message waits for is urgent.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::{oneshot, watch};

use super::file::LogFile;
use super::{Unwritten, record};
use crate::clock;

/// Lines that wait, in bytes, before those of refused messages are dropped and counted.
const ROOM: usize = 4 * 1024 * 1024;
/// Bytes written at once.
const BATCH: usize = 256 * 1024;
/// Lines that nobody waits for are gathered for so long.
const GATHER: Duration = Duration::from_millis(20);
/// After a failure it is tried again so often.
const AGAIN: Duration = Duration::from_secs(1);

/// What a line is about, and so what becomes of it while the file cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordKind {
    /// A message that is sent once this is written: given up.
    Intention,
    /// A message that was sent: kept whatever happens.
    Outcome,
    /// Anything else: kept while there is room.
    Other,
}

struct Item {
    line: Vec<u8>,
    kind: RecordKind,
    done: Option<oneshot::Sender<Result<(), Unwritten>>>,
}

impl AsRef<[u8]> for Item {
    fn as_ref(&self) -> &[u8] {
        &self.line
    }
}

impl Item {
    fn tell(&mut self, outcome: &Result<(), Unwritten>) {
        if let Some(done) = self.done.take() {
            // Whoever waited may have gone.
            let _ = done.send(outcome.clone());
        }
    }

    /// Whether it is of no use any more.
    fn is_given_up(&self) -> bool {
        self.kind == RecordKind::Intention
            && self.done.as_ref().is_none_or(oneshot::Sender::is_closed)
    }
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    /// Lines that there was no room for, since the line about that.
    lost: u64,
    /// Such lines since the start.
    dropped: u64,
    /// Somebody waits for a line.
    is_urgent: bool,
    reopen: bool,
    closed: bool,
    is_failing: bool,
}

/// The queue and the thread behind it.
pub(super) struct Writer {
    queue: Mutex<Queue>,
    wake: Condvar,
    writable: watch::Sender<bool>,
    path: PathBuf,
}

impl Writer {
    /// Opens the file and starts the thread.
    pub(super) fn start(path: PathBuf, sync: bool) -> io::Result<(Arc<Self>, Thread)> {
        let file = LogFile::open(&path, sync)?;
        let writer = Arc::new(Self {
            queue: Mutex::default(),
            wake: Condvar::new(),
            writable: watch::Sender::new(true),
            path,
        });
        let of_thread = Arc::clone(&writer);
        let (ended, end) = oneshot::channel::<()>();
        std::thread::Builder::new().name("decision-log".to_owned()).spawn(move || {
            of_thread.run(file);
            drop(ended);
        })?;
        Ok((writer, Thread(end)))
    }

    /// Whether the file takes lines, and when that changes.
    pub(super) fn permits(&self) -> watch::Receiver<bool> {
        self.writable.subscribe()
    }

    /// Remembers whether the file takes lines.
    pub(super) fn set_writable(&self, is: bool) {
        self.writable.send_if_modified(|writable| std::mem::replace(writable, is) != is);
    }

    /// Queues a line that nobody waits for.
    pub(super) fn queue(&self, line: Vec<u8>, kind: RecordKind) {
        let mut queue = self.queue.lock();
        // An outcome is kept whatever room there is: its message is gone, and nothing else tells of it.
        if kind == RecordKind::Other && queue.bytes.saturating_add(line.len()) > ROOM {
            queue.lost = queue.lost.saturating_add(1);
            queue.dropped = queue.dropped.saturating_add(1);
            let is_first = queue.lost == 1;
            drop(queue);
            if is_first {
                tracing::error!(
                    file = %self.path.display(),
                    "records of the decision log are dropped: its disk is full or too slow; make \
                     room, or move it to another disk",
                );
            }
            return;
        }
        // Behind others the thread is awake already, or gathers.
        let was_empty = queue.items.is_empty();
        queue.push(Item { line, kind, done: None });
        drop(queue);
        if was_empty {
            self.wake.notify_one();
        }
    }

    /// Queues a line; what is returned says when it is in the file. An intention for which there is no
    /// room is refused at once: its message is not sent.
    pub(super) fn urgent(
        &self,
        line: Vec<u8>,
        kind: RecordKind,
    ) -> oneshot::Receiver<Result<(), Unwritten>> {
        let (done, written) = oneshot::channel();
        let mut queue = self.queue.lock();
        if kind == RecordKind::Intention && !queue.makes_room(line.len()) {
            let behind = "its disk is behind with what there is to write";
            let _ = done.send(Err(Unwritten::Failed(behind.into())));
            return written;
        }
        queue.push(Item { line, kind, done: Some(done) });
        queue.is_urgent = true;
        drop(queue);
        self.wake.notify_one();
        written
    }

    /// Has the file opened anew.
    pub(super) fn reopen(&self) {
        self.queue.lock().reopen = true;
        self.wake.notify_one();
    }

    /// Has what is left written, and ends the thread.
    pub(super) fn close(&self) {
        self.queue.lock().closed = true;
        self.wake.notify_one();
    }

    /// Takes what is not in the file: lines that wait, but for intentions that came to nothing, and
    /// how many there was no room for since it was written last.
    pub(super) fn missing(&self) -> Missing {
        let mut queue = self.queue.lock();
        let mut missing = Missing { others: queue.lost, ..Missing::default() };
        for item in queue.items.drain(..) {
            match item.kind {
                RecordKind::Outcome => missing.outcomes.push(item.line),
                RecordKind::Other => missing.others = missing.others.saturating_add(1),
                RecordKind::Intention => {}
            }
        }
        queue.bytes = 0;
        missing
    }

    /// How many lines there was no room for since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.queue.lock().dropped
    }

    fn run(&self, mut file: LogFile) {
        while let Some(Work { mut batch, reopen }) = self.next() {
            if reopen && let Err(error) = file.reopen() {
                tracing::error!(
                    file = %self.path.display(),
                    %error,
                    "the decision log cannot be opened anew and goes on in the old file; let the \
                     relay write to its directory, then send SIGUSR1",
                );
            }
            if batch.is_empty() {
                continue;
            }
            let appended = file.append(&batch);
            // Those that are in the file are answered even if the others are not.
            let rest = batch.split_off(appended.lines.min(batch.len()));
            for mut item in batch {
                item.tell(&Ok(()));
            }
            match appended.result {
                Ok(()) => self.written(),
                Err(error) => {
                    if self.failed(rest, &error) {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for something to do; none at the end.
    fn next(&self) -> Option<Work> {
        let mut queue = self.queue.lock();
        loop {
            let pause = if queue.is_failing { AGAIN } else { GATHER };
            let has_lines = !queue.items.is_empty();
            let is_pressed = queue.is_urgent || queue.reopen || queue.closed;
            if is_pressed && (has_lines || queue.reopen) {
                break;
            }
            if queue.closed {
                return None;
            }
            if has_lines {
                // Until then, or until somebody is in a hurry.
                let is_calm =
                    |queue: &mut Queue| !(queue.is_urgent || queue.reopen || queue.closed);
                self.wake.wait_while_for(&mut queue, is_calm, pause);
                break;
            }
            self.wake.wait(&mut queue);
        }
        let reopen = std::mem::take(&mut queue.reopen);
        let mut batch = Vec::new();
        let mut bytes = 0;
        while bytes < BATCH
            && let Some(item) = queue.items.pop_front()
        {
            queue.bytes = queue.bytes.saturating_sub(item.line.len());
            // An intention whose message was refused meanwhile must not appear in the file.
            if !item.is_given_up() {
                bytes += item.line.len();
                batch.push(item);
            }
        }
        queue.is_urgent = queue.items.iter().any(|item| item.done.is_some());
        Some(Work { batch, reopen })
    }

    fn written(&self) {
        let mut queue = self.queue.lock();
        let was_failing = std::mem::take(&mut queue.is_failing);
        let lost = std::mem::take(&mut queue.lost);
        if lost > 0 {
            let line = record::lost(lost, clock::time_of_day());
            queue.push(Item { line, kind: RecordKind::Outcome, done: None });
        }
        drop(queue);
        self.set_writable(true);
        if was_failing || lost > 0 {
            tracing::info!(file = %self.path.display(), lost, "the decision log is written again");
        }
    }

    /// Keeps what has to be kept; returns whether that is the end.
    fn failed(&self, rest: Vec<Item>, error: &io::Error) -> bool {
        let outcome = Err(Unwritten::Failed(error.to_string().into()));
        let mut queue = self.queue.lock();
        for item in rest.into_iter().rev() {
            queue.bytes = queue.bytes.saturating_add(item.line.len());
            queue.items.push_front(item);
        }
        queue.items.iter_mut().for_each(|item| item.tell(&outcome));
        queue.items.retain(|item| item.kind != RecordKind::Intention);
        queue.bytes = queue.items.iter().map(|item| item.line.len()).sum();
        queue.is_urgent = false;
        let is_end = queue.closed;
        let is_first = !std::mem::replace(&mut queue.is_failing, true);
        drop(queue);
        self.set_writable(false);
        if is_first {
            tracing::error!(
                file = %self.path.display(),
                %error,
                "the decision log cannot be written; make room on its disk and let the relay write \
                 there. What it keeps in memory is written then",
            );
        }
        is_end
    }
}

impl Queue {
    /// Whether there is room for so many bytes, perhaps after what nobody waits for is gone.
    fn makes_room(&mut self, bytes: usize) -> bool {
        if self.bytes.saturating_add(bytes) > ROOM {
            self.items.retain(|item| !item.is_given_up());
            self.bytes = self.items.iter().map(|item| item.line.len()).sum();
        }
        self.bytes.saturating_add(bytes) <= ROOM
    }

    fn push(&mut self, item: Item) {
        self.bytes = self.bytes.saturating_add(item.line.len());
        self.items.push_back(item);
    }
}

/// What is not in the file.
#[derive(Debug, Default)]
pub(super) struct Missing {
    /// Lines about messages that were sent, or may have been.
    pub(super) outcomes: Vec<Vec<u8>>,
    /// How many others.
    pub(super) others: u64,
}

struct Work {
    batch: Vec<Item>,
    reopen: bool,
}

/// The end of the thread.
pub(super) struct Thread(oneshot::Receiver<()>);

impl Thread {
    /// Waits for it.
    pub(super) async fn ended(self) {
        let _ = self.0.await;
    }
}
