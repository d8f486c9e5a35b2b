//! The AWS IAM policy language: reads policy documents and decides requests.
//!
//! A document is read once, strictly, into a [`Policy`]; whatever IAM refuses to store is refused
//! here, with line and column. [`evaluate`] then answers one [`Request`] against the [`Layers`] of
//! policies that apply to it. Everything is pure: the time and every other fact come in through the
//! [`Context`], and nothing here knows about mail. Which resources and context keys a message has is
//! decided by the caller.
//!
//! Without spellings and parents in the request the answers are those of AWS. Where AWS documents
//! nothing, or two things, this is what happens:
//!
//! - `ForAnyValue:…IfExists` does not hold for an absent key.
//! - Every field of an ARN in `Resource` is case-sensitive.
//! - An ARN of fewer than six fields is completed first and matched then, wildcards and variables
//!   included. In a Deny one with a `*` that ends a field is also read as it is written, the `*` running
//!   over the fields that are missing: the Deny applies if it does under either reading.
//! - Variables work in every field of a `Resource`; in a Bool condition they are refused.
//! - Four digits alone are a year; 24:00 and second 60 are no time.
//! - Operators, members and values such as `Allow` in another case are refused.
//! - An account under `NotPrincipal` of a Deny exempts its root user alone.
//! - Session policies with operands that do not convert are refused, though STS takes them.

mod action;
mod arn;
mod budget;
mod compare;
mod condition;
mod date;
mod document;
mod effect;
mod error;
mod evaluate;
mod explain;
mod family;
mod json;
mod keys;
mod kind;
pub mod lint;
mod network;
mod number;
mod operator;
mod pattern;
mod pattern_set;
mod principal;
mod request;
mod resource;
mod rules;
mod statement;
mod syntax;
mod text;
mod variable;
mod words;

pub use budget::StepBudget;
pub use condition::Condition;
pub use date::moment;
pub use document::Policy;
pub use effect::{Effect, SpellingUsed};
pub use error::{PolicyError, PolicyErrors};
pub use evaluate::{Decision, Layers, Settled, evaluate};
pub use explain::{
    Check, Explained, Lacking, Nearest, Part, explain, lacking, layer_name, nearest,
};
pub use family::{Family, Narrowed, Resource, evaluate_narrowed};
pub use keys::is_list_key;
pub use kind::PolicyKind;
pub use request::{Context, Principal, Request, Spelled};
pub use statement::{Outcome, Statement};
pub(crate) use syntax::{kind, parse as parse_json};
pub use variable::expand;
