//! From what SES says to the identities that messages are judged by.

use std::sync::Arc;

use super::{Details, KnownIdentity, Snapshot};
use crate::identities::Identity;
use crate::policy::{Policy, PolicyKind};

/// Problems of one policy that are told.
const SHOWN: usize = 3;

/// Why nothing can be said about messages that depend on an identity.
///
/// A statement is never skipped (decision 3): such an identity answers neither yes nor no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsure {
    /// Its configuration set and policies were not read yet.
    #[error("its configuration set and policies were not read from SES yet")]
    Unread,
    /// SES holds a policy that cannot be evaluated.
    #[error("its policy `{policy}` cannot be evaluated: {problem}")]
    Policy {
        /// The name of the policy.
        policy: String,
        /// What is wrong, and where.
        problem: String,
    },
}

/// Returns the verified identities of a snapshot, by name, with their policies compiled.
///
/// Where not everything is known of one it has no policies and says why ([`Identity::unsure`]).
/// A policy is compiled once for all snapshots that share it, as `identity NAME policy POLICY`.
#[must_use]
pub fn identities(snapshot: &Snapshot) -> Vec<Identity> {
    snapshot
        .identities
        .iter()
        .filter(|known| known.verified_for_sending)
        .map(|known| converted(known))
        .collect()
}

fn converted(known: &KnownIdentity) -> Identity {
    let named = Identity { name: known.name.clone(), ..Identity::default() };
    let Some(details) = &known.details else {
        return Identity { unsure: Some(Unsure::Unread.to_string()), ..named };
    };
    let tags = details.tags.iter();
    let tags = tags.map(|(key, value)| (format!("aws:ResourceTag/{key}"), value.clone()));
    let compiled = details.compiled.get_or_init(|| compile(&known.name, details));
    let (policies, unsure) = match compiled {
        Ok(policies) => (policies.clone(), None),
        Err(unsure) => (Vec::new(), Some(unsure.to_string())),
    };
    let configuration_set = details.configuration_set.clone();
    let tags = tags.collect();
    Identity { configuration_set, policies, tags, unsure, ..named }
}

fn compile(name: &str, details: &Details) -> Result<Vec<Arc<Policy>>, Unsure> {
    let compile = |(policy, text): (&String, &String)| {
        let title = format!("identity {name} policy {policy}");
        Policy::parse(PolicyKind::Resource, &title, text).map(Arc::new).map_err(|errors| {
            let problems: Vec<_> = errors.iter().take(SHOWN).map(ToString::to_string).collect();
            Unsure::Policy { policy: policy.clone(), problem: problems.join("; ") }
        })
    };
    details.policies.iter().map(compile).collect()
}
