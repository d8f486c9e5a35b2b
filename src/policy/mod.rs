//! The AWS IAM policy language: reads policy documents and decides requests.
//!
//! A document is read once, strictly, into a [`Policy`]; whatever IAM refuses to store is refused
//! here, with line and column. [`evaluate`] then answers one [`Request`] against the [`Layers`] of
//! policies that apply to it. Everything is pure: the time and every other fact come in through the
//! [`Context`], and nothing here knows about mail. Which resources and context keys a message has
//! is decided by the caller.

mod action;
mod arn;
mod condition;
mod date;
mod document;
mod error;
mod evaluate;
mod json;
mod network;
mod number;
mod operand;
mod operator;
mod pattern;
mod principal;
mod request;
mod resource;
mod statement;
mod text;
mod variable;

pub use condition::Condition;
pub use document::{Policy, PolicyKind};
pub use error::{PolicyError, PolicyErrors};
pub use evaluate::{Decision, Layers, Settled, evaluate};
pub use principal::Principal;
pub use request::{Context, Request, Spelled, is_list_key};
pub use statement::{Effect, Outcome, SpellingUsed, Statement};
