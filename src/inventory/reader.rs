//! The task that asks SES: which call is next, what its answer changes, and what is told to whom.

mod health;
mod keep;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sesv2::Client;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cache::Cache;
use super::calls::{self, Page, Trouble};
use super::store::{IDENTITIES, Store};
use super::{AccountState, Details, InventorySettings, Snapshot};
use health::{Call, Health};
use keep::Saving;

use crate::clock;

/// Pages of one list; SES gives ten for the 10,000 identities of an account.
const PAGES: usize = 1000;

/// Longer than a process runs.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

type Expired = Box<dyn Fn() + Send + Sync>;

/// Reads what SES says, until it is told to stop.
pub struct Reader {
    settings: InventorySettings,
    client: Client,
    expired: Option<Expired>,
    /// Changes when the account is to be read at once.
    doubts: watch::Receiver<()>,
    /// It is, or is being read so.
    is_doubted: bool,
    wanted: mpsc::Receiver<String>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    store: Store,
    account: Due,
    list: Due,
    details: Health,
    /// The pages of the list that is being read.
    pages: Option<Pages>,
    /// The next call goes out no earlier.
    next_call: Instant,
    next: Snapshot,
    identities_changed: bool,
    publish_at: Option<Instant>,
    published: Option<Instant>,
    copy: Saving,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A call that is made again and again.
struct Due {
    at: Instant,
    health: Health,
}

#[derive(Default)]
struct Pages {
    found: BTreeMap<String, bool>,
    token: Option<String>,
    read: usize,
}

enum Answer {
    Account(Result<AccountState, Trouble>),
    List(Result<Page, Trouble>),
    Details(String, Result<(bool, Details), Trouble>),
}

impl Reader {
    pub(super) fn new(
        settings: InventorySettings,
        client: Client,
        wanted: mpsc::Receiver<String>,
    ) -> (Self, watch::Receiver<Arc<Snapshot>>) {
        let cache = Cache::of(&settings);
        let now = clock::now();
        let due = |call| Due { at: now, health: Health::new(call, now) };
        let mut list = due(Call::List);
        if !settings.identities {
            list.at = now + NEVER;
        }
        let (snapshots, receiver) = watch::channel(Arc::default());
        let mut reader = Self {
            client,
            expired: None,
            doubts: watch::channel(()).1,
            is_doubted: false,
            wanted,
            snapshots,
            store: Store::default(),
            account: due(Call::Account),
            list,
            details: Health::new(Call::Details, now),
            pages: None,
            next_call: now,
            next: Snapshot::default(),
            identities_changed: false,
            publish_at: None,
            published: None,
            copy: Saving::new(cache),
            settings,
        };
        reader.restore(now);
        (reader, receiver)
    }

    /// Calls `expired` when SES says that the credentials have expired, so that the next call gets
    /// new ones.
    #[must_use]
    pub fn on_expired(mut self, expired: impl Fn() + Send + Sync + 'static) -> Self {
        self.expired = Some(Box::new(expired));
        self
    }

    /// Reads the account at once whenever `doubts` changes, within the pace of all calls, and publishes
    /// the answer at once and whatever it says.
    #[must_use]
    pub fn asked_by(mut self, doubts: watch::Receiver<()>) -> Self {
        self.doubts = doubts;
        self
    }

