//! Findings about the values of conditions on addresses: what no address looks like, patterns that are
//! open, and letter case.

use super::super::operator::Family;
use super::super::words::quoted;
use super::key::is_address_key;
use super::operand::regular_expression;
use super::parts::{FILLED, bare};
use super::view::{Condition, Text};
use super::{Check, Findings, rules};

const WILD: [char; 2] = ['*', '?'];

/// Checks the values of a condition on addresses.
pub(super) fn check(check: &mut Check<'_, '_>, condition: &Condition) {
    let &mut Check { document, statement, .. } = check;
    if !condition.operator.is_string() || !is_address_key(&condition.folded_key) {
        return;
    }
    let variables = document.has_variables();
    // A pattern that matches too much harms where what it matches is permitted.
    let permits = if condition.operator.negated { statement.denies() } else { statement.allows() };
    for text in &condition.operands {
        let bare = bare(&text.text, variables);
        if let Some((message, fix)) = odd_form(condition, &text.text, &bare) {
            check.findings.add(rules::ADDRESS_FORM, text.at, message, fix);
            continue;
        }
        if condition.operator.family == Family::StringLike
            && permits
            && regular_expression(&bare, true).is_none()
            && is_open(&bare)
        {
            open(text, &bare, check.findings);
        }
        check_case(check, condition, text, &bare);
    }
}

/// Says what an address has that no address in a request has, and what to write.
fn odd_form(condition: &Condition, text: &str, bare: &str) -> Option<(String, String)> {
    let shown = quoted(text);
    let outside = outside_of_quotes(bare);
    let is_like = condition.operator.family == Family::StringLike;
    let is_wild = is_like && bare.contains(WILD);
    if outside.contains(['<', '>']) {
        let address = text.rsplit_once('<').map_or(text, |(_, address)| address);
        let address = quoted(address.trim_end_matches('>').trim());
        return Some((
            format!("{shown} has a name, and `{}` is the address alone", condition.key),
            format!("write {address}; the name is `ses:FromDisplayName`"),
        ));
    }
    if outside.contains([',', ';']) || outside.trim().contains(char::is_whitespace) {
        let parts = text.split([',', ';', ' ']).map(str::trim).filter(|part| !part.is_empty());
        let parts: Vec<_> = parts.map(|part| format!("\"{part}\"")).take(3).collect();
        return Some((
            format!("{shown} is one value, which no address equals"),
            format!("write a list of values, such as [{}]", parts.join(", ")),
        ));
    }
    if outside.len() >= 7 && outside.get(..7).is_some_and(|it| it.eq_ignore_ascii_case("mailto:")) {
        let address = text.get(7..).unwrap_or_default();
        return Some((
            format!("{shown} is a URL, and no address"),
            format!("write {}", quoted(address)),
        ));
    }
    // A wildcard or a variable may stand for what is missing.
    if is_wild || bare.contains(FILLED) {
        return None;
    }
    let at_signs = outside.matches('@').count();
    let (local, domain) = bare.rsplit_once('@').unwrap_or((bare, ""));
    let like = if condition.operator.negated { "StringNotLike" } else { "StringLike" };
    let like = condition.with_base(like);
    match (at_signs, local, domain) {
        (0, name, _) if name.contains('.') && !name.contains(WILD) => Some((
            format!("{shown} is a domain, which no address equals"),
            format!("write `{like}` with {}", quoted(&format!("*@{name}"))),
        )),
        (1, "", domain) => Some((
            format!("{shown} has nothing before the @, and no address is like that"),
            format!("write `{like}` with {}", quoted(&format!("*@{domain}"))),
        )),
        (0, name, _) if !name.contains(WILD) => Some((
            format!("{shown} is no address, so that no address equals it"),
            "write an address such as `app@example.com`".to_owned(),
        )),
        (1, _, "") => Some((
            format!("{shown} has no domain, and no address is like that"),
            "write an address such as `app@example.com`".to_owned(),
        )),
        _ => None,
    }
}

/// The text without what is within quotes.
fn outside_of_quotes(text: &str) -> String {
    let (mut within, mut escaped) = (false, false);
    text.chars()
        .filter(|character| {
            let was_within = within;
            match character {
                _ if escaped => escaped = false,
                '\\' if within => escaped = true,
                '"' => within = !within,
                _ => {}
            }
            !was_within && !within
        })
        .collect()
}

/// Tells whether an address pattern matches addresses of domains that it does not name.
fn is_open(text: &str) -> bool {
    let (local, domain) = match text.rsplit_once('@') {
        Some((local, domain)) => (Some(local), domain),
        None => (None, text),
    };
    let name = domain.trim_matches(WILD);
    if name.is_empty() {
        // `*`, `marketing@*`: open on purpose.
        return false;
    }
    let open_left = domain.starts_with(WILD) && !name.starts_with(['.', FILLED]);
    let open_right = domain.ends_with(WILD) && local.is_some();
    open_left || open_right
}

fn open(text: &Text, bare: &str, findings: &mut Findings<'_>) {
    let domain = bare.trim_matches(WILD).trim_start_matches('@');
    let domain = domain.rsplit_once('@').map_or(domain, |(_, domain)| domain);
    let domain = domain.trim_start_matches(['*', '?', '.']);
    let message = format!("{} matches addresses of foreign domains", quoted(&text.text));
    let fix = if domain.is_empty() || domain.contains(['*', '?', FILLED]) {
        "end the pattern with the whole domain, as in `*@example.com`".to_owned()
    } else {
        let (whole, below) = (format!("*@{domain}"), format!("*@*.{domain}"));
        format!("write {}, and {} for its subdomains", quoted(&whole), quoted(&below))
    };
    findings.add(rules::OPEN_ADDRESS, text.at, message, fix);
}

fn check_case(check: &mut Check<'_, '_>, condition: &Condition, text: &Text, bare: &str) {
    let statement = check.statement;
    let operator = condition.operator;
    if operator.family == Family::StringEqualsIgnoreCase || !bare.chars().any(char::is_uppercase) {
        return;
    }
    let fix = if statement.denies() && !operator.negated {
        // Decision 7.
        "write it in lower case: here a Deny sees addresses in lower case too".to_owned()
    } else if operator.family == Family::StringLike {
        "write it in lower case as well; there is no operator with wildcards that ignores case"
            .to_owned()
    } else {
        let base = match operator.negated {
            true => "StringNotEqualsIgnoreCase",
            false => "StringEqualsIgnoreCase",
        };
        format!("write `{}`", condition.with_base(base))
    };
    let message = format!("{} matches in this letter case only", quoted(&text.text));
    check.findings.add(rules::CASE_SENSITIVE, text.at, message, fix);
}
