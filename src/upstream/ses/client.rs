//! How the SESv2 API is reached: endpoint, TLS, credentials, patience.

use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::retry::RetryConfig;
use aws_sdk_sesv2::config::timeout::TimeoutConfig;
use aws_sdk_sesv2::config::{
    BehaviorVersion, Config, IdentityCache, ProvideCredentials, Region,
    StalledStreamProtectionConfig,
};
use aws_smithy_http_client::Builder as HttpClient;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};

use super::SesSettings;

/// How long a connection to SES is kept without use.
const IDLE: Duration = Duration::from_secs(20);
/// Attempts of one call, the first included.
const ATTEMPTS: u32 = 3;

/// Returns the default credential chain: environment, profile, web identity, container, IMDS.
pub async fn credential_chain(region: &str) -> SharedCredentialsProvider {
    let chain = aws_config::default_provider::credentials::DefaultCredentialsChain::builder()
        .region(Region::new(region.to_owned()))
        .build()
        .await;
    SharedCredentialsProvider::new(chain)
}

/// Returns a client of the SESv2 API; nothing is sent yet.
///
/// Credentials are asked for at each call: `credentials` remembers them, or not.
#[must_use]
pub fn client(settings: &SesSettings, credentials: impl ProvideCredentials + 'static) -> Client {
    // Shorter than SES keeps an idle connection: one that closes as a request goes out leaves a
    // doubt about the message.
    let http = HttpClient::new()
        .pool_idle_timeout(IDLE)
        .tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc))
        .build_https();
    let mut config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(settings.region.clone()))
        .http_client(http)
        .credentials_provider(credentials)
        .identity_cache(IdentityCache::no_cache())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(settings.connect).build())
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(ATTEMPTS)
                .with_initial_backoff(Duration::from_millis(500))
                .with_max_backoff(Duration::from_secs(4)),
        );
    config.set_endpoint_url(settings.endpoint_url.clone());
    Client::from_conf(config.build())
}
