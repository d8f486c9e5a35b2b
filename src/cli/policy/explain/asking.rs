//! One request of a message with how each statement stands to it, in words.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anstyle::Style;
use serde_json::{Value, json};

use crate::authorize::Verdict;
use crate::policy::{
    self, Check, Effect, Explained, Lacking, Layers, Outcome, Part, PolicyKind, Request, lacking,
    layer_name,
};
use crate::redact::printable;

/// One request with its explanation.
#[derive(PartialEq)]
pub(super) struct Asking {
    pub(super) resource: String,
    /// What of the message or the account uses the resource.
    pub(super) why: Vec<String>,
    pub(super) verdict: Verdict,
    pub(super) allowed: bool,
    /// The layers that deny it, or that do not allow it.
    pub(super) refused_by: Vec<String>,
    pub(super) context: BTreeMap<String, Vec<String>>,
    pub(super) statements: Vec<Line>,
}

/// One statement.
#[derive(PartialEq)]
pub(super) struct Line {
    pub(super) layer: &'static str,
    policy: String,
    line: usize,
    index: usize,
    sid: Option<String>,
    effect: &'static str,
    outcome: String,
    pub(super) applies: bool,
    /// Whether it is why the request is refused, or could change that.
    pub(super) matters: bool,
    /// How far it is from applying.
    pub(super) distance: usize,
    /// What does not fit; of a Deny that applies, the conditions that hold.
    parts: Vec<Told>,
}

/// One part of a statement.
#[derive(PartialEq)]
struct Told {
    what: String,
    seen: String,
    requires: String,
    hint: Option<String>,
}

impl Asking {
    pub(super) fn new(layers: &Layers<'_>, request: &Request<'_>, why: Vec<String>) -> Self {
        let decision = policy::evaluate(layers, request);
        let context = request.context.iter().map(|(key, values)| {
            (key.to_owned(), values.iter().map(|value| value.text().to_owned()).collect())
        });
        let explained = policy::explain(layers, request);
        let verdict = Verdict::of(&decision);
        let allowed = decision.is_allowed();
        let lacking = lacking(layers, request);
        let matters = |it: &Explained<'_>| match it.statement.effect() {
            _ if allowed => false,
            Effect::Deny => matches!(it.outcome, Outcome::Applies(_)),
            Effect::Allow => !verdict.is_explicit() && is_lacking(&lacking, it),
        };
        let refused_by = if allowed {
            Vec::new()
        } else if verdict.is_explicit() {
            let denies = |it: &&Explained<'_>| {
                it.statement.effect() == Effect::Deny && matches!(it.outcome, Outcome::Applies(_))
            };
            explained.iter().filter(denies).map(|it| whose(it.layer, &[it.policy.name()])).collect()
        } else {
            lacking.iter().map(shown).collect()
        };
        let mut refused_by: Vec<String> = refused_by;
        refused_by.dedup();
        let statements = explained.iter().map(|it| Line::new(it, matters(it))).collect();
        Self {
            resource: request.resource.to_owned(),
            why,
            verdict,
            allowed,
            refused_by,
            context: context.collect(),
            statements,
        }
    }

    /// Whether the same is to be told of another request, but for the resource.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (&self.verdict, &self.refused_by, &self.context, &self.statements)
            == (&other.verdict, &other.refused_by, &other.context, &other.statements)
    }

    /// Takes the reasons of another request that is the same; says whether it is.
    pub(super) fn takes(&mut self, other: &Self) -> bool {
        let is_same = self.resource == other.resource && self.is_like(other);
        if is_same {
            for why in &other.why {
                if !self.why.contains(why) {
                    self.why.push(why.clone());
                }
            }
        }
        is_same
    }
}

fn is_lacking(lacking: &[Lacking<'_>], explained: &Explained<'_>) -> bool {
    let holds = |it: &Lacking<'_>| {
        it.layer == explained.layer
            && it.policies.iter().any(|policy| std::ptr::eq(&**policy, explained.policy))
    };
    lacking.iter().any(holds)
        // A policy of the resource that names the user is another way to be allowed.
        || (explained.layer == PolicyKind::Resource && lacking.iter().all(|it| it.layer == PolicyKind::Identity))
}

