//! The one log line of a transaction, with what may be seen of it (decision 21).

use std::time::Duration;

use uuid::Uuid;

use super::Refusal;
use crate::authorize::{Client, Denial, Verdict};
use crate::memory::Exhausted;
use crate::message::HeaderSection;
use crate::pace::Exceeded;
use crate::redact::Redaction;
use crate::smtp::{Envelope, Reply};
use crate::upstream::UpstreamError;

/// The log line of one transaction, begun with what is known before it ends.
pub(super) struct Line<'a> {
    redaction: &'a Redaction,
    client: &'a Client,
    id: Uuid,
    ehlo: &'a str,
    reverse_path: String,
    recipients: String,
    from: String,
}

impl<'a> Line<'a> {
    pub(super) fn new(
        redaction: &'a Redaction,
        client: &'a Client,
        envelope: &'a Envelope,
        header: Option<&HeaderSection>,
        id: Uuid,
    ) -> Self {
        let recipients = envelope.forward_paths.iter().map(|address| address.as_str());
        let from = header.map_or(&[][..], HeaderSection::from);
        Self {
            redaction,
            client,
            id,
            ehlo: &envelope.ehlo,
            reverse_path: redaction.show(envelope.reverse_path.as_str()),
            recipients: redaction.show_all(recipients),
            from: redaction.show_all(from.iter().map(|mailbox| mailbox.address.as_str())),
        }
    }

    /// What may be seen of a text that may hold addresses: all of it, or the reply code.
    fn shown(&self, reply: &Reply) -> String {
        shown(self.redaction, reply)
    }

    /// Texts of SES and about identities may name addresses; the relay's own words do not.
    fn error(&self, refusal: &Refusal) -> Option<String> {
        match refusal {
            _ if self.redaction.is_full() => Some(refusal.to_string()),
            Refusal::Denied { .. } => None,
            Refusal::NoUser | Refusal::Exceeded(_) => Some(refusal.to_string()),
            Refusal::Upstream(error) => Some(error.class().to_owned()),
            Refusal::Deferred(_) => Some("sending paused".to_owned()),
        }
    }

    pub(super) fn relayed(&self, sent: &Sent, took: Duration) -> Reply {
        let Sent { verdict, overruled, message_id, bytes, waited } = sent;
        let reply = Reply::accepted(message_id);
        tracing::info!(
            decision = %self.id,
            principal = self.client.principal.name,
            ehlo = self.ehlo,
            reverse_path = self.reverse_path,
            recipients = self.recipients,
            from = self.from,
            bytes,
            verdict = verdict.decision,
            statement = verdict.statement,
            overruled = Some(overruled.as_str()).filter(|names| !names.is_empty()),
            message_id,
            waited_ms = Some(milliseconds(*waited)).filter(|waited| *waited > 0),
            reply = self.shown(&reply),
            elapsed_ms = milliseconds(took),
            "relayed",
        );
        reply
    }

