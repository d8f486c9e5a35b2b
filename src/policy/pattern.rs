//! Wildcard patterns: `*` any run, `?` exactly one UTF-16 code unit, everything else itself.
//!
//! Matching neither recurses nor allocates (patterns with a `*` held inside an ARN field aside) and
//! takes time bounded by pattern length times value length.

use std::borrow::Cow;

use super::budget::StepBudget;
use super::text;

/// How far a wildcard goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Over every character.
    Anything,
    /// Over every character but a colon: it stays in its field of an ARN.
    Field,
}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// These characters.
    Text(Cow<'a, str>),
    /// `?`
    One(Reach),
    /// `*`
    Any(Reach),
}

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Pattern<'a> {
    pieces: Vec<Piece<'a>>,
}

impl<'a> Pattern<'a> {
    pub(super) fn push(&mut self, piece: Piece<'a>) {
        match (self.pieces.last_mut(), piece) {
            (_, Piece::Text(text)) if text.is_empty() => {}
            (Some(Piece::Text(before)), Piece::Text(text)) => before.to_mut().push_str(&text),
            (_, piece) => self.pieces.push(piece),
        }
    }

    pub(super) fn pieces(&self) -> &[Piece<'a>] {
        &self.pieces
    }

    /// Returns the text of a pattern without wildcards.
    pub(super) fn text(&self) -> &str {
        match self.pieces.as_slice() {
            [Piece::Text(text)] => text,
            _ => "",
        }
    }

    /// Returns the pattern for texts that are folded.
    pub(super) fn folded(&self) -> Pattern<'static> {
        let mut folded = Pattern::default();
        for piece in &self.pieces {
            folded.push(match piece {
                Piece::Text(text) => Piece::Text(Cow::Owned(text::fold(text).into_owned())),
                Piece::One(reach) => Piece::One(*reach),
                Piece::Any(reach) => Piece::Any(*reach),
            });
        }
        folded
    }

    pub(super) fn into_owned(self) -> Pattern<'static> {
        let own = |piece| match piece {
            Piece::Text(text) => Piece::Text(Cow::Owned(Cow::into_owned(text))),
            Piece::One(reach) => Piece::One(reach),
            Piece::Any(reach) => Piece::Any(reach),
        };
        Pattern { pieces: self.pieces.into_iter().map(own).collect() }
    }

    pub(super) fn into_pieces(self) -> Vec<Piece<'a>> {
        self.pieces
    }

    pub(super) fn pieces_mut(&mut self) -> &mut [Piece<'a>] {
        &mut self.pieces
    }

    /// The texts between the wildcards: every match holds each of them.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_ref()),
            _ => None,
        })
    }

    /// Tells whether the whole of `value` matches; not when the budget is used up.
    pub(super) fn matches(&self, value: &str, budget: &StepBudget) -> bool {
        if self.pieces.contains(&Piece::Any(Reach::Field)) {
            self.matches_by_reach(value.as_bytes(), budget)
        } else {
            let starts = |text: &[u8], value: &[u8]| value.starts_with(text);
            self.matches_by_retreat(value.as_bytes(), starts, budget)
        }
    }

    /// Tells whether the whole of `value` matches when ASCII letters of both cases are the same.
    ///
    /// For patterns whose wildcards go over everything, which is what actions have.
    pub(super) fn matches_ignoring_ascii_case(&self, value: &str, budget: &StepBudget) -> bool {
        let starts = |text: &[u8], value: &[u8]| {
            value.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text))
        };
        self.matches_by_retreat(value.as_bytes(), starts, budget)
    }

    /// Goes through pattern and value side by side; on a mismatch the latest `*` takes one unit
    /// more.
    ///
    /// The latest is enough because a `*` takes anything: an earlier one has nothing to gain from
    /// taking more.
    fn matches_by_retreat(
        &self,
        value: &[u8],
        starts: impl Fn(&[u8], &[u8]) -> bool,
        budget: &StepBudget,
    ) -> bool {
        let (mut piece, mut at) = (0, 0);
        let mut latest_any = None;
        loop {
            budget.spend(4);
            if budget.is_used_up() {
                return false;
            }
            let next = match self.pieces.get(piece) {
                Some(Piece::Any(_)) => {
                    match self.pieces.get(piece + 1..) {
                        Some([]) => return true,
                        // By far the most common end: `*@example.com`.
                        Some([Piece::Text(text)]) => {
                            let end = value.len().checked_sub(text.len()).filter(|end| *end >= at);
                            return end.is_some_and(|end| {
                                starts(text.as_bytes(), value.get(end..).unwrap_or_default())
                            });
                        }
                        _ => {}
                    }
                    latest_any = Some((piece + 1, at));
                    Some(at)
                }
                Some(Piece::One(reach)) => next_unit(value, at, *reach),
                Some(Piece::Text(text)) => {
                    let rest = value.get(at..).unwrap_or_default();
                    starts(text.as_bytes(), rest).then_some(at + text.len())
                }
                None if at == value.len() => return true,
                None => None,
            };
            if let Some(next) = next {
                (piece, at) = (piece + 1, next);
                continue;
            }
            let Some((after_any, from)) = latest_any else { return false };
            let Some(from) = next_unit(value, from, Reach::Anything) else { return false };
            latest_any = Some((after_any, from));
            (piece, at) = (after_any, from);
        }
    }

    /// Goes through the pattern piece by piece, with the set of places in the value reached so far.
    ///
    /// Needed when a `*` may not cross a colon: then an earlier `*` may have to take more.
    fn matches_by_reach(&self, value: &[u8], budget: &StepBudget) -> bool {
        let mut reached = vec![false; value.len() + 1];
        if let Some(start) = reached.first_mut() {
            *start = true;
        }
        for piece in &self.pieces {
            budget.spend(100 + 4 * value.len());
            if budget.is_used_up() {
                return false;
            }
            let mut next_reached = vec![false; value.len() + 1];
            let mut spread_to = None;
            for (at, _) in reached.iter().enumerate().filter(|(_, reached)| **reached) {
                match piece {
                    Piece::Text(text) => {
                        let rest = value.get(at..).unwrap_or_default();
                        if rest.starts_with(text.as_bytes()) {
                            mark(&mut next_reached, at + text.len());
                        }
                    }
                    Piece::One(reach) => {
                        if let Some(next) = next_unit(value, at, *reach) {
                            mark(&mut next_reached, next);
                        }
                    }
                    Piece::Any(reach) => {
                        // Places come in order, so what an earlier one spread over is done.
                        if spread_to.is_some_and(|end| at <= end) {
                            continue;
                        }
                        let mut end = at;
                        mark(&mut next_reached, end);
                        while let Some(next) = next_unit(value, end, *reach) {
                            mark(&mut next_reached, next);
                            end = next;
                        }
                        spread_to = Some(end);
                    }
                }
            }
            reached = next_reached;
        }
        reached.last().is_some_and(|end| *end)
    }
}

fn mark(places: &mut [bool], at: usize) {
    if let Some(place) = places.get_mut(at) {
        *place = true;
    }
}

/// Returns the place after the UTF-16 code unit at `at`.
///
/// Characters beyond U+FFFF are four bytes and two units; the place between the units is two bytes
/// in, where no text can match because no text begins with a continuation byte.
fn next_unit(value: &[u8], at: usize, reach: Reach) -> Option<usize> {
    let length = match *value.get(at)? {
        b':' if reach == Reach::Field => return None,
        0x00..=0x7F => 1,
        0xE0..=0xEF => 3,
        _ => 2,
    };
    Some(at + length)
}
