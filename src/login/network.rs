//! The networks that limits and turns are counted by.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// What one client can pick its addresses from: an IPv4 address, an IPv6 /64, or loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Network(IpNet);

impl Network {
    /// The network of a peer. IPv4-mapped addresses are IPv4 (decision 8).
    pub(super) fn of(peer: IpAddr) -> Self {
        let peer = peer.to_canonical();
        // A local process may connect from any of 16 million loopback addresses.
        let (address, length) = match peer {
            _ if peer.is_loopback() => (IpAddr::from([127, 0, 0, 0]), 8),
            IpAddr::V4(_) => (peer, 32),
            IpAddr::V6(_) => (peer, 64),
        };
        Self(prefix(address, length))
    }

    pub(super) fn is_loopback(self) -> bool {
        self.0.addr().is_loopback()
    }

    /// Whether it is within one of the networks.
    pub(super) fn is_within(self, networks: &[IpNet]) -> bool {
        networks.iter().any(|network| network.contains(&self.0))
    }

    /// About what a customer is given, which an app stays within when it starts anew.
    pub(super) fn customer(self) -> IpNet {
        let [_, customer, _] = self.path();
        customer
    }

    /// The network and those around it, widest first: about what a provider, a customer and a
    /// site are given, so that whoever holds many networks counts as one among others.
    pub(super) fn path(self) -> [IpNet; 3] {
        let lengths = match self.0 {
            _ if self.is_loopback() => [8, 8, 8],
            IpNet::V4(_) => [16, 24, 32],
            IpNet::V6(_) => [32, 48, 64],
        };
        lengths.map(|length| prefix(self.0.addr(), length))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpNet::V4(network) if network.prefix_len() == 32 => network.addr().fmt(f),
            network => network.fmt(f),
        }
    }
}

fn prefix(address: IpAddr, length: u8) -> IpNet {
    IpNet::new(address, length).map_or_else(|_| address.into(), |network| network.trunc())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn network(peer: &str) -> Network {
        Network::of(peer.parse().unwrap())
    }

    #[test]
    fn what_one_client_can_choose_from_is_one_network() {
        let cases = [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("127.0.0.1", "127.0.0.0/8"),
            ("127.9.9.9", "127.0.0.0/8"),
            ("::ffff:127.0.0.2", "127.0.0.0/8"),
            ("::1", "127.0.0.0/8"),
            ("::2", "::/64"),
        ];
        for (peer, expected) in cases {
            assert_eq!(network(peer).to_string(), expected, "{peer}");
        }
    }

    #[test]
    fn a_network_is_trusted_when_the_whole_of_it_is() {
        let trusted: Vec<IpNet> =
            ["10.0.0.0/8", "2001:db8:1::/48"].map(|network| network.parse().unwrap()).into();
        for (peer, expected) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("11.1.2.3", false),
            ("2001:db8:1:ffff::1", true),
            ("2001:db8:2::1", false),
        ] {
            assert_eq!(network(peer).is_within(&trusted), expected, "{peer}");
        }
    }
}
