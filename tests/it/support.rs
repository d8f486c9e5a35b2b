//! Parts of the relay on loopback, for tests that need a socket or a permit.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use sesgate::admission::AdmissionLimits;
use sesgate::authorize::{Authorizer, Client, Clients};
use sesgate::connection::{Deadlines, Service};
use sesgate::identities::{Account, Identities};
use sesgate::login::Principals;
use sesgate::memory::Memory;
use sesgate::pace::{Pace, PaceSettings};
use sesgate::policy::{Policy, PolicyKind};
use sesgate::principals::{Principal, StoredPassword, User};
use sesgate::redact::Redaction;
use sesgate::relay::{Relay, RelaySettings};
use sesgate::rules::Rules;
use sesgate::server::Server;
use sesgate::smtp::{Auth, BareLf, SessionLimits, SessionSettings};
use sesgate::tls::Tls;
use sesgate::upstream::{Outbox, Upstream};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub(crate) const FULL_ACCESS: &str = r#"{ "Version": "2012-10-17", "Statement": [
    { "Effect": "Allow", "Action": "ses:*", "Resource": "*" } ] }"#;

/// A path in the repository.
pub(crate) fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// All files of the repository below a folder whose names end so.
fn files(folder: &Path, end: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_string_lossy();
        let is_made = name == "target" || (name.starts_with('.') && name != ".github");
        if file.is_dir() && !is_made {
            files(&file, end, found);
        } else if name.ends_with(end) {
            found.push(file);
        }
    }
}

/// The pages of the documentation.
pub(crate) fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&path(""), ".md", &mut found);
    found
}

/// The code of the relay, each file with its text.
pub(crate) fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    files(&path("src"), ".rs", &mut found);
    let read = |file: PathBuf| (file.clone(), std::fs::read_to_string(file).unwrap());
    found.into_iter().map(read).collect()
}

/// The program, without variables that would be settings of it.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sesgate"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SESGATE_") {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) fn account() -> Account {
    Account {
        id: "123456789012".to_owned(),
        region: "us-east-1".to_owned(),
        partition: "aws".to_owned(),
        sandbox: Some(false),
        organization: None,
    }
}

/// A user with one identity policy.
pub(crate) fn principal(name: &str, policy: &str) -> Principal {
    let policy = Policy::parse(PolicyKind::Identity, "test.json", policy).unwrap();
    Principal {
        name: name.to_owned(),
        arn: format!("arn:aws:iam::123456789012:user/{name}"),
        account: "123456789012".to_owned(),
        user_name: name.to_owned(),
        policies: vec![Arc::new(policy)],
        ..Principal::default()
    }
}

/// A client on loopback, as policies see it under TLS.
pub(crate) fn client(user: Arc<Principal>) -> Client {
    Client {
        principal: user,
        password: None,
        peer: (Ipv4Addr::LOCALHOST, 40_000).into(),
        source_ip: Ipv4Addr::LOCALHOST.into(),
        vpc: None,
        secure_transport: true,
        listener: "127.0.0.1:2525".into(),
        tls: None,
    }
}

/// The users `app` with the password `secret`, who may do everything.
pub(crate) fn principals() -> Arc<Principals> {
    let password = StoredPassword::parse(&bcrypt::hash("secret", 4).unwrap()).unwrap();
    let user = User { principal: principal("app", FULL_ACCESS), passwords: vec![password] };
    Arc::new(Principals::new(vec![user], 64).unwrap())
}

pub(crate) fn relay(upstream: Upstream) -> Arc<Relay> {
    Arc::new(Relay::new(rules(), upstream, pace(), manner()))
}

/// No identities, and the users of [`principals`].
pub(crate) fn rules() -> Rules {
    let authorizer = Authorizer::new(account(), Identities::default(), Vec::new());
    Rules { authorizer, principals: principals(), candidate: None }
}

/// A relay that shows everything and keeps clients waiting for 20 s.
pub(crate) fn manner() -> RelaySettings {
    RelaySettings {
        redaction: Redaction::Full,
        defer_when_paused: false,
        patience: Duration::from_secs(20),
        strip_traceparent: false,
    }
}

/// No limits.
pub(crate) fn pace() -> Pace {
    Pace::new(&PaceSettings { rate: None, wait: Duration::from_secs(5) })
}

/// A budget that no test uses up.
pub(crate) fn memory() -> Memory {
    Memory::new(1 << 30, Duration::from_secs(5))
}

pub(crate) fn outbox(directory: &Path) -> Upstream {
    Upstream::Outbox(Outbox::open(directory).unwrap())
}

/// A listener's settings as on loopback in the default configuration.
pub(crate) fn settings() -> SessionSettings {
    SessionSettings {
        hostname: "gate.test".to_owned(),
        message_bytes: 41_943_040,
        starttls: true,
        require_tls: false,
        auth: Auth::Offered { in_clear: true },
        bare_lf: BareLf::Refuse,
        limits: SessionLimits::default(),
    }
}

pub(crate) fn deadlines() -> Deadlines {
    let long = Duration::from_secs(60);
    Deadlines {
        handshake: long,
        login: long,
        command: long,
        lifetime: 2 * long,
        content: long,
        content_total: long,
        reply: long,
    }
}

/// A certificate for `localhost`, on the server's side and as the client's only root.
pub(crate) struct Certificate {
    pub(crate) tls: Tls,
    pub(crate) client: Arc<rustls::ClientConfig>,
}

pub(crate) fn certificate() -> Certificate {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Certificate { tls: Tls::from_files(&certificate, &key).unwrap(), client: Arc::new(client) }
}

/// A service with the settings of [`settings`] for the users of [`principals`].
pub(crate) fn service(relay: Arc<Relay>, tls: Option<&Tls>) -> Service {
    Service {
        name: "test".into(),
        settings: Arc::new(settings()),
        remote_settings: Arc::new(settings()),
        tls: tls.map(|tls| TlsAcceptor::from(Arc::clone(&tls.config))),
        implicit_tls: false,
        clients: Clients::default(),
        deadlines: deadlines(),
        memory: memory(),
        relay,
    }
}

/// A running listener.
pub(crate) struct Gate {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) running: JoinHandle<()>,
}

impl Gate {
    pub(crate) async fn open(service: Service, connections: usize) -> Self {
        let mut server = Server::new(AdmissionLimits {
            connections,
            per_network: 0,
            unauthenticated: 0,
            per_user: 0,
            per_minute: 0,
        });
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let socket = TcpListener::bind(loopback).await.unwrap();
        let address = server.listen(socket, Arc::new(ArcSwap::from_pointee(service))).unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let running = tokio::spawn(async move {
            let grace = Duration::from_secs(5);
            server.run(async move { stopped.cancelled().await }, grace).await;
        });
        Self { address, stop, running }
    }
}
