//! The trace of one transaction: what it spent its time on, and what became of it.
//!
//! Nothing is recorded until [`install`] says where traces go, which is left to the export. Within
//! [`Trace::scope`] whatever a transaction passes through may add to its trace by [`step`] and
//! [`event`]; elsewhere, and while traces go nowhere, both do nothing.

mod sampler;
mod span;

use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, MutexGuard};
use tokio::task::futures::TaskLocalFuture;
use tokio::time::Instant;

pub use sampler::Sampler;
pub use span::{Attribute, Kind, Span, SpanEvent, SpanId, TraceId, Value};

use crate::clock;
use crate::message::TraceParent;
pub use crate::text::hex;
use span::TraceClock;

/// Where traces go, and which.
pub struct Output {
    /// Which transactions are recorded.
    pub sampler: Sampler,
    /// Whether a message's `traceparent` is followed.
    pub continues: bool,
    /// Takes a trace that has ended; must return at once.
    pub ended: Box<dyn Fn(&Ended<'_>) + Send + Sync>,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("sampler", &self.sampler).finish_non_exhaustive()
    }
}

/// A trace that has ended.
#[derive(Debug)]
pub struct Ended<'a> {
    /// Its id: the app's, where the message named one.
    pub id: TraceId,
    /// `tracestate` of the message.
    pub state: Option<&'a str>,
    /// Its spans, the root first.
    pub spans: &'a [Span],
}

/// When a transaction began.
#[derive(Debug, Clone, Copy)]
pub struct TransactionTimes {
    /// MAIL was answered.
    pub mail: Instant,
    /// Content was asked for; none before that.
    pub data: Option<Instant>,
}

impl TransactionTimes {
    /// A transaction begins at this moment.
    #[must_use]
    pub fn now() -> Self {
        Self { mail: clock::now(), data: None }
    }
}

/// The ids that log lines of a transaction carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// The trace.
    pub trace: TraceId,
    /// The span of the transaction.
    pub span: SpanId,
    /// Whether the trace is recorded.
    pub recorded: bool,
}

static OUTPUT: OnceLock<Arc<Output>> = OnceLock::new();

tokio::task_local! {
    static CURRENT: Trace;
}

/// Has traces recorded from now on. The first call counts.
pub fn install(output: Output) {
    let _ = OUTPUT.set(Arc::new(output));
}

/// Begins the trace of a transaction whose message has arrived, or will not.
#[must_use]
pub fn begin(begun: TransactionTimes, parent: Option<&TraceParent>) -> Trace {
    OUTPUT.get().map_or(Trace(None), |output| Trace::begin(output, begun, parent))
}

/// Returns the ids of the transaction that is carried out here.
#[must_use]
pub fn ids() -> Option<Ids> {
    CURRENT.try_with(|trace| trace.0.as_ref().map(|live| live.ids)).ok().flatten()
}

/// Returns the trace of the transaction that is carried out here, for work that outlives it.
#[must_use]
pub fn current() -> Trace {
    CURRENT.try_with(Trace::clone).unwrap_or(Trace(None))
}

/// Begins a part of the transaction that is carried out here; it ends when it is dropped.
pub fn step(name: &'static str, kind: Kind) -> OpenSpan {
    let live = CURRENT.try_with(Trace::recorded).ok().flatten();
    OpenSpan(live.and_then(|live| {
        let span = Span::begin(name, kind, live.clock.now(), Some(live.ids.span))?;
        Some((live, span))
    }))
}

/// Notes a moment within the step under way.
pub fn event(name: &'static str, attributes: impl FnOnce() -> Vec<Attribute>) {
    if let Some(live) = CURRENT.try_with(Trace::recorded).ok().flatten() {
        let event = SpanEvent { name, at: live.clock.now(), attributes: attributes() };
        live.parts().events.push(event);
    }
}

/// The trace of one transaction, or nothing.
#[derive(Debug, Clone)]
pub struct Trace(Option<Arc<Live>>);

#[derive(Debug)]
struct Live {
    output: Arc<Output>,
    clock: TraceClock,
    ids: Ids,
    parent: Option<TraceParent>,
    begun: TransactionTimes,
    parts: Mutex<Parts>,
}

#[derive(Debug, Default)]
struct Parts {
    spans: Vec<Span>,
    /// Of the step under way.
    events: Vec<SpanEvent>,
}

impl Live {
    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock()
    }
}

impl Trace {
    fn begin(output: &Arc<Output>, begun: TransactionTimes, parent: Option<&TraceParent>) -> Self {
        let parent = parent.filter(|_| output.continues);
        let Some(span) = span::random() else { return Self(None) };
        let trace = match parent {
            Some(parent) => parent.trace_id,
            None => match span::random() {
                Some(trace) => trace,
                None => return Self(None),
            },
        };
        let recorded = output.sampler.records(trace, parent.map(|parent| parent.sampled));
        let live = Live {
            output: Arc::clone(output),
            clock: TraceClock::start(),
            ids: Ids { trace, span, recorded },
            parent: parent.cloned(),
            begun,
            parts: Mutex::default(),
        };
        if let (true, Some(data)) = (recorded, begun.data)
            && let Some(reception) =
                Span::begin("receive", Kind::Internal, live.clock.at(data), Some(span))
        {
            let ended = live.clock.now();
            live.parts().spans.push(Span { ended, ..reception });
        }
        Self(Some(Arc::new(live)))
    }

