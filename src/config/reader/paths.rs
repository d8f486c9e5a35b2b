//! Paths, and policies in files or in place.

use std::path::{Path, PathBuf};

use toml_span::Value;
use toml_span::value::ValueInner;

use super::super::document::Document;
use super::super::path::Step;
use super::super::place::Placed;
use super::super::toml_text;
use super::super::values::Level;
use super::Reader;

impl<'s, 't> Reader<'s, 't> {
    /// A path: relative to the configuration file that names it (decision 18), else to where the
    /// process was started.
    pub(in crate::config) fn path(&mut self, key: &'static str) -> Option<Placed<PathBuf>> {
        let text = self.string(key)?;
        let path = self.resolve(text);
        self.record_value(toml_text::path(&path.value));
        Some(path)
    }

    /// A list of paths, each as that of `path`.
    pub(in crate::config) fn paths(&mut self, key: &'static str) -> Vec<Placed<PathBuf>> {
        let is_there = self.has(key);
        let paths: Vec<_> = self.strings(key).into_iter().map(|it| self.resolve(it)).collect();
        if is_there {
            self.record_value(toml_text::list(
                paths.iter().map(|path| toml_text::path(&path.value)),
            ));
        }
        paths
    }

    /// A policy in a file.
    pub(in crate::config) fn document(&mut self, key: &'static str) -> Option<Placed<Document>> {
        self.path(key).map(in_file)
    }

    /// Policies in files.
    pub(in crate::config) fn documents(&mut self, key: &'static str) -> Vec<Placed<Document>> {
        self.paths(key).into_iter().map(in_file).collect()
    }

    /// Levels of policies: each a file, or a list of files that belong together. In a variable files
    /// have commas between them, or all of it is a JSON list.
    pub(in crate::config) fn levels(&mut self, key: &'static str) -> Vec<Level> {
        const WHAT: &str = "a list of files and of lists of files";
        let is_there = self.has(key);
        let mut levels = Vec::new();
        for mut value in self.array(key, toml_text::nested_entries) {
            let (span, place) = (value.span, self.source.place(value.span));
            let files: Vec<_> = match value.take() {
                ValueInner::Array(files) if files.is_empty() => {
                    let message = format!(
                        "`{key}` has an empty level, which would allow nothing; name its policies, \
                         or take it out"
                    );
                    self.source.report_at(place, message);
                    continue;
                }
                ValueInner::Array(files) => {
                    let entry = |mut file: Value<'t>| self.entry(key, file.take(), file.span, WHAT);
                    files.into_iter().filter_map(entry).collect()
                }
                single => self.entry(key, single, span, WHAT).into_iter().collect(),
            };
            let files: Vec<_> = files.into_iter().map(|file| self.resolve(file)).collect();
            if !files.is_empty() {
                levels.push(Placed { value: files, place });
            }
        }
        let shown = levels.iter().map(|level| match level.value.as_slice() {
            [file] => toml_text::path(&file.value),
            files => toml_text::list(files.iter().map(|file| toml_text::path(&file.value))),
        });
        self.record_list(is_there, toml_text::list(shown));
        let documents = |files: Vec<_>| files.into_iter().map(in_file).collect();
        let level = |level: Placed<_>| Placed { value: documents(level.value), place: level.place };
        levels.into_iter().map(level).collect()
    }

    /// `policies`, which are files, and `policy`, which is a document itself.
    pub(in crate::config) fn policies(&mut self) -> Vec<Placed<Document>> {
        let mut policies = self.documents("policies");
        if let Some(text) = self.string("policy") {
            if text.value.trim_start().starts_with('{') {
                let path = [self.path.as_slice(), &[Step::Key("policy")]].concat();
                let name = self.source.name_of_text(text.place, &path);
                let value = Document::Text { name, text: text.value };
                policies.push(Placed { value, place: text.place });
            } else {
                let message = "`policy` must be a JSON document; files are named by `policies`";
                self.wrong(text.place, message);
            }
        }
        policies
    }

    /// Policies that are tried in place of those in force, if any are; an empty list is such a list.
    pub(in crate::config) fn candidate(&mut self) -> Option<Vec<Placed<Document>>> {
        const KEY: &str = "policies_candidate";
        let is_there = self.has(KEY);
        let policies = self.documents(KEY);
        is_there.then_some(policies)
    }

    fn resolve(&self, text: Placed<String>) -> Placed<PathBuf> {
        let folder = self.source.file().filter(|_| text.place.is_in_file());
        let folder = folder.and_then(Path::parent).unwrap_or(Path::new(""));
        Placed { value: folder.join(text.value), place: text.place }
    }
}

fn in_file(path: Placed<PathBuf>) -> Placed<Document> {
    Placed { value: Document::File(path.value), place: path.place }
}
