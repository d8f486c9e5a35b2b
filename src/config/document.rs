//! Policies and passwords as the configuration has them: in files of their own, or as they are.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// A policy: the file that holds it, or the document itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// A file.
    File(PathBuf),
    /// What a variable or the configuration file holds.
    Text {
        /// The name under which lines of it are reported: `$SESGATE_USER_POLICY`.
        name: String,
        /// The document.
        text: String,
    },
}

impl Document {
    /// Returns the file, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(file) => Some(file),
            Self::Text { .. } => None,
        }
    }

    /// Returns the document.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn read(&self) -> io::Result<String> {
        match self {
            Self::File(file) => std::fs::read_to_string(file),
            Self::Text { text, .. } => Ok(text.clone()),
        }
    }
}

/// The file or the name of the text.
impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => file.display().fmt(f),
            Self::Text { name, .. } => f.write_str(name),
        }
    }
}

/// What a password is known by.
#[derive(Clone)]
pub enum Secret {
    /// An argon2id or bcrypt hash.
    Hash(String),
    /// The password itself, out of a variable or of the file that it names: it is hashed at once.
    Clear(Zeroizing<String>),
}

/// Neither is shown.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hash(_) => "Hash",
            Self::Clear(_) => "Clear",
        })
    }
}
