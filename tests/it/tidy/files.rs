//! Which files there are, and which of them each uses: read from the text, as far as its paths say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::path;

/// A file of `src/` without what is compiled for tests alone.
pub(super) struct File {
    /// `["policy", "lint", "cover"]` of `policy/lint/cover.rs`, and `["policy"]` of `policy/mod.rs`.
    pub(super) module: Vec<String>,
    pub(super) code: String,
}

impl File {
    pub(super) fn part(&self) -> &str {
        &self.module[0]
    }

    /// The paths that begin with one of `starts`, without it; `{…}` is spread out. A target of log lines
    /// in quotes is none.
    pub(super) fn paths(&self, starts: &[&str]) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        for start in starts {
            for (at, _) in self.code.match_indices(start) {
                let before = &self.code[..at];
                if !before.ends_with(|c: char| c.is_alphanumeric() || "_:\"".contains(c)) {
                    spread(&self.code[at + start.len()..], &mut Vec::new(), &mut found);
                }
            }
        }
        found
    }
}

/// Reads one path, or the paths of a `use` in braces, and returns what follows.
fn spread<'t>(text: &'t str, before: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'t str {
    let length = before.len();
    let mut text = text;
    loop {
        if let Some(inner) = text.strip_prefix('{') {
            text = inner.trim_start();
            while !text.starts_with('}') {
                text = spread(text, before, found).trim_start();
                // A name of its own.
                text = text.split_once(['}', ',']).map_or("", |(own, _)| &text[own.len()..]);
                text = text.strip_prefix(',').unwrap_or(text).trim_start();
            }
            text = &text[1..];
            break;
        }
        let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
        before.push(text[..end].to_owned());
        text = &text[end..];
        let Some(rest) = text.strip_prefix("::").filter(|rest| !rest.starts_with('<')) else {
            found.push(before.clone());
            break;
        };
        text = rest;
    }
    before.truncate(length);
    text
}

/// Takes out every item that is compiled for tests alone, and comments.
fn without_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        if line.trim() != "#[cfg(test)]" {
            code += line;
            code.push('\n');
            continue;
        }
        // To the end of the item, which rustfmt has put as far in as its attribute.
        let indent = &line[..line.len() - line.trim_start().len()];
        let is_end = |line: &str| {
            let own = line.strip_prefix(indent).filter(|own| !own.starts_with([' ', '#']));
            own.is_some_and(|own| own.ends_with(';') || own.ends_with('}'))
        };
        lines.find(|line| is_end(line)).unwrap();
    }
    code
}

/// All files of `src/` that are not for tests alone.
pub(super) fn all() -> Vec<File> {
    let mut found = Vec::new();
    collect(&path("src"), &mut found);
    assert!(found.len() > 200, "only {} files", found.len());
    found
}

fn collect(folder: &Path, found: &mut Vec<File>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_stem().unwrap();
        if name == "tests" {
            continue;
        }
        if file.is_dir() {
            collect(&file, found);
        } else if file.extension().is_some_and(|extension| extension == "rs") {
            let relative = file.strip_prefix(path("src")).unwrap().with_extension("");
            let mut module: Vec<_> =
                relative.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
            module.pop_if(|name| name == "mod");
            let code = without_tests(&std::fs::read_to_string(&file).unwrap());
            found.push(File { module, code });
        }
    }
}

/// For each file the files of its part that it uses. What a file uses of those above it in the tree of
/// modules does not count: a module and what it is divided into are one.
pub(super) fn uses(files: &[File]) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let modules: BTreeSet<_> = files.iter().map(|file| file.module.clone()).collect();
    let exported = exported(files);
    let mut uses = BTreeMap::new();
    for file in files {
        let own = &file.module;
        let mut used = file.paths(&["crate::"]);
        for path in file.paths(&["super::"]) {
            let ups = 1 + path.iter().take_while(|name| *name == "super").count();
            let above = own[..own.len().saturating_sub(ups)].iter();
            used.push(above.chain(&path[ups - 1..]).cloned().collect());
        }
        let children = modules
            .iter()
            .filter(|module| module.split_last().is_some_and(|(_, parent)| parent == own));
        let mut of: BTreeSet<_> = children.cloned().collect();
        for path in used {
            let path: Vec<_> = path.into_iter().filter(|name| name != "self").collect();
            let path = exported.get(&path).cloned().unwrap_or(path);
            let module = (1..=path.len())
                .rev()
                .map(|length| &path[..length])
                .find(|start| modules.contains(*start));
            let Some(module) = module else { continue };
            if module[0] == own[0] && !own.starts_with(module) {
                of.insert(module.to_vec());
            }
        }
        uses.insert(own.clone(), of);
    }
    uses
}

/// What modules hand on of those below them: by the shorter path, the longer one.
fn exported(files: &[File]) -> BTreeMap<Vec<String>, Vec<String>> {
    let mut exported = BTreeMap::new();
    for file in files {
        for (at, _) in file.code.match_indices("use ") {
            let path = file.code[at + 4..].trim_start_matches("self::");
            let mut found = Vec::new();
            spread(path, &mut Vec::new(), &mut found);
            for path in found {
                let name = path.last().unwrap();
                let from = |rest: &[String]| -> Vec<String> {
                    file.module.iter().chain(rest).cloned().collect()
                };
                exported.insert(from(std::slice::from_ref(name)), from(&path));
            }
        }
    }
    exported
}

/// The groups of those that use each other, by however many steps.
pub(super) fn circles<T: Ord + Clone>(uses: &BTreeMap<T, BTreeSet<T>>) -> Vec<BTreeSet<T>> {
    let reach: BTreeMap<&T, BTreeSet<&T>> =
        uses.keys().map(|from| (from, reached(uses, from))).collect();
    let mut circles = BTreeSet::new();
    for (from, reached) in &reach {
        let circle: BTreeSet<T> = reached
            .iter()
            .filter(|to| reach.get(*to).is_some_and(|back| back.contains(from)))
            .map(|to| (*to).clone())
            .collect();
        if !circle.is_empty() {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn reached<'u, T: Ord>(uses: &'u BTreeMap<T, BTreeSet<T>>, from: &T) -> BTreeSet<&'u T> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&T> = uses[from].iter().collect();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(uses.get(next).into_iter().flatten());
        }
    }
    reached
}
