//! What came out otherwise, in groups that are alike.

use std::collections::HashMap;

use super::{Answer, Place};
use crate::decision_log::Recorded;
use crate::smtp::reply::Unsupported;

/// What was decided, or is now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Outcome {
    /// What policies say, or else why the message is refused.
    pub(super) word: String,
    /// The statement that settled it.
    pub(super) statement: Option<String>,
}

impl Outcome {
    /// What a record says was decided; none where nothing was.
    pub(super) fn before(record: &Recorded) -> Option<Self> {
        /// Refusals by rules and not by a statement.
        const RULES: [&str; 3] = ["not_verified", "not_supported", "too_many_steps"];
        // A budget, which is no matter of policies.
        if record.error.as_ref().is_some_and(|it| *it == Unsupported::OverDailyBudget.to_string()) {
            return None;
        }
        let word = match (record.event.as_str(), record.reason.as_deref()) {
            ("relayed" | "refused", _) if record.verdict.is_some() => record.verdict.clone()?,
            ("refused", Some(reason)) if RULES.contains(&reason) => reason.to_owned(),
            _ => return None,
        };
        Some(Self { word, statement: record.statement.clone() })
    }

    fn after(answer: &Answer) -> Self {
        Self { word: answer.word().to_owned(), statement: answer.statement().map(str::to_owned) }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.word)?;
        match &self.statement {
            Some(statement) => write!(f, " by {statement}"),
            None => Ok(()),
        }
    }
}

/// What is the same of all messages of a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    pub(super) user: String,
    pub(super) author: String,
    pub(super) before: Outcome,
    pub(super) after: Outcome,
}

/// Messages that differ in the same way.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) kind: Kind,
    pub(super) count: usize,
    /// The first of them, and where it is.
    pub(super) place: Place,
    pub(super) example: Recorded,
    /// Why that one is refused now.
    pub(super) reason: Option<String>,
}

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Differences {
    pub(super) groups: Vec<Group>,
    known: HashMap<Kind, usize>,
}

impl Differences {
    pub(super) fn add(
        &mut self,
        place: Place,
        record: &Recorded,
        before: Outcome,
        answer: &Answer,
    ) {
        let first = record.from.first().map(String::as_str);
        let author = answer.author().or(record.author.as_deref()).or(first);
        let kind = Kind {
            user: record.principal.clone(),
            author: author.unwrap_or_default().to_owned(),
            before,
            after: Outcome::after(answer),
        };
        let next = self.groups.len();
        let at = *self.known.entry(kind.clone()).or_insert(next);
        match self.groups.get_mut(at) {
            Some(group) => group.count += 1,
            None => {
                let (example, reason) = (record.clone(), answer.reason());
                self.groups.push(Group { kind, count: 1, place, example, reason });
            }
        }
    }

    /// Puts the most frequent first.
    pub(super) fn sort(&mut self) {
        self.known.clear();
        self.groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    }

    /// How many messages differ.
    pub(super) fn count(&self) -> usize {
        self.groups.iter().map(|group| group.count).sum()
    }
}
