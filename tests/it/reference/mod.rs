//! A second evaluator of IAM policies: slow, obvious, and apart from the engine of the library.
//!
//! It reads the JSON of a document anew for every request and follows the sentences of the IAM User
//! Guide (policy evaluation logic, condition operators, policies with several values, variables)
//! and of decision 7, one after the other. It shares no code with `sesgate::policy`, so that a
//! sentence misread there is likely to be read otherwise here; `reference_agreement` compares the
//! two. Where AWS documents nothing, or two things, it takes what the module documentation of
//! `sesgate::policy` lists.
//!
//! Duplicate members and places in the text are not its subject, since it starts from JSON values.

mod condition;
mod convert;
mod document;
pub(crate) mod generate;
mod network;
mod statement;
mod text;
mod variable;
pub(crate) mod words;

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::Value;

pub(crate) use document::check;

/// What a document is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Identity,
    Boundary,
    Session,
    ServiceControl,
    ResourceControl,
    Resource,
}

/// The documents that apply to a request, by layer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Documents {
    pub(crate) identity: Vec<Value>,
    pub(crate) boundary: Option<Vec<Value>>,
    pub(crate) session: Option<Vec<Value>>,
    pub(crate) scps: Vec<Vec<Value>>,
    pub(crate) rcps: Vec<Value>,
    pub(crate) resource: Vec<Value>,
}

impl Documents {
    pub(crate) fn all(&self) -> impl Iterator<Item = (Kind, &Value)> {
        let layers = [
            (Kind::Identity, Some(&self.identity)),
            (Kind::Boundary, self.boundary.as_ref()),
            (Kind::Session, self.session.as_ref()),
            (Kind::ResourceControl, Some(&self.rcps)),
            (Kind::Resource, Some(&self.resource)),
        ];
        let scps = self.scps.iter().map(|level| (Kind::ServiceControl, Some(level)));
        let layers = layers.into_iter().chain(scps);
        layers.flat_map(|(kind, set)| set.into_iter().flatten().map(move |it| (kind, it)))
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    User { arn: String },
    Session { role: String, session: String },
    Root { account: String },
}

impl Who {
    pub(crate) fn account(&self) -> &str {
        match self {
            Who::User { arn } => arn.split(':').nth(4).unwrap(),
            Who::Session { role, .. } => role.split(':').nth(4).unwrap(),
            Who::Root { account } => account,
        }
    }
}

/// A value of a context key, with other spellings of it (decision 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spelled {
    pub(crate) text: String,
    pub(crate) spellings: Vec<String>,
    /// Letter case tells nothing apart in a Deny.
    pub(crate) in_any_case: bool,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) parents: Vec<String>,
    pub(crate) resource_account: String,
    pub(crate) who: Who,
    pub(crate) context: Vec<(String, Vec<Spelled>)>,
}

impl Question {
    /// Key names are compared without regard to case.
    fn values(&self, key: &str) -> Option<&[Spelled]> {
        let is_key =
            |(name, _): &&(String, Vec<Spelled>)| name.to_lowercase() == key.to_lowercase();
        self.context.iter().find(is_key).map(|(_, values)| values.as_slice())
    }
}

/// Whether AWS declares the key as a list. The declaration counts, not the number of values.
fn is_list_key(key: &str) -> bool {
    ["ses:recipients", "ses:replicaregion", "aws:tagkeys", "aws:calledvia", "aws:principalorgpaths"]
        .contains(&key.to_lowercase().as_str())
}

/// How often a condition held and did not, by effect of its statement and operator.
pub(crate) type Seen = RefCell<BTreeMap<(bool, String), [u64; 2]>>;

/// How a resource policy names the one who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Naming {
    Itself,
    Role,
    Account,
}

/// Decides a request against documents that [`check`] accepts.
pub(crate) fn decide(documents: &Documents, question: &Question, seen: &Seen) -> &'static str {
    let is_bounded = documents.boundary.is_some();
    // "An explicit deny in any of these policies overrides the allow."
    for (kind, document) in documents.all() {
        if !statement::applying(kind, document, "Deny", is_bounded, question, seen).is_empty() {
            return "explicit deny";
        }
    }
    if may(documents, question, seen) { "allow" } else { "implicit deny" }
}

/// Without an explicit deny, does everything that must allow it allow it?
fn may(documents: &Documents, question: &Question, seen: &Seen) -> bool {
    let is_bounded = documents.boundary.is_some();
    let allows = |kind, document: &Value| {
        statement::applying(kind, document, "Allow", is_bounded, question, seen)
    };
    let some_allow = |kind, set: &[Value]| set.iter().any(|it| !allows(kind, it).is_empty());
    // Service control policies: every level from the root of the organization to the account.
    if !documents.scps.iter().all(|level| some_allow(Kind::ServiceControl, level)) {
        return false;
    }
    let by_identity = some_allow(Kind::Identity, &documents.identity);
    // A layer that is not attached does not limit; one that is attached and empty allows nothing.
    let by_boundary = match &documents.boundary {
        None => true,
        Some(set) => some_allow(Kind::Boundary, set),
    };
    let by_session = match &documents.session {
        None => true,
        Some(set) => some_allow(Kind::Session, set),
    };
    // The root user is allowed by default: it needs no identity policy. AWS attaches neither
    // boundary nor session policy to it; one that is there limits as it limits everybody.
    let is_root = matches!(question.who, Who::Root { .. });
    let by_principals_side = (is_root || by_identity) && by_boundary && by_session;

    let mut namings = Vec::new();
    for document in &documents.resource {
        namings.extend(allows(Kind::Resource, document));
    }
    if question.who.account() != question.resource_account {
        // Across accounts both sides must allow.
        return by_principals_side && !namings.is_empty();
    }
    namings.contains(&Naming::Itself)
        || (namings.contains(&Naming::Role) && by_boundary && by_session)
        || by_principals_side
}
