//! The way to SES, step by step, and the clock against the date of its answer.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::DateTime;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::date_time::Format;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::report::Report;
use crate::causes::causes;
use crate::clock;
use crate::config::Config;
use crate::upstream::{self, SesSettings};

/// A clock that is off by more than this is told.
const SKEW_TOLD: u64 = 30;
/// AWS refuses signatures that are older or younger (SigV4).
const SKEW_REFUSED: u64 = 300;

/// Regions with an `email` endpoint in botocore 1.43. Used to explain a failure, never to cause one.
const REGIONS: &str = "\
    af-south-1 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 \
    ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-5 ca-central-1 ca-west-1 \
    eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-west-1 eu-west-2 eu-west-3 \
    il-central-1 me-central-1 me-south-1 sa-east-1 us-east-1 us-east-2 us-gov-east-1 \
    us-gov-west-1 us-west-1 us-west-2";

/// Reports whether SES answers, and whether the clock is right; true when it answers.
pub(super) async fn check(
    config: &Config,
    settings: &SesSettings,
    patience: Duration,
    report: &mut Report,
) -> bool {
    let file = &config.origin;
    let endpoint = match endpoint(settings).await {
        Ok(endpoint) => endpoint,
        Err(problem) => {
            report.failed("region", problem, format!("{file}: `[account] region`"));
            report.skipped("clock", "because SES was not reached");
            return false;
        }
    };
    report.progress(&format!("connecting to {}", endpoint.shown()));
    match answer(&endpoint, settings, patience).await {
        Ok((date, at)) => {
            let region = &settings.region;
            report.ok("region", format!("{region}: SES answers at {}", endpoint.shown()));
            clock(date.as_deref(), at, report);
            true
        }
        Err((problem, fix)) => {
            let fix = match unknown_region(settings) {
                Some(hint) => format!("{file}: `[account] region`: {hint}"),
                None => fix,
            };
            report.failed("region", format!("{}: {problem}", endpoint.shown()), fix);
            report.skipped("clock", "because SES was not reached");
            false
        }
    }
}

struct Endpoint {
    scheme: String,
    host: String,
    port: u16,
}

impl Endpoint {
    fn shown(&self) -> String {
        format!("{}://{}:{}", self.scheme, self.host, self.port)
    }
}

/// What the SDK would call.
async fn endpoint(settings: &SesSettings) -> Result<Endpoint, String> {
    let uri = upstream::endpoint(settings).await?;
    let scheme = uri.scheme_str().unwrap_or("https").to_owned();
    let host = uri.host().unwrap_or_default().to_owned();
    let port = uri.port_u16().unwrap_or(if scheme == "http" { 80 } else { 443 });
    Ok(Endpoint { scheme, host, port })
}

/// Names the step that fails; gives the `Date` of an answer and when it came.
async fn answer(
    endpoint: &Endpoint,
    settings: &SesSettings,
    patience: Duration,
) -> Result<(Option<String>, SystemTime), (String, String)> {
    let host = endpoint.host.trim_matches(['[', ']']);
    let late = || io::Error::from(io::ErrorKind::TimedOut);
    let found = timeout(patience, lookup_host((host, endpoint.port))).await;
    let addresses: Vec<SocketAddr> = match found.unwrap_or_else(|_| Err(late())) {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            let fix = format!("`getent hosts {host}`; see /etc/resolv.conf and the VPC's DNS");
            return Err((format!("DNS: no address for `{host}`: {error}"), fix));
        }
    };
    let connected = timeout(settings.connect, connect(&addresses)).await;
    if let Err(error) = connected.unwrap_or_else(|_| Err(late())) {
        let problem = format!("connect: {error}");
        let fix = format!(
            "`nc -vz {host} {}`: open the way out in the security group, network ACL or firewall, \
             or make a VPC endpoint for SES and name it in `endpoint_url`",
            endpoint.port,
        );
        return Err((problem, fix));
    }
    let step = if endpoint.scheme == "https" { "TLS" } else { "HTTP" };
    let fix = || match step {
        "TLS" => format!(
            "`openssl s_client -connect {host}:{0} -servername {host}`: install the authority's \
             certificates (Debian: ca-certificates) or take away what intercepts TLS",
            endpoint.port,
        ),
        _ => format!("`curl -v {}`: is this SES?", endpoint.shown()),
    };
    let connector =
        Connector::builder().tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc)).build();
    let mut request = HttpRequest::new(SdkBody::empty());
    // Without a signature: the answer is a refusal, and has a date.
    if request.set_uri(format!("{}/v2/email/account", endpoint.shown())).is_err() {
        return Err((format!("{step}: this is no URL"), fix()));
    }
    match timeout(patience, connector.call(request)).await {
        Ok(Ok(response)) => {
            let at = clock::time_of_day();
            Ok((response.headers().get("date").map(str::to_owned), at))
        }
        Ok(Err(error)) => Err((format!("{step}: {}", causes(&error)), fix())),
        Err(_) => Err((format!("{step}: no answer within {patience:?}"), fix())),
    }
}

async fn connect(addresses: &[SocketAddr]) -> io::Result<()> {
    let mut last = io::Error::other("no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn unknown_region(settings: &SesSettings) -> Option<String> {
    let region = settings.region.as_str();
    if settings.endpoint_url.is_some() || REGIONS.split(' ').any(|it| it == region) {
        return None;
    }
    let near = REGIONS.split(' ').min_by_key(|it| strsim::damerau_levenshtein(it, region));
    let near = near.filter(|it| strsim::damerau_levenshtein(it, region) <= 3);
    Some(match near {
        Some(near) => format!("SES is not known in `{region}`; did you mean `{near}`?"),
        None => format!("SES is not known in `{region}`; it is in {}", REGIONS.replace(' ', ", ")),
    })
}

fn clock(date: Option<&str>, at: SystemTime, report: &mut Report) {
    let date = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
    let Some(date) = date else {
        return report.skipped("clock", "because the answer has no date");
    };
    let off = DateTime::from(at).secs() - date.secs();
    let (size, side) = (off.unsigned_abs(), if off < 0 { "behind" } else { "ahead of" });
    let seen = format!("{size} s {side} SES");
    let fix =
        "`timedatectl set-ntp true`, or start chronyd; in a container the host's clock counts";
    if size > SKEW_REFUSED {
        let seen = format!("{seen}: AWS refuses signatures that are more than 5 minutes off");
        report.failed("clock", seen, fix);
    } else if size > SKEW_TOLD {
        report.warning("clock", seen, fix);
    } else {
        report.ok("clock", seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_region_is_one_word_of_three_parts() {
        let is_region = |it: &&str| {
            let parts: Vec<_> = it.trim_start_matches("us-gov-").split('-').collect();
            parts.iter().all(|part| !part.is_empty()) && it.ends_with(|c: char| c.is_ascii_digit())
        };
        assert_eq!(REGIONS.split(' ').filter(is_region).count(), REGIONS.split(' ').count());
        assert_eq!(REGIONS.split(' ').count(), 29);
    }
}
