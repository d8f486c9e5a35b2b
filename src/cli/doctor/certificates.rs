//! The certificates that clients will see.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::aws::{moment, span};
use super::configuration::SOON;
use super::report::Report;
use crate::config::{Config, Listener, ListenerTls};
use crate::tls::{Made, Tls, covers};

const CHECK: &str = "certificates";

pub(super) fn check(config: &Config, now: SystemTime, report: &mut Report) {
    for listener in &config.listeners {
        let address = listener.address.value;
        match &listener.certificate {
            _ if listener.tls == ListenerTls::Off => {
                report.ok(CHECK, format!("{address}: none, since its TLS is off"));
            }
            Some(it) => files(config, listener, (&it.chain.value, &it.key.value), now, report),
            None if address.ip().is_loopback() => {
                report.ok(CHECK, format!("{address}: {}; loopback", made(config)));
            }
            None => report.warning(
                CHECK,
                format!("{address}: {}", made(config)),
                in_file(config, listener, "`certificate = \"tls.crt\"` and `key = \"tls.key\"`"),
            ),
        }
    }
}

/// What the certificate is that sesgate makes.
fn made(config: &Config) -> String {
    match &config.server.certificate_directory {
        Some(directory) => format!(
            "made by sesgate: clients must be told to trust `{}`",
            Made::file(&directory.value).display()
        ),
        None => "self-signed, made at each start: clients cannot check it".to_owned(),
    }
}

fn files(
    config: &Config,
    listener: &Listener,
    (certificate, key): (&Path, &Path),
    now: SystemTime,
    report: &mut Report,
) {
    let address = listener.address.value;
    let file = certificate.display();
    if let Err(error) = Tls::from_files(certificate, key) {
        let fix = error.look().unwrap_or_else(|| in_file(config, listener, "`certificate`, `key`"));
        return report.failed(CHECK, format!("{address}: {error}"), fix);
    }
    // Read and parsed a moment ago.
    let chain = CertificateDer::pem_file_iter(certificate).map(|it| it.flatten().collect());
    let chain: Vec<_> = chain.unwrap_or_default();
    let parsed: Vec<_> = chain.iter().flat_map(|it| X509Certificate::from_der(it)).collect();
    let (Some(first), Some((_, leaf))) = (chain.first(), parsed.first()) else {
        let seen = format!("{address}: `{file}` is not a certificate that can be read");
        return report.failed(CHECK, seen, format!("openssl x509 -noout -text -in {file}"));
    };
    let at = |seconds: i64| UNIX_EPOCH + Duration::from_secs(seconds.max(0).unsigned_abs());
    let ends = parsed.iter().map(|(_, it)| it.validity().not_after.timestamp()).min();
    let begins = parsed.iter().map(|(_, it)| it.validity().not_before.timestamp()).max();
    let (ends, begins) = (at(ends.unwrap_or_default()), at(begins.unwrap_or_default()));
    let mut is_good = true;
    let renew = format!("renew `{file}` and restart sesgate; see `openssl x509 -dates -in {file}`");
    if ends <= now {
        let seen = format!("{address}: `{file}` expired on {}", moment(ends));
        report.failed(CHECK, seen, renew);
        is_good = false;
    } else if begins > now {
        let seen = format!("{address}: `{file}` is not valid before {}", moment(begins));
        report.failed(CHECK, seen, "set the clock: `timedatectl set-ntp true`");
        is_good = false;
    } else if ends <= now + SOON {
        let left = span(ends.duration_since(now).unwrap_or_default());
        report.warning(CHECK, format!("{address}: `{file}` expires in {left}"), renew);
        is_good = false;
    }
    let hostname = &config.server.hostname;
    if !covers(first, hostname) {
        let names = names(leaf);
        let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
        let seen = format!("{address}: `{file}` is for {names}, not for `{hostname}`");
        let fix = format!(
            "{}: `[server] hostname` as clients name this host, or a certificate for `{hostname}`",
            config.origin,
        );
        report.failed(CHECK, seen, fix);
        is_good = false;
    }
    if leaf.issuer() == leaf.subject() {
        let seen = format!("{address}: `{file}` is self-signed: clients must be told to trust it");
        report.warning(CHECK, seen, "a certificate of an authority that the clients trust");
        is_good = false;
    }
    if is_good {
        let left = span(ends.duration_since(now).unwrap_or_default());
        report.ok(CHECK, format!("{address}: `{file}` for `{hostname}`, good for {left}"));
    }
}

fn in_file(config: &Config, listener: &Listener, lines: &str) -> String {
    format!("{}: {lines}", config.origin.at(listener.address.place))
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let shown = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => ip(bytes).map(|ip| ip.to_string()),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(shown).take(10).collect()
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
