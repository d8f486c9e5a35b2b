//! What a message says about its author, its feedback address and its recipients (decision 6).
//!
//! A message may say one thing several ways. Each way is a claim, and a request is made for every
//! combination that differs; all must be allowed.

use crate::address::Address;
use crate::message::{DisplayName, HeaderSection, Mailbox};
use crate::policy::Spelled;
use crate::smtp::Envelope;

/// All claims of one message.
pub(super) struct Claims<'m> {
    /// Every mailbox in From, then in Sender, Resent-From and Resent-Sender; each once.
    pub(super) authors: Vec<&'m Mailbox>,
    /// The reverse-path, and Return-Path when the message carries one that differs.
    pub(super) feedback: Vec<&'m Address>,
    /// The forward-paths alone, and together with To, Cc and Bcc when that is more.
    pub(super) recipients: Vec<Vec<&'m Address>>,
}

impl<'m> Claims<'m> {
    pub(super) fn new(
        envelope: &'m Envelope,
        header: &'m HeaderSection,
        envelope_recipients_only: bool,
    ) -> Self {
        let mut authors: Vec<&Mailbox> = Vec::new();
        let others = header.sender().into_iter();
        let resent = header.resent_from().iter().chain(header.resent_sender());
        for mailbox in header.from().iter().chain(others).chain(resent) {
            // `message` takes 50 at most.
            if !authors.contains(&mailbox) {
                authors.push(mailbox);
            }
        }
        let mut feedback = vec![&envelope.reverse_path];
        feedback.extend(header.return_path().filter(|path| **path != envelope.reverse_path));
        let forward_paths: Vec<&Address> = envelope.forward_paths.iter().collect();
        let mut recipients = vec![forward_paths.clone()];
        if !envelope_recipients_only {
            let mut all = forward_paths;
            let known: std::collections::HashSet<_> = envelope.forward_paths.iter().collect();
            all.extend(header.recipients().iter().filter(|address| !known.contains(address)));
            if all.len() > envelope.forward_paths.len() {
                recipients.push(all);
            }
        }
        Self { authors, feedback, recipients }
    }
}

/// One combination of claims, as the log names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The author's address.
    pub author: String,
    /// The author's display name.
    pub display_name: Option<String>,
    /// The feedback address.
    pub feedback: String,
    /// The recipients.
    pub recipients: Vec<String>,
}

impl Claim {
    /// Whether it is that combination.
    pub(super) fn is(&self, author: &Mailbox, feedback: &Address, recipients: &[&Address]) -> bool {
        self.author == author.address.as_str()
            && self.feedback == feedback.as_str()
            && self.display_name.as_deref()
                == author.display_name.as_ref().map(DisplayName::decoded)
            && self.recipients.len() == recipients.len()
            && self.recipients.iter().zip(recipients).all(|(this, that)| this == that.as_str())
    }

    pub(super) fn new(author: &Mailbox, feedback: &Address, recipients: &[&Address]) -> Self {
        Self {
            author: author.address.to_string(),
            display_name: author.display_name.as_ref().map(|name| name.decoded().to_owned()),
            feedback: feedback.to_string(),
            recipients: recipients.iter().map(ToString::to_string).collect(),
        }
    }
}

/// An address as policies see it, with the spellings that a Deny tries too (decision 7).
pub(super) fn spelled(address: &Address) -> Spelled<'_> {
    Spelled::from(address.as_str()).with_spellings(address.without_quotes()).in_any_case()
}
