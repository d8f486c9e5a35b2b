//! Which keys exist, their defaults and bounds, and what contradicts what.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use super::identities::identities;
use super::listeners::{listener, networks};
use super::organization::organization;
use super::reader::Reader;
use super::users::{group, user};
use super::{
    Config, DecisionLog, Level, Limits, Lint, Log, LogAddresses, LogFormat, Origin, Otlp, Rate,
    Server, Ses, Upstream,
};
use crate::admission::AdmissionLimits;
use crate::connection::Deadlines;
use crate::identities::Account;
use crate::login::{FailureRule, GuardSettings};

/// A shorter token could be guessed.
const TOKEN_BYTES: usize = 16;

pub(super) fn config(origin: Origin, mut root: Reader<'_, '_>) -> Config {
    let (upstream, answer) = upstream(root.section("upstream"));
    let (admin, admin_token, admin_hosts) = admin(root.section("admin"));
    let server = server(root.section("server"));
    let (account, service_control_policies) = account(root.section("account"));
    let config = Config {
        origin,
        server,
        account,
        service_control_policies,
        identities: identities(root.section("identities")),
        listeners: root.sections("listeners").into_iter().map(listener).collect(),
        admin,
        admin_token,
        admin_hosts,
        users: root.sections("users").into_iter().map(user).collect(),
        groups: root.sections("groups").into_iter().map(group).collect(),
        rate: rate(root.section("rate")),
        upstream,
        answer,
        limits: limits(root.section("limits")),
        log: log(root.section("log")),
        lint: lint(root.section("lint")),
        decision_log: decision_log(root.section("decision_log")),
        otlp: otlp(&mut root),
    };
    if config.listeners.is_empty() {
        root.report("no `[[listeners]]`: nothing would take mail");
    }
    if config.identities.from_ses && !matches!(config.upstream, Upstream::Ses(_)) {
        root.report("`source = \"ses\"` in `[identities]` needs `kind = \"ses\"` in `[upstream]`");
    }
    if config.users.is_empty() {
        root.missing_list("users", "name", "no `[[users]]`: nobody may send mail");
    } else {
        references(&config, &root);
    }
    root.finish();
    config
}

/// What names another part of the file must name one that exists, once.
fn references(config: &Config, root: &Reader<'_, '_>) {
    let source = root.source();
    let names: Vec<_> = config.users.iter().map(|user| &user.name).collect();
    let groups: Vec<_> = config.groups.iter().map(|group| &group.name).collect();
    let addresses: Vec<_> = config.listeners.iter().map(|listener| &listener.address).collect();
    for (kind, list) in [("user", &names), ("group", &groups)] {
        let mut seen = HashSet::new();
        for name in list {
            if !name.value.is_empty() && !seen.insert(&name.value) {
                source.report_at(name.place, format!("{kind} `{}` is there twice", name.value));
            }
        }
    }
    for (at, address) in addresses.iter().enumerate() {
        let twice = addresses.iter().take(at).any(|earlier| earlier.value == address.value);
        if twice && address.value.port() != 0 {
            source.report_at(address.place, format!("address `{}` is there twice", address.value));
        }
    }
    if let Some(admin) = config.admin.filter(|admin| admin.port() != 0)
        && let Some(same) = addresses.iter().find(|address| address.value == admin)
    {
        source.report_at(same.place, format!("address `{admin}` is that of `[admin]` too"));
    }
    for wanted in config.users.iter().flat_map(|user| &user.groups) {
        if !groups.iter().any(|group| group.value == wanted.value) {
            source.report_at(wanted.place, format!("there is no group `{}`", wanted.value));
        }
    }
    for client in config.listeners.iter().flat_map(|listener| &listener.clients) {
        let user = &client.user.value;
        if !user.is_empty() && !names.iter().any(|name| name.value == *user) {
            source
                .report_at(client.user.place, format!("there is no user `{}`", client.user.value));
        }
    }
    if config.listeners.iter().any(|listener| listener.clients.is_empty())
        && !config.users.iter().any(|user| !user.passwords.is_empty())
    {
        root.missing_list(
            "users",
            "password_hash",
            "a listener asks for AUTH, but no user has a `password_hash`; \
             make one with `sesgate user hash-password`",
        );
    }
}

fn lint(mut table: Reader<'_, '_>) -> Lint {
    let lint = Lint { allow: table.strings("allow") };
    table.finish();
    lint
}

