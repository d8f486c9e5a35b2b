//! The TLS handshake, and in plain words why one failed.

use std::io;

use rustls::{AlertDescription, Error, InvalidMessage, PeerIncompatible};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::{Connection, Ended};
use crate::relay::CLIENTS;

impl Connection {
    pub(super) async fn shake_hands(
        &mut self,
        socket: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Ended> {
        let bound = self.service.deadlines.handshake;
        let acceptor = self.service.tls.clone().ok_or(Ended::NoTls)?;
        let shaken = timeout(bound, async {
            // Whoever leaves without a word looked only whether the port is open.
            if socket.peek(&mut [0]).await? == 0 {
                return Err(Ended::ByClient);
            }
            acceptor.accept(socket).await.map_err(Ended::Handshake)
        });
        let shaken = shaken.await.unwrap_or(Err(Ended::TooSlow("the TLS handshake", bound)));
        let version = shaken.as_ref().ok().map(|stream| {
            let version = stream.get_ref().1.protocol_version();
            version.and_then(|version| version.as_str()).unwrap_or("unknown")
        });
        self.service.relay.metrics().handshake(&self.service.name, version);
        let (stream, version) = (shaken?, version.unwrap_or_default());
        tracing::Span::current().record("tls", version);
        self.tls = Some(version);
        Ok(stream)
    }

    /// Tells of TLS that failed.
    pub(super) fn note(&self, ended: &Ended) {
        let (cause, error) = match ended {
            Ended::Handshake(error) => (cause(error), error.to_string()),
            Ended::AfterHandshake => (
                "the client closed the connection right behind the handshake: most likely it does not \
                 trust the certificate; give the listener one that it does, or the app the file to trust",
                ended.to_string(),
            ),
            Ended::TooSlow("the TLS handshake", _) if self.service.implicit_tls => (
                "the client did not begin it: it waits for a banner; use TLS from the first byte in the \
                 app (implicit TLS, SMTPS), or lead it to a listener with STARTTLS",
                ended.to_string(),
            ),
            Ended::TooSlow("the TLS handshake", _) => {
                ("the client did not go on with it", ended.to_string())
            }
            _ => return,
        };
        tracing::info!(target: CLIENTS, error, "TLS failed: {cause}");
    }
}

/// What is wrong between client and listener.
fn cause(error: &io::Error) -> &'static str {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied,
        )) => {
            "the client does not trust the certificate; give the listener one that it does, or the app \
             the file to trust"
        }
        Some(
            Error::AlertReceived(AlertDescription::ProtocolVersion)
            | Error::PeerIncompatible(
                PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::SupportedVersionsExtensionRequired
                // Which TLS 1.2 has brought.
                | PeerIncompatible::SignatureAlgorithmsExtensionRequired
                | PeerIncompatible::ServerDoesNotSupportTls12Or13,
            ),
        ) => "the client speaks TLS 1.0 and 1.1 only; it needs a library with TLS 1.2 or newer",
        Some(Error::PeerIncompatible(
            PeerIncompatible::NoCipherSuitesInCommon | PeerIncompatible::NoKxGroupsInCommon,
        )) => {
            "no cipher in common: the client offers RSA key exchange or CBC alone, or none for the kind \
             of the certificate's key; it needs ECDHE with AES-GCM or ChaCha20"
        }
        Some(Error::PeerIncompatible(_)) => {
            "client and listener have too little in common; `error` says what"
        }
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "the client speaks in clear where TLS begins; use TLS from the first byte in the app \
             (implicit TLS, SMTPS), or lead it to a listener with STARTTLS"
        }
        Some(Error::AlertReceived(_)) => "the client gave it up; `error` has its reason",
        Some(_) => "what the client sent is no TLS that can be read",
        None => {
            "the client closed the connection in the middle of it: perhaps it does not trust the \
             certificate; give the listener one that it does, or the app the file to trust"
        }
    }
}