    /// Reads until cancelled, then writes the copy if it has changed.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            while let Ok(name) = self.wanted.try_recv() {
                self.store.want(&name);
            }
            let now = clock::now();
            if self.doubts.has_changed().unwrap_or(false) {
                self.doubts.mark_unchanged();
                (self.account.at, self.is_doubted) = (now, true);
            }
            self.publish(now);
            if self.save_at().is_some_and(|at| at <= now) {
                self.save().await;
            }
            let Some(call) = self.pick(now) else {
                let wake = self.wake();
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep_until(wake) => {}
                    Some(name) = self.wanted.recv() => self.store.want(&name),
                    Ok(()) = self.doubts.changed() => self.doubts.mark_changed(),
                }
                continue;
            };
            self.next_call = now + self.settings.interval;
            let answer = tokio::select! {
                () = stop.cancelled() => break,
                answer = self.ask(call) => answer,
            };
            self.take(answer);
        }
        if self.save_at().is_some() {
            self.save().await;
        }
    }

    /// The call that goes out now. The account's state is one call a minute and comes first, so that
    /// the details of thousands of identities never keep it waiting; then the list, then details.
    fn pick(&self, now: Instant) -> Option<Pick> {
        if now < self.next_call {
            return None;
        }
        if now >= self.account.moment() {
            return Some(Pick::Account);
        }
        if now >= self.list.moment() {
            let token = self.pages.as_ref().and_then(|pages| pages.token.clone());
            return Some(Pick::List(token));
        }
        if now >= self.details.not_before() {
            return self.store.next(now).map(|name| Pick::Details(name.to_owned()));
        }
        None
    }

    /// When there may be something to do.
    fn wake(&self) -> Instant {
        let details = self.store.next_due().map(|due| due.max(self.details.not_before()));
        let calls = [Some(self.account.moment()), Some(self.list.moment()), details];
        let calls = calls.into_iter().flatten().map(|at| at.max(self.next_call));
        let all = calls.chain(self.publish_at).chain(self.save_at()).min();
        all.unwrap_or(self.next_call)
    }

    async fn ask(&self, pick: Pick) -> Answer {
        let (client, patience) = (&self.client, self.settings.patience);
        match pick {
            Pick::Account => Answer::Account(within(patience, calls::account(client)).await),
            Pick::List(token) => Answer::List(within(patience, calls::page(client, token)).await),
            Pick::Details(name) => {
                let read = within(patience, calls::details(client, &name)).await;
                Answer::Details(name, read)
            }
        }
    }

    fn take(&mut self, answer: Answer) {
        let now = clock::now();
        match answer {
            Answer::Account(Ok(state)) => {
                self.account.health.good();
                self.account.at = now + self.settings.account_refresh;
                let is_new = self.next.account.as_ref() != Some(&state);
                self.next.account = Some(state);
                if std::mem::take(&mut self.is_doubted) {
                    self.publish_account();
                } else if is_new {
                    self.changed(now, false);
                }
            }
            Answer::Account(Err(trouble)) => {
                self.renew(&trouble);
                self.account.health.bad(&trouble, None, now, &self.settings);
            }
            Answer::List(Ok(page)) => self.take_page(page, now),
            Answer::List(Err(trouble)) => {
                // SES forgets a list that is begun; only a failure on the way is no reason to.
                if !trouble.is_general() {
                    self.pages = None;
                }
                self.renew(&trouble);
                self.list.health.bad(&trouble, None, now, &self.settings);
            }
            Answer::Details(name, read) => self.take_details(&name, read, now),
        }
    }

    fn take_page(&mut self, page: Page, now: Instant) {
        let pages = self.pages.get_or_insert_with(Pages::default);
        pages.read += 1;
        pages.found.extend(page.identities);
        pages.token = page.next;
        if pages.read > PAGES || pages.found.len() > IDENTITIES {
            self.pages = None;
            let trouble = Trouble::Unreadable("the list has no end".to_owned());
            self.list.health.bad(&trouble, None, now, &self.settings);
            return;
        }
        self.list.health.good();
        if pages.token.is_some() {
            return;
        }
        let Pages { found, .. } = self.pages.take().unwrap_or_default();
        self.list.at = now + self.settings.refresh;
        self.next.taken = Some(clock::time_of_day());
        let is_first = !std::mem::replace(&mut self.next.complete, true);
        if self.store.merge(found, now) || is_first {
            self.identities_changed = true;
            self.changed(now, is_first);
            self.copy.changed();
        }
        self.copy.renew(now);
    }

    fn take_details(&mut self, name: &str, read: Result<(bool, Details), Trouble>, now: Instant) {
        let refresh = now + self.settings.refresh;
        let changed = match read {
            Ok((verified, details)) => {
                match self.store.read(name, verified, details, clock::time_of_day(), refresh) {
                    Some(changed) => {
                        self.details.good_but(self.store.is_failing());
                        changed
                    }
                    None => {
                        self.store.postpone(name, refresh);
                        let trouble = Trouble::Unreadable(
                            "the policies of all identities together are too long to be kept"
                                .to_owned(),
                        );
                        self.details.bad(&trouble, Some(name), now, &self.settings);
                        false
                    }
                }
            }
            Err(Trouble::Gone) => {
                let removed = self.store.remove(name);
                self.details.good_but(self.store.is_failing());
                removed
            }
            Err(trouble) => {
                if !trouble.is_general() {
                    self.store.postpone(name, refresh);
                }
                self.renew(&trouble);
                self.details.bad(&trouble, Some(name), now, &self.settings);
                false
            }
        };
        if changed {
            self.identities_changed = true;
            self.changed(now, false);
            self.copy.changed();
        }
    }

    fn renew(&self, trouble: &Trouble) {
        if let (Trouble::Credentials(_), Some(expired)) = (trouble, &self.expired) {
            expired();
        }
    }

    /// A snapshot is due: now, or when the one before has settled.
    fn changed(&mut self, now: Instant, at_once: bool) {
        let settled = self.published.filter(|_| !at_once).map(|at| at + self.settings.settle);
        let at = settled.unwrap_or(now);
        self.publish_at = Some(self.publish_at.map_or(at, |before| before.min(at)));
    }

    /// Publishes the state of the account beside what was published of the identities.
    fn publish_account(&self) {
        let account = self.next.account.clone();
        self.snapshots.send_modify(|last| {
            *last = Arc::new(Snapshot { account, ..Snapshot::clone(last) });
        });
    }

    fn publish(&mut self, now: Instant) {
        if self.publish_at.is_none_or(|at| at > now) {
            return;
        }
        if std::mem::take(&mut self.identities_changed) {
            self.next.identities = Arc::new(self.store.identities());
        }
        self.publish_at = None;
        self.published = Some(now);
        self.snapshots.send_replace(Arc::new(self.next.clone()));
    }
}

impl Due {
    /// When the call goes out, after a failure later.
    fn moment(&self) -> Instant {
        self.at.max(self.health.not_before())
    }
}

enum Pick {
    Account,
    List(Option<String>),
    Details(String),
}

async fn within<T>(
    patience: Duration,
    call: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(patience, call).await {
        Ok(answer) => answer,
        Err(_) => Err(Trouble::Unreachable(format!("no answer within {patience:?}"))),
    }
}
