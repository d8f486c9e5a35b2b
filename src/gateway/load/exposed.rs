//! Files of secrets that others on the machine can read or change.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::config::{Config, Problem};

/// Rights that nobody but the owner has a use for. The group may read: that is how Kubernetes
/// (`fsGroup`) and packages let a process read what belongs to root.
const EXCESS: u32 = 0o026;
/// Rights to change.
const WRITE: u32 = 0o022;

/// Warns of each, with the command that mends it.
pub(super) fn warnings(config: &Config) -> Vec<Problem> {
    let files = config.secret_files().into_iter();
    files
        .filter_map(|(file, problem)| Some(Problem { message: excess(file)?, ..problem }))
        .collect()
}

/// Says what is too much, if the file can be looked at; whoever reads it tells why it cannot be.
fn excess(file: &Path) -> Option<String> {
    let meta = std::fs::metadata(file).ok()?;
    let mode = meta.mode() & 0o777;
    if !meta.is_file() || mode & EXCESS == 0 {
        return None;
    }
    let what = if mode & WRITE == 0 { "read by everybody on" } else { "changed by others on" };
    let name = file.display();
    Some(format!(
        "`{name}` can be {what} this machine (mode {mode:04o}); `chmod g-w,o= {name}`, or for a secret \
         that Kubernetes mounts `defaultMode: 0440`"
    ))
}
