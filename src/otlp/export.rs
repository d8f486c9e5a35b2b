//! The tasks that send what waits, and their end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::collector::{Collector, CollectorError, Failure};
use super::logs::Lines;
use super::queue::{Batch, Queue};
use super::resource::Resource;
use super::settings::{OtlpSettings, Target};
use super::spans;
use crate::clock;
use crate::log_limit::LogLimit;
use crate::trace::{self, Ended, Output};

/// How long a batch is tried, at first after a second.
const BATCH_TIMEOUT: Duration = Duration::from_secs(30);
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(10);
/// How often losses are logged.
const LOSSES: Duration = Duration::from_secs(60);
/// What the end of the process waits for the collector at most.
const END: Duration = Duration::from_secs(3);

impl OtlpSettings {
    /// Says why the collector could never be called, if so.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let targets = [(self.traces_url(), &self.traces), (self.logs_url(), &self.logs)];
        let certificate = self.certificate.as_deref();
        let called = targets.into_iter().filter_map(|(url, target)| {
            Collector::new(&url?, target, certificate).err().map(|error| error.to_string())
        });
        let mut problems: Vec<_> = called.collect();
        problems.dedup();
        problems
    }
}

/// What is exported, before and while it is.
#[derive(Debug)]
pub struct Export {
    signals: Vec<Signal>,
    lines: Option<Arc<Queue>>,
    end: CancellationToken,
    tasks: TaskTracker,
}

/// One signal on its way.
#[derive(Debug)]
struct Signal {
    name: &'static str,
    url: String,
    queue: Arc<Queue>,
    collector: Collector,
    resource: Resource,
    interval: Duration,
    losses: LogLimit,
    end: CancellationToken,
}

impl Export {
    /// Prepares the export, and has traces recorded; none when there is nothing to export.
    ///
    /// # Errors
    /// When the collector could never be called.
    pub fn prepare(settings: &OtlpSettings) -> Result<Option<Self>, CollectorError> {
        let resource = Resource::new(&settings.service, &settings.resource);
        let end = CancellationToken::new();
        let certificate = settings.certificate.as_deref();
        let signal = |name, url: Option<String>, target: &Target| {
            let Some(url) = url else { return Ok(None) };
            Ok(Some(Signal {
                name,
                queue: Arc::default(),
                collector: Collector::new(&url, target, certificate)?,
                url,
                resource: resource.clone(),
                interval: target.interval,
                losses: LogLimit::new(LOSSES),
                end: end.clone(),
            }))
        };
        let traces = signal("spans", settings.traces_url(), &settings.traces)?;
        let logs = signal("log lines", settings.logs_url(), &settings.logs)?;
        if let Some(traces) = &traces {
            let queue = Arc::clone(&traces.queue);
            let ended = move |trace: &Ended<'_>| queue.add(&spans::write(trace), trace.spans.len());
            let OtlpSettings { sampler, continues, .. } = *settings;
            trace::install(Output { sampler, continues, ended: Box::new(ended) });
        }
        let lines = logs.as_ref().map(|logs| Arc::clone(&logs.queue));
        let signals: Vec<_> = traces.into_iter().chain(logs).collect();
        let tasks = TaskTracker::new();
        Ok((!signals.is_empty()).then_some(Self { signals, lines, end, tasks }))
    }

    /// Returns what takes log lines, where they are exported.
    pub fn lines<S>(&self) -> Option<Box<dyn Layer<S> + Send + Sync>>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        self.lines.clone().map(|queue| Lines(queue).boxed())
    }

    /// Begins to send; in a runtime.
    pub fn start(&mut self) {
        for signal in self.signals.drain(..) {
            tracing::info!(url = signal.url, "{} go to the collector", signal.name);
            self.tasks.spawn(signal.run());
        }
        self.tasks.close();
    }

    /// Sends what still waits, for a few seconds at most.
    pub async fn finish(self) {
        self.end.cancel();
        if tokio::time::timeout(END, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                "the collector did not take the last spans and log lines within {END:?}; \
                 see whether it runs",
            );
        }
    }
}

impl Signal {
    async fn run(mut self) {
        loop {
            let is_end = tokio::select! {
                biased;
                () = self.end.cancelled() => true,
                () = self.queue.ready() => false,
                () = tokio::time::sleep(self.interval) => false,
            };
            let Batch { bytes, records } = self.queue.take();
            let outcome = if records == 0 {
                Ok(())
            } else {
                let request = self.resource.request(&bytes).into();
                self.deliver(request).await
            };
            if outcome.is_err() {
                self.queue.lose(records);
            }
            self.log_losses(outcome.err(), is_end);
            if is_end {
                return;
            }
        }
    }

    /// Has a request taken, by and by.
    async fn deliver(&mut self, request: Bytes) -> Result<(), String> {
        let since = clock::now();
        let mut rest = FIRST_REST;
        loop {
            let (why, after) = match self.collector.take(request.clone()).await {
                Ok(()) => return Ok(()),
                Err(Failure::Never(why)) => return Err(why),
                Err(Failure::Later(why, after)) => (why, after),
            };
            let pause = after.unwrap_or(rest).max(rest);
            if since.elapsed() + pause > BATCH_TIMEOUT || self.end.is_cancelled() {
                return Err(why);
            }
            tokio::select! {
                () = self.end.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
            rest = (rest * 2).min(LONGEST_REST);
        }
    }

    /// Logs what was lost, once in a while.
    fn log_losses(&mut self, error: Option<String>, is_end: bool) {
        if !self.queue.has_lost() || (self.losses.allow(clock::now()).is_none() && !is_end) {
            return;
        }
        let lost = self.queue.take_lost();
        tracing::warn!(
            lost,
            url = self.url,
            error,
            "{} were lost: see whether the collector runs, takes OTLP over HTTP there, and keeps up",
            self.name,
        );
    }
}
