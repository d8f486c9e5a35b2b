//! A user's rules for `X-SES-` fields: names to known fields, forced texts to values.

use crate::config::{Placed, XSes as Wanted};
use crate::message::{HeaderSection, XSes};
use crate::policy::{self, Context};
use crate::principals::XSesRules;

/// The fields that cannot be forced: which identity sends is the client's to say.
const NOT_FORCED: [&str; 3] = ["X-SES-SOURCE-ARN", "X-SES-FROM-ARN", "X-SES-RETURN-PATH-ARN"];

/// Reads the rules of a user. `context` holds what is known of the user: its variables may stand in
/// forced values. `note` takes what is wrong, with its place.
pub(super) fn rules(
    wanted: &Wanted,
    context: &Context<'_>,
    mut note: impl FnMut(&Placed<String>, String),
) -> XSesRules {
    let mut known = |names: &[Placed<String>]| -> Vec<&'static str> {
        let mut found = Vec::new();
        for name in names {
            match field(&name.value) {
                Some(field) => found.push(field),
                None => note(name, unknown(&name.value)),
            }
        }
        found
    };
    let (allowed, forbidden) = (known(&wanted.allow), known(&wanted.forbid));
    let mut forced = XSes::default();
    for (name, value) in &wanted.force {
        match force(name, &value.value, context) {
            Ok(x_ses) => forced = forced.with(&x_ses),
            Err(problem) => note(value, problem),
        }
    }
    XSesRules::new(&allowed, &forbidden, forced)
}

fn field(name: &str) -> Option<&'static str> {
    XSes::NAMES.into_iter().find(|known| known.eq_ignore_ascii_case(name))
}

fn unknown(name: &str) -> String {
    format!("unknown field `{name}`; known are `{}`", XSes::NAMES.join("`, `"))
}

/// Reads a forced value with the very grammar that reads those of messages.
fn force(name: &str, text: &str, context: &Context<'_>) -> Result<XSes, String> {
    let field = field(name).ok_or_else(|| unknown(name))?;
    if NOT_FORCED.contains(&field) {
        return Err(format!("`{field}` cannot be forced"));
    }
    let value = policy::expand(text, context)?;
    let section = format!("From: a@b.test\r\n{field}: {value}\r\n\r\n");
    let header = HeaderSection::parse(section.as_bytes()).map_err(|error| error.to_string())?;
    let x_ses = header.xses().clone();
    if x_ses.names().eq([field]) { Ok(x_ses) } else { Err(format!("`{field}` is empty")) }
}
