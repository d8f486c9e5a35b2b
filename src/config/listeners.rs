//! Listeners: where mail is taken, and for whom (decision 17).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::reader::Reader;
use super::{Certificate, ClientNetwork, Listener, ListenerTls, Placed};

pub(super) fn listener(mut table: Reader<'_, '_>) -> Listener {
    if !table.has("address") {
        table.missing(
            "address",
            "`address` is missing in `listeners`; write for example `127.0.0.1:2525`",
        );
    }
    let address = table
        .parsed::<SocketAddr>("address", "an IP address and a port such as `127.0.0.1:2525`")
        .unwrap_or(Placed {
            value: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            place: table.place(),
        });
    let others = [("implicit", ListenerTls::Implicit), ("off", ListenerTls::Off)];
    let tls = table.choice("tls", ("starttls", ListenerTls::StartTls), &others);
    let certificate = match (table.path("certificate"), table.path("key")) {
        (Some(chain), Some(key)) => Some(Certificate { chain, key }),
        (None, None) => None,
        (Some(only), None) => {
            table.report_at(only.place, "`certificate` needs a `key` beside it");
            None
        }
        (None, Some(only)) => {
            table.report_at(only.place, "`key` needs a `certificate` beside it");
            None
        }
    };
    let auth_in_clear = table.flag("auth_in_clear", false);
    let listener = Listener {
        proxies: networks(&mut table, "proxy_protocol"),
        vpc: vpc(&mut table, "vpc", "vpc-"),
        vpc_endpoint: vpc(&mut table, "vpc_endpoint", "vpce-"),
        clients: clients(&mut table, &address),
        address,
        tls,
        certificate,
        auth_in_clear,
        source_ip: table
            .parsed::<IpAddr>("source_ip", "an IP address")
            .map(|address| address.value),
        secure_transport: table.boolean("secure_transport"),
        normalize_bare_lf: table.choice("bare_lf", ("refuse", false), &[("normalize", true)]),
    };
    let loopback = listener.address.value.ip().is_loopback();
    if auth_in_clear && !loopback {
        table.report("`auth_in_clear` is possible on a loopback address alone");
    }
    if tls == ListenerTls::Off && listener.clients.is_empty() && !auth_in_clear {
        table.report(
            "with `tls = \"off\"` nobody could log in; offer TLS, or on loopback set \
             `auth_in_clear = true`, or name a `user`",
        );
    }
    if tls == ListenerTls::Off && listener.certificate.is_some() {
        table.report("`certificate` has no use with `tls = \"off\"`");
    }
    table.finish();
    listener
}

/// Networks whose word counts, or that many clients share.
pub(super) fn networks(table: &mut Reader<'_, '_>, key: &'static str) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for name in table.strings(key) {
        match name.value.parse::<IpNet>() {
            Ok(network) if network.trunc() != network => {
                table.report_at(name.place, bits_behind(network));
            }
            Ok(network) if is_nearly_everybody(network) => table.report_at(
                name.place,
                "so large a network is nearly everybody; name networks of your own, at most a /8 \
                 (IPv4) or a /16 (IPv6)",
            ),
            Ok(network) => networks.push(network),
            Err(_) => table.report_at(
                name.place,
                format!("`{key}` must list networks such as `10.0.0.0/8`, not `{}`", name.value),
            ),
        }
    }
    networks
}

/// The id of a VPC or of its endpoint.
fn vpc(table: &mut Reader<'_, '_>, key: &'static str, prefix: &str) -> Option<String> {
    let id = table.string(key)?;
    table.must(key, &format!("look like `{prefix}0123456789abcdef0`"), &id, |id| {
        let digits = id.strip_prefix(prefix).unwrap_or_default();
        (8..=32).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    });
    Some(id.value)
}

/// Whom a listener without AUTH speaks for (decision 17).
fn clients(table: &mut Reader<'_, '_>, address: &Placed<SocketAddr>) -> Vec<ClientNetwork> {
    let mut clients: Vec<ClientNetwork> = Vec::new();
    for client in table.sections("clients").into_iter().filter_map(client) {
        if clients.iter().any(|earlier| earlier.network == client.network) {
            let message = format!("network `{}` is there twice", client.network);
            table.report_at(client.user.place, message);
        }
        clients.push(client);
    }
    if let Some(user) = table.string("user") {
        if !clients.is_empty() {
            table.report_at(user.place, "write `user` or `clients`, not both");
        } else if address.value.ip().is_loopback() {
            let networks = [
                IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
                IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
            ];
            clients.extend(networks.map(|network| ClientNetwork { network, user: user.clone() }));
        } else {
            table.report_at(
                user.place,
                "a listener that is not on loopback and speaks for a user would be an open relay; \
                 name the `clients`, each network with its user",
            );
        }
    }
    clients
}

fn client(mut table: Reader<'_, '_>) -> Option<ClientNetwork> {
    let user = table.required("user");
    let network = table.required("network");
    let parsed = network.value.parse::<IpNet>().ok();
    let note = |message: String| table.report_at(network.place, message);
    match parsed {
        None if network.value.is_empty() => {}
        None => note(format!("`network` must look like `10.0.0.0/8`, not `{}`", network.value)),
        Some(parsed) if parsed.trunc() != parsed => note(bits_behind(parsed)),
        Some(IpNet::V6(v6)) if v6.addr().to_ipv4_mapped().is_some() => {
            note("IPv4 clients are matched as IPv4; write the network as such".to_owned());
        }
        Some(parsed) if is_nearly_everybody(parsed) => note(
            "so large a network would be an open relay; name the clients' networks, at most a /8 \
             (IPv4) or a /16 (IPv6)"
                .to_owned(),
        ),
        Some(_) => {}
    }
    table.finish();
    Some(ClientNetwork { network: parsed?, user })
}

fn bits_behind(network: IpNet) -> String {
    format!("`{network}` has bits behind its prefix; write `{}`", network.trunc())
}

fn is_nearly_everybody(network: IpNet) -> bool {
    match network {
        IpNet::V4(network) => network.prefix_len() < 8,
        IpNet::V6(network) => network.prefix_len() < 16,
    }
}
