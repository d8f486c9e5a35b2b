//! Moves bytes between one socket and one SMTP session, with deadlines and the change to TLS.
//!
//! What to say is the session's business, who may log in that of `principals`, and what becomes of
//! a message that of `relay`. One loop over the session's steps joins them.

mod handshake;
mod login;
mod memory;
mod peer;
mod service;
mod stream;

use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use peer::Origin;
pub use service::{Deadlines, Service};

use crate::admission::ConnectionSlot;
use crate::authorize::{Client, NotNamed, Screened};
use crate::clock;
use crate::memory::Share;
use crate::smtp::{Reply, Session, Step};
use crate::trace::TransactionTimes;

/// Bytes of replies that are gathered before they are written to the socket.
const UNWRITTEN_BYTES: usize = 64 * 1024;
/// How late a command or a message of a client that makes many errors is refused.
const SLOWED: Duration = Duration::from_secs(1);

/// Why a conversation ended before the session ended it.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the client closed the connection")]
    ByClient,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the relay ended")]
    Aborted,
    #[error("the listener has no TLS")]
    NoTls,
    #[error("TLS handshake failed: {0}")]
    Handshake(io::Error),
    #[error("the client closed the connection right behind the TLS handshake")]
    AfterHandshake,
    #[error("{0} took longer than {1:?}")]
    TooSlow(&'static str, Duration),
}

/// What ends connections from outside (decision 20).
#[derive(Debug, Clone, Default)]
pub struct Drain {
    /// Asks sessions to end as soon as no transaction is under way.
    pub shutdown: CancellationToken,
    /// Ends the waiting for clients and upstream at once.
    pub abort: CancellationToken,
}

/// Content under way.
struct Content {
    begun: Instant,
    bytes: u64,
}

/// How a stretch of conversation ended.
enum Next {
    /// The client may shake hands now.
    StartTls,
    /// Everything was said.
    Over,
}

/// One client and its session, whatever the bytes travel through.
pub struct Connection {
    service: Arc<Service>,
    /// The listener as it is set now.
    listener: Arc<ArcSwap<Service>>,
    origin: Origin,
    session: Session,
    /// The version of TLS, once there is one.
    tls: Option<&'static str>,
    /// The name of the user for whom the listener speaks to this peer (decision 17).
    spoken_for: Option<String>,
    client: Option<Client>,
    /// The reply to a message that was taken, while it is not written.
    unsent_acceptance: Option<String>,
    /// Whether the client has said nothing under TLS yet.
    is_unheard: bool,
    out: Vec<u8>,
    slot: ConnectionSlot,
    /// The part of the budget that the message under way has.
    share: Share,
    begun: Instant,
    /// When the last reply was written: a command that comes byte by byte is not given more time.
    last_reply_at: Instant,
    content: Option<Content>,
    /// What was decided about the message under way.
    screened: Option<Screened>,
    /// When the transaction under way began.
    transaction: TransactionTimes,
    drain: Drain,
    draining: bool,
}

