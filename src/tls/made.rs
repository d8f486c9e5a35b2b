//! A certificate for those who have none yet: made here, and kept in a directory where that is wanted,
//! so that clients can be told to trust it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use super::{Tls, TlsError, covers};

/// The names of the files, in the directory where they are kept.
const CERTIFICATE: &str = "sesgate.crt";
const KEY: &str = "sesgate.key";

/// A certificate that was made here, for a host and for `localhost`, signed by its own key: a leaf,
/// which can vouch for nothing but itself.
#[derive(Debug, Clone)]
pub struct Made {
    /// What listeners need of it.
    pub tls: Tls,
    /// The PEM texts of certificate and key, while no file has them.
    unwritten: Option<(String, Zeroizing<String>)>,
}

impl Made {
    /// The file that clients are to trust, of a certificate that is kept in that directory.
    #[must_use]
    pub fn file(directory: &Path) -> PathBuf {
        directory.join(CERTIFICATE)
    }

    /// Makes a certificate.
    ///
    /// # Errors
    /// When the system gives no random bytes, or `hostname` is none.
    pub fn new(hostname: &str) -> Result<Self, TlsError> {
        let failed = |error: rcgen::Error| TlsError::Made(error.to_string());
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        if !names.iter().any(|name| name == hostname) {
            names.insert(0, hostname.to_owned());
        }
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, hostname);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.self_signed(&key).map_err(failed)?;
        let private = PrivatePkcs8KeyDer::from(key.serialize_der());
        let tls = Tls::new(vec![certificate.der().clone()], private.into())
            .map_err(|error| TlsError::Made(error.to_string()))?;
        let unwritten = Some((certificate.pem(), Zeroizing::new(key.serialize_pem())));
        Ok(Self { tls, unwritten })
    }

    /// Takes the certificate that an earlier start kept in a directory, or makes one where there is
    /// none for this host. Writes nothing.
    ///
    /// # Errors
    /// When what is there cannot be read, and as `new`.
    pub fn kept_in(directory: &Path, hostname: &str) -> Result<Self, TlsError> {
        let (file, key) = (Self::file(directory), directory.join(KEY));
        // The certificate is written last.
        if !file.exists() {
            return Self::new(hostname);
        }
        let tls = Tls::from_files(&file, &key).map_err(|error| {
            let files = format!("remove `{}` and `{}`", file.display(), key.display());
            TlsError::Made(format!("{error}; {files} to have others made"))
        })?;
        match CertificateDer::from_pem_file(&file) {
            Ok(first) if covers(&first, hostname) => Ok(Self { tls, unwritten: None }),
            _ => Self::new(hostname),
        }
    }

    /// Writes it to the directory, which is made where it is missing, unless it came from there: the
    /// certificate for everybody to read, the key for this user alone.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn keep(&mut self, directory: &Path) -> io::Result<()> {
        let Some((certificate, key)) = &self.unwritten else { return Ok(()) };
        fs::create_dir_all(directory)?;
        // A key is not for a repository, wherever the directory is.
        fs::write(directory.join(".gitignore"), "*\n")?;
        let file = Self::file(directory);
        // Without a certificate there is nothing that could fit another key.
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        write(&directory.join(KEY), key, 0o600)?;
        write(&file, certificate, 0o644)?;
        File::open(directory)?.sync_all()?;
        self.unwritten = None;
        Ok(())
    }
}

/// Writes a file anew, with its rights from the first byte on.
fn write(file: &Path, text: &str, mode: u32) -> io::Result<()> {
    let draft = file.with_extension("part");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut open = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
    open.write_all(text.as_bytes())?;
    open.sync_all()?;
    fs::rename(&draft, file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn fingerprint(directory: &Path, hostname: &str) -> (String, bool) {
        let made = Made::kept_in(directory, hostname).unwrap();
        (made.tls.fingerprint, made.unwritten.is_some())
    }

    #[test]
    fn what_was_kept_is_taken_again_for_the_same_host() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("tls");
        let mut made = Made::kept_in(&directory, "localhost").unwrap();
        assert!(!directory.exists(), "looking writes nothing");
        made.keep(&directory).unwrap();
        let mode =
            |name: &str| fs::metadata(directory.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(KEY), 0o600);
        assert_eq!(mode(CERTIFICATE) & 0o400, 0o400);
        let same = (made.tls.fingerprint.clone(), false);
        assert_eq!(fingerprint(&directory, "localhost"), same);
        let (other, is_new) = fingerprint(&directory, "relay.example.com");
        assert!(is_new && other != same.0);
        // A key whose certificate was not written any more is no obstacle.
        fs::remove_file(Made::file(&directory)).unwrap();
        let mut made = Made::kept_in(&directory, "relay.example.com").unwrap();
        made.keep(&directory).unwrap();
        assert_eq!(fingerprint(&directory, "relay.example.com"), (made.tls.fingerprint, false));
    }

    #[test]
    fn a_damaged_file_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        Made::new("localhost").unwrap().keep(folder.path()).unwrap();
        fs::write(folder.path().join(KEY), "nothing").unwrap();
        let error = Made::kept_in(folder.path(), "localhost").unwrap_err().to_string();
        assert!(error.contains("sesgate.key` holds no private key"), "{error}");
        assert!(error.contains("remove `"), "{error}");
    }

    #[test]
    fn it_is_a_leaf_for_the_host_and_localhost() {
        let folder = tempfile::tempdir().unwrap();
        Made::new("relay.example.com").unwrap().keep(folder.path()).unwrap();
        let first = CertificateDer::from_pem_file(Made::file(folder.path())).unwrap();
        for name in ["relay.example.com", "localhost", "127.0.0.1", "::1"] {
            assert!(covers(&first, name), "{name}");
        }
        assert!(!covers(&first, "other.example.com"));
        let (_, parsed) = x509_parser::parse_x509_certificate(&first).unwrap();
        assert!(!parsed.is_ca());
    }
}
