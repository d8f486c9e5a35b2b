//! Whom a request asks: a browser that was led to the port by a name of somebody else (DNS rebinding)
//! takes what it reads for that site's, and shows it to its pages.
//!
//! Such a request has that name in `Host`. An IP address there, or a name of the relay, is no such
//! trick.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, Version};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;

/// Whether a name, in lower case, is one of the relay.
pub type Named = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Turns requests to the routes so far away that ask somebody else.
pub(super) fn guarded(routes: Router, named: &Named) -> Router {
    let named = Arc::clone(named);
    routes.route_layer(from_fn(move |request: Request, next: Next| {
        let refused = refusal(request.uri(), request.headers(), request.version(), &*named);
        async move {
            match refused {
                Some(refused) => refused.into_response(),
                None => next.run(request).await,
            }
        }
    }))
}

type Refusal = (StatusCode, &'static str);

fn refusal(
    target: &Uri,
    headers: &HeaderMap,
    version: Version,
    named: &dyn Fn(&str) -> bool,
) -> Option<Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host.to_str().unwrap_or_default()),
        // Browsers always say one.
        (None, _) if version < Version::HTTP_11 => None,
        // RFC 9112 section 3.2.
        _ => return Some((StatusCode::BAD_REQUEST, "a request has one `Host`\n")),
    };
    // `GET http://name/status` says it too (RFC 9112 section 3.2.2).
    let said = [host, target.authority().map(Authority::as_str)];
    if said.into_iter().flatten().all(|host| is_own(host, named)) {
        return None;
    }
    Some((
        StatusCode::MISDIRECTED_REQUEST,
        "this name is none of the relay's: ask by an IP address, by `localhost` or by the `hostname` of \
         `[server]`, or add the name to `hosts` in `[admin]`\n",
    ))
}

fn is_own(host: &str, named: &dyn Fn(&str) -> bool) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if host.contains('@') {
        return false;
    }
    let name = authority.host();
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    if literal.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || named(&name)
}