impl Connection {
    /// Serves one client until either side ends it.
    ///
    /// It is served as the listener was set when it was accepted; `listener` says how it is set now.
    /// `drain` says when to end (decision 20).
    pub async fn serve(
        (service, listener): (Arc<Service>, Arc<ArcSwap<Service>>),
        mut socket: TcpStream,
        peer: SocketAddr,
        drain: Drain,
        mut slot: ConnectionSlot,
    ) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let origin = tokio::select! {
            biased;
            () = drain.shutdown.cancelled(), if !service.clients.proxies.is_empty() => return,
            origin = Origin::of(&service, &mut socket, peer, &mut slot) => origin,
        };
        let origin = match origin {
            Ok(origin) => origin,
            Err(error) => {
                service.relay.metrics().connection(&service.name, error.name());
                if let Some(suppressed) = slot.admission().log_allowance(error.name(), clock::now())
                {
                    tracing::warn!(suppressed, "closed: {error}");
                }
                return;
            }
        };
        let named = service.clients.user(origin.client.ip());
        let (is_named, spoken_for) = match named {
            Ok(spoken_for) => (true, spoken_for.map(str::to_owned)),
            Err(NotNamed) => (false, None),
        };
        let mut connection = Self::new((service, listener), peer, origin, spoken_for, drain, slot);
        if !is_named {
            tracing::warn!(
                "refused: `clients` of the listener names no network of this peer; add one, or keep \
                 the peer out",
            );
            connection.count("no_network");
            return connection.turn_away(socket, &Reply::no_service()).await;
        }
        if !connection.spoken_for_has_slot() {
            connection.count("user");
            return connection.turn_away(socket, &Reply::too_many_connections()).await;
        }
        connection.count("accepted");
        if let Err(ended) = connection.run(socket).await {
            connection.note(&ended);
            tracing::debug!(reason = %ended, "connection ended");
        }
    }

    /// Counts this connection.
    fn count(&self, result: &'static str) {
        self.service.relay.metrics().connection(&self.service.name, result);
    }

    /// Ends a connection before it begins. Before a TLS handshake there are no words.
    async fn turn_away(&self, mut socket: TcpStream, reply: &Reply) {
        if !self.service.implicit_tls {
            let mut out = Vec::new();
            reply.write_to(&mut out);
            let _ = timeout(self.service.deadlines.reply, socket.write_all(&out)).await;
        }
    }

    fn new(
        (service, listener): (Arc<Service>, Arc<ArcSwap<Service>>),
        peer: SocketAddr,
        origin: Origin,
        spoken_for: Option<String>,
        drain: Drain,
        slot: ConnectionSlot,
    ) -> Self {
        // The socket's, never a header's (decision 17).
        let loopback = peer.ip().is_loopback();
        let settings = if loopback { &service.settings } else { &service.remote_settings };
        Self {
            session: Session::new(Arc::clone(settings), service.implicit_tls),
            origin,
            tls: None,
            spoken_for,
            client: None,
            unsent_acceptance: None,
            is_unheard: false,
            out: Vec::new(),
            slot,
            share: service.memory.nothing(),
            begun: clock::now(),
            last_reply_at: clock::now(),
            content: None,
            screened: None,
            transaction: TransactionTimes::now(),
            drain,
            draining: false,
            service,
            listener,
        }
    }

    async fn run(&mut self, mut socket: TcpStream) -> Result<(), Ended> {
        socket.set_nodelay(true)?;
        if !self.service.implicit_tls {
            self.begin();
            self.hear_early_talk(&socket);
            match self.converse(&mut socket).await? {
                Next::Over => return Ok(()),
                Next::StartTls => {}
            }
        }
        let mut stream = self.shake_hands(socket).await?;
        if !self.service.implicit_tls {
            self.session.tls_started();
        }
        self.begin();
        self.is_unheard = true;
        match self.converse(&mut stream).await {
            Err(Ended::ByClient | Ended::Io(_)) if self.is_unheard => Err(Ended::AfterHandshake),
            ended => ended.map(drop),
        }
    }

    /// Tells of a command that the reply refuses.
    fn note_refused(&mut self, reply: &Reply) {
        if let Some(said) = self.session.take_refused() {
            self.service.relay.command_refused(&said, reply);
        }
    }

    /// Hands over what is there already: a client that talks before the banner is none of ours. The
    /// banner never waits for this.
    fn hear_early_talk(&mut self, socket: &TcpStream) {
        let mut buffer = [0; 64];
        if let Ok(length) = (&*SockRef::from(socket)).read(&mut buffer) {
            self.session.receive(buffer.get(..length).unwrap_or_default());
        }
    }

    async fn converse<S>(&mut self, stream: &mut S) -> Result<Next, Ended>
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
                    self.note_refused(&reply);
                    if self.session.is_slowed() {
                        self.flush(stream).await?;
                        let _ = timeout(SLOWED, self.drain.shutdown.cancelled()).await;
                    }
                    self.write(&reply);
                    if self.out.len() > UNWRITTEN_BYTES {
                        self.flush(stream).await?;
                    }
                }
                Step::StartTls(reply) => {
                    self.write(&reply);
                    self.flush(stream).await?;
                    return Ok(Next::StartTls);
                }
                Step::Authenticate(credentials) => {
                    self.flush(stream).await?;
                    if !self.authenticate(&credentials).await {
                        self.write(&Reply::too_many_connections());
                        return self.close(stream).await;
                    }
                }
                Step::Mail(_) => {
                    if !self.service.says_the_same(&self.listener.load()) {
                        // Who this client is was read from a listener that is set otherwise now.
                        self.write(&Reply::service_closing());
                        return self.close(stream).await;
                    }
                    // A user or password that a reload took away is one no more.
                    let relay = &self.service.relay;
                    self.client = self.client.take().and_then(|client| relay.known(&client));
                    self.transaction = TransactionTimes::now();
                    let known = self.client.is_some();
                    let refusal = Reply::authentication_required;
                    self.session.mail_answered(if known { Ok(()) } else { Err(refusal()) });
                }
                Step::Data(envelope) => {
                    self.flush(stream).await?;
                    let answer = self.make_room(&envelope).await;
                    // The deadline of this content is its own, also when it came with the last one.
                    self.content = None;
                    self.transaction.data = Some(clock::now());
                    self.session.data_answered(answer);
                }
                Step::Header(envelope, header) => {
                    let answer = match &self.client {
                        Some(client) => {
                            let relay = &self.service.relay;
                            relay.screen(client, &envelope, &header, self.transaction)
                        }
                        None => Err(Reply::authentication_required()),
                    };
                    self.session.header_answered(answer.map(|screened| self.screened = screened));
                }
                Step::Relay(transaction) => {
                    if let Some(content) = &self.content {
                        self.service.relay.metrics().received(clock::now() - content.begun);
                    }
                    self.flush(stream).await?;
                    let is_otherwise = !self.service.says_the_same(&self.listener.load());
                    let reply = match &self.client {
                        _ if is_otherwise => {
                            tracing::warn!(
                                "refused: its listener was set otherwise while a message came; \
                                 expect it again",
                            );
                            Reply::temporary_failure()
                        }
                        Some(client) => {
                            let relay = &self.service.relay;
                            let share =
                                std::mem::replace(&mut self.share, self.service.memory.nothing());
                            let (abort, begun) = (&self.drain.abort, self.transaction);
                            let screened = self.screened.take();
                            // In memory of its own: a connection that only waits needs no room for it.
                            let carried =
                                relay.carry_out(client, transaction, screened, share, abort, begun);
                            Box::pin(carried).await
                        }
                        None => Reply::authentication_required(),
                    };
                    let told = reply.to_string();
                    self.unsent_acceptance = self.session.relayed(reply).then_some(told);
                }
                Step::Refused(envelope, reply) => {
                    if let Some(client) = &self.client {
                        let relay = &self.service.relay;
                        relay.unreadable(client, &envelope, &reply, self.transaction);
                    }
                }
                Step::Close(reply) => {
                    if let Some(reply) = reply {
                        self.note_refused(&reply);
                        self.write(&reply);
                    }
                    return self.close(stream).await;
                }
            }
        }
    }
}
