//! sesgate: an SMTP relay proxy in front of Amazon SES that authorizes every message with IAM
//! policies.
//!
#![doc = include_str!("README.md")]
//!
#![doc = include_str!("decisions.md")]

pub mod address;
pub mod admin;
pub mod admission;
pub mod authorize;
pub mod build_info;
pub mod causes;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connection;
pub mod decision_log;
pub mod gateway;
pub mod identities;
pub mod inventory;
pub mod log_limit;
pub mod login;
pub mod memory;
pub mod message;
pub mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod pace;
pub mod policy;
pub mod principals;
pub mod proxy_protocol;
pub mod redact;
pub mod relay;
pub mod rules;
pub mod server;
pub mod ses_error;
pub mod smtp;
pub mod sockets;
pub mod telemetry;
pub mod text;
pub mod tls;
pub mod trace;
pub mod upstream;
