//! Whether context keys exist, and what AWS calls their types.

pub(super) use super::super::keys::{Key, Presence, Type, is_address_key};
use super::super::words::{nearest, quoted};
use super::Findings;
use super::rules;

/// Iterates over the keys, each with what AWS calls its type.
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    Key::all().map(|key| {
        let kind = match key.kind {
            Type::Texts => "ArrayOfString",
            Type::Text => "String",
            Type::Date | Type::Epoch => "Date",
            Type::Number => "Numeric",
            Type::Boolean => "Bool",
            Type::Address => "IPAddress",
            Type::Arn => "ARN",
        };
        (key.name, kind)
    })
}

/// Checks that a key exists, in a condition or in a variable.
pub(super) fn check_name(name: &str, at: usize, findings: &mut Findings<'_>) {
    let is_full = [rules::INVALID_KEY, rules::UNKNOWN_KEY].map(|it| findings.is_full(it.severity));
    if Key::find(name).is_some() || is_full == [true; 2] {
        return;
    }
    let shown = quoted(name);
    let Some((service, _)) = name.split_once(':') else {
        let fix = match near(name) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write a key such as `ses:FromAddress`".to_owned(),
        };
        findings.add(rules::INVALID_KEY, at, format!("context key {shown} has no service"), fix);
        return;
    };
    if name.contains(['*', '?']) {
        findings.add(
            rules::INVALID_KEY,
            at,
            format!("wildcard in context key {shown}, where it is literal text"),
            "name the key in full",
        );
        return;
    }
    let tag = Key::all().find(|key| {
        key.name
            .strip_suffix('/')
            .is_some_and(|bare| name.trim_end_matches('/').eq_ignore_ascii_case(bare))
    });
    if let Some(tag) = tag {
        let message = format!("context key {shown} names no tag");
        let fix = format!("write `{}` and the key of the tag", tag.name);
        findings.add(rules::MISSING_TAG_KEY, at, message, fix);
        return;
    }
    let is_of = |other: &str| service.eq_ignore_ascii_case(other);
    if !is_of("aws") && !is_of("ses") {
        let message = format!("context key {shown} is of another service, so mail has no such key");
        findings.add(
            rules::NOT_AVAILABLE,
            at,
            message,
            "use a key beginning with `ses:` or `aws:`",
        );
        return;
    }
    let rule = if is_of("aws") { rules::UNKNOWN_GLOBAL_KEY } else { rules::UNKNOWN_KEY };
    let fix = match near(name) {
        // Many write it, and AWS has never had it.
        _ if name.eq_ignore_ascii_case("ses:ConfigurationSetName") => {
            "name `arn:aws:ses:REGION:ACCOUNT:configuration-set/NAME` as a resource".to_owned()
        }
        _ if is_time_of_day(name) => TIME_OF_DAY.to_owned(),
        Some(near) => format!("did you mean `{near}`?"),
        None => "no mail has it; name a key that mail has, such as `ses:FromAddress`".to_owned(),
    };
    let message = format!("context key {shown} is not among those that are known here");
    findings.add(rule, at, message, fix);
}

/// What to do where hours were meant.
pub(super) const TIME_OF_DAY: &str = "IAM knows moments, and neither times of the day nor days of the \
                                      week: leave these to what sends, or replace policies by a timer";

fn is_time_of_day(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["hour", "timeofday", "dayofweek", "weekday", "currentday"].iter().any(|it| name.contains(it))
}

fn near(name: &str) -> Option<&'static str> {
    let names = Key::all().map(|key| key.name);
    // Without its service a key is near to what follows the colon.
    nearest(name, names.clone()).or_else(|| {
        let bare = |full: &'static str| full.split_once(':').map_or(full, |(_, bare)| bare);
        let near = nearest(name, names.clone().map(bare))?;
        names.clone().find(|full| bare(full) == near)
    })
}