fn server(mut table: Reader<'_, '_>) -> Server {
    let hostname = table.string_or("hostname", "localhost");
    table.must("hostname", "be a host name", &hostname, is_hostname);
    let server = Server {
        hostname: hostname.value,
        certificate_directory: table.path("certificate_directory"),
        drain: table.seconds("drain_seconds", 25, 0..=3600),
    };
    table.finish();
    server
}

fn account(mut table: Reader<'_, '_>) -> (Account, Vec<Level>) {
    let id = table.required_or("id", "the `arn` of a user says it too");
    table.must("id", "be twelve digits in quotes", &id, |id| id.is_empty() || is_account(id));
    let region = table.required_or("region", "AWS_REGION says it too");
    let region_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_region = |region: &str| region.chars().all(region_char);
    table.must("region", "look like `eu-west-1`", &region, is_region);
    let others = ["aws-cn", "aws-us-gov"].map(|partition| (partition, partition));
    let partition = table.choice("partition", ("aws", "aws"), &others);
    let account = Account {
        id: id.value,
        region: region.value,
        partition: partition.to_owned(),
        sandbox: table.boolean("sandbox"),
        organization: organization(&mut table),
    };
    let service_control_policies = table.levels("service_control_policies");
    table.finish();
    (account, service_control_policies)
}

fn admin(mut table: Reader<'_, '_>) -> (Option<SocketAddr>, Option<[u8; 32]>, Vec<String>) {
    let enabled = table.flag("enabled", true);
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 8025));
    let what = "an IP address and a port such as `127.0.0.1:8025`";
    let address = table.parsed_or("address", what, default);
    let token = table.secret("token");
    if let Some(short) = token.as_ref().filter(|token| token.value.len() < TOKEN_BYTES) {
        table.report_at(
            short.place,
            format!("`token` must have {TOKEN_BYTES} characters or more: `openssl rand -hex 32`"),
        );
    }
    let hosts = table.strings("hosts");
    for host in &hosts {
        let what = "list host names without a port, such as `sesgate.example.com`";
        table.must("hosts", what, host, is_hostname);
    }
    table.finish();
    // The token itself is kept nowhere.
    let hash =
        token.and_then(|token| digest(&SHA256, token.value.as_bytes()).as_ref().try_into().ok());
    let hosts = hosts.into_iter().map(|host| host.value).collect();
    (enabled.then_some(address.value), hash, hosts)
}

fn upstream(mut table: Reader<'_, '_>) -> (Upstream, Duration) {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Outbox,
        Ses,
    }
    if !table.has("kind") {
        table.missing("kind", "`[upstream]` needs `kind`: `outbox` or `ses`");
    }
    let kind = table.required_choice("kind", &[("outbox", Kind::Outbox), ("ses", Kind::Ses)]);
    let directory = table.path("directory");
    let endpoint_url = table.url("endpoint_url");
    let ses = Ses {
        endpoint_url: endpoint_url.map(|url| url.value),
        calls: table.number_or("calls", 256, 1..=10_000),
        connect: table.seconds("connect_seconds", 5, 1..=30),
        finish: table.seconds("finish_seconds", 120, 1..=120),
        defer_when_paused: table.choice("when_paused", ("reject", false), &[("defer", true)]),
    };
    let answer = table.seconds("answer_seconds", 55, 1..=55);
    let upstream = match (kind, directory) {
        (Some(Kind::Ses), _) => Upstream::Ses(ses),
        (Some(Kind::Outbox), Some(directory)) => Upstream::Outbox { directory: directory.value },
        (Some(Kind::Outbox), None) => {
            table.missing("directory", "`kind = \"outbox\"` needs a `directory`");
            Upstream::Outbox { directory: "outbox".into() }
        }
        (None, _) => Upstream::Outbox { directory: "outbox".into() },
    };
    table.finish();
    (upstream, answer)
}

fn rate(mut table: Reader<'_, '_>) -> Rate {
    let rate = Rate {
        recipients_per_second: table.rate("recipients_per_second"),
        wait: table.seconds("wait_seconds", 20, 0..=50),
        ask_ses: table.flag("ask_ses", true),
    };
    table.finish();
    rate
}

