//! Delegate senders: which identity of another account an address is sent with (SES guide, "Using
//! sending authorization").
//!
//! The owner of an identity lets another account use it with a policy. A message says which with the
//! three ARN fields, or the operator says it for a user. Both sides' policies are asked then.

use crate::address::Address;
use crate::identities::{Account, Delegated, Identities};
use crate::message::{HeaderSection, IdentityArn, XSes};
use crate::principals::XSesRules;
use crate::smtp::Envelope;
use crate::smtp::reply::Unsupported;

/// What is known of identities, here and elsewhere.
#[derive(Clone, Copy)]
pub(super) struct Delegates<'a> {
    pub(super) account: &'a Account,
    pub(super) identities: &'a Identities,
}

impl<'a> Delegates<'a> {
    /// The identity of another account that an author is sent with. SES reads SOURCE-ARN and
    /// FROM-ARN as one; two that differ were refused.
    pub(super) fn of_author(&self, x_ses: &XSes, address: &Address) -> Option<&'a Delegated> {
        self.covering(x_ses.from_arn.as_ref().or(x_ses.source_arn.as_ref())?, address)
    }

    /// The identity of another account that a feedback address is sent with.
    pub(super) fn of_feedback(&self, x_ses: &XSes, address: &Address) -> Option<&'a Delegated> {
        self.covering(x_ses.return_path_arn.as_ref()?, address)
    }

    /// Refuses what cannot be used for this message, and fills in what the operator says for the
    /// user where the message says nothing.
    pub(super) fn settle(
        &self,
        x_ses: &mut XSes,
        granted: &[IdentityArn],
        rules: &XSesRules,
        envelope: &Envelope,
        header: &HeaderSection,
    ) -> Result<(), Unsupported> {
        let covers_from = |arn: &IdentityArn| {
            let from = &mut header.from().iter();
            from.all(|mailbox| self.covering(arn, &mailbox.address).is_some())
        };
        let covers_feedback =
            |arn: &IdentityArn| self.covering(arn, &envelope.reverse_path).is_some();
        let fields = [
            ("X-SES-SOURCE-ARN", &x_ses.source_arn),
            ("X-SES-FROM-ARN", &x_ses.from_arn),
            ("X-SES-RETURN-PATH-ARN", &x_ses.return_path_arn),
        ];
        for (field, arn) in fields {
            let Some(arn) = arn.as_ref().filter(|arn| !self.is_own(arn)) else { continue };
            self.check(field, arn)?;
            let (what, covers) = match field {
                "X-SES-SOURCE-ARN" => {
                    ("the reverse-path", covers_feedback(arn) || covers_from(arn))
                }
                "X-SES-FROM-ARN" => ("every From address", covers_from(arn)),
                _ => ("the reverse-path", covers_feedback(arn)),
            };
            if !covers {
                return Err(Unsupported::NotCovered { field, what });
            }
        }
        // Over SMTP the source is the reverse-path (SES guide).
        let source = x_ses.source_arn.clone().filter(|arn| !self.is_own(arn));
        if x_ses.from_arn.is_none() && source.as_ref().is_some_and(|arn| !covers_from(arn)) {
            x_ses.source_arn = None;
        }
        let says_nothing =
            x_ses.from_arn.is_none() && source.is_none() && x_ses.source_arn.is_none();
        if says_nothing {
            x_ses.from_arn = granted.iter().find(|arn| covers_from(arn)).cloned();
        }
        if x_ses.return_path_arn.is_none() {
            // What the client may not say itself it does not say by the source either.
            let source = source.filter(|_| !rules.forbids("X-SES-RETURN-PATH-ARN"));
            let mut likely = source.iter().chain(granted);
            x_ses.return_path_arn = likely.find(|arn| covers_feedback(arn)).cloned();
        }
        Ok(())
    }

    fn covering(&self, arn: &IdentityArn, address: &Address) -> Option<&'a Delegated> {
        self.identities.delegated(arn).filter(|identity| identity.covers(address))
    }

    fn is_own(&self, arn: &IdentityArn) -> bool {
        arn.as_str() == self.account.arn("identity", arn.name())
    }

    fn check(&self, field: &'static str, arn: &IdentityArn) -> Result<(), Unsupported> {
        let Account { id, region, partition, .. } = self.account;
        let here = format!("arn:{partition}:ses:{region}:{}:identity/", arn.account());
        if arn.account() == id || !arn.as_str().starts_with(&here) {
            return Err(Unsupported::ElsewhereIdentity { field, region: region.clone() });
        }
        match self.identities.delegated(arn) {
            Some(_) => Ok(()),
            None => {
                let (owner, account) = (arn.account().to_owned(), id.clone());
                Err(Unsupported::NotDelegated { field, owner, account })
            }
        }
    }
}
