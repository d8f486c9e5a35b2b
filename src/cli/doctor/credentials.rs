//! Where the relay's own credentials come from, and whose they are.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature as Feature;
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};
use aws_smithy_http_client::Builder as HttpClient;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use tokio::time::timeout;

use super::aws::{Caller, moment, span, within};
use super::report::Report;
use crate::causes::causes;
use crate::clock;
use crate::config::Config;
use crate::upstream::credential_chain;

/// Takes the place of the endpoint of STS, as for the tools of AWS.
const STS_ENDPOINT: [&str; 2] = ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"];

/// Asks the default chain.
pub(super) async fn check(
    region: &str,
    patience: Duration,
    report: &mut Report,
) -> Option<Credentials> {
    report.progress("looking for credentials");
    let asked = async { credential_chain(region).await.provide_credentials().await };
    let problem = match timeout(patience, asked).await {
        Ok(Ok(found)) => {
            report.hide(found.secret_access_key());
            report.hide(found.session_token().unwrap_or_default());
            return describe(&found, report).then_some(found);
        }
        Ok(Err(error)) => causes(&error),
        Err(_) => format!("the provider took longer than {patience:?}"),
    };
    let fix = "give the task, pod or instance a role that may send (ECS task role, EKS Pod \
               Identity or IRSA, instance profile); on a laptop `aws sso login` and AWS_PROFILE. \
               `aws sts get-caller-identity` shows what is found";
    report.failed("credentials", problem, fix);
    None
}

/// Reports on credentials; false when they have expired.
fn describe(found: &Credentials, report: &mut Report) -> bool {
    let key = found.access_key_id();
    let seen = match provider(found) {
        Some(provider) => format!("access key {key} from {provider}"),
        None => format!("access key {key}"),
    };
    let now = clock::time_of_day();
    match found.expiry() {
        Some(expiry) if expiry <= now => {
            let seen = format!("{seen} expired on {}", moment(expiry));
            let fix = "renew them where they come from, for example `aws sso login`";
            report.failed("credentials", seen, fix);
            return false;
        }
        Some(expiry) => {
            let left = span(expiry.duration_since(now).unwrap_or_default());
            report.ok("credentials", format!("{seen}, good for {left}, until {}", moment(expiry)));
        }
        // Access keys of IAM users begin so (IAM guide, unique identifiers).
        None if key.starts_with("AKIA") => {
            let seen = format!("{seen}: a long-lived key of an IAM user");
            let fix = "a role of the task, pod or instance needs no key: then take \
                       AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY away and `aws iam \
                       delete-access-key` this one";
            report.warning("credentials", seen, fix);
        }
        None if found.session_token().is_some() => {
            let seen = format!("{seen}: temporary, and nothing tells until when");
            report.ok("credentials", seen);
        }
        None => report.ok("credentials", seen),
    }
    true
}

fn provider(found: &Credentials) -> Option<&'static str> {
    let features = found.get_property::<Vec<Feature>>()?;
    let name = |feature: &Feature| match feature {
        Feature::CredentialsEnvVars => Some("the environment"),
        Feature::CredentialsProfileStsWebIdToken
        | Feature::CredentialsEnvVarsStsWebIdToken
        | Feature::CredentialsStsAssumeRoleWebId => Some("a web identity token"),
        Feature::CredentialsStsAssumeRole => Some("a profile that assumes a role"),
        Feature::CredentialsProfileSso | Feature::CredentialsSso => Some("a profile with SSO"),
        Feature::CredentialsProfileProcess | Feature::CredentialsProcess => {
            Some("a profile with a credential process")
        }
        Feature::CredentialsHttp => Some("the container's endpoint (ECS or EKS Pod Identity)"),
        Feature::CredentialsImds => Some("instance metadata"),
        _ => None,
    };
    let profile = features.contains(&Feature::CredentialsProfile).then_some("a profile");
    features.iter().find_map(name).or(profile)
}

/// Asks STS whose the credentials are, and compares with the configuration.
pub(super) async fn caller(
    config: &Config,
    found: &Credentials,
    patience: Duration,
    report: &mut Report,
) -> Caller {
    report.progress("asking STS who we are");
    let http =
        HttpClient::new().tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc)).build_https();
    let mut sts = aws_sdk_sts::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(config.account.region.clone()))
        .http_client(http)
        .credentials_provider(found.clone())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .retry_config(RetryConfig::standard().with_max_attempts(2));
    let endpoint = STS_ENDPOINT.iter().find_map(|name| std::env::var(name).ok());
    sts.set_endpoint_url(endpoint.filter(|url| !url.is_empty()));
    let client = aws_sdk_sts::Client::from_conf(sts.build());
    let output = match within(patience, client.get_caller_identity().send()).await {
        Ok(output) => output,
        Err(trouble) if trouble.class.is_of_credentials() => {
            report.failed("caller", format!("STS answers {}", trouble.said), trouble.fix);
            return Caller::Refused;
        }
        Err(trouble) => {
            let seen = format!("STS does not say who we are: {}", trouble.said);
            let fix = "nothing, if only SES is meant to be reached from here; else a way to \
                       sts.REGION.amazonaws.com (VPC endpoint), or AWS_ENDPOINT_URL_STS";
            report.warning("caller", seen, fix);
            return Caller::Unknown;
        }
    };
    let arn = output.arn().unwrap_or_default().to_owned();
    compare(config, &arn, output.account().unwrap_or_default(), report);
    Caller::Known(arn)
}

fn compare(config: &Config, arn: &str, account: &str, report: &mut Report) {
    let file = &config.origin;
    let partition = arn.split(':').nth(1).unwrap_or_default();
    let mut agrees = true;
    if account != config.account.id {
        let seen =
            format!("{arn} is of account {account}, the configuration says {}", config.account.id,);
        let fix = format!("{file}: `[account] id = \"{account}\"`, or credentials of the other");
        report.failed("caller", seen, fix);
        agrees = false;
    }
    if partition != config.account.partition {
        let seen = format!(
            "{arn} is of partition {partition}, the configuration says {}",
            config.account.partition,
        );
        report.failed("caller", seen, format!("{file}: `[account] partition = \"{partition}\"`"));
        agrees = false;
    }
    if arn.ends_with(":root") {
        let seen = format!("{arn}: these are the keys of the account's owner, who may do anything");
        report.warning("caller", seen, "a role with the policy of `sesgate doctor --send-from`");
    } else if agrees {
        report.ok("caller", format!("{arn}, account {account} as configured"));
    }
}
