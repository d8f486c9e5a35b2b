//! Moves bytes between one socket and one SMTP session, with deadlines and the change to TLS.
//!
//! What to say is the session's business, who may log in that of `principals`, and what becomes of
//! a message that of `relay`. One loop over the session's steps joins them.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::authorize::Client;
use crate::principals::{Login, Principal, Principals};
use crate::relay::Relay;
use crate::smtp::{Phase, Reply, Session, Settings, Step};

/// Bytes read at a time.
const READ: usize = 16 * 1024;
/// Replies that wait for the socket before they are written all the same.
const UNWRITTEN: usize = 64 * 1024;
/// What a client may still send while its connection is closed, so that the last reply arrives.
const LINGER_BYTES: usize = 256 * 1024;
const LINGER: Duration = Duration::from_secs(1);

/// How long each thing may take.
#[derive(Debug, Clone)]
pub struct Deadlines {
    /// TLS handshake.
    pub handshake: Duration,
    /// From connecting to a successful login.
    pub login: Duration,
    /// Silence between commands.
    pub command: Duration,
    /// Silence within content.
    pub content: Duration,
    /// Content as a whole.
    pub content_total: Duration,
    /// Writing replies.
    pub reply: Duration,
}

/// Everything that the connections of one listener share.
pub struct Service {
    /// The listener as the log names it.
    pub name: String,
    /// What the sessions are told.
    pub settings: Arc<Settings>,
    /// The same for peers that may not log in in clear: those that are not on loopback.
    pub remote_settings: Arc<Settings>,
    /// TLS, when the listener has it.
    pub tls: Option<TlsAcceptor>,
    /// TLS from the first byte.
    pub implicit_tls: bool,
    /// For whom the listener speaks, by client network; empty means AUTH (decision 17).
    pub speaks_for: Vec<(IpNet, Arc<Principal>)>,
    /// Stated instead of the peer's address (decision 17).
    pub source_ip: Option<IpAddr>,
    /// Stated instead of the connection's state (decision 17).
    pub secure_transport: Option<bool>,
    /// How long each thing may take.
    pub deadlines: Deadlines,
    /// Who may log in.
    pub principals: Arc<Principals>,
    /// What becomes of messages.
    pub relay: Arc<Relay>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why a conversation ended before the session ended it.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the client closed the connection")]
    ByClient,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the listener has no TLS")]
    NoTls,
    #[error("TLS handshake failed: {0}")]
    Handshake(io::Error),
    #[error("{0} took longer than {1:?}")]
    TooSlow(&'static str, Duration),
}

/// How a stretch of conversation ended.
enum Pause {
    /// The client may shake hands now.
    StartTls,
    /// Everything was said.
    Over,
}

/// One client and its session, whatever the bytes travel through.
pub struct Connection {
    service: Arc<Service>,
    peer: SocketAddr,
    session: Session,
    client: Option<Client>,
    out: Vec<u8>,
    login_by: Instant,
    content_by: Option<Instant>,
    shutdown: CancellationToken,
    draining: bool,
}

impl Connection {
    /// Serves one client until either side ends it.
    ///
    /// `shutdown` asks the session to end as soon as no transaction is under way (decision 20).
    pub async fn serve(
        service: Arc<Service>,
        socket: TcpStream,
        peer: SocketAddr,
        shutdown: CancellationToken,
    ) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        match service.speaks_for(peer.ip()) {
            Ok(principal) => {
                let mut connection = Self::new(service, peer, shutdown);
                if let Some(principal) = principal {
                    connection.identify(principal);
                }
                if let Err(ended) = connection.run(socket).await {
                    tracing::debug!(reason = %ended, "connection ended");
                }
            }
            Err(NotNamed) => {
                tracing::warn!("refused: `clients` of the listener names no network of this peer");
                let mut out = Vec::new();
                Reply::no_service().write_to(&mut out);
                let mut socket = socket;
                let _ = timeout(service.deadlines.reply, socket.write_all(&out)).await;
            }
        }
    }

