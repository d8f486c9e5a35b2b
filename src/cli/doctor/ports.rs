//! Whether the addresses are free, or a running sesgate has them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::report::Report;
use crate::config::{Config, ListenerTls};
use crate::sockets;

/// Most that is read of an answer.
const ANSWER: u64 = 1024;

#[derive(Clone, Copy)]
enum Kind {
    Smtp,
    SmtpOverTls,
    Admin,
}

pub(super) async fn check(config: &Config, patience: Duration, report: &mut Report) {
    let listeners = config.listeners.iter().map(|listener| match listener.tls {
        ListenerTls::Implicit => (listener.address.value, Kind::SmtpOverTls),
        ListenerTls::StartTls | ListenerTls::Off => (listener.address.value, Kind::Smtp),
    });
    for (address, kind) in listeners.chain(config.admin.map(|admin| (admin, Kind::Admin))) {
        let name = if matches!(kind, Kind::Admin) { " (admin)" } else { "" };
        let error = match TcpListener::bind(address) {
            Ok(_) => {
                report.ok("ports", format!("{address}{name}: free"));
                continue;
            }
            Err(error) => error,
        };
        if error.kind() == io::ErrorKind::AddrInUse {
            report.progress(&format!("asking what answers on {address}"));
            let asked = tokio::time::timeout(patience, ask(address, kind, config)).await;
            let said = match asked {
                Ok(Ok(said)) => said,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {patience:?}"),
            };
            if is_sesgate(&said, kind, &config.server.hostname) {
                report.ok("ports", format!("{address}{name}: a running sesgate answers"));
                continue;
            }
            let seen = format!("{address}{name}: in use by something else, which says `{said}`");
            let fix = format!(
                "`ss -ltnp 'sport = :{}'` shows what has it; end that, or change `address`",
                address.port(),
            );
            report.failed("ports", seen, fix);
        } else {
            let seen = format!("{address}{name}: cannot be bound: {error}");
            report.failed("ports", seen, sockets::remedy(address, &error));
        }
    }
}

fn is_sesgate(said: &str, kind: Kind, hostname: &str) -> bool {
    match kind {
        Kind::Smtp | Kind::SmtpOverTls => said == format!("220 {hostname} ESMTP sesgate"),
        Kind::Admin => said.starts_with("HTTP/1.1 200 ") && said.ends_with("ok"),
    }
}

/// Returns the banner, or the status line and the last line of an answer to `GET /livez`.
async fn ask(address: SocketAddr, kind: Kind, config: &Config) -> io::Result<String> {
    let mut stream = TcpStream::connect(reachable(address)).await?;
    match kind {
        Kind::Smtp => first_line(stream).await,
        Kind::SmtpOverTls => {
            let name = ServerName::try_from(config.server.hostname.clone());
            let name = name.unwrap_or(ServerName::IpAddress(address.ip().into()));
            let connector = TlsConnector::from(Arc::new(any_certificate()?));
            first_line(connector.connect(name, stream).await?).await
        }
        Kind::Admin => {
            let request =
                format!("GET /livez HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.take(ANSWER).read_to_end(&mut answer).await?;
            let text = String::from_utf8_lossy(&answer);
            let (first, last) = (text.lines().next(), text.lines().next_back());
            Ok(format!("{} … {}", first.unwrap_or_default(), last.unwrap_or_default()))
        }
    }
}

async fn first_line(stream: impl AsyncRead + Unpin) -> io::Result<String> {
    let mut line = Vec::new();
    let mut stream = stream.take(ANSWER);
    while !line.ends_with(b"\n") {
        match stream.read_u8().await {
            Ok(byte) => line.push(byte),
            Err(_) if !line.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// Where a listener on every address is reached.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// TLS to read a banner of this host with: nothing is entrusted to the other side.
fn any_certificate() -> io::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Arc::new(Anyone(provider.signature_verification_algorithms));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    Ok(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

#[derive(Debug)]
struct Anyone(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