fn limits(mut table: Reader<'_, '_>) -> Limits {
    let connections = table.number_or("connections", 1_000, 1..=1_000_000);
    let memory_mib = table.number("memory_mib", 8..=1_048_576);
    let message_bytes = table.number_or("message_bytes", 41_943_040, 1_024..=41_943_040);
    let admission = AdmissionLimits {
        connections,
        per_network: table.number_or("connections_per_client", 50, 0..=1_000_000),
        unauthenticated: table.number_or(
            "connections_before_login",
            connections.div_ceil(4),
            1..=1_000_000,
        ),
        per_user: table.number_or("connections_per_user", 0, 0..=1_000_000),
        per_minute: table.number_or("connections_per_minute", 300, 0..=1_000_000),
    };
    let limits = Limits {
        memory: memory_mib.map(|mib: usize| mib * 1024 * 1024),
        message_bytes,
        admission,
        messages_per_connection: table.number_or("messages_per_connection", 1_000, 1..=1_000_000),
        errors_per_connection: table.number_or("errors_per_connection", 20, 1..=1_000),
        deadlines: Deadlines {
            handshake: table.seconds("handshake_seconds", 10, 1..=600),
            login: table.seconds("login_seconds", 60, 1..=3_600),
            command: table.seconds("command_seconds", 300, 1..=3_600),
            lifetime: table.seconds("connection_seconds", 3_600, 1..=86_400),
            content: table.seconds("content_seconds", 180, 1..=3_600),
            content_total: table.seconds("content_total_seconds", 900, 1..=36_000),
            reply: table.seconds("reply_seconds", 30, 1..=600),
        },
        logins: logins(&mut table),
    };
    table.finish();
    limits
}

fn logins(table: &mut Reader<'_, '_>) -> GuardSettings {
    let queue = table.number_or("password_queue", 32, 0..=10_000);
    let of_client = table.number_or("login_failures_per_client", 10, 1..=100_000);
    let of_user = table.number_or("login_failures_per_user", 10, 1..=100_000);
    let lock = table.seconds("login_lock_seconds", 60, 1..=86_400);
    let lock_max = table.seconds("login_lock_max_seconds", 900, 1..=86_400).max(lock);
    let rule = |rule: FailureRule, failures| FailureRule { failures, lock, lock_max, ..rule };
    GuardSettings {
        queue,
        network: rule(FailureRule::NETWORK, of_client),
        user: rule(FailureRule::USER, of_user),
        trusted: networks(table, "trusted_networks"),
    }
}

fn log(mut table: Reader<'_, '_>) -> Log {
    let formats = [("json", LogFormat::Json), ("text", LogFormat::Text)];
    let levels = [
        ("error", tracing::Level::ERROR),
        ("warn", tracing::Level::WARN),
        ("debug", tracing::Level::DEBUG),
        ("trace", tracing::Level::TRACE),
    ];
    let addresses = [("domain", LogAddresses::Domain), ("hash", LogAddresses::Hash)];
    let log = Log {
        format: table.choice("format", ("auto", LogFormat::Auto), &formats),
        level: table.choice("level", ("info", tracing::Level::INFO), &levels),
        addresses: table.choice("addresses", ("full", LogAddresses::Full), &addresses),
        hash_key: table.path("hash_key_file"),
    };
    if let Some(key) = &log.hash_key
        && log.addresses != LogAddresses::Hash
    {
        table.report_at(key.place, "`hash_key_file` needs `addresses = \"hash\"`");
    }
    table.finish();
    log
}

fn decision_log(mut table: Reader<'_, '_>) -> DecisionLog {
    let log = DecisionLog {
        file: table.path("file").map(|file| file.value),
        required: table.choice("audit", ("best-effort", false), &[("required", true)]),
        sync: table.flag("sync", false),
        is_in_log: table.flag("in_log", true),
    };
    if log.file.is_none() {
        if log.required {
            table.report("`audit = \"required\"` needs a `file`");
        }
        if !log.is_in_log {
            table.report("`in_log = false` needs a `file`: there would be no decision log at all");
        }
    }
    table.finish();
    log
}

/// A build that exports nothing has no such section.
fn otlp(root: &mut Reader<'_, '_>) -> Otlp {
    let default = Otlp::default();
    let is_there = root.has("otlp");
    let mut table = root.section("otlp");
    if !cfg!(feature = "otlp") {
        if is_there {
            table.report(
                "`[otlp]` needs a build that has it: the image, or `cargo build --features otlp`",
            );
        }
        return default;
    }
    let otlp = Otlp {
        endpoint: table.url("endpoint").map(|url| url.value),
        traces: table.flag("traces", default.traces),
        logs: table.flag("logs", default.logs),
        sample_ratio: table.share("sample_ratio", default.sample_ratio),
        timeout: table.seconds("timeout_seconds", default.timeout.as_secs(), 1..=60),
        strip_traceparent: table.flag("strip_traceparent", default.strip_traceparent),
    };
    table.finish();
    otlp
}

fn is_account(id: &str) -> bool {
    id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit())
}

fn is_hostname(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}
