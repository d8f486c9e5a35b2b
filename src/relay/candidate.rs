//! What candidate policies say of a message that the rules have decided about (decision 26).
//!
//! It is said in the record and counted, and changes nothing. It is asked once a message, between the
//! decision and the hand-over, with no more steps than a decision that is made where the message is.

use crate::authorize::{Client, Denial, Occasion, Verdict};
use crate::decision_log::CandidateSays;
use crate::message::HeaderSection;
use crate::metrics::Direction;
use crate::rules::Rules;
use crate::smtp::Envelope;

use super::refusal::word;

/// What candidate policies say other than those in force.
#[derive(Debug)]
pub(super) struct Differs {
    pub(super) direction: Direction,
    decision: &'static str,
    statement: Option<String>,
}

impl Differs {
    /// As it stands in the record.
    pub(super) fn shown(&self) -> CandidateSays<'_> {
        CandidateSays { decision: self.decision, statement: self.statement.as_deref() }
    }
}

/// Asks the candidate of the rules about a message, and compares it with what they decided.
pub(super) fn differs(
    rules: &Rules,
    client: &Client,
    envelope: &Envelope,
    header: &HeaderSection,
    occasion: Occasion,
    decided: Result<&Verdict, &Denial>,
) -> Option<Differs> {
    let candidate = rules.candidate.as_ref()?;
    if matches!(decided, Err(Denial::Unsure(_))) {
        // Nothing was decided, and the client comes again.
        return None;
    }
    let tried = candidate.decide(rules, client, envelope, header, occasion)?;
    let tried = tried.as_ref();
    if let Err(Denial::TooManySteps | Denial::Unsure(_)) = tried {
        return Some(Differs {
            direction: Direction::Unknown,
            decision: "unknown",
            statement: None,
        });
    }
    let (before, decision) = (word(decided), word(tried));
    let direction = match (decided, tried) {
        _ if before == decision => return None,
        (_, Ok(_)) => Direction::Allows,
        (Ok(_), Err(_)) => Direction::Denies,
        (Err(_), Err(_)) => Direction::DeniesOtherwise,
    };
    let statement = match tried {
        Ok(verdict) => verdict.statement.clone(),
        Err(Denial::Policy { verdict, .. }) => verdict.statement.clone(),
        Err(_) => None,
    };
    Some(Differs { direction, decision, statement })
}
