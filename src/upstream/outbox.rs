//! The outbox: one `.eml` and one `.json` per message in a directory, on disk before the answer.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::{Held, InForce, UpstreamError};
use crate::authorize::Permit;

/// No message takes that long to write.
const ABANDONED: Duration = Duration::from_secs(3600);

/// A directory that takes messages.
#[derive(Debug, Clone)]
pub struct Outbox {
    directory: PathBuf,
}

impl Outbox {
    /// Opens a directory, making it when it is missing, for this user alone. Drafts that a process
    /// left when it was killed are removed once they are an hour old.
    ///
    /// # Errors
    /// When it cannot be made or is no directory.
    pub fn open(directory: &Path) -> io::Result<Self> {
        make(directory, &mut |parent| File::open(parent)?.sync_all())?;
        for entry in fs::read_dir(directory)?.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_draft = name.starts_with('.') && name.ends_with(".part");
            let age = entry.metadata().and_then(|meta| meta.modified()).map(|at| at.elapsed());
            if is_draft && age.is_ok_and(|age| age.is_ok_and(|age| age > ABANDONED)) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { directory: directory.to_owned() })
    }

    /// Writes `<id>.json`, then `<id>.eml`, and syncs both and the directory.
    ///
    /// A message is there when its `.eml` is. Its id is the decision id. Nobody waits beyond `by`.
    ///
    /// # Errors
    /// When anything cannot be written; nothing then remains under the final names but what a
    /// failure after the renaming leaves. A disk that hangs may still take the message later.
    pub async fn send(
        &self,
        permit: Permit,
        held: Held,
        by: Instant,
    ) -> Result<String, UpstreamError> {
        let directory = self.directory.clone();
        let written = tokio::task::spawn_blocking(move || {
            if !held.in_force.holds() {
                return Ok(None);
            }
            let written = write(&directory, &permit);
            held.settle(written.is_ok());
            written.map(Some)
        });
        let detail = match tokio::time::timeout_at(by, written).await {
            Ok(Ok(Ok(Some(id)))) => return Ok(id),
            Ok(Ok(Ok(None))) => return Err(InForce::overtaken()),
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => {
                return Err(UpstreamError::Temporary {
                    detail: format!("`{}` does not answer", self.directory.display()),
                    said: None,
                    remedy: "check the disk of the outbox directory; expect a duplicate",
                    possible_duplicate: true,
                });
            }
        };
        Err(UpstreamError::Temporary {
            detail: format!("cannot write to `{}`: {detail}", self.directory.display()),
            said: None,
            remedy: "make room in the outbox directory and let the relay write to it",
            possible_duplicate: false,
        })
    }
}

/// Makes a directory with all above it that is missing. Each new name must last as long as what will be
/// in it, so `sync` is given every directory that got one.
fn make(directory: &Path, sync: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    make(parent, sync)?;
    match DirBuilder::new().mode(0o700).create(directory) {
        // Somebody else was faster.
        Err(_) if directory.is_dir() => {}
        made => made?,
    }
    sync(parent)
}

fn write(directory: &Path, permit: &Permit) -> io::Result<String> {
    let id = permit.id().to_string();
    let record = serde_json::to_vec_pretty(&permit.record())?;
    let files = [("json", record.as_slice()), ("eml", permit.content())];
    let draft = |kind: &str| directory.join(format!(".{id}.{kind}.part"));
    let result = (|| {
        for (kind, bytes) in files {
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft(kind))?;
            file.write_all(bytes)?;
            file.sync_all()?;
        }
        for (kind, _) in files {
            fs::rename(draft(kind), directory.join(format!("{id}.{kind}")))?;
        }
        File::open(directory)?.sync_all()
    })();
    if result.is_err() {
        for (kind, _) in files {
            let _ = fs::remove_file(draft(kind));
            let _ = fs::remove_file(directory.join(format!("{id}.{kind}")));
        }
    }
    result.map(|()| id)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn every_directory_that_got_a_new_name_is_synced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |below: &str| folder.path().join(below);
        for (made, expected) in
            [("a/b/c", &[at(""), at("a"), at("a/b")][..]), ("a/b/d/", &[at("a/b")]), ("a/b/d", &[])]
        {
            let mut synced = Vec::new();
            make(&at(made), &mut |parent| {
                assert!(parent.is_dir());
                synced.push(parent.to_owned());
                Ok(())
            })
            .unwrap();
            assert_eq!(synced, expected, "{made}");
            assert_eq!(at(made).metadata().unwrap().permissions().mode() & 0o777, 0o700);
        }
        fs::write(at("file"), "").unwrap();
        for below in ["file", "file/outbox"] {
            make(&at(below), &mut |_| Ok(())).unwrap_err();
        }
        let mut failed = |_: &Path| Err(io::Error::other("full"));
        assert_eq!(make(&at("x/y"), &mut failed).unwrap_err().to_string(), "full");
    }
}
