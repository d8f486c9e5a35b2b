//! The client that asks: through which listener it comes, as which user, and what policies see of it,
//! as the running relay would have it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use crate::authorize::{Client, Clients, Connected};
use crate::config::{Config, Listener, ListenerTls};
use crate::gateway;
use crate::policy::{Policy, PolicyKind};
use crate::principals::Principal;

/// Which client is meant.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Wanted {
    /// The user of the relay. Default: the one for whom the listener speaks, or the only one.
    #[arg(long)]
    pub(super) user: Option<String>,
    /// The listener that the client comes through, by its address or port. What it states of its
    /// clients counts. Default: the first that takes the user.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) listener: Option<String>,
    /// The client's address. Default: one that the listener takes, such as 127.0.0.1.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) source_ip: Option<IpAddr>,
    /// The endpoint of a VPC that a PROXY header names.
    #[arg(long, value_name = "VPCE")]
    pub(super) vpc_endpoint: Option<String>,
    /// The client has no TLS, on a listener that offers it.
    #[arg(long)]
    pub(super) no_tls: bool,
}

impl Wanted {
    /// Whether user or listener are named, and with them who asks.
    pub(super) fn names_somebody(&self) -> bool {
        self.user.is_some() || self.listener.is_some()
    }
}

/// The client, and what there is to say about how it was found.
pub(super) struct Asker {
    pub(super) client: Client,
    /// The listener that it comes through; none takes the user where that is empty.
    pub(super) listener: String,
    /// What of it the listener states, or was assumed.
    remarks: Vec<String>,
    /// What of it could be otherwise, each with the option that says it.
    pub(super) assumed: Vec<String>,
}

impl Asker {
    /// Finds the client that the command line describes.
    ///
    /// # Errors
    /// When the relay would not take such a client, with why and what to say instead.
    pub(super) fn find(
        wanted: &Wanted,
        config: &Config,
        users: &[Principal],
    ) -> Result<Self, String> {
        let listener = match &wanted.listener {
            Some(name) => Some(named(config, name)?),
            None => None,
        };
        let name = user_name(wanted, config, listener)?;
        let principal = users.iter().find(|user| user.name == name);
        let principal =
            principal.ok_or_else(|| format!("there is no user `{name}` in the configuration"))?;
        let mut asker = match listener {
            Some(listener) => Self::through(wanted, config, listener, principal)
                .map_err(|problem| format!("listener {}: {problem}", gateway::name(listener)))?,
            None => Self::anywhere(wanted, config, principal)?,
        };
        if listener.is_none() && !asker.listener.is_empty() {
            let first = format!(
                "it connects to {}, the first listener that takes `{name}`: --listener",
                asker.listener
            );
            asker.assumed.insert(0, first);
        }
        if wanted.user.is_none() {
            asker.assumed.insert(0, format!("the client is `{name}`, the only user: --user"));
        }
        Ok(asker)
    }

    /// Through the first listener that takes the user.
    fn anywhere(wanted: &Wanted, config: &Config, principal: &Principal) -> Result<Self, String> {
        let mut found: Option<Self> = None;
        let mut problem = None;
        for listener in &config.listeners {
            match Self::through(wanted, config, listener, principal) {
                Ok(other) => match &mut found {
                    None => found = Some(other),
                    Some(first) => {
                        if !first.looks_like(&other) {
                            first.remarks.push(format!(
                                "listener {0} takes `{1}` too, and policies see another client there: \
                                 --listener {0}",
                                other.listener, principal.name
                            ));
                        }
                    }
                },
                Err(reason) if takes(config, listener, &principal.name) => problem = Some(reason),
                Err(_) => {}
            }
        }
        match (found, problem) {
            (Some(found), _) => Ok(found),
            (None, Some(problem)) => Err(problem),
            (None, None) => Ok(Self::nowhere(wanted, principal)),
        }
    }

