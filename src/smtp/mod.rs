//! The SMTP protocol as a value: bytes in, steps out.
//!
//! [`Session`] reads what a client sends and says what its caller does next ([`Step`]). It knows
//! commands, replies, AUTH, the envelope and the end of data, and has the header section read once
//! as soon as it is complete. Sockets, clocks, TLS, passwords and policies are left to the caller.

pub mod command;
pub mod content;
mod envelope;
pub mod reply;
pub mod sasl;
mod session;
mod settings;

pub use crate::message::HeaderSection;
pub use envelope::{Envelope, ReversePath, Transaction};
pub use reply::Reply;
pub use sasl::Credentials;
pub use session::{Authentication, Phase, RECIPIENTS, Said, Session, Step};
pub use settings::{Auth, BareLf, SessionLimits, SessionSettings};
