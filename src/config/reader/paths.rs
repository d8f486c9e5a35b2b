//! Paths, and policies in files or in place.

use std::path::Path;
use std::path::PathBuf;

use super::super::document::Document;
use super::super::settings::Step;
use super::super::source::Placed;
use super::super::written;
use super::Reader;

impl<'s, 't> Reader<'s, 't> {
    /// A path: relative to the configuration file that names it (decision 18), else to where the
    /// process was started.
    pub(in crate::config) fn path(&mut self, key: &'static str) -> Option<Placed<PathBuf>> {
        let text = self.string(key)?;
        let path = self.resolve(text);
        self.shows(written::path(&path.value));
        Some(path)
    }

    /// A list of paths, each as that of `path`.
    pub(in crate::config) fn paths(&mut self, key: &'static str) -> Vec<Placed<PathBuf>> {
        let is_there = self.has(key);
        let paths: Vec<_> = self.strings(key).into_iter().map(|it| self.resolve(it)).collect();
        if is_there {
            self.shows(written::list(paths.iter().map(|path| written::path(&path.value))));
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

    fn resolve(&self, text: Placed<String>) -> Placed<PathBuf> {
        let folder = self.source.file().filter(|_| text.place.is_in_file());
        let folder = folder.and_then(Path::parent).unwrap_or(Path::new(""));
        Placed { value: folder.join(text.value), place: text.place }
    }
}

fn in_file(path: Placed<PathBuf>) -> Placed<Document> {
    Placed { value: Document::File(path.value), place: path.place }
}
