//! `Resource` and `NotResource` entries: patterns over whole ARNs.
//!
//! Before the fifth colon of the pattern a wildcard does not match a colon, except a `*` that ends
//! its field. After the fifth colon wildcards match everything. The Arn operators compare by other
//! rules; see `arn`.
//!
//! IAM completes an ARN of fewer than six fields. Whether a `*` that ends a field of such an ARN runs
//! over the missing fields instead (`arn:aws:ses:us*:identity/x`) AWS does not say: in a Deny both
//! readings count.

use std::borrow::Cow;

use super::budget::StepBudget;
use super::effect::Effect;
use super::error::Problem;
use super::kind::PolicyKind;
use super::pattern::{Pattern, Piece, Reach};
use super::pattern_set::PatternSet;
use super::request::Context;
use super::rules;
use super::variable::{Part, Syntax, Template};

const FIELDS: usize = 6;

/// A `Resource` or `NotResource` entry.
#[derive(Debug, Clone)]
pub(super) struct ResourcePattern {
    written: Box<str>,
    matcher: Matcher,
    /// The other reading of a short ARN: as it is written, with a `*` that runs over missing fields.
    unfinished: Option<Template>,
}

#[derive(Debug, Clone)]
enum Matcher {
    /// `*`
    Every,
    /// An ARN with fewer than six fields, where IAM does not complete it.
    Never,
    Pattern(Template),
}

impl ResourcePattern {
    /// Reads an entry.
    ///
    /// # Errors
    ///
    /// What is wrong and what to write instead.
    pub(super) fn parse(text: &str, kind: PolicyKind, variables: bool) -> Result<Self, Problem> {
        let written: Box<str> = text.into();
        if text == "*" {
            return Ok(ResourcePattern { written, matcher: Matcher::Every, unfinished: None });
        }
        if !text.starts_with("arn:") {
            return Err(Problem::new(
                rules::INVALID_ARN,
                "not a resource",
                "write `*` or an ARN such as `arn:aws:ses:us-east-1:111122223333:identity/example.com`",
            ));
        }
        let mut template = Template::parse(text, Syntax { variables, wildcards: true })?;
        let fields = check_fields(&template)?;
        let mut unfinished = None;
        let matcher = if fields == FIELDS {
            hold_wildcards(&mut template);
            Matcher::Pattern(template)
        } else {
            let mut other = template.clone();
            hold_wildcards(&mut other);
            unfinished = Some(other).filter(runs_over_fields);
            match kind {
                PolicyKind::Identity | PolicyKind::Boundary => {
                    complete(&mut template, fields);
                    hold_wildcards(&mut template);
                    Matcher::Pattern(template)
                }
                PolicyKind::Session => {
                    return Err(Problem::new(
                        rules::MISSING_ARN_FIELD,
                        format!("the ARN has {fields} of six fields"),
                        "a session policy needs all, such as `arn:aws:ses:*:*:*`",
                    ));
                }
                _ => Matcher::Never,
            }
        };
        Ok(ResourcePattern { written, matcher, unfinished })
    }

    /// Tells whether the ARN matches. An entry with a variable matches none.
    pub(super) fn matches(&self, resource: &str) -> bool {
        match &self.matcher {
            Matcher::Every => true,
            Matcher::Never => false,
            Matcher::Pattern(template) => template
                .with(&Context::new(), |pattern| {
                    pattern.matches(resource, &StepBudget::unbounded())
                })
                .unwrap_or(false),
        }
    }
}

/// The entries of `Resource` or `NotResource`.
#[derive(Debug, Clone)]
pub(super) struct Resources {
    negated: bool,
    written: Vec<Box<str>>,
    /// `*` is among them.
    every: bool,
    patterns: PatternSet,
    /// Short ARNs of `NotResource` in a Deny: those with two readings, which both must match.
    twofold: Vec<[Template; 2]>,
}

impl Resources {
    /// Puts the entries of a statement of that effect together; `negated` for `NotResource`.
    ///
    /// A Deny applies when it does under either reading of a short ARN: `Resource` matches when one
    /// of them does, `NotResource` takes out what both match.
    pub(super) fn new(effect: Effect, negated: bool, entries: Vec<ResourcePattern>) -> Self {
        let (mut every, mut patterns) = (false, PatternSet::default());
        let mut written = Vec::with_capacity(entries.len());
        let mut twofold = Vec::new();
        for ResourcePattern { written: text, matcher, unfinished } in entries {
            written.push(text);
            match (matcher, unfinished.filter(|_| effect == Effect::Deny)) {
                (Matcher::Every, _) => every = true,
                (Matcher::Never, None) => {}
                (Matcher::Never, Some(unfinished)) if !negated => patterns.push(unfinished),
                (Matcher::Never, Some(_)) => {}
                (Matcher::Pattern(template), None) => patterns.push(template),
                (Matcher::Pattern(template), Some(unfinished)) if negated => {
                    twofold.push([template, unfinished]);
                }
                (Matcher::Pattern(template), Some(unfinished)) => {
                    patterns.push(template);
                    patterns.push(unfinished);
                }
            }
        }
        patterns.build_index();
        Self { negated, written, every, patterns, twofold }
    }

