//! How the SESv2 API is reached: connections and TLS for all calls, and the SDK's client for all but
//! `SendEmail`.

use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use aws_sdk_sesv2::config::retry::RetryConfig;
use aws_sdk_sesv2::config::{
    BehaviorVersion, Config, IdentityCache, ProvideCredentials, Region,
    StalledStreamProtectionConfig,
};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpConnector, http_client_fn,
};
use axum::http::Uri;

use super::SesSettings;
use crate::causes::causes;

/// How long a connection to SES is kept without use.
const IDLE: Duration = Duration::from_secs(20);
/// Attempts of one call, the first included.
pub(super) const ATTEMPTS: u32 = 3;
/// The longest pause before the second attempt; twice that before the third.
pub(super) const BACKOFF: Duration = Duration::from_millis(500);

/// Returns the default credential chain: environment, profile, web identity, container, IMDS.
pub async fn credential_chain(region: &str) -> SharedCredentialsProvider {
    let chain = aws_config::default_provider::credentials::DefaultCredentialsChain::builder()
        .region(Region::new(region.to_owned()))
        .build()
        .await;
    SharedCredentialsProvider::new(chain)
}

/// Returns where the SESv2 API is, by the SDK's rules for endpoints.
///
/// # Errors
/// What is wrong with the region or the configured endpoint.
pub async fn endpoint(settings: &SesSettings) -> Result<Uri, String> {
    let parameters = Params::builder()
        .region(settings.region.clone())
        .set_endpoint(settings.endpoint_url.clone())
        .build()
        .map_err(|error| error.to_string())?;
    let resolved = DefaultResolver::new().resolve_endpoint(&parameters).await;
    let endpoint = resolved.map_err(|error| causes(&*error))?;
    let uri = endpoint.url().parse::<Uri>().ok();
    uri.filter(|uri| uri.scheme().is_some() && uri.host().is_some())
        .ok_or_else(|| "`endpoint_url` cannot be used: write `https://HOST[:PORT]`".to_owned())
}

/// Returns a pool of connections; none is open yet.
pub(super) fn connector(settings: &SesSettings) -> SharedHttpConnector {
    let patience = HttpConnectorSettings::builder().connect_timeout(settings.connect).build();
    let connector = Connector::builder()
        .connector_settings(patience)
        // Shorter than SES keeps an idle connection: one that closes as a request goes out leaves a
        // doubt about the message.
        .pool_idle_timeout(IDLE)
        .tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc))
        .build();
    SharedHttpConnector::new(connector)
}

/// Returns a client of the SESv2 API; nothing is sent yet.
///
/// Credentials are asked for at each call: `credentials` remembers them, or not.
#[must_use]
pub fn client(settings: &SesSettings, credentials: impl ProvideCredentials + 'static) -> Client {
    client_on(connector(settings), settings, credentials)
}

/// Returns a client of the SESv2 API over these connections.
pub(super) fn client_on(
    connector: SharedHttpConnector,
    settings: &SesSettings,
    credentials: impl ProvideCredentials + 'static,
) -> Client {
    let mut config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(settings.region.clone()))
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .credentials_provider(credentials)
        .identity_cache(IdentityCache::no_cache())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(ATTEMPTS)
                .with_initial_backoff(BACKOFF)
                .with_max_backoff(8 * BACKOFF),
        );
    config.set_endpoint_url(settings.endpoint_url.clone());
    Client::from_conf(config.build())
}
