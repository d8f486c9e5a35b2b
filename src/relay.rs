//! One finished transaction: one decision, one upstream call, one reply, one log line.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::authorize::{Client, Denial, Occasion, Permit, Verdict};
use crate::inventory::Inventory;
use crate::memory::{Exhausted, Share};
use crate::message::HeaderSection;
use crate::pace::{Budget, Exceeded, Pace, Turn};
use crate::redact::Redaction;
use crate::rules::Rules;
use crate::smtp::{Envelope, Reply, Transaction};
use crate::upstream::{Held, Upstream, UpstreamError};

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No permit was given.
    #[error("{source}")]
    Denied {
        /// The decision id, which the client is told.
        id: Uuid,
        /// Why.
        source: Denial,
    },
    /// The user, or the password that it logged in with, was taken out of the configuration or has
    /// expired.
    #[error("the user or its password is not configured any more")]
    NoUser,
    /// A rate or a budget is used up.
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
    /// The upstream did not take it.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// SES has paused the account, and the operator wants clients to keep their mail meanwhile.
    #[error("sending paused: {0}")]
    Deferred(String),
}

/// How the relay behaves beside its rules.
#[derive(Debug)]
pub struct Settings {
    /// What of an address the log shows.
    pub redaction: Redaction,
    /// Answers `451` instead of `554` while SES has paused the account (decision 14).
    pub defer_when_paused: bool,
    /// How long a client waits for the answer to its content (decision 15).
    pub patience: Duration,
}

/// Carries out transactions.
#[derive(Debug)]
pub struct Relay {
    rules: ArcSwap<Rules>,
    upstream: Upstream,
    pace: Pace,
    inventory: Option<Inventory>,
    settings: Settings,
}

impl Relay {
    /// Puts the parts together.
    #[must_use]
    pub fn new(rules: Rules, upstream: Upstream, pace: Pace, settings: Settings) -> Self {
        let rules = ArcSwap::from_pointee(rules);
        Self { rules, upstream, pace, inventory: None, settings }
    }

    /// Tells what messages depend on to whom reads it from SES.
    #[must_use]
    pub fn with_inventory(mut self, inventory: Inventory) -> Self {
        self.inventory = Some(inventory);
        self
    }

    /// Returns the rules of the moment.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Puts other rules in place of these, for every decision from now on (decision 19).
    pub fn renew(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
    }

    /// Returns a client as the rules of the moment know it.
    #[must_use]
    pub fn known(&self, client: &Client) -> Option<Client> {
        self.rules.load().known(client, occasion().now)
    }

    /// Decides about a message whose header section is complete: one that is refused here need not
    /// be read to its end. The binding decision is that of [`Relay::carry_out`].
    ///
    /// # Errors
    /// The reply that refuses it.
    pub fn screen(
        &self,
        client: &Client,
        envelope: &Envelope,
        header: &HeaderSection,
    ) -> Result<(), Reply> {
        let occasion = occasion();
        let started = now();
        let rules = self.rules.load();
        let refusal = match rules.known(client, occasion.now) {
            Some(client) => match rules.authorizer.decide(&client, envelope, header, occasion) {
                Ok(_) => return Ok(()),
                Err(source) => self.denied(occasion.id, source),
            },
            None => Refusal::NoUser,
        };
        let redaction = &self.settings.redaction;
        let line = Line::new(redaction, client, envelope, Some(header), occasion.id);
        Err(line.refused(&refusal, None, started.elapsed()))
    }

    /// Returns what the log may show of a reply (decision 21).
    #[must_use]
    pub fn shown(&self, reply: &Reply) -> String {
        shown(&self.settings.redaction, reply)
    }