    pub(super) fn is_negated(&self) -> bool {
        self.negated
    }

    /// Iterates over the entries as written.
    pub(super) fn written(&self) -> impl Iterator<Item = &str> {
        self.written.iter().map(AsRef::as_ref)
    }

    /// The context keys whose values the entries hold.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        let twofold = self.twofold.iter().flatten().flat_map(Template::variables);
        self.patterns.variables().chain(twofold)
    }

    /// Tells whether the statement is about the resource. An entry whose variable has no value is
    /// about none.
    pub(super) fn cover(&self, resource: &str, context: &Context<'_>, budget: &StepBudget) -> bool {
        let matches = |template: &Template| {
            // One with variables is made anew for each resource.
            budget.spend(if matches!(template, Template::Fixed(_)) { 10 } else { 100 });
            let matches = |pattern: &Pattern<'_>| pattern.matches(resource, budget);
            template.with(context, matches).unwrap_or(false)
        };
        let mut twofold = self.twofold.iter().take_while(|_| !budget.is_used_up());
        let is_named = self.every
            || self.patterns.matches(resource, context, budget)
            || twofold.any(|readings| readings.iter().all(matches));
        is_named != self.negated
    }
}

/// Counts the fields, up to six, after checking that partition and service are there and the
/// service has no wildcard.
fn check_fields(template: &Template) -> Result<usize, Problem> {
    let mut field = 0;
    let mut is_empty = [true; FIELDS];
    let mut wild_service = false;
    for piece in template.pieces() {
        let text = match piece {
            Some(Piece::Text(text)) => text.as_ref(),
            wildcard => {
                wild_service |= field == 2 && wildcard.is_some();
                fill(&mut is_empty, field);
                continue;
            }
        };
        for (number, run) in text.split(':').enumerate() {
            if number > 0 {
                field = (field + 1).min(FIELDS - 1);
            }
            if !run.is_empty() {
                fill(&mut is_empty, field);
            }
        }
    }
    let missing =
        |message| Err(Problem::new(rules::MISSING_ARN_FIELD, message, "write `arn:aws:ses:…`"));
    match is_empty {
        [_, true, ..] => missing("the ARN has no partition"),
        [_, _, true, ..] => missing("the ARN has no service"),
        _ if wild_service => Err(Problem::new(
            rules::WILDCARD_IN_SERVICE,
            "wildcard in the service of the ARN",
            "write `ses`, or `*` alone for every resource",
        )),
        _ => Ok(field + 1),
    }
}

fn fill(is_empty: &mut [bool; FIELDS], field: usize) {
    if let Some(empty) = is_empty.get_mut(field) {
        *empty = false;
    }
}

/// Tells whether a wildcard may match a colon, and with it fields that are missing.
fn runs_over_fields(template: &Template) -> bool {
    template.pieces().any(|piece| piece == Some(&Piece::Any(Reach::Anything)))
}

/// Completes an ARN of fewer than six fields with `*` fields.
fn complete(template: &mut Template, fields: usize) {
    for _ in fields..FIELDS {
        template.push(Piece::Text(Cow::Borrowed(":")));
        template.push(Piece::Any(Reach::Anything));
    }
}

/// Holds the wildcards before the fifth colon in their fields, except a `*` that ends its field.
fn hold_wildcards(template: &mut Template) {
    match template {
        Template::Fixed(pattern) => hold(pattern.pieces_mut().iter_mut().map(Some)),
        Template::Variable(parts) => hold(parts.iter_mut().map(|part| match part {
            Part::Piece(piece) => Some(piece),
            Part::Variable { .. } => None,
        })),
    }
}

fn hold<'p>(pieces: impl Iterator<Item = Option<&'p mut Piece<'static>>>) {
    let mut colons = 0;
    let mut pieces = pieces.peekable();
    while let Some(piece) = pieces.next() {
        match piece {
            Some(Piece::Text(text)) => colons += text.matches(':').count(),
            Some(Piece::One(reach)) if colons < FIELDS - 1 => *reach = Reach::Field,
            Some(Piece::Any(reach)) if colons < FIELDS - 1 => {
                let ends_field = match pieces.peek() {
                    None => true,
                    Some(Some(Piece::Text(text))) => text.starts_with(':'),
                    Some(_) => false,
                };
                if !ends_field {
                    *reach = Reach::Field;
                }
            }
            _ => {}
        }
    }
}