    /// Without a listener: what the command line says is what policies see.
    pub(super) fn nowhere(wanted: &Wanted, principal: &Principal) -> Self {
        let ip = wanted.source_ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)).to_canonical();
        let connected = Connected {
            client: (ip, 0).into(),
            vpc: None,
            listener: "".into(),
            is_tls: !wanted.no_tls,
            tls: None,
        };
        let client = Clients::default().client(Arc::new(principal.clone()), None, connected);
        let remarks = vec![format!(
            "no listener of the configuration takes `{}`: the client is what the command line says",
            principal.name
        )];
        let mut assumed = Vec::new();
        if wanted.source_ip.is_none() {
            assumed.push(format!("it connects from {ip}: --source-ip"));
        }
        if !wanted.no_tls {
            assumed.push("it has TLS: --no-tls".to_owned());
        }
        Self { client, listener: String::new(), remarks, assumed }
    }

    fn through(
        wanted: &Wanted,
        config: &Config,
        listener: &Listener,
        principal: &Principal,
    ) -> Result<Self, String> {
        let (clients, user) = (gateway::clients(listener), principal.name.as_str());
        if !takes(config, listener, user) {
            return Err(match speaks_for(&clients).as_slice() {
                [] => format!("`{user}` has no password, and cannot log in"),
                users => format!("it speaks for {}, not for `{user}`", listed(users)),
            });
        }
        let (mut remarks, mut assumed) = (Vec::new(), Vec::new());
        let ip = match wanted.source_ip {
            Some(ip) => ip.to_canonical(),
            None => {
                let (ip, is_sure) = likely_address(&clients, listener, user);
                if clients.source_ip.is_none() {
                    assumed.push(format!("it connects from {ip}: --source-ip"));
                    if !is_sure {
                        remarks.push(format!(
                            "{ip} is assumed to be the client's address: say --source-ip"
                        ));
                    }
                }
                ip
            }
        };
        match clients.user(ip) {
            Ok(None) => {}
            Ok(Some(other)) if other == user => {}
            Ok(Some(other)) => return Err(format!("a client from {ip} speaks for `{other}`")),
            Err(_) => return Err(format!("`clients` names no network of {ip}")),
        }
        if let (Some(given), Some(stated)) = (wanted.source_ip, clients.source_ip) {
            remarks.push(format!(
                "policies see {stated}, the `source_ip` that the listener states, and not {given}"
            ));
        }
        if wanted.vpc_endpoint.is_some() && clients.proxies.is_empty() {
            return Err("only a PROXY header names an endpoint of a VPC, and it takes none; \
                        `vpc_endpoint` of the listener states one"
                .to_owned());
        }
        let is_tls = is_tls(listener, &clients, ip, wanted.no_tls)?;
        let may_be_in_clear = is_tls && self::is_tls(listener, &clients, ip, true) == Ok(false);
        if may_be_in_clear && clients.secure_transport.is_none() {
            assumed.push("it has TLS, which the listener offers: --no-tls".to_owned());
        }
        if wanted.vpc_endpoint.is_none() && !clients.proxies.is_empty() {
            assumed.push("its PROXY header names no endpoint of a VPC: --vpc-endpoint".to_owned());
        }
        let connected = Connected {
            client: (ip, 0).into(),
            vpc: clients.vpc_behind(wanted.vpc_endpoint.clone()),
            listener: gateway::name(listener).into(),
            is_tls,
            tls: None,
        };
        if clients.secure_transport.is_some_and(|stated| stated != connected.is_tls) {
            remarks.push("`secure_transport` is what the listener states".to_owned());
        }
        let client = clients.client(Arc::new(principal.clone()), None, connected);
        Ok(Self { client, listener: gateway::name(listener), remarks, assumed })
    }

    fn looks_like(&self, other: &Self) -> bool {
        let (one, other) = (&self.client, &other.client);
        (one.source_ip, &one.vpc, one.secure_transport)
            == (other.source_ip, &other.vpc, other.secure_transport)
    }

    /// One line about the client, and remarks.
    pub(super) fn lines(&self) -> Vec<String> {
        let client = &self.client;
        let key = if client.vpc.is_some() { "aws:VpcSourceIp" } else { "aws:SourceIp" };
        let mut seen = vec![format!("{key} {}", client.source_ip)];
        if let Some(vpc) = &client.vpc {
            seen.extend(vpc.id.iter().map(|id| format!("aws:SourceVpc {id}")));
            seen.extend(vpc.endpoint.iter().map(|endpoint| format!("aws:SourceVpce {endpoint}")));
        }
        seen.push(format!("aws:SecureTransport {}", client.secure_transport));
        let user = &client.principal.name;
        let whose = match self.listener.as_str() {
            "" => format!("user {user}"),
            listener => format!("user {user}, listener {listener}"),
        };
        let line = format!("{whose}: {}", seen.join(", "));
        std::iter::once(line).chain(self.remarks.iter().cloned()).collect()
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "user": self.client.principal.name,
            "listener": Some(&self.listener).filter(|name| !name.is_empty()),
            "remarks": self.remarks,
        })
    }
}

