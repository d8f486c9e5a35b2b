//! What is counted while the relay works, in the text form of OpenMetrics 1.0.
//!
//! Names begin with `sesgate_` and are in base units. Every label has a bounded set of values: names of
//! the configuration, words of this program, and foreign codes up to a bound, after which they are
//! `other`. What is only looked at (memory, quota, connections) is collected where it is known, when
//! somebody asks: see [`Metrics::text`].

mod labels;

use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use labels::{Bounded, Labels, OTHER, label};

/// The media type of [`Metrics::text`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Distinct series of one counter that foreign text may make, at most.
const FOREIGN: usize = 100;
/// Distinct series by statement, at most: a policy may have a thousand, and lines move.
const STATEMENTS: usize = 2_000;

/// Seconds: from a decision, which takes microseconds ...
const SHORT: [f64; 12] = [1e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 1e-2, 0.1, 1.0, 5.0];
/// ... to the longest answer that a client waits for.
const LONG: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0];

type Counters<const N: usize> = Family<Labels<N>, Counter>;
type Histograms<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    connections: Counters<2>,
    handshakes: Counters<2>,
    messages: Counters<3>,
    decisions: Bounded<3>,
    candidate_differences: Counters<2>,
    recipients: Counters<1>,
    bytes: Counters<1>,
    possible_duplicates: Counter,
    ses_errors: Bounded<1>,
    reloads: Counters<1>,
    reception: Histogram,
    decision: Histogram,
    pacing: Histogram,
    upstream: Histograms<1>,
    registry: Registry,
}

/// What candidate policies say of a message other than those in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// They allow what is refused.
    Allows,
    /// They refuse what is allowed.
    Denies,
    /// They refuse what is refused, in another way.
    DeniesOtherwise,
    /// It is not known what they say.
    Unknown,
}

impl Direction {
    const ALL: [Self; 4] = [Self::Allows, Self::Denies, Self::DeniesOtherwise, Self::Unknown];

    /// The name in metrics and on the page of the status.
    fn name(self) -> &'static str {
        match self {
            Self::Allows => "allows",
            Self::Denies => "denies",
            Self::DeniesOtherwise => "denies_otherwise",
            Self::Unknown => "unknown",
        }
    }

    fn labels(self, user: &str) -> Labels<2> {
        [label("user", user), ("direction", self.name().into())]
    }
}

