//! Which files are meant where a command takes files or folders of them.

use std::path::{Path, PathBuf};

/// Finds the files that a path stands for: itself, or of a folder all files `*.json` at any depth,
/// in the order of their names. Folders that cannot be
/// read are added to the problems, with the reason. Links to folders are not followed.
pub(super) fn find(path: &Path, problems: &mut Vec<(PathBuf, String)>) -> Found {
    if !path.is_dir() {
        return Found::File(path.to_owned());
    }
    let mut files = Vec::new();
    walk(path, &mut files, problems);
    files.sort();
    Found::Folder(files)
}

/// What a path stands for.
#[derive(Debug)]
pub(super) enum Found {
    /// A file that was named, whatever it holds.
    File(PathBuf),
    /// The files of a folder, of which some may be of another kind.
    Folder(Vec<PathBuf>),
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>, problems: &mut Vec<(PathBuf, String)>) {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            problems.push((folder.to_owned(), error.to_string()));
            return;
        }
    };
    for entry in entries {
        match entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))) {
            Ok((path, kind)) if kind.is_dir() => walk(&path, files, problems),
            Ok((path, _)) if path.extension().is_some_and(|it| it == "json") => files.push(path),
            Ok(_) => {}
            Err(error) => problems.push((folder.to_owned(), error.to_string())),
        }
    }
}

/// A path without `x/..`, as a reader would write it.
pub(super) fn plain(path: &Path) -> PathBuf {
    use std::path::Component::{Normal, ParentDir};
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            ParentDir if matches!(plain.components().next_back(), Some(Normal(_))) => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}
