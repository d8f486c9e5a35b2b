//! What is exported, and to where.

use std::path::PathBuf;
use std::time::Duration;

use crate::trace::Sampler;

/// What is exported, and to where.
#[derive(Debug, Clone)]
pub struct OtlpSettings {
    /// The collector, without the path of a signal; none exports nothing.
    pub endpoint: Option<String>,
    /// Spans.
    pub traces: Target,
    /// Log lines.
    pub logs: Target,
    /// Which traces.
    pub sampler: Sampler,
    /// Whether a message's `traceparent` is followed.
    pub continues: bool,
    /// `service.name`.
    pub service: String,
    /// Further attributes of the resource.
    pub resource: Vec<(String, String)>,
    /// The authorities that the collector's certificate may come from, in PEM; none takes those of the
    /// system.
    pub certificate: Option<PathBuf>,
}

/// Where one signal goes.
#[derive(Debug, Clone)]
pub struct Target {
    /// Whether it is exported.
    pub on: bool,
    /// Its whole URL, where that is not made of the common one.
    pub endpoint: Option<String>,
    /// Sent with each request.
    pub headers: Headers,
    /// How long a request may take.
    pub timeout: Duration,
    /// How long records wait for others.
    pub interval: Duration,
}

/// Names and values of header fields: secrets, mostly.
#[derive(Clone, Default)]
pub struct Headers(pub Vec<(String, String)>);

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl OtlpSettings {
    /// Everything of a collector, with the intervals that OpenTelemetry names as defaults.
    #[must_use]
    pub fn new(endpoint: Option<String>, timeout: Duration, ratio: f64) -> Self {
        let target = |interval| Target {
            on: true,
            endpoint: None,
            headers: Headers::default(),
            timeout,
            interval,
        };
        Self {
            endpoint,
            traces: target(Duration::from_secs(5)),
            logs: target(Duration::from_secs(1)),
            sampler: Sampler { ratio, ..Sampler::default() },
            continues: true,
            service: "sesgate".to_owned(),
            resource: Vec::new(),
            certificate: None,
        }
    }

    /// The URL that spans go to, if they go anywhere.
    #[must_use]
    pub fn traces_url(&self) -> Option<String> {
        self.url(&self.traces, "traces")
    }

    /// The URL that log lines go to, if they go anywhere.
    #[must_use]
    pub fn logs_url(&self) -> Option<String> {
        self.url(&self.logs, "logs")
    }

    fn url(&self, target: &Target, signal: &str) -> Option<String> {
        let common = || {
            let base = self.endpoint.as_deref()?.trim_end_matches('/');
            Some(format!("{base}/v1/{signal}"))
        };
        target.on.then(|| target.endpoint.clone().or_else(common)).flatten()
    }
}