/// How one transaction ended.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    /// The user.
    pub user: &'a str,
    /// `relayed`, or in one word why it was not.
    pub outcome: &'static str,
    /// The code of the reply.
    pub reply: u16,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Begins with nothing counted.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            connections: Family::default(),
            handshakes: Family::default(),
            messages: Family::default(),
            decisions: Bounded::new(STATEMENTS),
            candidate_differences: Family::default(),
            recipients: Family::default(),
            bytes: Family::default(),
            possible_duplicates: Counter::default(),
            ses_errors: Bounded::new(FOREIGN),
            reloads: Family::default(),
            reception: Histogram::new(LONG),
            decision: Histogram::new(SHORT),
            pacing: Histogram::new(LONG),
            upstream: Family::new_with_constructor(|| Histogram::new(LONG)),
            registry: Registry::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let mut all = Registry::with_prefix("sesgate");
        let help = "Connections by listener, accepted or why not";
        all.register("connections", help, self.connections.clone());
        let help = "TLS handshakes by version, or `failed`";
        all.register("tls_handshakes", help, self.handshakes.clone());
        let help = "Transactions by user, outcome and reply code";
        all.register("messages", help, self.messages.clone());
        let help = "Decisions by user and the statement that settled them";
        all.register("decisions", help, self.decisions.family.clone());
        let help = "Messages of which candidate policies say something else, by user and what";
        all.register("candidate_differences", help, self.candidate_differences.clone());
        let help = "Recipients of messages that were taken";
        all.register("relayed_recipients", help, self.recipients.clone());
        let help = "Bytes of messages that were taken";
        all.register_with_unit("relayed", help, Unit::Bytes, self.bytes.clone());
        let help = "Messages of which it is not known whether the upstream took them";
        all.register("possible_duplicates", help, self.possible_duplicates.clone());
        let help = "Errors that SES answered, by their code";
        all.register("ses_errors", help, self.ses_errors.family.clone());
        let help = "Readings of the configuration while running";
        all.register("reloads", help, self.reloads.clone());
        let help = "From the first byte of content to its end";
        all.register_with_unit("reception", help, Unit::Seconds, self.reception.clone());
        let help = "Evaluating the policies for a message once";
        all.register_with_unit("decision", help, Unit::Seconds, self.decision.clone());
        let help = "Waiting for a turn at the upstream";
        all.register_with_unit("pacing_wait", help, Unit::Seconds, self.pacing.clone());
        let help = "Handing a message to the upstream, by what it answered";
        all.register_with_unit("upstream", help, Unit::Seconds, self.upstream.clone());
        self.registry = all;
    }

    /// Returns everything in the form of [`MEDIA_TYPE`], with what is looked at now; the names of that
    /// are its own.
    #[must_use]
    pub fn text(&self, looked_at: impl Collector) -> String {
        let mut now = Registry::default();
        now.register_collector(Box::new(looked_at));
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = text::encode_registry(&mut out, &self.registry);
        let _ = text::encode(&mut out, &now);
        out
    }

    /// Counts a connection that was `accepted`, or in one word why it was not.
    pub fn connection(&self, listener: &str, result: &'static str) {
        let labels = [label("listener", listener), ("result", result.into())];
        self.connections.get_or_create(&labels).inc();
    }

    /// Counts a TLS handshake by the version that came of it.
    pub fn handshake(&self, listener: &str, version: Option<&'static str>) {
        let version = version.unwrap_or("failed");
        let labels = [label("listener", listener), ("version", version.into())];
        self.handshakes.get_or_create(&labels).inc();
    }

    /// Counts a transaction that has ended.
    pub fn ended(&self, ending: Ending<'_>) {
        let reply = ending.reply.to_string().into();
        let labels =
            [label("user", ending.user), ("outcome", ending.outcome.into()), ("reply", reply)];
        self.messages.get_or_create(&labels).inc();
    }

    /// Counts what was taken.
    pub fn taken(&self, user: &str, recipients: usize, bytes: usize) {
        let labels = [label("user", user)];
        self.recipients.get_or_create(&labels).inc_by(number(recipients));
        self.bytes.get_or_create(&labels).inc_by(number(bytes));
    }

    /// Counts a message of which nobody knows whether the upstream took it.
    pub fn possible_duplicate(&self) {
        self.possible_duplicates.inc();
    }

    /// Counts a decision by policies: its name, and the statement that settled it.
    pub fn decided(&self, user: &str, decision: &'static str, statement: Option<&str>) {
        let statement = statement.map_or("none".into(), |text| text.to_owned().into());
        let labels = [label("user", user), ("decision", decision.into()), ("statement", statement)];
        self.decisions.count(labels);
    }

    /// Counts a message of which candidate policies say something else.
    pub fn candidate_differs(&self, user: &str, direction: Direction) {
        self.candidate_differences.get_or_create(&direction.labels(user)).inc();
    }

    /// Returns how many messages of a user were counted so, by the name of the direction.
    #[must_use]
    pub fn candidate_differences(&self, user: &str) -> Vec<(&'static str, u64)> {
        let count = |direction: Direction| {
            let counter = self.candidate_differences.get(&direction.labels(user));
            (direction.name(), counter.map_or(0, |counter| counter.get()))
        };
        Direction::ALL.into_iter().map(count).collect()
    }

    /// Counts an error of SES.
    pub fn ses_error(&self, code: &str) {
        let is_code = !code.is_empty() && code.len() <= 64 && code.bytes().all(is_code);
        let code = if is_code { code.to_owned().into() } else { OTHER.into() };
        self.ses_errors.count([("code", code)]);
    }

    /// Counts a reading of the configuration: `in_use` or `refused`.
    pub fn reloaded(&self, result: &'static str) {
        self.reloads.get_or_create(&[("result", result.into())]).inc();
    }

    /// Notes how long content took to arrive.
    pub fn received(&self, took: Duration) {
        self.reception.observe(took.as_secs_f64());
    }

    /// Notes how long a decision took.
    pub fn evaluated(&self, took: Duration) {
        self.decision.observe(took.as_secs_f64());
    }

    /// Notes how long a message waited for its turn.
    pub fn waited(&self, took: Duration) {
        self.pacing.observe(took.as_secs_f64());
    }

    /// Notes how long the upstream took to answer, and in one word what.
    pub fn answered(&self, answer: &'static str, took: Duration) {
        self.upstream.get_or_create(&[("answer", answer.into())]).observe(took.as_secs_f64());
    }
}

fn is_code(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

fn number(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::DescriptorEncoder;

    use super::*;

    #[derive(Debug)]
    struct Nothing;

    impl Collector for Nothing {
        fn encode(&self, _: DescriptorEncoder<'_>) -> std::fmt::Result {
            Ok(())
        }
    }

    #[test]
    fn foreign_text_makes_no_more_series_than_its_bound() {
        let metrics = Metrics::new();
        metrics.ses_error("MessageRejected");
        metrics.ses_error("no code\n{}");
        for number in 0..1000 {
            metrics.ses_error(&format!("Code{number}"));
            metrics.decided("app", "Allowed", Some("policy.json:3: statement `One`"));
        }
        let text = metrics.text(Nothing);
        let series = text.lines().filter(|line| line.starts_with("sesgate_ses_errors_total{"));
        assert_eq!(series.count(), FOREIGN);
        assert!(text.contains("sesgate_ses_errors_total{code=\"MessageRejected\"} 1\n"), "{text}");
        let decided = "sesgate_decisions_total{user=\"app\",decision=\"Allowed\",\
                       statement=\"policy.json:3: statement `One`\"} 1000\n";
        assert!(text.contains(decided), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
