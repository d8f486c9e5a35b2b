//! The identities that the configuration names, with their policies.

use super::{Loader, Parts};
use crate::config::{self, Placed, Problem};
use crate::identities::{Delegated, Identities, Identity, merged};
use crate::inventory::{self, Snapshot};
use crate::message::IdentityArn;
use crate::policy::PolicyKind;

/// The identities that the configuration names.
#[derive(Debug, Default, Clone)]
pub(super) struct ConfiguredIdentities {
    known: Vec<Identity>,
    delegated: Vec<Delegated>,
    authoritative: bool,
    /// Whether SES is asked for more.
    from_ses: bool,
}

impl ConfiguredIdentities {
    /// Whether SES is asked for identities.
    pub(super) fn is_from_ses(&self) -> bool {
        self.from_ses
    }

    /// Leaves out that SES has more, for want of its answers.
    pub(super) fn without_ses(&mut self) {
        self.from_ses = false;
    }

    /// Returns them with those that SES has.
    pub(super) fn identities(&self, snapshot: Option<&Snapshot>) -> Identities {
        let snapshot = snapshot.filter(|_| self.from_ses);
        let found = snapshot.map(inventory::identities).unwrap_or_default();
        let all = merged(found, &self.known);
        let identities =
            Identities::new(all, self.authoritative).with_delegated(self.delegated.clone());
        let is_read = !self.from_ses || snapshot.is_some_and(|snapshot| snapshot.complete);
        if is_read {
            identities
        } else {
            identities.unread("the identities of the account were not read from SES yet")
        }
    }
}

impl Loader<'_> {
    pub(super) fn listed(&mut self) -> ConfiguredIdentities {
        let list = &self.config.identities;
        let known = list.known.iter().map(|identity| Identity {
            name: identity.name.value.clone(),
            configuration_set: identity.configuration_set.clone(),
            policies: self.policies(PolicyKind::Resource, &identity.policies),
            tags: (identity.tags.iter())
                .map(|(key, value)| (format!("aws:ResourceTag/{key}"), value.clone()))
                .collect(),
            unsure: None,
        });
        let known = known.collect();
        let delegated = list.delegated.iter().filter_map(|it| self.delegated(it)).collect();
        let (authoritative, from_ses) = (list.authoritative, list.from_ses);
        ConfiguredIdentities { known, delegated, authoritative, from_ses }
    }

    fn delegated(&mut self, delegated: &config::Delegated) -> Option<Delegated> {
        let policies = self.policies(PolicyKind::Resource, &delegated.policies);
        if delegated.policies.is_empty() {
            let message = "without the owner's `policies` nothing may be sent from this identity";
            self.warn(&delegated.arn, message);
        }
        Some(Delegated { arn: self.foreign_arn(&delegated.arn)?, policies })
    }

    fn foreign_arn(&mut self, arn: &Placed<String>) -> Option<IdentityArn> {
        if arn.value.is_empty() {
            // That it is missing was noted.
            return None;
        }
        let account = &self.config.account;
        let prefix = format!("arn:{}:ses:{}:", account.partition, account.region);
        let parsed = IdentityArn::parse(&arn.value).filter(|_| arn.value.starts_with(&prefix));
        let Some(parsed) = parsed else {
            let message = format!(
                "an identity of another account must look like \
                 `{prefix}111122223333:identity/example.com`, not `{}`",
                arn.value
            );
            self.note(arn, message);
            return None;
        };
        if parsed.account() == account.id {
            let message = "an identity of the account itself belongs in `[[identities.known]]`";
            self.note(arn, message.to_owned());
            return None;
        }
        Some(parsed)
    }

    /// An identity that a user's messages are sent with; it must be listed.
    pub(super) fn delegated_to(&mut self, arn: &Placed<String>) -> Option<IdentityArn> {
        let listed = &self.config.identities.delegated;
        if listed.iter().any(|it| it.arn.value == arn.value) {
            return IdentityArn::parse(&arn.value);
        }
        let message = format!("`{}` is not listed in `[[identities.delegated]]`", arn.value);
        self.note(arn, message);
        None
    }

    /// Decision 9: a Resource that names an identity which is not listed may be a mistake.
    pub(super) fn unknown_identities(&mut self, parts: &Parts) {
        if self.config.identities.from_ses {
            return;
        }
        let known = parts.basis.listed.identities(None);
        let users = parts.users.iter().flat_map(|user| &user.principal.policies);
        for policy in users {
            for statement in policy.statements() {
                for pattern in statement.resource_patterns() {
                    let Some((owner, name)) = pattern.split_once(":identity/") else { continue };
                    let owner = owner.rsplit_once(':').map_or("", |(_, account)| account);
                    let is_foreign = owner.len() == 12 && owner != self.config.account.id;
                    if is_foreign || name.contains(['*', '?', '$']) || known.find(name).is_some() {
                        continue;
                    }
                    self.warnings.push(Problem {
                        file: policy.name().to_owned(),
                        place: Some((statement.line(), statement.column())),
                        message: format!(
                            "`Resource` names the identity `{name}`, which is not listed in \
                             `[[identities.known]]`; if SES has it, list it"
                        ),
                    });
                }
            }
        }
        self.warnings.sort();
        self.warnings.dedup();
    }
}
