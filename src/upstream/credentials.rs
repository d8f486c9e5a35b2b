//! The relay's own AWS credentials: cached until they expire, or until SES says that they have.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as Provide;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use tokio::sync::Mutex;

/// Credentials are renewed this long before they expire.
const MARGIN: Duration = Duration::from_secs(60);

/// A provider that can be told that its credentials are no longer good.
#[derive(Debug, Clone)]
pub(super) struct Refreshing {
    inner: SharedCredentialsProvider,
    cached: Arc<Mutex<Option<Credentials>>>,
}

impl Refreshing {
    pub(super) fn new(inner: SharedCredentialsProvider) -> Self {
        Self { inner, cached: Arc::default() }
    }

    /// Forgets what is cached: the next call asks the provider again.
    pub(super) fn refresh(&self) {
        // Held only by a caller that is renewing them just now.
        if let Ok(mut cached) = self.cached.try_lock() {
            *cached = None;
        }
    }

    async fn current(&self) -> Result<Credentials, CredentialsError> {
        let mut cached = self.cached.lock().await;
        if let Some(credentials) = cached.as_ref().filter(|credentials| is_fresh(credentials)) {
            return Ok(credentials.clone());
        }
        let credentials = self.inner.provide_credentials().await?;
        *cached = Some(credentials.clone());
        Ok(credentials)
    }
}

fn is_fresh(credentials: &Credentials) -> bool {
    #[expect(clippy::disallowed_methods, reason = "expiry of credentials is wall-clock time")]
    let soon = SystemTime::now() + MARGIN;
    credentials.expiry().is_none_or(|expiry| expiry > soon)
}

impl ProvideCredentials for Refreshing {
    fn provide_credentials<'a>(&'a self) -> Provide<'a>
    where
        Self: 'a,
    {
        Provide::new(self.current())
    }
}
