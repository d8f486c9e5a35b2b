//! Who is at the other end: the socket's peer, or whom a trusted balancer names (decision 8).

use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::Service;
use crate::admission::{ConnectionSlot, OverLimit};
use crate::authorize::Vpc;
use crate::clock;
use crate::proxy_protocol::{self, ReadError};

/// Who is at the other end.
pub(super) struct Origin {
    /// The client's address.
    pub(super) client: SocketAddr,
    /// The VPC that it came through.
    pub(super) vpc: Option<Vpc>,
}

/// Why a connection is closed without a word.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unknown {
    /// Only balancers may connect.
    #[error(
        "the peer is none of the balancers in `proxy_protocol` of the listener; add it, or keep it out"
    )]
    Untrusted,
    /// The balancer says nothing that can be understood.
    #[error("{0}; `proxy_protocol` of the listener wants a header from this balancer")]
    Header(#[from] ReadError),
    /// The balancer does not say who its client is.
    #[error("the balancer does not say who its client is; see load balancers in config/README.md")]
    Nobody,
    /// Its client has too many connections.
    #[error("{0}")]
    Over(#[from] OverLimit),
}

impl Unknown {
    /// What its log lines are summed up under.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Untrusted => "untrusted",
            Self::Header(_) => "header",
            Self::Nobody => "nobody",
            Self::Over(over) => over.name(),
        }
    }
}

impl Origin {
    /// Finds out who is there; where balancers are configured, by their header alone.
    pub(super) async fn of(
        service: &Service,
        socket: &mut TcpStream,
        peer: SocketAddr,
        slot: &mut ConnectionSlot,
    ) -> Result<Self, Unknown> {
        let clients = &service.clients;
        if clients.proxies.is_empty() {
            return Ok(Self { client: peer, vpc: clients.vpc_behind(None) });
        }
        if !clients.proxies.iter().any(|network| network.contains(&peer.ip())) {
            return Err(Unknown::Untrusted);
        }
        let by = clock::now() + service.deadlines.handshake;
        let header = proxy_protocol::read(socket, by).await?;
        let client = match header.source {
            Some(client) => client,
            // The balancer itself, to see whether somebody is there.
            None if header.is_local => peer,
            None => return Err(Unknown::Nobody),
        };
        slot.comes_from(client.ip(), clock::now())?;
        Ok(Self { client, vpc: clients.vpc_behind(header.vpce) })
    }
}
