//! Records that wait for the collector: bounded in bytes, and never waited for.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The field of `ScopeSpans` and of `ScopeLogs` in which a record stands.
pub(super) const RECORD: u32 = 2;

/// What may wait, in bytes: a second or two of a busy relay.
const WAITING_BYTES: usize = 2 * 1024 * 1024;
/// What is sent without waiting for more.
const BATCH_BYTES: usize = 256 * 1024;

/// Records of one signal, written already.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Batch>,
    lost: AtomicU64,
    ready: Notify,
}

/// Records that are sent together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// One behind the other, each in field [`RECORD`].
    pub(super) bytes: Vec<u8>,
    /// How many.
    pub(super) records: u64,
}

impl Queue {
    /// Adds records, or counts them as lost when there is no room.
    pub(super) fn add(&self, records: &[u8], count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let mut waiting = self.waiting.lock();
        let before = waiting.bytes.len();
        if before + records.len() > WAITING_BYTES {
            drop(waiting);
            return self.lose(count);
        }
        waiting.bytes.extend(records);
        waiting.records += count;
        let is_full = before < BATCH_BYTES && waiting.bytes.len() >= BATCH_BYTES;
        drop(waiting);
        if is_full {
            self.ready.notify_one();
        }
    }

    /// Takes everything that waits.
    pub(super) fn take(&self) -> Batch {
        std::mem::take(&mut self.waiting.lock())
    }

    /// Returns when there is enough for a batch.
    pub(super) async fn ready(&self) {
        self.ready.notified().await;
    }

    pub(super) fn lose(&self, records: u64) {
        self.lost.fetch_add(records, Ordering::Relaxed);
    }

    /// Whether records were lost that were not taken note of.
    pub(super) fn has_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed) > 0
    }

    /// Returns how many records were lost since this was asked last.
    pub(super) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted() {
        let queue = Queue::default();
        let record = vec![0; WAITING_BYTES / 2];
        for _ in 0..3 {
            queue.add(&record, 4);
        }
        assert_eq!((queue.take().records, queue.take_lost(), queue.take_lost()), (8, 4, 0));
        queue.add(&record, 1);
        assert_eq!(queue.take().records, 1);
    }

    #[tokio::test]
    async fn a_full_batch_does_not_wait() {
        let queue = Queue::default();
        queue.add(&vec![0; BATCH_BYTES], 1);
        queue.ready().await;
    }
}
