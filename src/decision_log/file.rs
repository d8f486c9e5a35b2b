//! The file: whole lines are appended or nothing, and it is opened anew when its name leads to
//! another file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;

/// How often the name is looked up.
const LOOK: Duration = Duration::from_secs(1);
/// A file that is removed again and again while lines are written to it.
const REMOVED: usize = 3;

/// A file that lines are appended to.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    sync: bool,
    /// Whether the file ends in the middle of a line.
    is_torn: bool,
    looked: Instant,
}

/// How much of a batch is in the file.
pub(super) struct Appended {
    /// So many lines, whole.
    pub(super) lines: usize,
    /// Why not all of them.
    pub(super) result: io::Result<()>,
}

impl LogFile {
    /// Opens the file, making it when it is missing, for its user to write and its group to read.
    pub(super) fn open(path: &Path, sync: bool) -> io::Result<Self> {
        let (file, is_torn) = open(path, sync)?;
        Ok(Self { path: path.to_owned(), file, sync, is_torn, looked: clock::now() })
    }

    /// Opens the file anew. When that fails, the one in use stays in use.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        let (file, is_torn) = open(&self.path, self.sync)?;
        (self.file, self.is_torn) = (file, is_torn);
        self.looked = clock::now();
        Ok(())
    }

    /// Appends lines in one piece, as far as the system takes them. What it takes of another line is
    /// cut off again.
    pub(super) fn append(&mut self, lines: &[impl AsRef<[u8]>]) -> Appended {
        if self.looked.elapsed() > LOOK && !self.is_current() {
            // Where that is not possible, the file that was moved takes the lines.
            let _ = self.reopen();
        }
        let mut tried = 0;
        loop {
            tried += 1;
            let appended = self.append_here(lines);
            if !self.is_removed() {
                return appended;
            }
            // Nobody will ever read what was written.
            let result = match self.reopen() {
                Ok(()) if tried < REMOVED => continue,
                Ok(()) => Err(io::Error::other("the file is removed as often as it is made")),
                Err(error) => Err(error),
            };
            return Appended { lines: 0, result };
        }
    }

    fn append_here(&mut self, lines: &[impl AsRef<[u8]>]) -> Appended {
        let end_of_line: &[u8] = if self.is_torn { b"\n" } else { b"" };
        let parts = lines.iter().map(AsRef::as_ref);
        let whole: Vec<u8> = [end_of_line].into_iter().chain(parts).flatten().copied().collect();
        let (written, result) = self.write(&whole);
        if result.is_ok() {
            self.is_torn = false;
            let result = if self.sync { self.file.sync_data() } else { Ok(()) };
            let lines = if result.is_ok() { lines.len() } else { 0 };
            return Appended { lines, result };
        }
        let mut left = written.saturating_sub(end_of_line.len());
        let mut complete = 0;
        for line in lines {
            let Some(rest) = left.checked_sub(line.as_ref().len()) else { break };
            (left, complete) = (rest, complete + 1);
        }
        self.is_torn = match (written, left) {
            (0, _) => self.is_torn,
            (_, 0) => false,
            (_, torn) => !self.cut_off(torn),
        };
        Appended { lines: complete, result }
    }

    fn write(&self, mut bytes: &[u8]) -> (usize, io::Result<()>) {
        let all = bytes.len();
        loop {
            if bytes.is_empty() {
                return (all, Ok(()));
            }
            let result = match (&self.file).write(bytes) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => {
                    bytes = bytes.get(length..).unwrap_or_default();
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            return (all - bytes.len(), result);
        }
    }

    /// Removes the last bytes of the file, if they are ours: nobody else has appended since.
    fn cut_off(&self, bytes: usize) -> bool {
        let cut = || {
            let (end, length) = ((&self.file).stream_position()?, self.file.metadata()?.len());
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            match end.checked_sub(bytes) {
                Some(start) if end == length => self.file.set_len(start),
                _ => Err(io::ErrorKind::Unsupported.into()),
            }
        };
        cut().is_ok()
    }

    /// Whether the name still leads to the file.
    fn is_current(&mut self) -> bool {
        self.looked = clock::now();
        let (Ok(named), Ok(ours)) = (std::fs::metadata(&self.path), self.file.metadata()) else {
            return false;
        };
        (named.dev(), named.ino()) == (ours.dev(), ours.ino())
    }

    /// Whether the file has no name at all.
    fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|file| file.nlink() == 0)
    }
}

/// Opens a file and says whether it ends in the middle of a line.
fn open(path: &Path, sync: bool) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    let mut file = options.read(true).append(true).create(true).mode(0o640).open(path)?;
    let is_torn = file.metadata()?.is_file() && {
        let length = file.seek(SeekFrom::End(0))?;
        let mut last = [b'\n'];
        if length > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        last != *b"\n"
    };
    if sync {
        // The name must last as long as what is in the file.
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok((file, is_torn))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(from: u32, to: u32) -> Vec<String> {
        (from..to).map(|number| format!("{{\"number\":{number}}}\n")).collect()
    }

    #[test]
    fn a_line_that_was_cut_short_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "{\"whole\":1}\n{\"tor").unwrap();
        let mut file = LogFile::open(&path, true).unwrap();
        let appended = file.append(&lines(0, 2));
        assert!(appended.result.is_ok());
        assert_eq!(appended.lines, 2);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"whole\":1}\n{\"tor\n{\"number\":0}\n{\"number\":1}\n");
    }

    #[test]
    fn a_file_that_is_removed_or_moved_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut file = LogFile::open(&path, false).unwrap();
        assert_eq!(file.append(&lines(0, 1)).lines, 1);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(file.append(&lines(1, 3)).lines, 2);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), lines(1, 3).concat());
        let moved = folder.path().join("log.1");
        std::fs::rename(&path, &moved).unwrap();
        file.looked = clock::now().checked_sub(LOOK * 2).unwrap();
        assert_eq!(file.append(&lines(3, 4)).lines, 1);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), lines(3, 4).concat());
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), lines(1, 3).concat());
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7137, 0);
    }

    #[test]
    fn a_directory_that_is_gone_is_a_failure_until_it_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("log");
        std::fs::create_dir(&directory).unwrap();
        let path = directory.join("file");
        let mut file = LogFile::open(&path, false).unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        let appended = file.append(&lines(0, 1));
        assert_eq!((appended.lines, appended.result.is_err()), (0, true));
        std::fs::create_dir(&directory).unwrap();
        assert_eq!(file.append(&lines(0, 1)).lines, 1);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), lines(0, 1).concat());
    }

    #[test]
    fn nothing_is_in_a_file_that_takes_nothing() {
        let mut file = LogFile::open(Path::new("/dev/full"), false).unwrap();
        let appended = file.append(&lines(0, 3));
        assert_eq!(appended.lines, 0);
        assert_eq!(appended.result.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
