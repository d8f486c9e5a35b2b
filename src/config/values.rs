//! What each part of the configuration says, checked: plain values without a check of their own. What a
//! part has settings for (`AdmissionLimits`, `Deadlines`, `GuardSettings`, `Account`) is filled in as that.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use ipnet::IpNet;

use super::{Document, Placed, Secret};
use crate::admission::AdmissionLimits;
use crate::connection::Deadlines;
use crate::login::GuardSettings;

/// Settings of the process as a whole.
#[derive(Debug, Clone)]
pub struct Server {
    /// Named in the banner, in EHLO and in a self-signed certificate.
    pub hostname: String,
    /// Where the certificate of listeners without one of their own is kept; none keeps it nowhere.
    pub certificate_directory: Option<Placed<PathBuf>>,
    /// How long transactions in flight may take after SIGTERM (decision 20).
    pub drain: Duration,
}

/// A certificate in files, both PEM.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate and those that lead to the authority.
    pub chain: Placed<PathBuf>,
    /// Its private key.
    pub key: Placed<PathBuf>,
}

/// The policies of one level, which allow what any of them allows; never empty.
pub type Level = Placed<Vec<Placed<Document>>>;

/// The SES identities of the account.
#[derive(Debug, Clone, Default)]
pub struct Identities {
    /// Whether the list is complete: then an address without identity is refused as SES would.
    pub authoritative: bool,
    /// Whether they are read from SES as well.
    pub from_ses: bool,
    /// The directory in which what SES says is kept.
    pub cache: Option<PathBuf>,
    /// The identities.
    pub known: Vec<Identity>,
    /// Identities of other accounts, whose owners let this account send from them.
    pub delegated: Vec<Delegated>,
}

/// One SES identity of another account.
#[derive(Debug, Clone)]
pub struct Delegated {
    /// Its ARN.
    pub arn: Placed<String>,
    /// The owner's sending authorization policies.
    pub policies: Vec<Placed<Document>>,
}

/// One SES identity.
#[derive(Debug, Clone)]
pub struct Identity {
    /// A domain or an address.
    pub name: Placed<String>,
    /// The configuration set that SES applies when a message names none.
    pub configuration_set: Option<String>,
    /// `aws:ResourceTag/…`.
    pub tags: Vec<(String, String)>,
    /// Sending authorization policies.
    pub policies: Vec<Placed<Document>>,
}

/// One address where mail is taken.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Address and port.
    pub address: Placed<SocketAddr>,
    /// How TLS is used.
    pub tls: ListenerTls,
    /// Absent is one made by sesgate.
    pub certificate: Option<Certificate>,
    /// AUTH without TLS, on loopback alone (decision 17).
    pub auth_in_clear: bool,
    /// Balancers whose PROXY headers say who their clients are; empty means no header.
    pub proxies: Vec<IpNet>,
    /// `aws:SourceVpc` of all clients.
    pub vpc: Option<String>,
    /// `aws:SourceVpce` of all clients.
    pub vpc_endpoint: Option<String>,
    /// Who the clients are when they do not log in; empty means AUTH.
    pub clients: Vec<ClientNetwork>,
    /// States `aws:SourceIp` for clients whose own address says nothing (decision 17).
    pub source_ip: Option<IpAddr>,
    /// States `aws:SecureTransport` (decision 17).
    pub secure_transport: Option<bool>,
    /// What happens to a line feed without a carriage return in content (decision 5).
    pub normalize_bare_lf: bool,
}

/// How a listener uses TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerTls {
    /// Starts in clear, offers STARTTLS.
    StartTls,
    /// TLS from the first byte.
    Implicit,
    /// Never TLS.
    Off,
}

/// A network of clients that speak for one user without logging in.
#[derive(Debug, Clone)]
pub struct ClientNetwork {
    /// The clients' addresses.
    pub network: IpNet,
    /// The user's name.
    pub user: Placed<String>,
}

/// One user.
#[derive(Debug, Clone)]
pub struct User {
    /// The name given to AUTH.
    pub name: Placed<String>,
    /// Password hashes that are good side by side; none for a user that listeners speak for.
    pub passwords: Vec<Password>,
    /// The ARN of the IAM user.
    pub arn: Placed<String>,
    /// `aws:userid`.
    pub user_id: Option<String>,
    /// `aws:PrincipalTag/…`.
    pub tags: Vec<(String, String)>,
    /// What its messages may say in `X-SES-` fields.
    pub x_ses: XSes,
    /// Identity policies.
    pub policies: Vec<Placed<Document>>,
    /// What is tried in place of these; none when nothing is.
    pub policies_candidate: Option<Vec<Placed<Document>>>,
    /// Names of groups.
    pub groups: Vec<Placed<String>>,
    /// The permissions boundary, when there is one.
    pub boundary: Option<Placed<Document>>,
    /// Leaves the header's recipients out of the claims (decision 6).
    pub envelope_recipients_only: bool,
    /// Recipients per second; more waits.
    pub recipients_per_second: Option<f64>,
    /// Recipients within 24 hours.
    pub recipients_per_day: Option<u64>,
    /// ARNs of identities of other accounts that its messages are sent with.
    pub delegated: Vec<Placed<String>>,
}

