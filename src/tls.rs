//! Certificate files to a rustls server configuration, or a certificate made here.

mod made;

use std::path::Path;
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, ServerConfig};
use zeroize::Zeroizing;

pub use made::Made;

/// A TLS configuration and the certificate it shows.
#[derive(Debug, Clone)]
pub struct Tls {
    /// For the acceptor.
    pub config: Arc<ServerConfig>,
    /// SHA-256 of the certificate, as `AB:CD:…`; what clients pin.
    pub fingerprint: String,
    /// When the certificate expires, in seconds since 1970.
    pub not_after: i64,
}

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of the certificate cannot be used.
    #[error("{0}")]
    Certificate(String),
    /// The file of the key cannot be used.
    #[error("{0}")]
    Key(String),
    /// Certificate and key do not fit together, or are of a kind that rustls refuses.
    #[error("`{certificate}` with `{key}` cannot be used: {source}")]
    Pair {
        /// The file of the certificate.
        certificate: String,
        /// The file of the key.
        key: String,
        /// What rustls says.
        source: rustls::Error,
    },
    /// No certificate could be made.
    #[error("cannot make a certificate: {0}")]
    Made(String),
}

impl TlsError {
    /// Returns what to type to see what is wrong.
    #[must_use]
    pub fn look(&self) -> Option<String> {
        let Self::Pair { certificate, key, .. } = self else { return None };
        Some(format!(
            "compare `openssl x509 -noout -pubkey -in {certificate}` with \
             `openssl pkey -pubout -in {key}`"
        ))
    }
}

impl Tls {
    /// Reads a certificate chain and a private key from PEM files.
    ///
    /// # Errors
    /// When a file cannot be read, or certificate and key cannot be used together.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .and_then(
                |chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) },
            );
        let chain = chain.map_err(|error| {
            TlsError::Certificate(unreadable(certificate, "certificate", &error))
        })?;
        let text = std::fs::read(key).map(Zeroizing::new).map_err(pem::Error::Io);
        let private =
            text.and_then(|text| PrivateKeyDer::from_pem_slice(&text)).map_err(|error| {
                TlsError::Key(unreadable(key, "private key (without a passphrase)", &error))
            })?;
        Self::new(chain, private).map_err(|source| TlsError::Pair {
            certificate: certificate.display().to_string(),
            key: key.display().to_string(),
            source,
        })
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, rustls::Error> {
        let key = Zeroizing::new(key);
        let (fingerprint, not_after) = chain
            .first()
            .map(|first| (fingerprint(first), not_after(first)))
            .ok_or(rustls::Error::NoCertificatesPresented)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // As `with_single_cert` does, which drops the bytes of the key without wiping them.
        let certified = CertifiedKey::new(chain, any_supported_type(&key)?);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(error) => return Err(error),
        }
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        // A client that names protocols must name this one: an HTTP request that was led here by an
        // attacker on the path does not (ALPACA).
        config.alpn_protocols = vec![b"smtp".to_vec()];
        Ok(Self { config: Arc::new(config), fingerprint, not_after })
    }
}

/// Why a PEM file holds nothing of use.
fn unreadable(file: &Path, what: &str, error: &pem::Error) -> String {
    let file = file.display();
    match error {
        pem::Error::Io(error) => format!("`{file}` cannot be read: {error}"),
        pem::Error::NoItemsFound => format!("`{file}` holds no {what} in PEM form"),
        error => format!("`{file}` holds no {what} in PEM form: {error}"),
    }
}

/// Whether TLS clients take a certificate for a host of that name: subject alternative names alone
/// count.
#[must_use]
pub fn covers(certificate: &CertificateDer<'_>, hostname: &str) -> bool {
    match (ParsedCertificate::try_from(certificate), ServerName::try_from(hostname)) {
        (Ok(parsed), Ok(name)) => verify_server_name(&parsed, &name).is_ok(),
        _ => false,
    }
}

/// What rustls takes for a certificate and this does not understand never expires.
fn not_after(certificate: &CertificateDer<'_>) -> i64 {
    let parsed = x509_parser::parse_x509_certificate(certificate).ok();
    parsed.map_or(i64::MAX, |(_, parsed)| parsed.validity().not_after.timestamp())
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    let bytes: Vec<_> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}
