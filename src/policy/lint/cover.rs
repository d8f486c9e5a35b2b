//! Findings about entries of a list that others cover.
//!
//! Whether one pattern covers another is decided by matching the text of the other, its wildcards
//! taken as characters. That finds most of what is redundant and never reports what is not.

use std::collections::HashSet;

use super::super::action::ActionPattern;
use super::super::budget::StepBudget;
use super::super::operator::Family;
use super::super::request::Context;
use super::super::resource::ResourcePattern;
use super::super::variable::{Syntax, Template};
use super::super::words::quoted;
use super::operand::network_v4;
use super::rules::Rule;
use super::view::{Condition, Document, Text};
use super::{Findings, rules};

/// How much comparing of entries with each other is still done in this document, in bytes of the one
/// times bytes of the other.
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn new() -> Self {
        Budget(20_000_000)
    }

    /// Takes the cost of one comparison; `false` when there is too little left.
    pub(super) fn take(&mut self, one: &str, other: &str) -> bool {
        let cost = (one.len() + 1).saturating_mul(other.len() + 1);
        match self.0.checked_sub(cost) {
            Some(left) => self.0 = left,
            None => self.0 = 0,
        }
        self.0 > 0
    }
}

/// Tells whether a pattern that matches `text` as it is written covers it: a `?` covers no `*`, and
/// nothing but a `*` covers a part of a variable.
pub(super) fn is_sound(pattern: &str, text: &str) -> bool {
    let is_wrong = (pattern.contains('?') && text.contains('*'))
        || (pattern.contains(['?', '{']) && text.contains("${"));
    !is_wrong
}

/// Reports entries that others of the list cover.
fn check_list(
    rule: Rule,
    entries: &[Text],
    same: impl Fn(&str) -> String,
    mut covers: impl FnMut(usize, usize) -> bool,
    findings: &mut Findings<'_>,
) {
    let mut seen = HashSet::new();
    let wild: Vec<_> = entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.text.contains(['*', '?', '/']))
        .map(|(number, _)| number)
        .collect();
    for (number, entry) in entries.iter().enumerate() {
        let shown = quoted(&entry.text);
        if !seen.insert(same(&entry.text)) {
            findings.add(rule, entry.at, format!("{shown} is there before"), "leave it out");
            continue;
        }
        let by = wild.iter().copied().find(|by| {
            *by != number
                && covers(*by, number)
                // Of two that cover each other the first stays.
                && (*by < number || !covers(number, *by))
        });
        if let Some(by) = by.and_then(|by| entries.get(by)) {
            let by = quoted(&by.text);
            findings.add(rule, entry.at, format!("{shown} is covered by {by}"), "leave it out");
        }
    }
}

/// Reports actions that others cover.
pub(super) fn check_actions(entries: &[Text], budget: &mut Budget, findings: &mut Findings<'_>) {
    let patterns = compile_actions(entries);
    let covers =
        |by: usize, number: usize| covers_at(&patterns, by, number, budget, ActionPattern::matches);
    check_list(
        rules::REDUNDANT_ACTION,
        entries,
        |text| text.to_ascii_lowercase(),
        covers,
        findings,
    );
}

/// Reports resources that others cover.
pub(super) fn check_resources(
    entries: &[Text],
    document: &Document<'_>,
    budget: &mut Budget,
    findings: &mut Findings<'_>,
) {
    let patterns = compile_resources(entries, document);
    let covers = |by: usize, number: usize| {
        covers_at(&patterns, by, number, budget, ResourcePattern::matches)
    };
    check_list(rules::REDUNDANT_RESOURCE, entries, str::to_owned, covers, findings);
}

/// Reports values of a condition that others cover.
pub(super) fn check_values(
    condition: &Condition,
    document: &Document<'_>,
    budget: &mut Budget,
    findings: &mut Findings<'_>,
) {
    let entries = &condition.operands;
    if matches!(condition.operator.family, Family::Bool | Family::Null) && entries.len() > 1 {
        // Any text but `true` is false; both together are another finding.
        let same = |text: &str| text.eq_ignore_ascii_case("true").to_string();
        check_list(rules::REDUNDANT_VALUE, entries, same, |_, _| false, findings);
        return;
    }
    let syntax = Syntax { variables: document.has_variables(), wildcards: true };
    let patterns: Vec<_> = entries
        .iter()
        .map(|entry| {
            let is_fixed = !(syntax.variables && entry.text.contains("${"));
            let template = Template::parse(&entry.text, syntax).ok().filter(|_| is_fixed);
            (entry.text.as_str(), template)
        })
        .collect();
    let family = condition.operator.family;
    let covers = |by: usize, number: usize| match family {
        Family::StringLike => covers_at(&patterns, by, number, budget, |template, text| {
            template
                .with(&Context::new(), |pattern| pattern.matches(text, &StepBudget::unbounded()))
                .unwrap_or(false)
        }),
        Family::IpAddress => {
            let network = |at: usize| network_v4(&entries.get(at)?.text);
            let (Some((wide, bits)), Some((narrow, length))) = (network(by), network(number))
            else {
                return false;
            };
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            budget.take("", "") && bits <= length && (wide ^ narrow) & mask == 0
        }
        _ => false,
    };
    check_list(rules::REDUNDANT_VALUE, entries, str::to_owned, covers, findings);
}

pub(super) type Compiled<'e, P> = Vec<(&'e str, Option<P>)>;

pub(super) fn compile_actions(entries: &[Text]) -> Compiled<'_, ActionPattern> {
    let compile = |entry| ActionPattern::parse(entry, true).ok();
    entries.iter().map(|entry| (entry.text.as_str(), compile(&entry.text))).collect()
}

/// Compiles resources; those with variables stand for nothing that could be compared.
pub(super) fn compile_resources<'e>(
    entries: &'e [Text],
    document: &Document<'_>,
) -> Compiled<'e, ResourcePattern> {
    let variables = document.has_variables();
    let compile = |text: &str| {
        let is_fixed = !(variables && text.contains("${"));
        ResourcePattern::parse(text, document.kind, variables).ok().filter(|_| is_fixed)
    };
    entries.iter().map(|entry| (entry.text.as_str(), compile(&entry.text))).collect()
}

fn covers_at<P>(
    patterns: &[(&str, Option<P>)],
    by: usize,
    number: usize,
    budget: &mut Budget,
    matches: impl Fn(&P, &str) -> bool,
) -> bool {
    let (Some((wide, Some(pattern))), Some((narrow, _))) = (patterns.get(by), patterns.get(number))
    else {
        return false;
    };
    is_sound(wide, narrow) && budget.take(wide, narrow) && matches(pattern, narrow)
}
