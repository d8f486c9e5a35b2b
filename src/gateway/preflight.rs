//! What the start needs outside the process: its addresses, its certificate, the outbox, credentials.
//!
//! All of it is looked at before anything is served, so that everything that is missing is told at
//! once, with what is wrong in the configuration. Addresses stay bound from then on.

use std::time::Duration;

use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;

use super::Parts;
use crate::causes::causes;
use crate::config::{Config, Problem, Upstream};
use crate::sockets::{self, Sockets};
use crate::upstream::{NO_CREDENTIALS, Outbox, credential_chain};

/// How long credentials may take: a provider that is slow is asked again at each call.
const PREFLIGHT_TIMEOUT: Duration = Duration::from_secs(5);

/// Looks at what the configuration needs; `sockets` hold the addresses afterwards, and the certificate
/// that was made is kept where it is to be.
///
/// Gives what stops the start.
pub async fn preflight(config: &Config, parts: &mut Parts, sockets: &mut Sockets) -> Vec<Problem> {
    let mut problems = Vec::new();
    addresses(config, sockets, &mut problems).await;
    certificate(config, parts, &mut problems);
    match &config.upstream {
        Upstream::Outbox { directory } => {
            if let Err(error) = Outbox::open(directory) {
                let directory = directory.display();
                let message = format!("the outbox directory `{directory}` cannot be used: {error}");
                problems.push(config.origin.problem_of_all(message));
            }
        }
        Upstream::Ses(_) => credentials(config, &mut problems).await,
    }
    problems
}

async fn addresses(config: &Config, sockets: &mut Sockets, problems: &mut Vec<Problem>) {
    let listeners = config.listeners.iter().map(|listener| listener.address.value);
    let wanted: Vec<_> = listeners.chain(config.admin).collect();
    if let Err(errors) = sockets.check(&wanted) {
        let told = |error| config.origin.problem_of_all(format!("{error}"));
        problems.extend(errors.iter().map(told));
    }
    for listener in &config.listeners {
        let address = listener.address.value;
        if let Err(error) = sockets.bind(address).await {
            let remedy = sockets::remedy(address, &error);
            let message = format!("cannot listen on `{address}`: {error}; {remedy}");
            problems.push(config.origin.problem(listener.address.place, message));
        }
    }
    if let Some(address) = config.admin
        && let Err(error) = sockets.bind(address).await
    {
        let remedy = sockets::remedy(address, &error);
        let message =
            format!("cannot listen on `{address}`, `address` of `[admin]`: {error}; {remedy}");
        problems.push(config.origin.problem_of_all(message));
    }
}

/// Keeps the certificate that was made, so that the next start and the clients have the same.
fn certificate(config: &Config, parts: &mut Parts, problems: &mut Vec<Problem>) {
    if let Some(directory) = &config.server.certificate_directory
        && let Some(made) = &mut parts.kept.made
        && let Err(error) = made.keep(&directory.value)
    {
        let message = format!(
            "the certificate cannot be kept in `{}`: {error}; let sesgate write there, name one of \
             your own with `certificate` and `key` of each listener, or leave out \
             `certificate_directory`",
            directory.value.display()
        );
        problems.push(config.origin.problem(directory.place, message));
    }
}

/// Credentials that a provider merely does not give at the moment do not stop the start: the next call
/// may have more luck, and whoever watches over them tells until then.
async fn credentials(config: &Config, problems: &mut Vec<Problem>) {
    // Credentials that are there are found in any region.
    let region = Some(config.account.region.as_str()).filter(|region| !region.is_empty());
    let chain = credential_chain(region.unwrap_or("us-east-1")).await;
    let Ok(Err(error)) = tokio::time::timeout(PREFLIGHT_TIMEOUT, chain.provide_credentials()).await
    else {
        return;
    };
    let said = match &error {
        // The chain's own words are a page of what each of its providers lacks.
        CredentialsError::CredentialsNotLoaded(_) => {
            "none in the environment, in a profile, from a web identity, the container or the instance"
                .to_owned()
        }
        CredentialsError::InvalidConfiguration(_) => causes(&error),
        _ => return,
    };
    let message = format!("`kind = \"ses\"` needs credentials of AWS: {said}; {NO_CREDENTIALS}");
    problems.push(config.origin.problem_of_all(message));
}
