//! Lines that wait for the reader of standard output: bounded in bytes, and never waited for.
//!
//! A thread writes them, since a reader that stands still must not hold up mail. What there is no room
//! for is dropped and counted.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing_subscriber::fmt::MakeWriter;

/// What may wait, in bytes, the batch that is being written included.
const ROOM: usize = 4 * 1024 * 1024;
/// What a line takes beside its text.
const LINE: usize = size_of::<Vec<u8>>();
/// Bytes written at once: as much as a pipe takes.
const BATCH: usize = 64 * 1024;
/// How long the end waits for the reader.
const LAST: Duration = Duration::from_secs(1);

/// Takes lines. Clones are the same queue.
#[derive(Clone, Default)]
pub(super) struct Queue(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There are lines, or it is the end.
    wake: Condvar,
    /// Everything is written.
    written: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    /// Bytes that wait or are being written.
    bytes: usize,
    dropped: usize,
    is_ended: bool,
}

impl Queue {
    /// Starts the thread that writes lines to `output`; it ends with [`Queue::finish`] or the process.
    pub(super) fn start(output: impl Write + Send + 'static) -> Self {
        let queue = Self::default();
        let shared = Arc::clone(&queue.0);
        // Without the thread every line is counted as dropped, once there is no room.
        let _ =
            std::thread::Builder::new().name("log".to_owned()).spawn(move || shared.write(output));
        queue
    }

    /// How many lines were dropped: there was no room, or they could not be written.
    pub(super) fn dropped(&self) -> usize {
        self.0.state.lock().dropped
    }

    /// Waits until everything is written, for as long as a second, and ends the thread.
    pub(super) fn finish(&self) {
        let mut state = self.0.state.lock();
        state.is_ended = true;
        self.0.wake.notify_one();
        self.0.written.wait_while_for(&mut state, |state| state.bytes > 0, LAST);
    }

    fn add(&self, line: &[u8]) {
        let bytes = line.len() + LINE;
        let mut state = self.0.state.lock();
        if state.bytes + bytes > ROOM {
            state.dropped += 1;
            return;
        }
        state.bytes += bytes;
        state.lines.push_back(line.to_vec());
        drop(state);
        self.0.wake.notify_one();
    }
}

impl Shared {
    /// Writes what there is until the end.
    fn write(&self, mut output: impl Write) {
        let mut batch = Vec::new();
        loop {
            let mut state = self.state.lock();
            while state.lines.is_empty() && !state.is_ended {
                self.wake.wait(&mut state);
            }
            let (mut lines, mut bytes) = (0, 0);
            while batch.len() < BATCH
                && let Some(line) = state.lines.pop_front()
            {
                bytes += line.len() + LINE;
                lines += 1;
                batch.extend(line);
            }
            if lines == 0 {
                return;
            }
            drop(state);
            let outcome = output.write_all(&batch).and_then(|()| output.flush());
            batch.clear();
            let mut state = self.state.lock();
            state.bytes = state.bytes.saturating_sub(bytes);
            if outcome.is_err() {
                state.dropped += lines;
            }
            let is_empty = state.bytes == 0;
            drop(state);
            if is_empty {
                self.written.notify_all();
            }
        }
    }
}

impl MakeWriter<'_> for Queue {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Takes a whole line at a time, as `tracing_subscriber::fmt` writes them.
impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// An output that takes a batch only when it is read.
    struct Output(SyncSender<Vec<u8>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn started() -> (Queue, Receiver<Vec<u8>>) {
        let (sender, read) = sync_channel(0);
        (Queue::start(Output(sender)), read)
    }

    #[test]
    fn lines_come_in_their_order() {
        let (queue, read) = started();
        let lines: Vec<_> = (0..1000).map(|number| format!("{number}\n")).collect();
        lines.iter().for_each(|line| queue.add(line.as_bytes()));
        let reading = std::thread::spawn(move || read.iter().flatten().collect::<Vec<_>>());
        queue.finish();
        drop(queue);
        assert_eq!(String::from_utf8(reading.join().unwrap()).unwrap(), lines.concat());
    }

    /// Long lines and short ones take the same room, and what is being written counts too.
    #[test]
    fn what_nobody_reads_is_bounded_in_bytes() {
        for length in [10, 1_000, 100_000] {
            let (queue, read) = started();
            let line = vec![b'x'; length];
            let lines = 2 * ROOM / length;
            (0..lines).for_each(|_| queue.add(&line));
            let kept = lines - queue.dropped();
            assert!(kept * (length + LINE) <= ROOM, "{kept} of {length}");
            assert!((kept + 1) * (length + LINE) > ROOM, "{kept} of {length}");
            assert!(queue.0.state.lock().bytes <= ROOM);
            // The room is free again once they are read.
            let reading = std::thread::spawn(move || read.iter().flatten().count());
            queue.finish();
            assert_eq!(reading.join().unwrap(), kept * length);
            let dropped = queue.dropped();
            queue.add(&line);
            assert_eq!(queue.dropped(), dropped);
        }
    }

    #[test]
    fn a_line_that_is_longer_than_the_room_is_dropped() {
        let queue = Queue::default();
        queue.add(&vec![b'x'; ROOM]);
        assert_eq!((queue.dropped(), queue.0.state.lock().bytes), (1, 0));
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let (queue, read) = started();
        drop(read);
        queue.add(b"a\n");
        queue.finish();
        assert_eq!((queue.dropped(), queue.0.state.lock().bytes), (1, 0));
    }
}
