//! Findings about entries and statements that others cover.
//!
//! Whether one pattern covers another is decided by matching the text of the other, its wildcards
//! taken as characters. That finds most of what is redundant and never reports what is not.

use std::collections::{HashMap, HashSet};

use super::super::action::ActionPattern;
use super::super::budget::StepBudget;
use super::super::document::PolicyKind;
use super::super::error::quoted;
use super::super::operator::Family;
use super::super::request::Context;
use super::super::resource::ResourcePattern;
use super::super::variable::{Syntax, Template};
use super::operand::network_v4;
use super::rules::Rule;
use super::view::{Condition, Document, Statement, Text};
use super::{Findings, rules};

/// How much comparing of entries with each other is still done in this document, in bytes of the one
/// times bytes of the other.
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn new() -> Self {
        Budget(20_000_000)
    }

    /// Takes the cost of one comparison; `false` when there is too little left.
    fn take(&mut self, one: &str, other: &str) -> bool {
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
fn is_sound(pattern: &str, text: &str) -> bool {
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
    let covers = |by: usize, number: usize| covers_at(&patterns, by, number, budget, action_covers);
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
    let covers =
        |by: usize, number: usize| covers_at(&patterns, by, number, budget, resource_covers);
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

type Compiled<'e, P> = Vec<(&'e str, Option<P>)>;

fn compile_actions(entries: &[Text]) -> Compiled<'_, ActionPattern> {
    let compile = |entry| ActionPattern::parse(entry, true).ok();
    entries.iter().map(|entry| (entry.text.as_str(), compile(&entry.text))).collect()
}

/// Compiles resources; those with variables stand for nothing that could be compared.
fn compile_resources<'e>(
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

fn action_covers(pattern: &ActionPattern, text: &str) -> bool {
    pattern.matches(text)
}

