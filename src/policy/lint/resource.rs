//! Findings about `Resource` and `NotResource`.

use super::super::keys::is_list_key;
use super::super::kind::PolicyKind;
use super::super::words::{nearest, quoted};
use super::action::is_guardrail;
use super::arn::{FIELDS, Field, SesArn, fields};
use super::key::{Key, Presence};
use super::parts::{FILLED, Part, parts};
use super::view::{Document, Text};
use super::{Check, Findings, cover, identity, key, rules, ses};

const PARTITIONS: [&str; 8] =
    ["aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc"];

/// Checks the resources of a statement.
pub(super) fn check(check: &mut Check<'_, '_>) {
    let &mut Check { document, statement, .. } = check;
    let list = &statement.resources;
    let changes = statement.purpose.as_ref().is_some_and(|purpose| purpose.changes_resources());
    let is_grant = statement.allows()
        && !is_guardrail(document.kind)
        && document.kind != PolicyKind::Resource
        && changes;
    if statement.allows() && list.negated {
        check.findings.add(
            rules::ALLOW_NOT_RESOURCE,
            list.at,
            "`Allow` with `NotResource` allows every resource that is not named",
            "list the resources under `Resource`",
        );
    }
    for entry in &list.entries {
        if entry.text == "*" {
            if is_grant && !list.negated {
                check.findings.add(
                    rules::BROAD_RESOURCE,
                    entry.at,
                    "`*` allows every identity and configuration set",
                    "name identities, such as `arn:aws:ses:REGION:ACCOUNT:identity/example.com`",
                );
            }
        } else if entry.text.starts_with("arn:") {
            check_arn(document, entry, check.findings);
        }
    }
    if statement.is_about_ses() {
        let arns = list.entries.iter().filter_map(|it| Some((it, SesArn::read(document, it)?)));
        identity::check(check, &arns.collect::<Vec<_>>());
    }
    cover::check_resources(&list.entries, document, check.budget, check.findings);
    for entry in &list.entries {
        variables(check, entry);
    }
}

fn check_arn(document: &Document<'_>, entry: &Text, findings: &mut Findings<'_>) {
    let Text { at, text } = entry;
    let fields = fields(text, document.has_variables());
    let shown = quoted(text);
    if fields.len() < FIELDS {
        let (count, fix) = (fields.len(), "write all six, such as `arn:aws:ses:*:*:identity/*`");
        let completes = matches!(document.kind, PolicyKind::Identity | PolicyKind::Boundary);
        let (rule, then) = if completes {
            (rules::SHORT_ARN, "IAM completes it with `*`")
        } else {
            (rules::MISSING_ARN_FIELD, "it matches nothing")
        };
        let either = if fields.iter().any(|field| field.text.ends_with('*')) {
            ", or its wildcard stands for the others: in a Deny either counts"
        } else {
            ""
        };
        findings.add(rule, *at, format!("{shown} has {count} of six fields: {then}{either}"), fix);
    }
    for (number, field) in fields.iter().enumerate() {
        if field.has_variable && number + 1 < FIELDS {
            findings.add(
                rules::EARLY_VARIABLE,
                *at,
                format!("{shown} has a variable before its fifth colon, where AWS documents none"),
                "use variables in the last field only",
            );
            break;
        }
    }
    let mut fields = fields.iter();
    let mut next = || fields.next();
    let _ = next();
    let (partition, service) = (next(), next());
    if let Some(partition) = partition.and_then(Field::plain)
        && !PARTITIONS.contains(&partition)
    {
        let fix = match nearest(partition, PARTITIONS) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write `aws`".to_owned(),
        };
        let message =
            format!("partition {} is not among those that are known here", quoted(partition));
        findings.add(rules::UNKNOWN_PARTITION, *at, message, fix);
    }
    match service.and_then(Field::plain) {
        Some("ses") => check_ses([next(), next(), next()], *at, findings),
        Some(other) if other.eq_ignore_ascii_case("ses") => {
            let message = format!("service {} of the ARN is not in lower case", quoted(other));
            findings.add(rules::SERVICE_CASE, *at, message, "write `ses`; the case counts");
        }
        _ => {}
    }
}

