//! The fields of an ARN in a policy, which may be a pattern.

use super::parts::{FILLED, Part, parts};
use super::view::{Document, Text};

/// Fields of an ARN.
pub(super) const FIELDS: usize = 6;

/// An ARN of SES, or a pattern of some.
pub(super) struct SesArn {
    /// Its last field, with [`FILLED`] for each variable.
    resource: String,
}

impl SesArn {
    pub(super) fn read(document: &Document<'_>, entry: &Text) -> Option<SesArn> {
        if !entry.text.starts_with("arn:") {
            return None;
        }
        let mut fields = fields(&entry.text, document.has_variables()).into_iter().skip(2);
        let is_ses = fields.next()?.plain()? == "ses";
        let resource = fields.nth(2)?.text;
        is_ses.then_some(SesArn { resource })
    }

    /// The name of the identity that it names, or the pattern.
    pub(super) fn identity(&self) -> Option<&str> {
        self.resource.strip_prefix("identity/")
    }
}

/// A field of an ARN, with [`FILLED`] for each variable.
#[derive(Default)]
pub(super) struct Field {
    pub(super) text: String,
    pub(super) has_variable: bool,
}

impl Field {
    /// Returns the text of a field without wildcards and variables.
    pub(super) fn plain(&self) -> Option<&str> {
        (!self.has_variable && !self.text.contains(['*', '?'])).then_some(&self.text)
    }
}

/// Splits at the first five colons outside of variables.
pub(super) fn fields(text: &str, variables: bool) -> Vec<Field> {
    let mut fields = vec![Field::default()];
    for part in parts(text, variables) {
        let Part::Text(mut text) = part else {
            if let Some(last) = fields.last_mut() {
                last.has_variable = true;
                last.text.push(FILLED);
            }
            continue;
        };
        while fields.len() < FIELDS
            && let Some((before, after)) = text.split_once(':')
        {
            if let Some(last) = fields.last_mut() {
                last.text.push_str(before);
            }
            fields.push(Field::default());
            text = after;
        }
        if let Some(last) = fields.last_mut() {
            last.text.push_str(text);
        }
    }
    fields
}
