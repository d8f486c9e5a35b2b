//! How far a request got: the proof on which a second attempt or a cancellation rests (decision 15).
//!
//! The request body is handed to the HTTP client in pieces, and the last piece is the gate: before
//! it was handed over, SES cannot have taken the message. Cancelling closes the gate in the same
//! atomic step in which it finds out whether the piece has gone.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Poll};

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame};

use super::InForce;

const WRITING: u8 = 0;
const WRITTEN: u8 = 1;
const CANCELLED: u8 = 2;

/// How far the current attempt of one call got.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<State>);

#[derive(Debug, Default)]
struct State {
    reached: AtomicU8,
    attempts: AtomicU32,
    abandoned: AtomicBool,
    in_force: InForce,
}

impl Progress {
    /// Of a call whose last piece is handed over only while `in_force` holds.
    pub(super) fn new(in_force: InForce) -> Self {
        Self(Arc::new(State { in_force, ..State::default() }))
    }

    /// Whether the whole request may have reached SES.
    pub(super) fn is_written(&self) -> bool {
        self.0.reached.load(Ordering::SeqCst) == WRITTEN
    }

    /// Makes sure that the request never becomes whole; false when it already is.
    pub(super) fn cancel(&self) -> bool {
        self.0
            .reached
            .compare_exchange(WRITING, CANCELLED, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    /// Nobody waits any more: no further attempt is made. Returns whether the current one is
    /// cancelled, since it was not wholly written.
    pub(super) fn abandon(&self) -> bool {
        self.0.abandoned.store(true, Ordering::SeqCst);
        self.cancel()
    }

    /// Whether nobody waits any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.0.abandoned.load(Ordering::SeqCst)
    }

    /// The number of the current attempt, from 1.
    pub(super) fn attempt(&self) -> u32 {
        self.0.attempts.load(Ordering::SeqCst)
    }

    /// Whether that attempt may not go on: it is cancelled, or a later one has begun.
    fn is_over(&self, attempt: u32) -> bool {
        self.0.reached.load(Ordering::SeqCst) == CANCELLED || self.attempt() != attempt
    }

    /// Opens the gate for the last piece.
    fn finish(&self) -> bool {
        self.0.in_force.holds()
            && self
                .0
                .reached
                .compare_exchange(WRITING, WRITTEN, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
    }

    /// A new attempt begins: nothing of it is written.
    pub(super) fn restart(&self) {
        self.0.attempts.fetch_add(1, Ordering::SeqCst);
        self.not_taken();
        if self.is_abandoned() {
            self.cancel();
        }
    }

    /// Returns a request body of these pieces that goes out only as far as the attempt may get.
    pub(super) fn body<P>(&self, pieces: P) -> SdkBody
    where
        P: ExactSizeIterator<Item = Bytes> + Send + Sync + Unpin + 'static,
    {
        let attempt = self.attempt();
        SdkBody::from_body_1_x(Pieces { left: pieces, attempt, progress: self.clone() })
    }

    /// SES said that it did not take what was written.
    pub(super) fn not_taken(&self) {
        let _ =
            self.0.reached.compare_exchange(WRITTEN, WRITING, Ordering::SeqCst, Ordering::SeqCst);
    }
}

/// The request body in pieces. How long it is says the header of the request.
struct Pieces<P> {
    left: P,
    attempt: u32,
    progress: Progress,
}

/// The call was given up before its body was written.
#[derive(Debug, thiserror::Error)]
#[error("given up before the request was written")]
struct GivenUp;

impl<P: ExactSizeIterator<Item = Bytes> + Unpin> Body for Pieces<P> {
    type Data = Bytes;
    type Error = aws_smithy_types::body::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.progress.is_over(self.attempt) {
            return Poll::Ready(Some(Err(GivenUp.into())));
        }
        let Some(piece) = self.left.next() else { return Poll::Ready(None) };
        if self.left.len() == 0 && !self.progress.finish() {
            return Poll::Ready(Some(Err(GivenUp.into())));
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(progress: &Progress, pieces: usize) -> SdkBody {
        progress.body((0..pieces).map(|_| Bytes::from_static(b"x")))
    }

    /// Returns how many of these pieces went out.
    async fn written(progress: &Progress, pieces: usize, cancel_after: usize) -> usize {
        let mut body = body(progress, pieces);
        let mut written = 0;
        loop {
            if written == cancel_after {
                progress.cancel();
            }
            let next =
                std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
            match next {
                Some(Ok(_)) => written += 1,
                _ => return written,
            }
        }
    }

    #[tokio::test]
    async fn the_last_piece_is_the_gate() {
        let progress = Progress::default();
        assert_eq!(written(&progress, 3, usize::MAX).await, 3);
        assert!(progress.is_written());
        assert!(!progress.cancel(), "what is written cannot be cancelled");
    }

    #[tokio::test]
    async fn a_cancelled_request_never_becomes_whole() {
        for cancel_after in 0..3 {
            let progress = Progress::default();
            assert_eq!(written(&progress, 3, cancel_after).await, cancel_after);
            assert!(!progress.is_written());
        }
    }

    #[tokio::test]
    async fn a_request_that_rules_have_overtaken_never_becomes_whole() {
        let progress = Progress::new(InForce::new(|| false));
        assert_eq!(written(&progress, 3, usize::MAX).await, 2);
        assert!(!progress.is_written());
    }

    /// A service may answer an attempt before it has read all of it.
    #[tokio::test]
    async fn an_earlier_attempt_writes_nothing_for_a_later_one() {
        let progress = Progress::default();
        progress.restart();
        let mut earlier = body(&progress, 1);
        progress.restart();
        let next = std::future::poll_fn(|context| Pin::new(&mut earlier).poll_frame(context)).await;
        assert!(next.is_some_and(|frame| frame.is_err()));
        assert!(!progress.is_written());
        assert_eq!(written(&progress, 1, usize::MAX).await, 1);
        assert!(progress.is_written());
    }

    #[tokio::test]
    async fn an_abandoned_call_makes_no_further_attempt() {
        let progress = Progress::default();
        written(&progress, 1, usize::MAX).await;
        assert!(!progress.abandon(), "what is written is left to finish");
        progress.not_taken();
        progress.restart();
        assert_eq!(written(&progress, 1, usize::MAX).await, 0);
        assert!(!progress.is_written());
    }
}