    /// Carries something out as part of the transaction.
    pub fn scope<F: Future>(&self, part: F) -> TaskLocalFuture<Self, F> {
        CURRENT.scope(self.clone(), part)
    }

    /// Does something as part of the transaction.
    pub fn within<T>(&self, part: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.clone(), part)
    }

    /// Whether anybody will see what is said of the transaction.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.0.as_ref().is_some_and(|live| live.ids.recorded)
    }

    fn recorded(&self) -> Option<Arc<Live>> {
        self.0.as_ref().filter(|live| live.ids.recorded).cloned()
    }

    /// Ends the trace with what became of the transaction; `failure` is what was wrong with the
    /// relay or the upstream. What is noted later is lost.
    pub fn end(&self, attributes: Vec<Attribute>, failure: Option<String>) {
        let Some(live) = self.recorded() else { return };
        let root = Span {
            name: "smtp transaction",
            kind: Kind::Server,
            id: live.ids.span,
            parent: live.parent.as_ref().map(|parent| parent.span_id),
            is_remote_parent: live.parent.is_some(),
            begun: live.clock.at(live.begun.mail),
            ended: live.clock.now(),
            attributes,
            events: Vec::new(),
            failure,
        };
        let mut spans = vec![root];
        spans.append(&mut live.parts().spans);
        let state = live.parent.as_ref().and_then(|parent| parent.state.as_deref());
        (live.output.ended)(&Ended { id: live.ids.trace, state, spans: &spans });
    }
}

/// A part of a transaction under way.
#[derive(Debug)]
#[must_use]
pub struct OpenSpan(Option<(Arc<Live>, Span)>);

impl OpenSpan {
    /// Says more about the part.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some((_, span)) = &mut self.0 {
            span.attributes.push((name, value.into()));
        }
    }

    /// Says why the part failed; neither an address nor a word of the content.
    pub fn fail(&mut self, why: &str) {
        if let Some((_, span)) = &mut self.0 {
            span.failure = Some(why.to_owned());
        }
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        let Some((live, mut span)) = self.0.take() else { return };
        span.ended = live.clock.now();
        let mut parts = live.parts();
        span.events = std::mem::take(&mut parts.events);
        parts.spans.push(span);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Seen = Arc<Mutex<Vec<(TraceId, Option<String>, Vec<Span>)>>>;

    fn output(sampler: Sampler) -> (Arc<Output>, Seen) {
        let seen = Seen::default();
        let sink = Arc::clone(&seen);
        let ended = move |ended: &Ended<'_>| {
            let state = ended.state.map(str::to_owned);
            sink.lock().push((ended.id, state, ended.spans.to_vec()));
        };
        (Arc::new(Output { sampler, continues: true, ended: Box::new(ended) }), seen)
    }

    fn begun() -> TransactionTimes {
        let begun = TransactionTimes::now();
        TransactionTimes { data: Some(begun.mail), ..begun }
    }

    #[tokio::test]
    async fn parts_belong_to_their_transaction() {
        let (output, seen) = output(Sampler::default());
        let parent = TraceParent {
            trace_id: [1; 16],
            span_id: [2; 8],
            sampled: true,
            state: Some("a=b".to_owned()),
        };
        let trace = Trace::begin(&output, begun(), Some(&parent));
        drop(step("nowhere", Kind::Internal));
        let work = async {
            drop(step("pace", Kind::Internal));
            let mut call = step("call", Kind::Client);
            tokio::task::yield_now().await;
            event("attempt", || vec![("status", 200_i64.into())]);
            call.set("region", "eu-west-1");
            call.fail("why");
            drop(call);
            assert_eq!(ids().unwrap().trace, [1; 16]);
        };
        trace.scope(work).await;
        assert_eq!(ids(), None);
        trace.end(vec![("outcome", "refused".into())], None);
        let seen = seen.lock();
        let [(id, state, spans)] = seen.as_slice() else { panic!("{seen:?}") };
        assert_eq!((*id, state.as_deref()), ([1; 16], Some("a=b")));
        let names: Vec<_> = spans.iter().map(|span| span.name).collect();
        assert_eq!(names, ["smtp transaction", "receive", "pace", "call"]);
        assert_eq!(spans[0].parent, Some([2; 8]));
        assert!(spans[1..].iter().all(|span| span.parent == Some(spans[0].id)));
        assert!(spans.iter().all(|span| span.begun >= spans[0].begun && span.ended >= span.begun));
        assert!(spans[0].events.is_empty() && spans[2].events.is_empty());
        assert_eq!(spans[3].events[0].name, "attempt");
        assert_eq!(spans[3].failure.as_deref(), Some("why"));
    }

    #[tokio::test]
    async fn what_is_not_sampled_has_ids_and_no_spans() {
        let (output, seen) = output(Sampler::default());
        let parent =
            TraceParent { trace_id: [1; 16], span_id: [2; 8], sampled: false, state: None };
        let trace = Trace::begin(&output, begun(), Some(&parent));
        trace.scope(async { drop(step("pace", Kind::Internal)) }).await;
        assert_eq!(trace.within(ids).unwrap().trace, [1; 16]);
        trace.end(Vec::new(), None);
        assert!(seen.lock().is_empty());
    }

    #[test]
    fn without_output_there_is_nothing() {
        let trace = Trace(None);
        assert_eq!(trace.within(ids), None);
        trace.end(Vec::new(), None);
    }
}
