//! Findings about a document as a whole.

use super::super::kind::PolicyKind;
use super::super::words::quoted;
use super::cover::Budget;
use super::view::{Document, Version};
use super::{Check, Findings, beside, rules, statement};

/// Checks a document; `now` is the present moment in milliseconds since 1970.
pub(super) fn check<'t>(document: &Document<'t>, now: i64, findings: &mut Findings<'t>) {
    check_version(document, findings);
    check_size(document, findings);
    check_characters(document, findings);
    let mut budget = Budget::new();
    for statement in &document.statements {
        statement::check(&mut Check { document, statement, budget: &mut budget, findings }, now);
    }
    beside::check(document, &mut budget, findings);
}

fn check_version(document: &Document<'_>, findings: &mut Findings<'_>) {
    let fix = "write \"Version\": \"2012-10-17\"";
    match document.version {
        Version::Absent => {
            let message = "no `Version`, which means 2008-10-17, without variables";
            findings.add(rules::MISSING_VERSION, document.at, message, fix);
        }
        Version::Old(at) => {
            findings.add(rules::OLD_VERSION, at, "version 2008-10-17 has no variables", fix);
        }
        Version::Current | Version::Other => {}
    }
}

/// Checks the quota of AWS, which does not count white space outside of strings. IAM quotas; SES
/// guide, sending authorization policies.
fn check_size(document: &Document<'_>, findings: &mut Findings<'_>) {
    let (quota, of) = match document.kind {
        PolicyKind::Identity => (6_144, "a managed policy (an inline one of a user has 2048)"),
        PolicyKind::Boundary => (6_144, "a managed policy"),
        PolicyKind::Session => (2_048, "a session policy"),
        PolicyKind::ServiceControl => (10_240, "a service control policy"),
        PolicyKind::ResourceControl => (5_120, "a resource control policy"),
        PolicyKind::Resource => (4_096, "a sending authorization policy"),
    };
    let size = counted_characters(document.text);
    if size > quota {
        findings.add(
            rules::POLICY_SIZE,
            document.at,
            format!("{size} characters, more than the {quota} that AWS takes for {of}"),
            "split it into several policies",
        );
    }
}

fn counted_characters(text: &str) -> usize {
    let (mut in_string, mut escaped) = (false, false);
    text.chars()
        .filter(|character| {
            match character {
                _ if escaped => escaped = false,
                '\\' if in_string => escaped = true,
                '"' => in_string = !in_string,
                _ => {}
            }
            in_string || !character.is_ascii_whitespace()
        })
        .count()
}

/// Characters that IAM takes in documents that it stores only as escapes. Reported once.
fn check_characters(document: &Document<'_>, findings: &mut Findings<'_>) {
    if document.kind == PolicyKind::Resource {
        return;
    }
    let is_stored = |character: char| matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{FF}');
    if let Some((at, character)) = document.text.char_indices().find(|(_, c)| !is_stored(*c)) {
        let escape: String = character
            .encode_utf16(&mut [0; 2])
            .iter()
            .map(|unit| format!("\\u{unit:04x}"))
            .collect();
        findings.add(
            rules::NON_LATIN,
            at,
            format!("IAM does not store {} as it is", quoted(&character.to_string())),
            format!("write `{escape}`"),
        );
    }
}