    fn new(service: Arc<Service>, peer: SocketAddr, shutdown: CancellationToken) -> Self {
        let loopback = peer.ip().is_loopback();
        let settings = if loopback { &service.settings } else { &service.remote_settings };
        Self {
            session: Session::new(Arc::clone(settings), service.implicit_tls),
            peer,
            client: None,
            out: Vec::new(),
            login_by: now() + service.deadlines.login,
            content_by: None,
            shutdown,
            draining: false,
            service,
        }
    }

    async fn run(&mut self, mut socket: TcpStream) -> Result<(), Ended> {
        socket.set_nodelay(true)?;
        if !self.service.implicit_tls {
            self.hear_early_talk(&socket);
            match self.converse(&mut socket).await? {
                Pause::Over => return Ok(()),
                Pause::StartTls => {}
            }
        }
        let mut stream = self.shake_hands(socket).await?;
        if !self.service.implicit_tls {
            self.session.tls_started();
        }
        self.converse(&mut stream).await.map(drop)
    }

    /// Hands over what is there already: a client that talks before the banner is none of ours. The
    /// banner never waits for this.
    fn hear_early_talk(&mut self, socket: &TcpStream) {
        let mut buffer = [0; 64];
        if let Ok(length) = (&*SockRef::from(socket)).read(&mut buffer) {
            self.session.receive(buffer.get(..length).unwrap_or_default());
        }
    }

    async fn shake_hands(&mut self, socket: TcpStream) -> Result<TlsStream<TcpStream>, Ended> {
        let bound = self.service.deadlines.handshake;
        let acceptor = self.service.tls.clone().ok_or(Ended::NoTls)?;
        let stream = timeout(bound, acceptor.accept(socket))
            .await
            .map_err(|_| Ended::TooSlow("the TLS handshake", bound))?
            .map_err(Ended::Handshake)?;
        let version = stream.get_ref().1.protocol_version();
        let version = version.and_then(|version| version.as_str()).unwrap_or("unknown");
        tracing::Span::current().record("tls", version);
        if let Some(client) = &mut self.client {
            client.secure_transport = self.service.secure_transport.unwrap_or(true);
        }
        Ok(stream)
    }

    /// Whom the messages of this connection are from, as far as policies see it (decision 8).
    fn identify(&mut self, principal: Arc<Principal>) {
        self.client = Some(Client {
            principal,
            peer: self.peer,
            source_ip: self.service.source_ip.unwrap_or(self.peer.ip()),
            secure_transport: self.service.secure_transport.unwrap_or(self.session.is_tls()),
        });
    }

