//! Accept loops, and draining (decision 20).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::admission::{Admission, AdmissionLimits, OverLimit};
use crate::clock;
use crate::connection::{Connection, Drain, Service};
use crate::smtp::Reply;

/// How long an accept loop rests when the process has no descriptor left.
const EXHAUSTED: Duration = Duration::from_millis(100);
/// How long clients may take to hear that the relay ends before they were answered.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long a connection over the limit may take to read its refusal.
const REFUSAL: Duration = Duration::from_secs(2);

/// All listeners and their connections.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<(TcpListener, Arc<ArcSwap<Service>>)>,
    admission: Arc<Admission>,
    /// Asks listeners and sessions to end, and ends their waiting.
    drain: Drain,
    /// Ends connections whatever they are doing.
    kill: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Makes a server without listeners yet.
    #[must_use]
    pub fn new(limits: AdmissionLimits) -> Self {
        Self {
            listeners: Vec::new(),
            admission: Arc::new(Admission::new(limits)),
            drain: Drain::default(),
            kill: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// What counts the connections.
    #[must_use]
    pub fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }

    /// Takes mail on a socket and returns its address.
    ///
    /// Each connection is served by the service of the moment in which it is accepted.
    ///
    /// # Errors
    /// When the system does not say the address.
    pub fn listen(
        &mut self,
        listener: TcpListener,
        service: Arc<ArcSwap<Service>>,
    ) -> io::Result<SocketAddr> {
        let bound = listener.local_addr()?;
        self.listeners.push((listener, service));
        Ok(bound)
    }

    /// Serves until `stop` is done, then drains: transactions in flight may take as long as `grace`.
    /// Returns what is left of it.
    pub async fn run(self, stop: impl Future<Output = ()>, grace: Duration) -> Duration {
        let Self { listeners, admission, drain, kill, tasks } = self;
        let acceptors = TaskTracker::new();
        for (listener, service) in listeners {
            let acceptor = Acceptor {
                service,
                admission: Arc::clone(&admission),
                drain: drain.clone(),
                kill: kill.clone(),
                tasks: tasks.clone(),
            };
            acceptors.spawn(acceptor.accept(listener));
        }
        stop.await;
        let by = clock::now() + grace;
        tracing::info!(
            connections = tasks.len(),
            grace_seconds = grace.as_secs(),
            "draining: no new connections",
        );
        drain.shutdown.cancel();
        acceptors.close();
        acceptors.wait().await;
        tasks.close();
        if tokio::time::timeout_at(by, tasks.wait()).await.is_err() {
            tracing::warn!(
                connections = tasks.len(),
                "transactions did not finish in time; raise `drain_seconds` in `[server]`",
            );
            drain.abort.cancel();
            if tokio::time::timeout(LAST_WORDS, tasks.wait()).await.is_err() {
                kill.cancel();
                tasks.wait().await;
            }
        }
        by.saturating_duration_since(clock::now())
    }
}

/// One listener and what its connections need.
struct Acceptor {
    service: Arc<ArcSwap<Service>>,
    admission: Arc<Admission>,
    drain: Drain,
    kill: CancellationToken,
    tasks: TaskTracker,
}

impl Acceptor {
    async fn accept(self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.drain.shutdown.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => self.welcome(socket, peer),
                // The peer gave up before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::error!(
                        listener = &*self.service.load().name, %error,
                        "cannot accept; lower `connections` in `[limits]` or raise the \
                         descriptor limit of the process",
                    );
                    tokio::time::sleep(EXHAUSTED).await;
                }
            }
        }
    }

    fn welcome(&self, socket: TcpStream, peer: SocketAddr) {
        let service = self.service.load_full();
        let span = tracing::info_span!(
            "connection", listener = &*service.name, %peer, tls = "none",
        );
        let begun = clock::now();
        // Behind a balancer the client is known with its header.
        let client = service.clients.proxies.is_empty().then_some(peer.ip());
        let slot = match self.admission.admit(client, begun) {
            Ok(slot) => slot,
            Err(over) => {
                service.relay.metrics().connection(&service.name, over.name());
                if let Some(suppressed) = self.admission.log_allowance(over.name(), begun) {
                    span.in_scope(|| tracing::warn!(suppressed, "refused: {over}"));
                }
                // Before a TLS handshake there are no words.
                if !service.implicit_tls {
                    self.tasks.spawn(refuse(socket));
                }
                return;
            }
        };
        let (drain, kill) = (self.drain.clone(), self.kill.clone());
        let listener = Arc::clone(&self.service);
        let (evicted, admission) = (slot.evicted(), Arc::clone(&self.admission));
        let (name, relay) = (service.name.clone(), Arc::clone(&service.relay));
        let conversation = async move {
            tokio::select! {
                biased;
                () = kill.cancelled() => {}
                () = evicted.cancelled() => {
                    relay.metrics().connection(&name, "gave_way");
                    if let Some(suppressed) = admission.log_allowance("gives_way", clock::now()) {
                        let over = OverLimit::Unauthenticated;
                        tracing::warn!(suppressed, "closed: {over}");
                    }
                }
                () = Connection::serve((service, listener), socket, peer, drain, slot) => {}
            }
        };
        self.tasks.spawn(conversation.instrument(span));
    }
}

async fn refuse(mut socket: TcpStream) {
    let mut out = Vec::new();
    Reply::too_many_connections().write_to(&mut out);
    let _ = tokio::time::timeout(REFUSAL, socket.write_all(&out)).await;
}