fn resource_covers(pattern: &ResourcePattern, text: &str) -> bool {
    pattern.matches(text)
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

/// Reports statements that another statement without conditions covers: repeated ones, and an Allow
/// of what is denied anyway.
pub(super) fn check_statements(
    document: &Document<'_>,
    budget: &mut Budget,
    findings: &mut Findings<'_>,
) {
    let statements = &document.statements;
    let mut seen: HashMap<&[(&str, &str)], usize> = HashMap::new();
    let mut repeated = HashSet::new();
    for (number, statement) in statements.iter().enumerate() {
        if let Some(first) = seen.get(statement.members.as_slice()) {
            let line = findings.line(*first);
            let message = format!("the same as the statement in line {line}");
            findings.add(rules::REDUNDANT_STATEMENT, statement.at, message, "leave it out");
            repeated.insert(number);
        } else {
            seen.insert(statement.members.as_slice(), statement.at);
        }
    }
    let covering: Vec<_> = statements
        .iter()
        .enumerate()
        .filter(|(number, statement)| is_covering(statement) && !repeated.contains(number))
        .map(|(number, by)| (number, by, Covering::of(by, document)))
        .collect();
    let mut shadowed = Vec::new();
    for (number, statement) in statements.iter().enumerate() {
        if repeated.contains(&number) || statement.effect.is_none() {
            continue;
        }
        let narrow = Covering::of(statement, document);
        for (by_number, by, wide) in &covering {
            if *by_number == number
                || (by.allows() && statement.denies())
                || !same_principals(by, statement, document.kind)
                || !wide.covers(&narrow, statement, budget)
            {
                continue;
            }
            if by.denies() && statement.allows() {
                shadowed.push((statement.at, by.at));
                break;
            }
            let line = findings.line(by.at);
            let mutual = is_covering(statement) && narrow.covers(wide, by, budget);
            if *by_number < number || !mutual {
                findings.add(
                    rules::REDUNDANT_STATEMENT,
                    statement.at,
                    format!("covered by the statement in line {line}, which has no conditions"),
                    "leave it out",
                );
                break;
            }
        }
    }
    check_shadowed(document, &shadowed, findings);
}

/// Reports each Allow of what is denied anyway, and a Deny that leaves nothing of what is allowed.
fn check_shadowed(
    document: &Document<'_>,
    shadowed: &[(usize, usize)],
    findings: &mut Findings<'_>,
) {
    let allows = || document.statements.iter().filter(|it| it.allows() && it.is_about_mail());
    let is_shadowed = |it: &Statement<'_>| shadowed.iter().any(|(at, _)| *at == it.at);
    let denying = document.statements.iter().find(|it| denies_all_mail(it));
    let by = match denying {
        Some(denying) => Some(denying.at),
        None if allows().all(is_shadowed) => shadowed.first().map(|(_, by)| *by),
        None => None,
    };
    if let Some(at) = by.filter(|_| allows().next().is_some()) {
        findings.add(
            rules::DENIES_ALL,
            at,
            "no mail is ever allowed: this Deny has no condition and covers every Allow",
            "give it a condition, or name fewer actions or resources",
        );
        return;
    }
    for (at, by) in shadowed {
        let line = findings.line(*by);
        findings.add(
            rules::SHADOWED_ALLOW,
            *at,
            format!("all of it is denied by the statement in line {line}"),
            "take it out, or give the Deny a condition or fewer resources",
        );
    }
}

/// Tells whether a statement denies every mail, whatever allows it.
fn denies_all_mail(statement: &Statement<'_>) -> bool {
    let every = ["*", "arn:*", "arn:aws:ses:*:*:*", "arn:aws:ses:*:*:identity/*"];
    let list = &statement.resources;
    statement.denies()
        && !statement.is_conditional
        && statement.is_about_mail()
        && !list.negated
        && list.entries.iter().any(|entry| every.contains(&entry.text.as_str()))
        && statement.principals.as_ref().is_none_or(|it| it.everybody && !it.negated)
}

fn is_covering(statement: &Statement<'_>) -> bool {
    !statement.is_conditional
        && !statement.actions.negated
        && !statement.resources.negated
        && statement.effect.is_some()
        && statement.principals.as_ref().is_none_or(|principals| !principals.negated)
}

fn same_principals(by: &Statement<'_>, statement: &Statement<'_>, kind: PolicyKind) -> bool {
    match (&by.principals, &statement.principals) {
        (Some(by), Some(principals)) => {
            by.everybody || (by.text == principals.text && !principals.negated)
        }
        (None, None) => !matches!(kind, PolicyKind::Resource | PolicyKind::ResourceControl),
        _ => false,
    }
}

/// Actions and resources of a statement, compiled.
struct Covering<'s> {
    actions: Compiled<'s, ActionPattern>,
    resources: Compiled<'s, ResourcePattern>,
}

impl<'s> Covering<'s> {
    fn of(statement: &'s Statement<'_>, document: &Document<'_>) -> Self {
        Covering {
            actions: compile_actions(&statement.actions.entries),
            resources: compile_resources(&statement.resources.entries, document),
        }
    }

    /// Tells whether every action and every resource of the other statement is covered.
    fn covers(&self, other: &Covering<'_>, statement: &Statement<'_>, budget: &mut Budget) -> bool {
        !statement.actions.negated
            && !statement.resources.negated
            && all_covered(&self.actions, &other.actions, budget, action_covers)
            && all_covered(&self.resources, &other.resources, budget, resource_covers)
    }
}

fn all_covered<P>(
    wide: &[(&str, Option<P>)],
    narrow: &[(&str, Option<P>)],
    budget: &mut Budget,
    matches: impl Fn(&P, &str) -> bool,
) -> bool {
    !narrow.is_empty()
        && narrow.iter().all(|(text, _)| {
            wide.iter().any(|(written, pattern)| {
                is_sound(written, text)
                    && budget.take(written, text)
                    && pattern.as_ref().is_some_and(|pattern| matches(pattern, text))
            })
        })
}
