//! What SES itself says about the account: its identities and its sending limits.
//!
//! A [`Reader`] asks in the background, one call a second at most, and publishes a [`Snapshot`]
//! whenever something changed; a copy on disk lets the relay start without SES. Nothing here is in
//! the way of a message: what is not known yet says so, and what follows from that is left to those
//! who read the snapshot.

mod cache;
mod calls;
mod convert;
mod reader;
mod store;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use aws_sdk_sesv2::Client;
use tokio::sync::{mpsc, watch};

use crate::policy::Policy;
use cache::Cache;
use convert::Unsure;
pub use convert::identities;
pub use reader::Reader;

/// Hints that wait to be heard; more are dropped, and given again with the next message.
const HINTS: usize = 1024;

/// How SES is asked, and where the answers are kept.
#[derive(Debug, Clone)]
pub struct InventorySettings {
    /// The account, twelve digits; a copy of another account's answers is not used.
    pub account: String,
    /// The region; a copy of another region's answers is not used.
    pub region: String,
    /// The directory of the copy on disk; it is made when missing. Without it nothing is kept.
    pub cache: Option<PathBuf>,
    /// Whether the identities are read, or the state of the account alone.
    pub identities: bool,
    /// Time from one call to the next, of whatever kind. SES allows one a second for each account.
    pub interval: Duration,
    /// Age at which the list, and what is known of one identity, are read again.
    pub refresh: Duration,
    /// Age at which the state of the account is read again.
    pub account_refresh: Duration,
    /// Age from which a copy on disk is not used.
    pub stale: Duration,
    /// Time from one snapshot to the next, when changes come one after the other.
    pub settle: Duration,
    /// Time from one writing of the copy to the next.
    pub save: Duration,
    /// How long one call may take.
    pub patience: Duration,
    /// The longest pause after calls that failed.
    pub longest_pause: Duration,
}

impl InventorySettings {
    /// Returns what fits an account of any size: SES is asked once a second at most.
    #[must_use]
    pub fn new(account: &str, region: &str, cache: Option<PathBuf>) -> Self {
        Self {
            account: account.to_owned(),
            region: region.to_owned(),
            cache,
            identities: true,
            interval: Duration::from_secs(1),
            refresh: Duration::from_secs(300),
            account_refresh: Duration::from_secs(60),
            stale: Duration::from_secs(7 * 24 * 3600),
            settle: Duration::from_secs(5),
            save: Duration::from_secs(60),
            patience: Duration::from_secs(20),
            longest_pause: Duration::from_secs(60),
        }
    }
}

/// Everything that is known at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// When the list of identities was last read to its end; `None` when it never was.
    pub taken: Option<SystemTime>,
    /// What `GetAccount` said last.
    pub account: Option<AccountState>,
    /// Every identity that SES lists, by name, those that are not verified among them.
    ///
    /// The same allocation as in the snapshot before when no identity changed.
    pub identities: Arc<Vec<Arc<KnownIdentity>>>,
    /// Whether there are no other identities: the list was read to its end, now or by an earlier
    /// process.
    pub complete: bool,
}

/// What `GetAccount` says.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountState {
    /// Whether the account is out of the sandbox.
    pub production_access: bool,
    /// Whether the account may send at all.
    pub sending_enabled: bool,
    /// `HEALTHY`, `PROBATION`, `SHUTDOWN`, or whatever SES says later.
    pub enforcement_status: String,
    /// Recipients a day; -1 is without a limit.
    pub max_24_hour_send: f64,
    /// Recipients a second.
    pub max_send_rate: f64,
    /// Recipients in the last 24 hours, at the time of the answer.
    pub sent_last_24_hours: f64,
}

/// One identity of the account.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownIdentity {
    /// A domain or an address, as SES lists it.
    pub name: String,
    /// Whether SES sends from it. One that is not verified covers no address.
    pub verified_for_sending: bool,
    /// The rest; `None` until it was read, which for a large account takes hours. Its policies may
    /// hold a Deny and its configuration set may be denied, so that nothing can be said about a
    /// message that depends on it.
    pub details: Option<Details>,
}

/// What `GetEmailIdentity` says about an identity.
#[derive(Debug, Clone, Default)]
pub struct Details {
    /// The configuration set that applies when a message names none.
    pub configuration_set: Option<String>,
    /// Key and value of each tag.
    pub tags: Vec<(String, String)>,
    /// The text of each sending authorization policy, by its name.
    pub policies: BTreeMap<String, String>,
    /// The policies compiled, or why they cannot be: made once, when first asked for.
    compiled: OnceLock<Result<Vec<Arc<Policy>>, Unsure>>,
}

impl PartialEq for Details {
    fn eq(&self, other: &Self) -> bool {
        self.configuration_set == other.configuration_set
            && self.tags == other.tags
            && self.policies == other.policies
    }
}

/// Returns what a relay kept on disk of what SES said, without asking SES; nothing where it kept
/// nothing that a relay would begin with now.
#[must_use]
pub fn kept(settings: &InventorySettings, now: SystemTime) -> Option<Snapshot> {
    let copy = Cache::of(settings)?.load(now, settings.stale).ok().flatten()?;
    let identities = copy.identities.into_iter().map(|(known, _, _)| known).collect();
    Some(Snapshot {
        taken: Some(copy.taken),
        account: copy.account,
        identities: Arc::new(identities),
        complete: true,
    })
}

/// Where the snapshots are found; clones share them.
#[derive(Debug, Clone)]
pub struct Inventory {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    hints: mpsc::Sender<String>,
}

impl Inventory {
    /// Reads the copy on disk, if there is a good one, and prepares to ask SES with a client.
    ///
    /// Never fails: a copy that cannot be used is reported in one line and replaced later.
    #[must_use]
    pub fn open(settings: InventorySettings, client: Client) -> (Self, Reader) {
        let (hints, wanted) = mpsc::channel(HINTS);
        let (reader, snapshots) = Reader::new(settings, client, wanted);
        (Self { snapshots, hints }, reader)
    }

    /// Returns what is known now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// Returns a receiver that wakes at each new snapshot.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// Says that a message depends on an identity whose details are not known: it is read next.
    ///
    /// Never waits. A name that SES does not list, or whose details are known, changes nothing.
    pub fn wanted(&self, name: &str) {
        // A full channel holds enough work for a quarter of an hour.
        let _ = self.hints.try_send(name.to_owned());
    }
}