/// Whether a configuration with mistakes says enough to decide about this user's mail: whose account
/// it is, and every policy that counts; where its identity policies are `replaced`, all others.
pub(super) fn is_enough(config: &Config, principal: &Principal, replaced: bool) -> bool {
    let user = config.users.iter().find(|user| user.name.value == principal.name);
    let groups: Vec<_> =
        user.into_iter().flat_map(|user| &user.groups).map(|name| name.value.as_str()).collect();
    let counts = |used: &gateway::Used<'_>| match used.by {
        gateway::By::All => true,
        _ if replaced && used.kind == PolicyKind::Identity => false,
        by => user.is_some_and(|user| by.counts_for(user)),
    };
    let is_readable = |used: &gateway::Used<'_>| {
        let text = used.document.value.read();
        text.is_ok_and(|text| Policy::parse(used.kind, "", &text).is_ok())
    };
    let known = config.groups.iter().map(|group| group.name.value.as_str());
    let known: Vec<_> = known.collect();
    ![&config.account.id, &config.account.region, &principal.account].iter().any(|it| it.is_empty())
        && groups.iter().all(|group| known.contains(group))
        && gateway::documents(config).iter().filter(|used| counts(used)).all(is_readable)
}

/// The listener of that address, or of that port.
fn named<'c>(config: &'c Config, name: &str) -> Result<&'c Listener, String> {
    let port = |it: &Listener| it.address.value.port().to_string();
    let of_name = |it: &&Listener| gateway::name(it) == name || port(it) == name.trim_matches(':');
    let found: Vec<_> = config.listeners.iter().filter(of_name).collect();
    let all: Vec<_> = config.listeners.iter().map(gateway::name).collect();
    match found.as_slice() {
        [listener] => Ok(listener),
        [] => Err(format!("there is no listener `{name}`; there are {}", listed(&all))),
        _ => Err(format!("`{name}` is the port of several listeners: {}", listed(&all))),
    }
}

/// The user that is meant: the one that was named, else the only one.
fn user_name(
    wanted: &Wanted,
    config: &Config,
    listener: Option<&Listener>,
) -> Result<String, String> {
    if let Some(user) = &wanted.user {
        return Ok(user.clone());
    }
    let clients = listener.map(gateway::clients).unwrap_or_default();
    if let (Some(ip), false) = (wanted.source_ip, clients.speaks_for.is_empty()) {
        let user = clients.user(ip.to_canonical());
        let user =
            user.map_err(|_| format!("`clients` of the listener names no network of {ip}"))?;
        return Ok(user.unwrap_or_default().to_owned());
    }
    let users = match speaks_for(&clients) {
        users if users.is_empty() => config.users.iter().map(|it| it.name.value.clone()).collect(),
        users => users,
    };
    match users.as_slice() {
        [user] => Ok(user.clone()),
        [] => Err("there is no user in the configuration".to_owned()),
        users => Err(format!("say --user, one of {}", listed(users))),
    }
}

/// The users that a listener without AUTH speaks for, each once.
fn speaks_for(clients: &Clients) -> Vec<String> {
    let mut users: Vec<String> = Vec::new();
    for (_, user) in &clients.speaks_for {
        if !users.contains(user) {
            users.push(user.clone());
        }
    }
    users
}

/// Whether a client can be this user on a listener.
fn takes(config: &Config, listener: &Listener, user: &str) -> bool {
    if listener.clients.is_empty() {
        let is_it = |it: &&crate::config::User| it.name.value == user;
        return config.users.iter().find(is_it).is_some_and(|it| !it.passwords.is_empty());
    }
    listener.clients.iter().any(|client| client.user.value == user)
}

/// Where a client most probably comes from, and whether nothing else is likely.
fn likely_address(clients: &Clients, listener: &Listener, user: &str) -> (IpAddr, bool) {
    let address = listener.address.value.ip();
    if address.is_loopback() && clients.proxies.is_empty() {
        return (address, true);
    }
    let theirs = clients.speaks_for.iter().filter(|(_, name)| name == user);
    let mut hosts = theirs.filter_map(|(network, _)| network.hosts().next());
    let likely = hosts.find(|host| clients.user(*host) == Ok(Some(user)));
    (likely.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), false)
}

fn is_tls(
    listener: &Listener,
    clients: &Clients,
    ip: IpAddr,
    no_tls: bool,
) -> Result<bool, String> {
    match (listener.tls, no_tls) {
        (ListenerTls::Off, _) => Ok(false),
        (_, false) => Ok(true),
        (ListenerTls::Implicit, true) => Err("it has TLS from the first byte".to_owned()),
        (ListenerTls::StartTls, true) => {
            let in_clear = listener.auth_in_clear && ip.is_loopback();
            if clients.speaks_for.is_empty() && !in_clear {
                return Err("nobody can log in without TLS".to_owned());
            }
            Ok(false)
        }
    }
}

fn listed(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