    async fn converse<S>(&mut self, stream: &mut S) -> Result<Pause, Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            match self.session.next_step() {
                Step::Read => {
                    if let Some(last) = self.read(stream).await? {
                        self.write(&last);
                        return self.close(stream).await;
                    }
                }
                Step::Reply(reply) => {
                    self.write(&reply);
                    if self.out.len() > UNWRITTEN {
                        self.flush(stream).await?;
                    }
                }
                Step::StartTls(reply) => {
                    self.write(&reply);
                    self.flush(stream).await?;
                    return Ok(Pause::StartTls);
                }
                Step::Authenticate(credentials) => {
                    self.flush(stream).await?;
                    let login = self.service.principals.login(&credentials).await;
                    let result = login.result();
                    match login {
                        Login::Accepted(principal) => self.identify(principal),
                        // An unknown name may be a password in the wrong field (decision 21).
                        Login::Invalid => tracing::warn!(
                            user = self
                                .service
                                .principals
                                .find(&credentials.username)
                                .map(|principal| principal.name.as_str()),
                            "login refused: unknown user or wrong password",
                        ),
                        Login::Busy => tracing::warn!(
                            "login put off: too many password checks at once; raise \
                             `password_queue` in `[limits]` or find out who guesses",
                        ),
                    }
                    self.session.authenticated(result);
                }
                Step::Mail(_) => {
                    let known = self.client.is_some();
                    let refusal = Reply::authentication_required;
                    self.session.mail_answered(if known { Ok(()) } else { Err(refusal()) });
                }
                Step::Data(_) => {
                    self.content_by = Some(now() + self.service.deadlines.content_total);
                    self.session.data_answered(Ok(()));
                }
                Step::Header(envelope, header) => {
                    let answer = match &self.client {
                        Some(client) => self.service.relay.screen(client, &envelope, &header),
                        None => Err(Reply::authentication_required()),
                    };
                    self.session.header_answered(answer);
                }
                Step::Relay(transaction) => {
                    self.flush(stream).await?;
                    let reply = match &self.client {
                        Some(client) => self.service.relay.carry_out(client, transaction).await,
                        None => Reply::authentication_required(),
                    };
                    self.session.relayed(reply);
                }
                Step::Refused(envelope, reply) => {
                    if let Some(client) = &self.client {
                        self.service.relay.unreadable(client, &envelope, &reply);
                    }
                }
                Step::Close(reply) => {
                    if let Some(reply) = reply {
                        self.write(&reply);
                    }
                    return self.close(stream).await;
                }
            }
        }
    }

    /// Reads once, after what was said so far has been written. Returns the last reply when the
    /// session is over.
    async fn read<S>(&mut self, stream: &mut S) -> Result<Option<Reply>, Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.flush(stream).await?;
        let deadline = self.deadline();
        let mut buffer = [0_u8; READ];
        tokio::select! {
            biased;
            () = self.shutdown.cancelled(), if !self.draining => {
                self.draining = true;
                Ok(self.session.shutting_down())
            }
            read = timeout_at(deadline, stream.read(&mut buffer)) => match read {
                Ok(Ok(0)) => Err(Ended::ByClient),
                Ok(Ok(length)) => {
                    self.session.receive(buffer.get(..length).unwrap_or_default());
                    Ok(None)
                }
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Ok(Some(self.session.timed_out())),
            }
        }
    }

    fn deadline(&self) -> Instant {
        let deadlines = &self.service.deadlines;
        match self.session.phase() {
            Phase::Unauthenticated => self.login_by,
            Phase::Content => {
                let silence = now() + deadlines.content;
                self.content_by.map_or(silence, |by| by.min(silence))
            }
            Phase::Command | Phase::Closed => now() + deadlines.command,
        }
    }

    fn write(&mut self, reply: &Reply) {
        tracing::debug!(%reply, "reply");
        reply.write_to(&mut self.out);
    }

    /// Writes and flushes: over TLS an unflushed reply can stay in the buffer for ever.
    async fn flush<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> Result<(), Ended> {
        if self.out.is_empty() {
            return Ok(());
        }
        let bound = self.service.deadlines.reply;
        let written = timeout(bound, async {
            stream.write_all(&self.out).await?;
            stream.flush().await
        });
        written.await.map_err(|_| Ended::TooSlow("writing a reply", bound))??;
        self.out.clear();
        Ok(())
    }

    /// Ends the connection so that the last reply arrives even if the client is still sending.
    async fn close<S>(&mut self, stream: &mut S) -> Result<Pause, Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.flush(stream).await?;
        let linger = timeout(LINGER, async {
            stream.shutdown().await?;
            let mut buffer = [0_u8; READ];
            let mut left = LINGER_BYTES;
            while left > 0 {
                match stream.read(&mut buffer).await? {
                    0 => break,
                    length => left = left.saturating_sub(length),
                }
            }
            io::Result::Ok(())
        });
        let _ = linger.await;
        Ok(Pause::Over)
    }
}

/// No network of the listener's clients holds the peer.
struct NotNamed;

impl Service {
    /// For whom the listener speaks when this peer connects; nobody on a listener with AUTH.
    fn speaks_for(&self, peer: IpAddr) -> Result<Option<Arc<Principal>>, NotNamed> {
        if self.speaks_for.is_empty() {
            return Ok(None);
        }
        let narrowest = self
            .speaks_for
            .iter()
            .filter(|(network, _)| network.contains(&peer))
            .max_by_key(|(network, _)| network.prefix_len());
        narrowest.map(|(_, principal)| Some(Arc::clone(principal))).ok_or(NotNamed)
    }
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "deadlines of a connection")]
    Instant::now()
}
