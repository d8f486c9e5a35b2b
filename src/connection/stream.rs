//! Bytes of one connection: reading with deadlines, writing, and an end that lets the last reply arrive.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Connection, Content, Ended, Next};
use crate::clock;
use crate::smtp::{Phase, Reply};

/// Bytes read at a time.
pub(super) const READ: usize = 16 * 1024;
/// What a client may still send while its connection is closed, so that the last reply arrives.
const LINGER_BYTES: usize = 256 * 1024;
const LINGER: Duration = Duration::from_secs(1);

impl Connection {
    /// Reads once, after what was said so far has been written. Returns the last reply when the
    /// session is over.
    pub(super) async fn read<S>(&mut self, stream: &mut S) -> Result<Option<Reply>, Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.flush(stream).await?;
        self.hold_room().await;
        let deadline = self.deadline();
        let session = &mut self.session;
        let content = &mut self.content;
        let is_unheard = &mut self.is_unheard;
        let read = receive(stream, |bytes| {
            *is_unheard = false;
            session.receive(bytes);
            if let Some(content) = content {
                content.bytes = content.bytes.saturating_add(bytes.len() as u64);
            }
        });
        tokio::select! {
            biased;
            () = self.drain.shutdown.cancelled(), if !self.draining => {}
            () = self.drain.abort.cancelled() => return Err(Ended::Aborted),
            read = timeout_at(deadline, read) => return match read {
                Ok(Ok(0)) => Err(Ended::ByClient),
                Ok(Ok(_)) => Ok(None),
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Ok(Some(self.session.timed_out())),
            },
        }
        self.draining = true;
        Ok(self.session.shutting_down())
    }

    fn deadline(&mut self) -> Instant {
        let deadlines = &self.service.deadlines;
        let phase = self.session.phase();
        let declared = self.session.declared_bytes().unwrap_or(0);
        if phase != Phase::Content {
            self.content = None;
        }
        match phase {
            Phase::Unauthenticated => self.begun + deadlines.login,
            Phase::Content => {
                let content =
                    self.content.get_or_insert_with(|| Content { begun: clock::now(), bytes: 0 });
                let by = content.begun + deadlines.earned(content.bytes, declared);
                by.min(clock::now() + deadlines.content)
            }
            Phase::Command | Phase::Closed => {
                (self.last_reply_at + deadlines.command).min(self.begun + deadlines.lifetime)
            }
        }
    }

    pub(super) fn write(&mut self, reply: &Reply) {
        tracing::debug!(reply = self.service.relay.shown(reply), "reply");
        reply.write_to(&mut self.out);
    }

    /// Writes and flushes: over TLS an unflushed reply can stay in the buffer for ever.
    pub(super) async fn flush<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
    ) -> Result<(), Ended> {
        if self.out.is_empty() {
            return Ok(());
        }
        let bound = self.service.deadlines.reply;
        let written = timeout(bound, async {
            stream.write_all(&self.out).await?;
            stream.flush().await
        });
        let written = written.await.map_err(|_| Ended::TooSlow("writing a reply", bound));
        let unsent_acceptance = self.unsent_acceptance.take();
        if let Err(ended) = written.and_then(|written| written.map_err(Ended::from)) {
            if let Some(reply) = unsent_acceptance {
                let error = ended.to_string();
                tracing::warn!(
                    reply,
                    error,
                    "a client was not told so: expect a duplicate; see how long it waits for an answer"
                );
            }
            return Err(ended);
        }
        self.out.clear();
        self.last_reply_at = clock::now();
        Ok(())
    }

    /// Ends the connection so that the last reply arrives even if the client is still sending.
    pub(super) async fn close<S>(&mut self, stream: &mut S) -> Result<Next, Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.flush(stream).await?;
        let linger = timeout(LINGER, async {
            stream.shutdown().await?;
            let mut left = LINGER_BYTES;
            while left > 0 {
                match receive(stream, |_| {}).await? {
                    0 => break,
                    length => left = left.saturating_sub(length),
                }
            }
            io::Result::Ok(())
        });
        let _ = linger.await;
        Ok(Next::Over)
    }
}

/// Reads once, hands over what was read, and returns its length; 0 at the end of the stream.
///
/// The buffer is on the stack while bytes are there, so that a silent connection needs none.
async fn receive<S: AsyncRead + Unpin>(
    stream: &mut S,
    mut take: impl FnMut(&[u8]),
) -> io::Result<usize> {
    poll_fn(|context| {
        let mut space = [const { MaybeUninit::uninit() }; READ];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
        let bytes = buffer.filled();
        if !bytes.is_empty() {
            take(bytes);
        }
        Poll::Ready(Ok(bytes.len()))
    })
    .await
}
