//! Which settings there are, and which one a variable or a flag names.
//!
//! There is no list of settings to keep: reading an empty configuration, with the code that reads every
//! other, reads each key once, and what was read is the list (`all`). So a key that is read has its
//! variable, and none can be forgotten; of a list its first entry stands for all.
//! A name cannot be split at its underscores, since keys have underscores too: `SESGATE_USERS_0_USER_ID`.
//! It is followed along the path of each setting instead, and names the one that it reaches the end of. A
//! number of an entry is written in one way only, without leading zeros, or two variables would be the same
//! setting. `_FILE` counts only behind a secret, and only where no setting has that name as it is.

use std::sync::OnceLock;

use super::diagnostics::Source;
use super::path::{PREFIX, SINGLE, Step, key, single};
use super::{Origin, reader, schema};

/// The ending of a variable that names a file with the value in it.
pub(super) const FILE: &str = "_FILE";
/// No list has more entries than this in the environment.
const DIGITS: usize = 4;

/// A setting that exists; entries of lists are the first one's.
#[derive(Debug)]
pub(super) struct Setting {
    path: Vec<Step>,
    pub(super) secret: bool,
}

impl Setting {
    /// Returns its dotted key: `users.<n>.name`.
    pub(super) fn key(&self) -> String {
        self.words(".", str::to_owned)
    }

    fn words(&self, separator: &str, spell: impl Fn(&str) -> String) -> String {
        let words = self.path.iter().map(|step| match step {
            Step::Key(key) => spell(key),
            Step::Item(_) => "<n>".to_owned(),
        });
        words.collect::<Vec<_>>().join(separator)
    }
}

/// A setting that a variable or a flag names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) path: Vec<Step>,
    pub(super) secret: bool,
    /// Whether the value is in a file whose name is given.
    pub(super) in_file: bool,
    /// Whether the short name of a list's only entry was used.
    pub(super) single: bool,
}

/// Returns every setting.
pub(super) fn all() -> &'static [Setting] {
    static ALL: OnceLock<Vec<Setting>> = OnceLock::new();
    ALL.get_or_init(|| {
        let source = Source::discovering();
        let root = reader::Reader::root(&source, toml_span::value::Table::new());
        let _ = schema::config(Origin::default(), root);
        let read = source.take_read();
        read.into_iter().map(|it| Setting { path: it.path, secret: it.secret }).collect()
    })
}

/// Returns the setting that a variable names.
pub(super) fn of_variable(name: &str) -> Option<Named> {
    let rest = name.strip_prefix(PREFIX)?;
    let named = |rest: &str| find(rest, '_', |key| key.to_ascii_uppercase());
    named(rest).or_else(|| {
        let named = named(rest.strip_suffix(FILE)?)?;
        named.secret.then_some(Named { in_file: true, ..named })
    })
}

/// Returns the setting that a dotted key names, such as `users.0.name`.
pub(super) fn of_key(key: &str) -> Option<Named> {
    find(key, '.', str::to_owned)
}

fn find(name: &str, separator: char, spell: impl Fn(&str) -> String) -> Option<Named> {
    all().iter().find_map(|setting| {
        let mut path = Vec::new();
        if let Some(rest) = follow(name, &setting.path, separator, &spell, &mut path)
            && rest.is_empty()
        {
            return Some(Named { path, secret: setting.secret, in_file: false, single: false });
        }
        let [Step::Key(list), Step::Item(_), inner @ ..] = setting.path.as_slice() else {
            return None;
        };
        let (_, short) = SINGLE.iter().find(|(long, _)| long == list)?;
        let rest = name.strip_prefix(&spell(short))?.strip_prefix(separator)?;
        let mut path = vec![Step::Key(list), Step::Item(0)];
        let rest = follow(rest, inner, separator, &spell, &mut path)?;
        rest.is_empty().then_some(Named {
            path,
            secret: setting.secret,
            in_file: false,
            single: true,
        })
    })
}

/// Takes the steps of a setting from a name; what is left of it is returned.
fn follow<'n>(
    mut name: &'n str,
    steps: &[Step],
    separator: char,
    spell: &impl Fn(&str) -> String,
    path: &mut Vec<Step>,
) -> Option<&'n str> {
    for (at, step) in steps.iter().enumerate() {
        if at > 0 {
            name = name.strip_prefix(separator)?;
        }
        match step {
            Step::Key(key) => {
                name = name.strip_prefix(&spell(key))?;
                path.push(*step);
            }
            Step::Item(_) => {
                let digits =
                    name.len() - name.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                let (number, rest) = name.split_at_checked(digits)?;
                let is_plain =
                    (1..=DIGITS).contains(&digits) && (number == "0" || !number.starts_with('0'));
                path.push(Step::Item(number.parse().ok().filter(|_| is_plain)?));
                name = rest;
            }
        }
    }
    Some(name)
}

/// Returns the names of a setting's variables, the shortest first, as an operator reads them: `<n>`
/// is the number of an entry, from 0.
pub(super) fn spellings(setting: &Setting) -> Vec<String> {
    let full = format!("{PREFIX}{}", setting.words("_", str::to_ascii_uppercase));
    let short = single(&setting.path).map(|name| name.replace("_0_", "_<n>_"));
    let plain: Vec<_> = short.into_iter().chain([full]).collect();
    let files = plain.iter().filter(|_| setting.secret).map(|name| format!("{name}{FILE}"));
    plain.iter().cloned().chain(files).collect()
}

/// Returns what an unknown variable may have been meant to be.
pub(super) fn near_variable(name: &str) -> Option<String> {
    let (wanted, numbers) = without_numbers(&name.to_ascii_uppercase(), '_');
    let known = all().iter().flat_map(spellings);
    let best = nearest(&wanted, known.map(|name| name.replace("<n>", "#")))?;
    Some(with_numbers(&best, &numbers)).filter(|name| of_variable(name).is_some())
}

/// Returns what an unknown dotted key may have been meant to be.
pub(super) fn near_key(name: &str) -> Option<String> {
    let (wanted, numbers) = without_numbers(&name.to_ascii_lowercase(), '.');
    let known = all().iter().map(|setting| without_numbers(&key(&setting.path), '.').0);
    let best = nearest(&wanted, known)?;
    Some(with_numbers(&best, &numbers)).filter(|name| of_key(name).is_some())
}

fn nearest(wanted: &str, known: impl Iterator<Item = String>) -> Option<String> {
    // Nothing is near to what is longer than any name; comparing takes the product of both.
    if wanted.len() > 100 {
        return None;
    }
    let near = known
        .map(|known| (strsim::damerau_levenshtein(&known, wanted), known))
        .filter(|(distance, known)| *distance <= 1 + known.len().saturating_sub(PREFIX.len()) / 4)
        .min();
    near.map(|(_, known)| known)
}

fn without_numbers(name: &str, separator: char) -> (String, Vec<String>) {
    let mut numbers = Vec::new();
    let words = name.split(separator).map(|word| {
        if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) {
            numbers.push(word.to_owned());
            "#"
        } else {
            word
        }
    });
    let words: Vec<_> = words.collect();
    (words.join(&separator.to_string()), numbers)
}

fn with_numbers(name: &str, numbers: &[String]) -> String {
    let mut numbers = numbers.iter();
    let mut out = String::new();
    for (at, part) in name.split('#').enumerate() {
        if at > 0 {
            out.push_str(numbers.next().map_or("0", String::as_str));
        }
        out.push_str(part);
    }
    out
}
