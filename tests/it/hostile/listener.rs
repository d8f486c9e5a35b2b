//! Listeners for hostile clients, in clear, behind STARTTLS and under implicit TLS.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sesgate::connection::Service;
use sesgate::smtp::{Auth, SessionSettings};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::sockets::{Stream, shake_hands};
use crate::support::{Certificate, Gate, outbox, path, relay, service};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What the bytes of a session travel through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Clear,
    StartTls,
    Tls,
}

/// A listener with an outbox of its own, and the certificate that its clients trust.
pub(crate) struct Listener {
    pub(crate) folder: TempDir,
    pub(crate) gate: Gate,
    certificate: Arc<Certificate>,
    transport: Transport,
}

impl Listener {
    /// Speaks for `app` where `settings` has no AUTH.
    pub(crate) async fn open(
        certificate: &Arc<Certificate>,
        transport: Transport,
        change: impl FnOnce(&mut Service, &mut SessionSettings),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let service = listener(folder.path(), certificate, transport, change);
        let gate = Gate::open(service, 10).await;
        Self { folder, gate, certificate: Arc::clone(certificate), transport }
    }

    /// Connects up to where the client may speak; the banner is unread but under STARTTLS.
    pub(crate) async fn connect(&self) -> Box<dyn Stream> {
        let socket = TcpStream::connect(self.gate.address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let mut stream: Box<dyn Stream> = Box::new(socket);
        if self.transport == Transport::StartTls {
            assert!(line(&mut stream).await.starts_with("220 gate.test "));
            stream.write_all(b"STARTTLS\r\n").await.unwrap();
            assert_eq!(line(&mut stream).await, "220 Ready to start TLS");
        }
        if self.transport != Transport::Clear {
            stream = shake_hands(stream, &self.certificate).await;
        }
        stream
    }

    /// Connects, says HELO, and where `envelope` is given says that and waits for 354.
    pub(crate) async fn connect_for(&self, envelope: &str) -> Box<dyn Stream> {
        let mut stream = self.connect().await;
        if self.transport != Transport::StartTls {
            assert!(line(&mut stream).await.starts_with("220 gate.test "));
        }
        stream.write_all(b"HELO client.test\r\n").await.unwrap();
        assert_eq!(line(&mut stream).await, "250 gate.test");
        if !envelope.is_empty() {
            stream.write_all(envelope.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            for expected in ["250 Ok", "250 Ok", "354 End data with <CR><LF>.<CR><LF>"] {
                assert_eq!(line(&mut stream).await, expected);
            }
        }
        stream
    }

    /// What is in the outbox once every connection has ended.
    pub(crate) async fn relayed(self) -> Vec<String> {
        self.gate.stop.cancel();
        timeout(PATIENCE, self.gate.running).await.expect("an end in time").unwrap();
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let mails = paths.filter(|path| path.extension().is_some_and(|end| end == "eml"));
        mails.map(|path| fs::read(path).unwrap().escape_ascii().to_string()).collect()
    }
}

pub(crate) fn listener(
    folder: &Path,
    certificate: &Certificate,
    transport: Transport,
    change: impl FnOnce(&mut Service, &mut SessionSettings),
) -> Service {
    let mut service = service(relay(outbox(folder)), Some(&certificate.tls));
    let mut settings = (*service.settings).clone();
    settings.auth = Auth::None;
    service.implicit_tls = transport == Transport::Tls;
    change(&mut service, &mut settings);
    if settings.auth == Auth::None {
        let app = "app".to_owned();
        service.clients.speaks_for.push(("127.0.0.0/8".parse().unwrap(), app));
    }
    service.settings = Arc::new(settings);
    service
}

pub(crate) async fn line(stream: &mut Box<dyn Stream>) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n") {
        let byte = timeout(PATIENCE, stream.read_u8()).await.expect("a line in time");
        bytes.push(byte.unwrap_or_else(|error| panic!("{error} behind {}", bytes.escape_ascii())));
    }
    String::from_utf8(bytes).unwrap().trim_end().to_owned()
}

/// Reads up to the end that the server makes.
pub(crate) async fn rest(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match timeout(PATIENCE, stream.read(&mut buffer)).await.expect("an end in time") {
            Ok(length) if length > 0 => bytes.extend(&buffer[..length]),
            _ => return bytes,
        }
    }
}

pub(crate) fn read_json(file: &str, list: &str) -> Vec<Value> {
    let text = fs::read_to_string(path("tests/hostile").join(file)).unwrap();
    let mut json: Value = serde_json::from_str(&text).unwrap();
    assert!(json["about"].is_string());
    serde_json::from_value(json[list].take()).unwrap()
}

/// Waits for all of them, and reports every failure at once.
pub(crate) async fn all(plays: JoinSet<Result<(), String>>, at_least: usize) {
    assert!(plays.len() >= at_least, "only {} are played", plays.len());
    let failures: Vec<_> = plays.join_all().await.into_iter().filter_map(Result::err).collect();
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}
