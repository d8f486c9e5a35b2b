//! The linter: what is refused, what never does what it says, what permits more than it seems to,
//! and what could be written better.
//!
//! Pure: [`lint`] gets the text and the present moment. Most findings are those of IAM Access
//! Analyzer, narrowed to mail through SES; [`RULES`] lists them. The work is bounded: the text is at
//! most 64 KiB, and comparisons of entries with each other stop at a budget.

mod absence;
mod action;
mod address;
mod arn;
mod beside;
mod condition;
mod cover;
mod document;
mod group;
mod identity;
mod key;
mod list;
mod operand;
mod parts;
mod purpose;
mod relevance;
mod resource;
mod ses;
mod statement;
mod together;
mod view;
mod window;

use std::fmt;
use std::time::SystemTime;

use jsonc_parser::ast::Value;

use super::date;
use super::document::Policy;
use super::error::{PolicyError, Problem, Problems};
use super::kind::PolicyKind;
use super::{json, rules};

pub use group::{Group, grouped};
pub use rules::{RULES, Rule, Severity};

/// One thing that the linter found.
///
/// Displayed as `name:line:column: severity[code]: message; fix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    rule: Rule,
    name: String,
    line: usize,
    column: usize,
    message: String,
    fix: String,
}

impl Finding {
    /// Returns the stable name of the kind of finding, such as `missing-qualifier`.
    pub fn code(&self) -> &'static str {
        self.rule.code
    }

    /// Returns how grave it is.
    pub fn severity(&self) -> Severity {
        self.rule.severity
    }

    /// Returns the name given to [`lint`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the line, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Returns the column in characters, counted from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// Returns what is wrong, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns what to write, in one line; may be empty.
    pub fn fix(&self) -> &str {
        &self.fix
    }
}

impl From<PolicyError> for Finding {
    fn from(error: PolicyError) -> Self {
        let (name, line, column) = (error.name().to_owned(), error.line(), error.column());
        let Problem { rule, message, fix } = error.into_problem();
        Finding { rule, name, line, column, message, fix }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { rule, name, line, column, message, fix } = self;
        write!(f, "{name}:{line}:{column}: {}[{}]: {message}", rule.severity, rule.code)?;
        if fix.is_empty() { Ok(()) } else { write!(f, "; {fix}") }
    }
}

/// What a policy is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attached<'a> {
    /// The kind of policy that it is.
    pub kind: PolicyKind,
    /// The ARN of the identity that a sending authorization policy belongs to, if that is known.
    pub identity: Option<&'a str>,
}

impl From<PolicyKind> for Attached<'_> {
    fn from(kind: PolicyKind) -> Self {
        Attached { kind, identity: None }
    }
}

/// Returns all findings of a policy document in the order of the text, at most a hundred of each
/// severity.
///
/// `name` is what the operator knows it by, such as its file; `now` decides which times are over.
/// Whatever makes [`Policy::parse`] refuse the document is among the findings, as an error; the rest
/// of the document is looked at all the same, as far as it can be read.
#[must_use]
pub fn lint<'a>(
    attached: impl Into<Attached<'a>>,
    name: &str,
    text: &'a str,
    now: SystemTime,
) -> Vec<Finding> {
    let attached = attached.into();
    let mut findings = Findings::new(name, text);
    if let Err(errors) = Policy::parse(attached.kind, name, text) {
        findings.found.extend(errors.0.into_iter().map(Finding::from));
        findings.refused = findings.found.len();
    }
    if let Some(Value::Object(object)) = json::parse(text, &mut Problems::new(name, text)) {
        let document = view::Document::read(&object, attached, text);
        document::check(&document, date::millis(now), &mut findings);
    }
    findings.finish()
}

/// Returns what is wrong with the name of a context key that no mail can have, and what to write.
#[must_use]
pub fn unknown_key(name: &str) -> Option<String> {
    let mut findings = Findings::new("", "");
    key::check_name(name, 0, &mut findings);
    let finding = findings.found.into_iter().next()?;
    Some(format!("{}; {}", finding.message, finding.fix))
}

/// Iterates over every name of SES and AWS that is known here: what it is (`action`, `key` or
/// `resource`), the name, and its type: `*` for an action that works on no resource, what AWS calls
/// the type of a key, else nothing.
pub fn names() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let actions = ses::actions();
    let actions =
        actions.map(|(name, has_resource)| ("action", name, if has_resource { "" } else { "*" }));
    let keys = key::all().map(|(name, kind)| ("key", name, kind));
    let resources = ses::RESOURCE_TYPES.into_iter().map(|name| ("resource", name, ""));
    actions.chain(keys).chain(resources)
}

/// One statement that is checked, the document around it, and what is found.
struct Check<'c, 't> {
    document: &'c view::Document<'t>,
    statement: &'c view::Statement<'t>,
    /// For comparisons, over all statements of the document.
    budget: &'c mut cover::Budget,
    findings: &'c mut Findings<'t>,
}

/// The most findings kept of one severity; a hostile file may have tens of thousands.
const MOST_FINDINGS: usize = 100;

/// Collects the findings of one document.
struct Findings<'t> {
    name: &'t str,
    places: Problems<'t>,
    found: Vec<Finding>,
    /// How many of them, the first ones, are reasons to refuse the document.
    refused: usize,
}

impl<'t> Findings<'t> {
    fn new(name: &'t str, text: &'t str) -> Self {
        Findings { name, places: Problems::new(name, text), found: Vec::new(), refused: 0 }
    }

    /// Adds a finding at byte offset `at`.
    ///
    /// Where the document is refused for what is at the same place nothing is added.
    fn add(&mut self, rule: Rule, at: usize, message: impl Into<String>, fix: impl Into<String>) {
        if self.is_full(rule.severity) {
            return;
        }
        let (line, column) = self.places.position(at);
        let is_same = |found: &Finding| (found.line, found.column) == (line, column);
        if self.found.iter().take(self.refused).any(is_same) {
            return;
        }
        let (name, message, fix) = (self.name.to_owned(), message.into(), fix.into());
        self.found.push(Finding { rule, name, line, column, message, fix });
    }

    /// Tells whether findings of the severity are kept no longer, so that looking for more is in
    /// vain.
    fn is_full(&self, severity: Severity) -> bool {
        self.found.iter().filter(|found| found.rule.severity == severity).count() >= MOST_FINDINGS
    }

    /// Returns the line, from 1, of a byte offset.
    fn line(&self, at: usize) -> usize {
        self.places.line(at)
    }

    fn finish(mut self) -> Vec<Finding> {
        self.found.sort_by_key(|found| (found.line, found.column));
        self.found
    }
}