/// Checks region, account and last field of an ARN of SES.
fn check_ses(fields: [Option<&Field>; 3], at: usize, findings: &mut Findings<'_>) {
    let [region, account, resource] = fields;
    if let Some(region) = region.and_then(Field::plain)
        && !is_region(region)
    {
        let message = format!("{} is not a region", quoted(region));
        findings.add(rules::INVALID_REGION, at, message, "write one such as `us-east-1`, or `*`");
    }
    if let Some(account) = account.and_then(Field::plain)
        && !(account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()))
    {
        let message = format!("{} is not an account", quoted(account));
        findings.add(rules::INVALID_ACCOUNT, at, message, "write the 12 digits of it, or `*`");
    }
    let Some(Field { text: resource, .. }) = resource else { return };
    if resource == "*" {
        return;
    }
    let (kind, has_name) = match resource.split_once('/') {
        Some((kind, _)) => (kind, true),
        None => (resource.as_str(), false),
    };
    if kind.contains(['*', '?']) {
        if has_name {
            findings.add(
                rules::WILDCARD_IN_TYPE,
                at,
                format!("wildcard in {}, the type of the resource", quoted(kind)),
                "write the type, such as `identity/`",
            );
        }
        return;
    }
    if has_name && (ses::RESOURCE_TYPES.contains(&kind) || kind.is_empty() || kind.contains(FILLED))
    {
        return;
    }
    let fix = match nearest(kind, ses::RESOURCE_TYPES) {
        Some(near) => format!("write `{near}/` and the name"),
        None => "write `identity/` or `configuration-set/` and the name".to_owned(),
    };
    let message =
        format!("{} is not among the resources of SES that are known here", quoted(resource));
    findings.add(rules::UNKNOWN_RESOURCE, at, message, fix);
}

/// Tells whether a text is shaped like `us-east-1` or `us-gov-west-1`.
fn is_region(text: &str) -> bool {
    let mut words = text.split('-');
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    let digits = words.next_back().unwrap_or_default();
    let words: Vec<_> = words.collect();
    !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && words.len() >= 2
        && words.iter().all(|word| is_word(word))
}

/// Tells whether an entry may match something that mail is sent with: an identity or a
/// configuration set. In doubt it may.
pub(super) fn may_be_for_mail(entry: &Text, document: &Document<'_>) -> bool {
    if entry.text == "*" || !entry.text.starts_with("arn:") {
        return true;
    }
    let fields = fields(&entry.text, document.has_variables());
    let field = |number: usize| fields.get(number);
    if field(2).and_then(Field::plain).is_some_and(|service| service != "ses") {
        return false;
    }
    let Some(Field { text: resource, .. }) = field(5) else { return true };
    let literal = resource.split(['*', '?', FILLED]).next().unwrap_or_default();
    ["identity/", "configuration-set/"].iter().any(|kind| {
        if literal.len() < resource.len() && literal.len() < kind.len() {
            kind.starts_with(literal)
        } else {
            literal.starts_with(kind)
        }
    })
}

/// Checks the variables of one text, which older versions do not have.
pub(super) fn variables(check: &mut Check<'_, '_>, entry: &Text) {
    let &mut Check { document, statement, .. } = check;
    if !entry.text.contains("${") {
        return;
    }
    if !document.has_variables() {
        check.findings.add(
            rules::OLD_VARIABLE,
            entry.at,
            format!("{} has a variable, which this version reads as text", quoted(&entry.text)),
            "write \"Version\": \"2012-10-17\"",
        );
        return;
    }
    for part in parts(&entry.text, true) {
        let Part::Variable(name) = part else { continue };
        if is_list_key(name) {
            check.findings.add(
                rules::LIST_KEY_IN_VARIABLE,
                entry.at,
                format!("variable {} is a list, which never has a value here", quoted(name)),
                "use a key with one value",
            );
        } else if statement.is_about_ses() {
            key::check_name(name, entry.at, check.findings);
            let is_never = |key: &Key| key.presence == Presence::Never;
            if statement.is_about_mail() && Key::find(name).is_some_and(is_never) {
                let message = format!(
                    "no mail through the relay has {}, so that this matches nothing",
                    quoted(name)
                );
                let fix = "use a key that mail has, such as `aws:username` or `aws:PrincipalTag/…`";
                check.findings.add(rules::NOT_SUPPLIED, entry.at, message, fix);
            }
        }
    }
}