/// One password of a user.
#[derive(Debug, Clone)]
pub struct Password {
    /// What it is known by.
    pub secret: Placed<Secret>,
    /// The moment from which it is good no more.
    pub expires: Option<SystemTime>,
}

/// What a user's messages may say in `X-SES-` fields (decision 11).
#[derive(Debug, Clone, Default)]
pub struct XSes {
    /// Names of fields that are allowed.
    pub allow: Vec<Placed<String>>,
    /// Names of fields that are not.
    pub forbid: Vec<Placed<String>>,
    /// Fields whose values hold for every message.
    pub force: Vec<(String, Placed<String>)>,
}

/// Policies that several users share.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its name.
    pub name: Placed<String>,
    /// Identity policies.
    pub policies: Vec<Placed<Document>>,
    /// What is tried in place of these; none when nothing is.
    pub policies_candidate: Option<Vec<Placed<Document>>>,
}

/// Where permitted mail goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// A directory: one `.eml` and one `.json` per message.
    Outbox {
        /// The directory, created when it is missing.
        directory: PathBuf,
    },
    /// The SESv2 API.
    Ses(Ses),
}

/// How SES is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ses {
    /// Instead of the endpoint of the region.
    pub endpoint_url: Option<String>,
    /// Calls in flight at once.
    pub calls: usize,
    /// How long a connection to SES may take.
    pub connect: Duration,
    /// How long a call goes on after its client was answered (decision 15).
    pub finish: Duration,
    /// Answers `451` instead of `554` when SES has paused the account (decision 14).
    pub defer_when_paused: bool,
}

/// How fast mail goes to the upstream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Recipients per second; caps what SES says.
    pub recipients_per_second: Option<f64>,
    /// How long a message waits for its turn.
    pub wait: Duration,
    /// Whether rate and quota are read from SES.
    pub ask_ses: bool,
}

/// Bounds on what clients may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest content, in bytes.
    pub message_bytes: usize,
    /// Bytes of all messages in flight; none is half of what the container may have.
    pub memory: Option<usize>,
    /// How many connections there may be.
    pub admission: AdmissionLimits,
    /// Messages of one connection.
    pub messages_per_connection: u32,
    /// Errors of one connection.
    pub errors_per_connection: u32,
    /// How long each thing of a connection may take.
    pub deadlines: Deadlines,
    /// What logins are guarded by.
    pub logins: GuardSettings,
}

/// How the log looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// JSON, text, or by whether the output is a terminal.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: tracing::Level,
    /// How much of an address is shown (decision 21).
    pub addresses: LogAddresses,
    /// What hashes of addresses are keyed with; none is a key of the process.
    pub hash_key: Option<Placed<PathBuf>>,
}

/// What the linter of policies says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lint {
    /// Codes of findings that are left out.
    pub allow: Vec<Placed<String>>,
}

/// Where records of decisions go beside the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionLog {
    /// The file; none is the log alone.
    pub file: Option<PathBuf>,
    /// Whether mail is sent only when its record can be written.
    pub required: bool,
    /// Whether a record counts only once it is on the disk.
    pub sync: bool,
    /// Whether the log has the lines of all transactions as well.
    pub is_in_log: bool,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// How much of an address the log shows (decision 21).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogAddresses {
    /// The whole address.
    Full,
    /// The domain alone.
    Domain,
    /// A keyed hash, the same for the same address and key.
    Hash,
}

/// What is exported to an OpenTelemetry collector.
#[derive(Debug, Clone, PartialEq)]
pub struct Otlp {
    /// The collector's URL, without the path of a signal; none exports nothing.
    pub endpoint: Option<String>,
    /// Whether traces are exported.
    pub traces: bool,
    /// Whether log lines are.
    pub logs: bool,
    /// The share of traces that are recorded where the app does not say, from 0 to 1.
    pub sample_ratio: f64,
    /// How long the collector may take to answer.
    pub timeout: Duration,
    /// Leaves `traceparent` and `tracestate` out of what is forwarded.
    pub strip_traceparent: bool,
}

/// Nothing is exported.
impl Default for Otlp {
    fn default() -> Self {
        Self {
            endpoint: None,
            traces: true,
            logs: true,
            sample_ratio: 1.0,
            timeout: Duration::from_secs(10),
            strip_traceparent: false,
        }
    }
}