    /// Decides about a complete message, sends it if it may be sent, and returns the reply.
    ///
    /// `share` is the memory that the message has, given back when nobody needs it any more.
    /// `abort` ends the waiting for the upstream, not what it does: the end of a drain.
    pub async fn carry_out(
        &self,
        client: &Client,
        transaction: Transaction,
        share: Share,
        abort: &CancellationToken,
    ) -> Reply {
        let started = now();
        let id = occasion().id;
        let (envelope, header) = (transaction.envelope.clone(), transaction.header.clone());
        let bytes = transaction.content.len();
        let line = Line::new(&self.settings.redaction, client, &envelope, Some(&header), id);
        let refused = |refusal: &Refusal| line.refused(refusal, Some(bytes), started.elapsed());
        let by = started + self.settings.patience;
        let turn = tokio::select! {
            biased;
            turn = self.turn(client, &envelope, id, by) => turn,
            () = abort.cancelled() => Err(Refusal::Upstream(UpstreamError::Temporary {
                detail: "the relay ended before the message had its turn".to_owned(),
                said: None,
                remedy: "raise `drain_seconds` in `[server]`",
                possible_duplicate: false,
            })),
        };
        let turn = match turn {
            Ok(turn) => turn,
            Err(refusal) => return refused(&refusal),
        };
        let waited = started.elapsed();
        let permit = match self.permit(client, transaction, id) {
            Ok(permit) => permit,
            Err(refusal) => return refused(&refusal),
        };
        let verdict = permit.verdict().clone();
        let overruled = permit.overruled().join(",");
        let sent = tokio::select! {
            biased;
            sent = self.upstream.send(permit, Held { share, turn }, by) => sent,
            () = abort.cancelled() => Err(UpstreamError::Temporary {
                detail: "the relay ended before the upstream answered".to_owned(),
                said: None,
                remedy: "raise `drain_seconds` in `[server]`; expect a duplicate",
                possible_duplicate: true,
            }),
        };
        match sent {
            Ok(message_id) => {
                let sent = Sent { verdict, overruled, message_id, bytes, waited };
                line.relayed(&sent, started.elapsed())
            }
            Err(UpstreamError::Paused(text)) if self.settings.defer_when_paused => {
                refused(&Refusal::Deferred(text))
            }
            Err(error) => refused(&error.into()),
        }
    }

    /// Waits until the message may be handed over: the rate of the account, shared fairly.
    async fn turn(
        &self,
        client: &Client,
        envelope: &Envelope,
        id: Uuid,
        by: Instant,
    ) -> Result<Turn, Refusal> {
        let client = self.known(client).ok_or(Refusal::NoUser)?;
        let user = &client.principal;
        let budget =
            Budget { per_second: user.recipients_per_second, per_day: user.recipients_per_day };
        let recipients = envelope.forward_paths.len();
        if budget.per_day.is_some_and(|most| u64::try_from(recipients).unwrap_or(u64::MAX) > most) {
            // It would never fit (decision 14).
            let text = "Recipient count exceeds the daily budget of this user.";
            return Err(Refusal::Denied { id, source: Denial::Unsupported(text.to_owned()) });
        }
        Ok(self.pace.turn(&user.name, budget, recipients, by).await?)
    }

    /// The binding decision, by the rules of this moment.
    fn permit(
        &self,
        client: &Client,
        transaction: Transaction,
        id: Uuid,
    ) -> Result<Permit, Refusal> {
        let rules = self.rules.load();
        let occasion = Occasion { id, now: occasion().now };
        let client = rules.known(client, occasion.now).ok_or(Refusal::NoUser)?;
        rules
            .authorizer
            .permit(&client, transaction, occasion)
            .map_err(|source| self.denied(id, source))
    }

    /// A message that waits for what SES says of an identity has it read next.
    fn denied(&self, id: Uuid, source: Denial) -> Refusal {
        if let (Denial::Unsure(unsure), Some(inventory)) = (&source, &self.inventory) {
            inventory.wanted(&unsure.identity);
        }
        Refusal::Denied { id, source }
    }

