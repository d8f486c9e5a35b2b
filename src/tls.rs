//! Certificate files to a rustls server configuration, or a certificate made at start-up.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, ServerConfig};
use zeroize::Zeroizing;

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
    /// A PEM file cannot be read or holds nothing usable.
    #[error("cannot read a certificate or key from `{file}`: {source}")]
    Pem {
        /// The file.
        file: String,
        /// What rustls says.
        source: rustls::pki_types::pem::Error,
    },
    /// The certificate file holds no certificate.
    #[error("no certificate in `{0}`")]
    Empty(String),
    /// Certificate and key do not fit together, or are of a kind that rustls refuses.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// No certificate could be made.
    #[error("cannot make a certificate: {0}")]
    SelfSigned(#[from] rcgen::Error),
}

impl Tls {
    /// Reads a certificate chain and a private key from PEM files.
    ///
    /// # Errors
    /// When a file cannot be read, or certificate and key cannot be used together.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let pem = |file: &Path, source| TlsError::Pem { file: file.display().to_string(), source };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| pem(certificate, error))?;
        let text = std::fs::read(key).map(Zeroizing::new);
        let key = text
            .map_err(rustls::pki_types::pem::Error::Io)
            .and_then(|text| PrivateKeyDer::from_pem_slice(&text))
            .map_err(|error| pem(key, error))?;
        Self::new(chain, key)?.ok_or_else(|| TlsError::Empty(certificate.display().to_string()))
    }

    /// Makes a certificate for `hostname` (and `localhost`), signed by its own key.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn self_signed(hostname: &str) -> Result<Self, TlsError> {
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        if !names.iter().any(|name| name == hostname) {
            names.insert(0, hostname.to_owned());
        }
        let made = rcgen::generate_simple_self_signed(names)?;
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        Self::new(vec![made.cert.der().clone()], key.into())?
            .ok_or_else(|| TlsError::Empty(hostname.to_owned()))
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Option<Self>, TlsError> {
        let key = Zeroizing::new(key);
        let Some(first) = chain.first() else { return Ok(None) };
        let (fingerprint, not_after) = (fingerprint(first), not_after(first));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // As `with_single_cert` does, which drops the bytes of the key without wiping them.
        let certified = CertifiedKey::new(chain, any_supported_type(&key)?);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(error) => return Err(error.into()),
        }
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        // A client that names protocols must name this one: an HTTP request that was led here by an
        // attacker on the path does not (ALPACA).
        config.alpn_protocols = vec![b"smtp".to_vec()];
        Ok(Some(Self { config: Arc::new(config), fingerprint, not_after }))
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
