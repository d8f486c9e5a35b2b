//! How one kind of call fares: one line when that changes, and longer pauses while it fails.

use tokio::time::Instant;

use super::super::InventorySettings;
use super::super::calls::Trouble;

/// Throttled so often one after the other is worth a line.
const PERSISTENT: u32 = 3;

/// The kinds of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Account,
    List,
    Details,
}

impl Call {
    /// The name of the right that it takes.
    fn right(self) -> &'static str {
        match self {
            Self::Account => "ses:GetAccount",
            Self::List => "ses:ListEmailIdentities",
            Self::Details => "ses:GetEmailIdentity",
        }
    }
}

/// How a kind of call fares.
pub(super) struct Health {
    call: Call,
    /// Failures one after the other.
    failures: u32,
    not_before: Instant,
    told: Option<std::mem::Discriminant<Trouble>>,
}

impl Health {
    pub(super) fn new(call: Call, now: Instant) -> Self {
        Self { call, failures: 0, not_before: now, told: None }
    }

    /// When it may be tried again.
    pub(super) fn not_before(&self) -> Instant {
        self.not_before
    }

    pub(super) fn good(&mut self) {
        self.good_but(false);
    }

    /// A call that went well, while others of its kind may still fail.
    pub(super) fn good_but(&mut self, others_fail: bool) {
        self.failures = 0;
        if !others_fail && self.told.take().is_some() {
            tracing::info!(right = self.call.right(), "SES tells about the account again");
        }
    }

    pub(super) fn bad(
        &mut self,
        trouble: &Trouble,
        identity: Option<&str>,
        now: Instant,
        settings: &InventorySettings,
    ) {
        let pause = settings.interval.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        self.not_before = now + pause.min(settings.longest_pause);
        if matches!(trouble, Trouble::Throttled) && self.failures < PERSISTENT {
            // Others make these calls as well: now and then both come in the same second.
            return;
        }
        if matches!(trouble, Trouble::NoCredentials) {
            // Whoever looks after them tells once for everything that needs them.
            return;
        }
        let kind = std::mem::discriminant(trouble);
        if self.told.replace(kind) == Some(kind) {
            return;
        }
        let right = self.call.right();
        let remedy = match trouble {
            Trouble::Denied(_) => format!("grant the relay's role {right}"),
            Trouble::Credentials(_) | Trouble::NoCredentials => {
                "check the relay's AWS credentials, the region and the clock".to_owned()
            }
            Trouble::Throttled => {
                "something else in the account makes the calls that SES allows once a second; the \
                 relay waits longer"
                    .to_owned()
            }
            Trouble::Gone | Trouble::Unreadable(_) => {
                "check `endpoint_url`: what answers there does not speak as SES does".to_owned()
            }
            Trouble::Unreachable(_) => {
                "check the network path to SES and `endpoint_url`".to_owned()
            }
        };
        tracing::warn!(
            right,
            identity,
            error = %trouble,
            remedy,
            "SES tells nothing about the account: what was known holds, and the relay keeps asking",
        );
    }
}
