//! What a listener says of its clients (decisions 8 and 17): for whom they speak, and what policies
//! see of them in place of the connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

use super::{Client, Vpc};
use crate::principals::{Matched, Principal};

/// What a listener says of its clients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clients {
    /// The name of the user for whom they speak, by client network; empty means AUTH.
    pub speaks_for: Vec<(IpNet, String)>,
    /// Balancers that say in a PROXY header who their client is; empty means no header.
    pub proxies: Vec<IpNet>,
    /// The VPC that they come through.
    pub vpc: Option<Vpc>,
    /// Instead of the client's address.
    pub source_ip: Option<IpAddr>,
    /// Instead of the connection's state.
    pub secure_transport: Option<bool>,
}

/// No network of the listener's clients holds the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotNamed;

/// A connection, as far as it tells of the client.
#[derive(Debug, Clone)]
pub struct Connected {
    /// The client's address: the socket's peer, or whom the balancer names; never IPv4-mapped.
    pub client: SocketAddr,
    /// The VPC that it came through, by [`Clients::vpc_behind`].
    pub vpc: Option<Vpc>,
    /// The listener, as the log names it.
    pub listener: Arc<str>,
    /// Whether it is under TLS.
    pub is_tls: bool,
    /// The version of TLS, if that is known.
    pub tls: Option<&'static str>,
}

impl Clients {
    /// For whom the listener speaks when this client connects; nobody on a listener with AUTH.
    ///
    /// # Errors
    /// When it speaks for clients of other networks alone.
    pub fn user(&self, client: IpAddr) -> Result<Option<&str>, NotNamed> {
        if self.speaks_for.is_empty() {
            return Ok(None);
        }
        let narrowest = self
            .speaks_for
            .iter()
            .filter(|(network, _)| network.contains(&client))
            .max_by_key(|(network, _)| network.prefix_len());
        narrowest.map(|(_, user)| Some(user.as_str())).ok_or(NotNamed)
    }

    /// The VPC of a client whose PROXY header names an endpoint, or none.
    #[must_use]
    pub fn vpc_behind(&self, endpoint: Option<String>) -> Option<Vpc> {
        let Some(endpoint) = endpoint else { return self.vpc.clone() };
        // What is stated of one endpoint says nothing of another.
        let same = |vpc: &&Vpc| vpc.endpoint.as_ref().is_none_or(|it| *it == endpoint);
        let id = self.vpc.as_ref().filter(same).and_then(|vpc| vpc.id.clone());
        Some(Vpc { endpoint: Some(endpoint), id })
    }

    /// Whom the messages of a connection are from, as policies see it.
    #[must_use]
    pub fn client(
        &self,
        principal: Arc<Principal>,
        password: Option<Matched>,
        connected: Connected,
    ) -> Client {
        Client {
            principal,
            password,
            peer: connected.client,
            source_ip: self.source_ip.unwrap_or(connected.client.ip()),
            vpc: connected.vpc,
            secure_transport: self.secure_transport.unwrap_or(connected.is_tls),
            listener: connected.listener,
            tls: connected.tls,
        }
    }
}
