//! The decision log: one record a transaction, in the ordinary log, in a file, or in both.
//!
//! What a record says is filled in by those who know; this part gives it its two forms and sees to
//! the file. Where the file is required, a message is sent only when the intention to send it is
//! written.

mod facts;
mod file;
mod record;
mod recorded;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Level;

pub use facts::{Author, Facts, VpcFacts};
pub use record::{CandidateSays, Event, Record, VERSION};
pub use recorded::{Recorded, Unread};
use writer::{RecordKind, Thread, Writer};

use crate::clock;

/// The target of these lines in the ordinary log.
pub const TARGET: &str = "sesgate::decision_log";

/// How long a message waits for its record.
const RECORD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the end waits for what is left.
const LAST: Duration = Duration::from_secs(2);

/// Why a record is not in the file.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unwritten {
    /// The system says so.
    #[error("the decision log cannot be written: {0}")]
    Failed(Arc<str>),
    /// The disk has not answered in time; it may be written later.
    #[error("the decision log was not written within {0:?}")]
    TooSlow(Duration),
}

/// Where records go.
#[derive(Debug, Clone)]
pub struct DecisionLogSettings {
    /// The file.
    pub file: PathBuf,
    /// Whether mail is sent only with a record in the file.
    pub required: bool,
    /// Whether each record is on the disk, and not only with the system, before it counts.
    pub sync: bool,
    /// Whether the ordinary log has lines of all transactions too; else those that ask for action.
    pub is_in_log: bool,
}

/// Takes records. Clones are the same log.
#[derive(Clone, Default)]
pub struct DecisionLog(Option<Arc<InFile>>);

struct InFile {
    writer: Arc<Writer>,
    thread: Mutex<Option<Thread>>,
    settings: DecisionLogSettings,
}

impl std::fmt::Debug for DecisionLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let settings = self.0.as_ref().map(|log| &log.settings);
        f.debug_tuple("DecisionLog").field(&settings).finish()
    }
}

impl DecisionLog {
    /// Opens the file and starts the thread that writes it. Without a file, [`DecisionLog::default`]
    /// writes to the ordinary log.
    ///
    /// # Errors
    /// When the file cannot be opened, or there is no thread.
    pub fn open(settings: DecisionLogSettings) -> io::Result<Self> {
        let (writer, thread) = Writer::start(settings.file.clone(), settings.sync)?;
        let thread = Mutex::new(Some(thread));
        Ok(Self(Some(Arc::new(InFile { writer, thread, settings }))))
    }

    /// Takes a record that nobody waits for.
    pub fn note(&self, record: &Record<'_>, level: Level) {
        self.queue(record, level, record.event != Event::Refused);
    }

    /// Takes the record of a refusal that follows an intention in the file: where records are
    /// required, it is kept like that of a message that was sent.
    pub fn note_outcome(&self, record: &Record<'_>, level: Level) {
        self.queue(record, level, true);
    }

    fn queue(&self, record: &Record<'_>, level: Level, is_outcome: bool) {
        self.tell(record, level);
        if let Some(log) = &self.0 {
            let is_kept = log.settings.required && is_outcome;
            let kind = if is_kept { RecordKind::Outcome } else { RecordKind::Other };
            log.writer.queue(record.to_line(clock::time_of_day()), kind);
        }
    }

    /// Writes the intention to send a message, where that is required.
    ///
    /// # Errors
    /// When it is not in the file, and so the message must not be sent.
    pub async fn intend(&self, record: &Record<'_>, by: Instant) -> Result<(), Unwritten> {
        match self.required() {
            Some(log) => log.write(record, RecordKind::Intention, by).await,
            None => Ok(()),
        }
    }

    /// Takes the record of a message that was taken; where records are required it is in the file when
    /// this returns, or an `error` line says that it will be.
    pub async fn taken(&self, record: &Record<'_>, by: Instant) {
        let Some(log) = self.required() else { return self.note(record, Level::INFO) };
        self.tell(record, Level::INFO);
        if let Err(error) = log.write(record, RecordKind::Outcome, by).await {
            if !log.settings.is_in_log {
                // Should it never be written, it is at least here.
                record.tell(Level::INFO);
            }
            tracing::error!(
                decision = %record.decision,
                file = %log.settings.file.display(),
                error = %error,
                "a message was sent and its record is not in the decision log yet; make room on its \
                 disk: it is kept in memory and written then, and further mail is answered 451 until",
            );
        }
    }

    /// Opens the file anew: it was moved, or is about to be.
    pub fn reopen(&self) {
        if let Some(log) = &self.0 {
            log.writer.reopen();
        }
    }

    /// Whether records are kept in a file, where they can be read again.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Whether mail can be sent as far as its records go, and when that changes; none where they are
    /// not required.
    #[must_use]
    pub fn permits(&self) -> Option<watch::Receiver<bool>> {
        self.required().map(|log| log.writer.permits())
    }

    /// How many records there was no room to keep for the file, since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.as_ref().map_or(0, |log| log.writer.dropped())
    }

    /// Writes what is left.
    pub async fn close(&self) {
        let Some(log) = &self.0 else { return };
        log.writer.close();
        let thread = log.thread.lock().take();
        if let Some(thread) = thread {
            let _ = tokio::time::timeout(LAST, thread.ended()).await;
        }
        let missing = log.writer.missing();
        let file = log.settings.file.display();
        for line in &missing.outcomes {
            let record = String::from_utf8_lossy(line);
            tracing::error!(
                %file,
                record = record.trim_end(),
                "the record of a message could not be written to the decision log: add it by hand, \
                 and see why its disk does not take it",
            );
        }
        if missing.others > 0 {
            tracing::error!(
                %file,
                records = missing.others,
                "the last records of refused mail could not be written to the decision log; make room",
            );
        }
    }

    fn required(&self) -> Option<&InFile> {
        self.0.as_deref().filter(|log| log.settings.required)
    }

    fn tell(&self, record: &Record<'_>, level: Level) {
        let is_in_log = self.0.as_ref().is_none_or(|log| log.settings.is_in_log);
        if is_in_log || level < Level::INFO {
            record.tell(level);
        }
    }
}

impl InFile {
    async fn write(
        &self,
        record: &Record<'_>,
        kind: RecordKind,
        by: Instant,
    ) -> Result<(), Unwritten> {
        let mut written = self.writer.urgent(record.to_line(clock::time_of_day()), kind);
        let by = by.min(clock::now() + RECORD_TIMEOUT);
        if let Ok(answered) = tokio::time::timeout_at(by, &mut written).await {
            return answered
                .unwrap_or_else(|_| Err(Unwritten::Failed("the relay is ending".into())));
        }
        self.writer.set_writable(false);
        // It may have been written in this very moment; the file takes lines again then.
        match written.try_recv() {
            Ok(Ok(())) => {
                self.writer.set_writable(true);
                Ok(())
            }
            Ok(failed) => failed,
            Err(_) => Err(Unwritten::TooSlow(RECORD_TIMEOUT)),
        }
    }
}