    pub(super) fn refused(&self, refusal: &Refusal, bytes: Option<usize>, took: Duration) -> Reply {
        let reply = Reply::from(refusal);
        let mut details = Details::default();
        match refusal {
            Refusal::Denied { source: Denial::Policy { resource, claim, verdict, .. }, .. } => {
                details.resource = Some(resource.as_str());
                details.verdict = Some(verdict.decision);
                details.statement = verdict.statement.as_deref();
                details.spelling = verdict.spelling.as_deref().filter(|_| self.redaction.is_full());
                details.author = Some(self.redaction.show(&claim.author));
                let name = claim.display_name.as_deref();
                // It may hold an address as well.
                details.display_name = name.filter(|_| self.redaction.is_full()).map(cut);
                details.feedback = Some(self.redaction.show(&claim.feedback));
                let recipients = claim.recipients.iter().map(String::as_str);
                details.claimed_recipients = Some(self.redaction.show_all(recipients));
            }
            Refusal::Denied { source: Denial::Unsure(_), .. } => {
                details.remedy = Some(
                    "wait until SES was asked; the role needs ses:GetAccount, \
                     ses:ListEmailIdentities and ses:GetEmailIdentity, and a policy that cannot \
                     be read must be corrected in SES",
                );
            }
            Refusal::Exceeded(exceeded) => details.remedy = Some(remedy(*exceeded)),
            Refusal::Upstream(UpstreamError::Temporary { remedy, possible_duplicate, .. }) => {
                details.remedy = Some(remedy);
                details.possible_duplicate = Some(*possible_duplicate);
            }
            Refusal::Upstream(UpstreamError::Paused(_) | UpstreamError::Suspended(_))
            | Refusal::Deferred(_) => {
                details.remedy = Some("see the account dashboard of SES and the mail AWS sent");
            }
            _ => {}
        }
        macro_rules! event {
            ($level:ident) => {
                tracing::$level!(
                    decision = %self.id,
                    principal = self.client.principal.name,
                    ehlo = self.ehlo,
                    reverse_path = self.reverse_path,
                    recipients = self.recipients,
                    from = self.from,
                    bytes,
                    verdict = details.verdict,
                    statement = details.statement,
                    spelling = details.spelling,
                    resource = details.resource.filter(|_| self.redaction.is_full()),
                    author = details.author,
                    display_name = details.display_name,
                    feedback = details.feedback,
                    claimed_recipients = details.claimed_recipients,
                    error = self.error(refusal),
                    remedy = details.remedy,
                    possible_duplicate = details.possible_duplicate,
                    reply = self.shown(&reply),
                    elapsed_ms = milliseconds(took),
                    "refused",
                )
            };
        }
        match refusal {
            Refusal::Denied { source: Denial::Unsure(_), .. }
            | Refusal::Upstream(
                UpstreamError::Temporary { .. }
                | UpstreamError::Paused(_)
                | UpstreamError::Suspended(_),
            )
            | Refusal::Deferred(_) => event!(error),
            Refusal::Upstream(UpstreamError::Throttled(_)) | Refusal::Exceeded(_) => event!(warn),
            _ => event!(info),
        }
        reply
    }

    pub(super) fn put_off(&self, bytes: usize, reply: &Reply) {
        tracing::warn!(
            decision = %self.id,
            principal = self.client.principal.name,
            ehlo = self.ehlo,
            reverse_path = self.reverse_path,
            recipients = self.recipients,
            declared_bytes = bytes,
            error = %Exhausted,
            remedy = "raise `memory_mib` in `[limits]`, or send less at once",
            reply = self.shown(reply),
            "refused",
        );
    }

    pub(super) fn unreadable(&self, reply: &Reply) {
        tracing::info!(
            decision = %self.id,
            principal = self.client.principal.name,
            ehlo = self.ehlo,
            reverse_path = self.reverse_path,
            recipients = self.recipients,
            reply = self.shown(reply),
            "refused",
        );
    }
}

/// What an operator does about it.
fn remedy(exceeded: Exceeded) -> &'static str {
    match exceeded {
        Exceeded::Rate => "ask AWS for a higher sending rate, send less, or see `[rate]`",
        Exceeded::UserRate => "raise `recipients_per_second` of the user",
        Exceeded::Quota => "ask AWS for a larger sending quota",
        Exceeded::UserQuota => "raise `recipients_per_day` of the user",
    }
}

pub(super) fn shown(redaction: &Redaction, reply: &Reply) -> String {
    if redaction.is_full() { reply.to_string() } else { reply.code().to_string() }
}

/// A message that was taken.
pub(super) struct Sent {
    pub(super) verdict: Verdict,
    pub(super) overruled: String,
    pub(super) message_id: String,
    pub(super) bytes: usize,
    pub(super) waited: Duration,
}

/// What a refusal has to say beside the envelope.
#[derive(Default)]
struct Details<'a> {
    resource: Option<&'a str>,
    verdict: Option<&'a str>,
    statement: Option<&'a str>,
    spelling: Option<&'a str>,
    author: Option<String>,
    display_name: Option<String>,
    feedback: Option<String>,
    claimed_recipients: Option<String>,
    remedy: Option<&'a str>,
    possible_duplicate: Option<bool>,
}

/// Display names are logged up to 64 characters, escaped.
fn cut(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_default).collect()
}

fn milliseconds(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
