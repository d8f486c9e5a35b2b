//! Findings that say the same of different places, told once.

use std::collections::HashMap;
use std::fmt;

use super::Finding;

/// Places that are named; the rest is counted.
const NAMED: usize = 20;

/// Findings of one kind that differ in their places, and in the user's words, alone.
///
/// Displayed is what is told of the others: `and 2 like it: 12:31, 20:31`.
#[derive(Debug, Clone)]
pub struct Group<'f> {
    /// The first.
    pub first: &'f Finding,
    /// The others.
    pub others: Vec<&'f Finding>,
}

/// Puts findings together that are alike, in the order of the first of each.
#[must_use]
pub fn grouped<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> Vec<Group<'f>> {
    let mut groups: Vec<Group<'f>> = Vec::new();
    let mut known: HashMap<(&str, String), usize> = HashMap::new();
    for finding in findings {
        let alike =
            (finding.code(), format!("{}; {}", plain(&finding.message), plain(&finding.fix)));
        let next = groups.len();
        let at = *known.entry(alike).or_insert(next);
        match groups.get_mut(at) {
            Some(group) => group.others.push(finding),
            None => groups.push(Group { first: finding, others: Vec::new() }),
        }
    }
    groups
}

/// A text without the user's words, which stand in backticks, and without numbers.
fn plain(text: &str) -> String {
    let words = text.split('`').enumerate().map(|(number, part)| match number % 2 {
        0 => part.split(|c: char| c.is_ascii_digit()).collect::<String>(),
        _ => "`".to_owned(),
    });
    words.collect()
}

impl fmt::Display for Group<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "and {} like it: ", self.others.len())?;
        let mut name = self.first.name();
        for (number, other) in self.others.iter().take(NAMED).enumerate() {
            if number > 0 {
                f.write_str(", ")?;
            }
            if other.name() != name {
                name = other.name();
                write!(f, "{name}:")?;
            }
            write!(f, "{}:{}", other.line(), other.column())?;
        }
        match self.others.len().checked_sub(NAMED) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, " and {more} more"),
        }
    }
}
