//! The relay's own AWS credentials: cached until they expire, or until SES says that they have.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as Provide;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::causes::causes;
use crate::clock;

/// Credentials are renewed this long before they expire.
const MARGIN: Duration = Duration::from_secs(60);
/// How long the provider may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// For so long a failure is everybody's: those who waited for it do not ask again one by one.
const SHARED: Duration = Duration::from_secs(1);

/// A provider that can be told that its credentials are no longer good.
#[derive(Debug, Clone)]
pub(super) struct Refreshing {
    inner: SharedCredentialsProvider,
    cached: Arc<Mutex<Cached>>,
}

#[derive(Debug, Default)]
struct Cached {
    credentials: Option<Credentials>,
    failed: Option<(Instant, String)>,
}

impl Refreshing {
    pub(super) fn new(inner: SharedCredentialsProvider) -> Self {
        Self { inner, cached: Arc::default() }
    }

    /// Forgets what is cached: the next call asks the provider again.
    pub(super) fn refresh(&self) {
        // Held only by a caller that is renewing them just now.
        if let Ok(mut cached) = self.cached.try_lock() {
            cached.credentials = None;
        }
    }

    /// Says whether there are credentials now.
    pub(super) async fn check(&self) -> Result<(), String> {
        let text = |error: CredentialsError| causes(&error);
        self.current().await.map(drop).map_err(text)
    }

    /// Returns credentials that are good for now.
    pub(super) async fn current(&self) -> Result<Credentials, CredentialsError> {
        let mut cached = self.cached.lock().await;
        let good = |margin| cached.credentials.clone().filter(|it| is_good(it, margin));
        if let Some(credentials) = good(MARGIN) {
            return Ok(credentials);
        }
        // A provider that fails does not end what is still good for a moment.
        let last = good(Duration::ZERO);
        let again = |problem: &str| CredentialsError::provider_error(problem.to_owned());
        if let Some((_, problem)) = cached.failed.as_ref().filter(|(at, _)| at.elapsed() < SHARED) {
            return last.ok_or_else(|| again(problem));
        }
        let asked = tokio::time::timeout(PATIENCE, self.inner.provide_credentials()).await;
        let problem = match asked {
            Ok(Ok(credentials)) => {
                *cached = Cached { credentials: Some(credentials.clone()), failed: None };
                return Ok(credentials);
            }
            Ok(Err(error)) => causes(&error),
            Err(_) => format!("the credentials provider took longer than {PATIENCE:?}"),
        };
        let now = clock::now();
        let failure = again(&problem);
        cached.failed = Some((now, problem));
        last.ok_or(failure)
    }
}

fn is_good(credentials: &Credentials, margin: Duration) -> bool {
    let soon = clock::time_of_day() + margin;
    credentials.expiry().is_none_or(|expiry| expiry > soon)
}

/// What an operator does where there are no credentials.
pub const NO_CREDENTIALS: &str = "give the task, pod or instance a role, on a laptop set AWS_PROFILE; `sesgate doctor` looks closer";

/// Returns where the default chain looks for credentials on this machine, as far as the environment
/// says: the variables that are set.
#[must_use]
pub fn looked_for() -> String {
    const VARIABLES: [&str; 7] = [
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ];
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let mut looked: Vec<_> = VARIABLES.into_iter().filter(is_set).collect();
    looked.push("~/.aws");
    let metadata = std::env::var("AWS_EC2_METADATA_DISABLED");
    if !metadata.is_ok_and(|value| value.eq_ignore_ascii_case("true")) {
        looked.push("instance metadata");
    }
    looked.join(", ")
}

impl ProvideCredentials for Refreshing {
    fn provide_credentials<'a>(&'a self) -> Provide<'a>
    where
        Self: 'a,
    {
        Provide::new(self.current())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Gives credentials that are good for `life`, or fails; slowly, and counting.
    #[derive(Debug, Clone)]
    struct Slow(Arc<AtomicUsize>, Option<Duration>);

    impl ProvideCredentials for Slow {
        fn provide_credentials<'a>(&'a self) -> Provide<'a>
        where
            Self: 'a,
        {
            Provide::new(async {
                let asked = self.0.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(100)).await;
                let life = self.1.filter(|_| asked == 0);
                let life = life.ok_or_else(|| CredentialsError::provider_error("down"))?;
                let expiry = clock::time_of_day() + life;
                Ok(Credentials::new("AKIA", "secret", None, Some(expiry), "test"))
            })
        }
    }

    fn slow(life: Option<Duration>) -> (Refreshing, Arc<AtomicUsize>) {
        let asked = Arc::default();
        let provider = Slow(Arc::clone(&asked), life);
        (Refreshing::new(SharedCredentialsProvider::new(provider)), asked)
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_shared_by_all_who_waited() {
        let (refreshing, asked) = slow(None);
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let refreshing = refreshing.clone();
            waiting.spawn(async move { refreshing.current().await.is_err() });
        }
        assert!(waiting.join_all().await.into_iter().all(|failed| failed));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        tokio::time::advance(SHARED).await;
        assert!(refreshing.current().await.is_err());
        assert_eq!(asked.load(Ordering::SeqCst), 2, "asked again later");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_good_for_a_moment_outlives_a_failing_provider() {
        let (refreshing, asked) = slow(Some(MARGIN / 2));
        for _ in 0..3 {
            assert!(refreshing.current().await.is_ok());
        }
        assert_eq!(asked.load(Ordering::SeqCst), 2, "renewed early, and the failure is shared");
    }
}
