//! Decisions about a message: early, when its header section is complete, and the one that counts.
//!
//! The early one saves a client the rest of a message that will be refused. The binding one is made when
//! the message has its turn, since the rules may have changed while it waited.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::report::Report;
use super::slow_decisions::{QUICK_STEPS, Undecided};
use super::{Refusal, Relay, candidate};
use crate::authorize::{Client, Denial, NotPermitted, Occasion, Permit, STEPS, Screened, Verdict};
use crate::clock;
use crate::message::HeaderSection;
use crate::rules::Rules;
use crate::smtp::{Envelope, Reply, Transaction};
use crate::trace::{self, TransactionTimes};
use crate::upstream::{InForce, UpstreamError};

impl Relay {
    /// Decides about a message whose header section is complete: one that is refused here need not
    /// be read to its end. The binding decision is that of [`Relay::carry_out`], which takes what was
    /// decided here.
    ///
    /// # Errors
    /// The reply that refuses it.
    pub fn screen(
        &self,
        client: &Client,
        envelope: &Arc<Envelope>,
        header: &Arc<HeaderSection>,
        begun: TransactionTimes,
    ) -> Result<Option<Screened>, Reply> {
        let occasion = occasion();
        let started = clock::now();
        let rules = self.rules.load();
        let (took, differs, refusal) = match rules.known(client, occasion.now) {
            Some(client) => match rules.authorizer.screen(&client, envelope, header, occasion) {
                Ok(screened) => return Ok(screened),
                // What takes long is decided once, with the binding decision.
                Err(Denial::TooManySteps) => return Ok(None),
                Err(source) => {
                    let took = started.elapsed();
                    let decided = Err(&source);
                    let differs =
                        candidate::differs(&rules, &client, envelope, header, occasion, decided);
                    (took, differs, self.denied(occasion.id, source))
                }
            },
            None => (started.elapsed(), None, Refusal::NoUser),
        };
        self.decided(client, Err(&refusal), took);
        let trace = &trace::begin(begun, header.trace_parent());
        let report = Report::new(self, trace, client, envelope, Some(header), occasion.id);
        report.tried(differs);
        Err(report.refused(&refusal, None, took))
    }

    /// The binding decision, by the rules of this moment, and what says whether they still hold.
    pub(super) async fn permit(
        &self,
        report: &Report<'_>,
        mut transaction: Transaction,
        screened: Option<Screened>,
        by: Instant,
    ) -> Result<(Permit, InForce), Refusal> {
        let (client, id) = (report.client(), report.id());
        if self.settings.strip_traceparent && transaction.header.has_trace_fields() {
            Arc::make_mut(&mut transaction.header).remove_trace_fields();
        }
        let rules = self.rules.load_full();
        let occasion = occasion_of(id);
        let client = rules.known(client, occasion.now).ok_or(Refusal::NoUser)?;
        let (envelope, header) = (transaction.envelope.clone(), transaction.header.clone());
        let started = clock::now();
        let permit = match rules.authorizer.permit(&client, transaction, occasion, screened) {
            Err(not) if not.denial == Denial::TooManySteps => {
                let occasion = Occasion { steps: STEPS, ..occasion };
                self.permit_slowly(&rules, &client, not.transaction, occasion, by).await?
            }
            permit => permit,
        };
        let took = started.elapsed();
        let decided = permit.as_ref().map(Permit::verdict).map_err(|not| &not.denial);
        report.tried(candidate::differs(&rules, &client, &envelope, &header, occasion, decided));
        let permit = permit.map_err(|not| self.denied(id, not.denial));
        self.decided(&client, permit.as_ref().map(Permit::verdict), took);
        let permit = permit?;
        let parameters = permit.parameters().clone();
        let current = Arc::clone(&self.rules);
        let in_force = InForce::new(move || {
            let now = current.load();
            let occasion = occasion_of(id);
            // Other rules may still permit the very same.
            Arc::ptr_eq(&rules, &now)
                || now.known(&client, occasion.now).is_some_and(|client| {
                    now.authorizer.confirms(&client, &envelope, &header, occasion, &parameters)
                })
        });
        Ok((permit, in_force))
    }

    /// Makes a decision that takes long, off the threads that serve everybody.
    async fn permit_slowly(
        &self,
        rules: &Arc<Rules>,
        client: &Client,
        transaction: Transaction,
        occasion: Occasion,
        by: Instant,
    ) -> Result<Result<Permit, Box<NotPermitted>>, Refusal> {
        let (rules, client) = (Arc::clone(rules), client.clone());
        let user = client.principal.name.clone();
        let permit = move || rules.authorizer.permit(&client, transaction, occasion, None);
        self.slow_decisions.decide(&user, by, permit).await.map_err(|undecided| {
            Refusal::Upstream(UpstreamError::Temporary {
                detail: match undecided {
                    Undecided::Late => "decisions about other messages of the user took too long",
                    Undecided::Failed => "the decision ended without an answer",
                }
                .to_owned(),
                said: None,
                remedy: "send to fewer addresses in one message, or have fewer patterns in the \
                         policies of the user",
                possible_duplicate: false,
            })
        })
    }

    /// Counts a decision by policies.
    fn decided(&self, client: &Client, decision: Result<&Verdict, &Refusal>, took: Duration) {
        let verdict = match decision {
            Ok(verdict) => verdict,
            Err(Refusal::Denied { source: Denial::Policy { verdict, .. }, .. }) => verdict,
            Err(_) => return,
        };
        self.metrics.evaluated(took);
        let user = &client.principal.name;
        self.metrics.decided(user, verdict.decision, verdict.statement.as_deref());
    }

    /// A message that waits for what SES says of an identity has it read next.
    fn denied(&self, id: Uuid, source: Denial) -> Refusal {
        if let (Denial::Unsure(unsure), Some(inventory)) = (&source, &self.inventory) {
            inventory.wanted(&unsure.identity);
            if !self.has_credentials.load(Ordering::Relaxed) {
                // What is not known is not known for that reason.
                let said = "SES cannot be asked about the account".to_owned();
                return UpstreamError::without_credentials(said).into();
            }
        }
        Refusal::Denied { id, source }
    }
}

pub(super) fn occasion() -> Occasion {
    occasion_of(Uuid::now_v7())
}

fn occasion_of(id: Uuid) -> Occasion {
    Occasion { id, now: clock::time_of_day(), steps: QUICK_STEPS }
}