fn shown(lacking: &Lacking<'_>) -> String {
    let names: Vec<_> = lacking.policies.iter().map(|policy| policy.name()).collect();
    whose(lacking.layer, &names)
}

/// A layer as the object of a sentence.
fn whose(layer: PolicyKind, policies: &[&str]) -> String {
    let files = policies.join(", ");
    match layer {
        PolicyKind::Identity if policies.is_empty() => {
            "the user's policies, which are none".to_owned()
        }
        PolicyKind::Identity => "the user's policies".to_owned(),
        PolicyKind::Boundary => format!("the permissions boundary ({files})"),
        PolicyKind::Session => "the session policy".to_owned(),
        PolicyKind::ServiceControl => format!("the service control policy ({files})"),
        PolicyKind::ResourceControl => {
            format!("the sending authorization policy of a related identity ({files})")
        }
        PolicyKind::Resource if policies.is_empty() => {
            "the sending authorization policies of the owner, who has none".to_owned()
        }
        PolicyKind::Resource => {
            format!("the sending authorization policies of the owner ({files})")
        }
    }
}

impl Line {
    fn new(explained: &Explained<'_>, matters: bool) -> Self {
        let statement = explained.statement;
        let applies = matches!(explained.outcome, Outcome::Applies(_));
        let parts: Vec<&Check<'_>> = if applies {
            let is_condition = |check: &&Check<'_>| matches!(check.part, Part::Condition(_));
            explained.checks.iter().filter(is_condition).collect()
        } else {
            explained.mismatches().collect()
        };
        let effect = match statement.effect() {
            Effect::Allow => "Allow",
            Effect::Deny => "Deny",
        };
        Self {
            layer: layer_name(explained.layer),
            policy: explained.policy.name().to_owned(),
            line: statement.line(),
            index: statement.index(),
            sid: statement.sid().map(str::to_owned),
            effect,
            outcome: explained.outcome.to_string(),
            applies,
            matters,
            distance: explained.distance(),
            parts: parts
                .into_iter()
                .map(|check| Told {
                    what: check.to_string(),
                    seen: check.seen.clone(),
                    requires: check.requires.clone(),
                    hint: check.hint.clone(),
                })
                .collect(),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let parts = self.parts.iter().map(|part| {
            json!({
                "what": part.what,
                "seen": part.seen,
                "requires": part.requires,
                "hint": part.hint,
            })
        });
        let first = self.parts.first().filter(|_| !self.applies);
        json!({
            "layer": self.layer,
            "policy": self.policy,
            "line": self.line,
            "index": self.index,
            "sid": self.sid,
            "effect": self.effect,
            "applies": self.applies,
            "outcome": self.outcome,
            "seen": first.map(|part| &part.seen),
            "hint": first.and_then(|part| part.hint.as_ref()),
            "parts": parts.collect::<Vec<_>>(),
        })
    }

    /// Prints the statement; `whole` with everything that does not fit.
    pub(super) fn print(&self, out: &mut impl Write, weak: Style, whole: bool) -> io::Result<()> {
        let policy = printable(&self.policy);
        let (line, effect, layer) = (self.line, self.effect, self.layer);
        let sid = match &self.sid {
            Some(sid) => format!("`{}`", printable(sid)),
            None => (self.index + 1).to_string(),
        };
        write!(out, "  {policy}:{line}: {effect} statement {sid} {weak}({layer}){weak:#}")?;
        if self.applies {
            writeln!(out, " {}", printable(&self.outcome))?;
        }
        for (at, part) in self.parts.iter().enumerate() {
            let what = printable(&part.what);
            match at {
                _ if self.applies => writeln!(out, "    {what}")?,
                0 => writeln!(out, " {what}")?,
                _ if whole => writeln!(out, "    and {what}")?,
                _ => break,
            }
            let told = [
                ("seen", Some(&part.seen)),
                ("requires", Some(&part.requires).filter(|_| whole)),
                ("hint", part.hint.as_ref()),
            ];
            for (name, text) in told {
                for text in text.into_iter().filter(|text| !text.is_empty()) {
                    writeln!(out, "    {weak}{name}{weak:#} {}", printable(text))?;
                }
            }
        }
        Ok(())
    }
}
