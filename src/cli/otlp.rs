//! The export to an OpenTelemetry collector, in builds that have it.

use crate::config::{Config, Problem};
use crate::telemetry::Lines;

/// The export of this process; in a build without it, nothing.
pub(super) struct Export(#[cfg(feature = "otlp")] Option<crate::otlp::Export>);

#[cfg(feature = "otlp")]
mod settings {
    use crate::config::Config;
    use crate::otlp::{OtlpSettings, apply};

    /// What file and environment say together, and what is wrong with the latter.
    pub(super) fn settings(config: &Config) -> (OtlpSettings, Vec<String>) {
        let otlp = &config.otlp;
        let mut settings =
            OtlpSettings::new(otlp.endpoint.clone(), otlp.timeout, otlp.sample_ratio);
        settings.traces.on = otlp.traces;
        settings.logs.on = otlp.logs;
        let account = &config.account;
        settings.resource = vec![
            ("cloud.provider".to_owned(), "aws".to_owned()),
            ("cloud.account.id".to_owned(), account.id.clone()),
            ("cloud.region".to_owned(), account.region.clone()),
        ];
        let mut problems = apply(&mut settings, |name| std::env::var(name).ok());
        if problems.is_empty() {
            problems = settings.problems();
        }
        (settings, problems)
    }
}

/// Returns what is wrong with the variables of the environment, and with the collector's URL.
#[cfg(feature = "otlp")]
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let problems = settings::settings(config).1.into_iter();
    problems
        .map(|message| Problem { file: "OpenTelemetry".to_owned(), place: None, message })
        .collect()
}

#[cfg(feature = "otlp")]
impl Export {
    /// Prepares the export; nothing is sent yet.
    pub(super) fn prepare(config: &Config) -> Result<Self, crate::otlp::CollectorError> {
        crate::otlp::Export::prepare(&settings::settings(config).0).map(Self)
    }

    /// What takes log lines, if they are exported.
    pub(super) fn lines(&self) -> Option<Lines> {
        self.0.as_ref().and_then(crate::otlp::Export::lines)
    }

    /// Begins to send.
    pub(super) fn start(&mut self) {
        if let Some(export) = &mut self.0 {
            export.start();
        }
    }

    /// Sends what waits, for a few seconds at most.
    pub(super) async fn finish(self) {
        if let Some(export) = self.0 {
            export.finish().await;
        }
    }
}

/// Nothing can be wrong with what is not there.
#[cfg(not(feature = "otlp"))]
pub(super) fn problems(_config: &Config) -> Vec<Problem> {
    Vec::new()
}

#[cfg(not(feature = "otlp"))]
impl Export {
    pub(super) fn prepare(_config: &Config) -> Result<Self, std::convert::Infallible> {
        Ok(Self())
    }

    pub(super) fn lines(&self) -> Option<Lines> {
        None
    }

    pub(super) fn start(&mut self) {
        const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        if std::env::var_os(ENDPOINT).is_some_and(|value| !value.is_empty()) {
            tracing::warn!(
                "`{ENDPOINT}` is set, but this build exports nothing: run the image, or a build \
                 with `--features otlp`; see OpenTelemetry in config/logging.md",
            );
        }
    }

    pub(super) async fn finish(self) {}
}