    /// How many bytes a byte of content takes in all while the upstream is called.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.upstream.weight()
    }

    /// Logs a message for which there was no memory.
    pub fn put_off(&self, client: &Client, envelope: &Envelope, bytes: usize, reply: &Reply) {
        let id = occasion().id;
        Line::new(&self.settings.redaction, client, envelope, None, id).put_off(bytes, reply);
    }

    /// Logs a message that was refused before anything could be decided about it.
    pub fn unreadable(&self, client: &Client, envelope: &Envelope, reply: &Reply) {
        let id = occasion().id;
        Line::new(&self.settings.redaction, client, envelope, None, id).unreadable(reply);
    }

    /// Has new credentials asked for: SES said that they have expired.
    pub fn refresh_credentials(&self) {
        self.upstream.refresh_credentials();
    }

    /// Waits for calls that outlived the answer to their client.
    pub async fn settle(&self) {
        self.upstream.settle().await;
    }
}

/// The reply to each refusal (decisions 13 and 14).
impl From<&Refusal> for Reply {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Denied { id, source } => match source {
                Denial::Policy { user, resource, .. } => {
                    Self::access_denied(user, resource, &id.to_string())
                }
                Denial::NotVerified { region, identities } => Self::message_rejected(&format!(
                    "Email address is not verified. The following identities failed the check in \
                     region {}: {}",
                    region.to_ascii_uppercase(),
                    identities.join(", ")
                )),
                Denial::Unsure(_) => Self::temporary_failure(),
                Denial::Unsupported(text) => Self::transaction_failed(text),
            },
            Refusal::NoUser => Self::authentication_required(),
            Refusal::Exceeded(Exceeded::Rate | Exceeded::UserRate) => {
                Self::throttled("Maximum sending rate exceeded.")
            }
            Refusal::Exceeded(Exceeded::Quota | Exceeded::UserQuota) => {
                Self::throttled("Daily message quota exceeded.")
            }
            Refusal::Upstream(error) => match error {
                UpstreamError::Throttled(text) => Self::throttled(text),
                UpstreamError::Rejected(text)
                | UpstreamError::Paused(text)
                | UpstreamError::Suspended(text) => Self::message_rejected(text),
                UpstreamError::Failed(text) => Self::transaction_failed(text),
                UpstreamError::TooLong(_) => Self::message_too_long(),
                UpstreamError::MailFromNotVerified(text) => Self::mail_from_not_verified(text),
                UpstreamError::NoConfigurationSet(text) => Self::configuration_set_missing(text),
                UpstreamError::Temporary { .. } => Self::temporary_failure(),
            },
            Refusal::Deferred(text) => Self::temporarily_rejected(text),
        }
    }
}

/// The log line of one transaction, begun with what is known before it ends.
struct Line<'a> {
    redaction: &'a Redaction,
    client: &'a Client,
    id: Uuid,
    ehlo: &'a str,
    reverse_path: String,
    recipients: String,
    from: String,
}

impl<'a> Line<'a> {
    fn new(
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

    fn relayed(&self, sent: &Sent, took: Duration) -> Reply {
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

    fn refused(&self, refusal: &Refusal, bytes: Option<usize>, took: Duration) -> Reply {
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

    fn put_off(&self, bytes: usize, reply: &Reply) {
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

    fn unreadable(&self, reply: &Reply) {
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

fn shown(redaction: &Redaction, reply: &Reply) -> String {
    if redaction.is_full() { reply.to_string() } else { reply.code().to_string() }
}

/// A message that was taken.
struct Sent {
    verdict: Verdict,
    overruled: String,
    message_id: String,
    bytes: usize,
    waited: Duration,
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

fn occasion() -> Occasion {
    #[expect(clippy::disallowed_methods, reason = "the moment of the decision (decision 8)")]
    let now = SystemTime::now();
    Occasion { id: Uuid::now_v7(), now }
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "how long a transaction took")]
    Instant::now()
}

fn milliseconds(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
