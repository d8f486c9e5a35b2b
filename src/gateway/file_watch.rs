//! Whether files have changed: what they looked like at one moment.
//!
//! Looking is a few system calls a file, and follows the symbolic links by which Kubernetes swaps
//! whole directories.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What files looked like at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileStamps(Vec<(PathBuf, Option<Mark>)>);

/// Which file a path leads to, and its state.
type Mark = (u64, u64, u64, Option<SystemTime>);

impl FileStamps {
    pub(super) async fn take(files: Vec<PathBuf>) -> Self {
        let looked = tokio::task::spawn_blocking(move || {
            let marked = files.into_iter().map(|file| {
                let mark = mark(&file);
                (file, mark)
            });
            marked.collect()
        });
        Self(looked.await.unwrap_or_default())
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.0.iter().map(|(file, _)| file.clone()).collect()
    }

    /// What was seen of these files, and how those that were not looked at are now.
    pub(super) async fn merge(self, files: Vec<PathBuf>) -> Self {
        let now = Self::take(files).await;
        let seen: HashMap<_, _> = self.0.into_iter().collect();
        let mark = |(file, mark): (PathBuf, Option<Mark>)| {
            let mark = seen.get(&file).cloned().unwrap_or(mark);
            (file, mark)
        };
        Self(now.0.into_iter().map(mark).collect())
    }
}

fn mark(file: &Path) -> Option<Mark> {
    let meta = std::fs::metadata(file).ok()?;
    Some((meta.dev(), meta.ino(), meta.len(), meta.modified().ok()))
}
