//! Traces and log lines to an OpenTelemetry collector, by OTLP over HTTP.
//!
//! A record is written in protobuf where it arises and waits in a queue that is bounded in bytes.
//! A task a signal sends what waits. A collector that is away or slow costs records, which are
//! counted, and never mail: nobody waits for the queue, and the end waits for seconds at most.
//!
//! The messages of OTLP are few and fixed for good, so they are written by hand: the libraries of
//! OpenTelemetry would bring a second random number generator and twenty crates.

mod collector;
mod environment;
mod export;
mod logs;
mod queue;
mod resource;
mod settings;
mod spans;
mod wire;

pub use collector::CollectorError;
pub use environment::apply;
pub use export::Export;
pub use settings::{Headers, OtlpSettings, Target};
