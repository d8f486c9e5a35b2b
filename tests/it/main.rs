//! What a client or an operator sees: one binary for all integration tests.
//!
//! `support` starts parts of the relay on loopback; every other file is one theme. The cases
//! themselves are data in the folders beside this one.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

mod admin;
mod cli;
mod config;
mod corpus;
mod decision_log;
mod decisions;
mod dialogues;
mod documentation;
mod explain;
mod fake_ses;
mod family_agreement;
mod heavy;
mod hostile;
mod inventory;
mod lints;
mod log;
mod login_guard;
mod messages;
mod pace;
mod policies;
mod policy_cli;
mod policy_new;
mod policy_properties;
mod proxy_protocol;
mod reference;
mod reference_agreement;
mod replay;
mod screened;
mod sockets;
mod steps;
mod support;
mod tidy;
mod told;
mod upstream;
mod x_ses;
