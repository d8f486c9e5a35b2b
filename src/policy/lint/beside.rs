//! Findings about statements beside each other: repeated ones, and an Allow of what is denied anyway.

use std::collections::{HashMap, HashSet};

use super::super::action::ActionPattern;
use super::super::kind::PolicyKind;
use super::super::resource::ResourcePattern;
use super::cover::{Budget, Compiled, compile_actions, compile_resources, is_sound};
use super::view::{Document, Statement};
use super::{Findings, rules};

/// Reports statements that another statement without conditions covers: repeated ones, and an Allow
/// of what is denied anyway.
pub(super) fn check(document: &Document<'_>, budget: &mut Budget, findings: &mut Findings<'_>) {
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
        let narrow = Covering::of(statement, document);
        let covers = |by: &Statement<'_>, wide: &Covering<'_>, budget: &mut Budget| {
            same_principals(by, statement, document.kind) && wide.covers(&narrow, statement, budget)
        };
        let denying = covering
            .iter()
            .find(|(_, by, wide)| statement.allows() && by.denies() && covers(by, wide, budget));
        if let Some((_, by, _)) = denying {
            shadowed.push((statement.at, by.at));
            continue;
        }
        if repeated.contains(&number) {
            continue;
        }
        let same = covering.iter().find(|(other, by, wide)| {
            *other != number
                && by.effect == statement.effect
                && covers(by, wide, budget)
                // Of two that cover each other the first stays.
                && (*other < number || !is_covering(statement) || !narrow.covers(wide, by, budget))
        });
        if let Some((_, by, _)) = same {
            let line = findings.line(by.at);
            findings.add(
                rules::REDUNDANT_STATEMENT,
                statement.at,
                format!("covered by the statement in line {line}, which has no conditions"),
                "leave it out",
            );
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
            && all_covered(&self.actions, &other.actions, budget, ActionPattern::matches)
            && all_covered(&self.resources, &other.resources, budget, ResourcePattern::matches)
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
