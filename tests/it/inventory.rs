//! What SES itself says about the account, as those see it who read the snapshots.

mod copy;

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use serde_json::{Value, json};
use sesgate::inventory::{self, Inventory, InventorySettings, Snapshot};
use sesgate::upstream::{self, SesSettings};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::fake_ses::{Act, FakeSes, Read, World};

const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"NoBulk","Effect":"Deny",
    "Principal":"*","Action":"ses:SendRawEmail","Resource":"arn:aws:ses:us-east-1:123456789012:identity/example.com"}]}"#;

fn settings(cache: Option<&Path>) -> InventorySettings {
    let ms = Duration::from_millis;
    InventorySettings {
        interval: ms(5),
        refresh: ms(150),
        account_refresh: ms(100),
        settle: ms(20),
        save: ms(20),
        patience: ms(300),
        longest_pause: ms(80),
        ..InventorySettings::new("123456789012", "us-east-1", cache.map(Path::to_path_buf))
    }
}

/// A reader at work.
struct Running {
    inventory: Inventory,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn client(url: &str) -> aws_sdk_sesv2::Client {
    let settings = SesSettings {
        region: "us-east-1".to_owned(),
        endpoint_url: Some(url.to_owned()),
        calls: 4,
        connect: Duration::from_secs(2),
        finish: Duration::from_secs(30),
    };
    upstream::client(&settings, Credentials::new("AKIAEXAMPLE", "secret", None, None, "test"))
}

fn start(url: &str, settings: InventorySettings) -> Running {
    let (inventory, reader) = Inventory::open(settings, client(url));
    let stop = CancellationToken::new();
    let task = tokio::spawn(reader.run(stop.clone()));
    Running { inventory, stop, task }
}

impl Running {
    /// Waits for a snapshot of which something holds.
    async fn until(&self, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let mut changes = self.inventory.changes();
        let wait = changes.wait_for(|snapshot| holds(snapshot));
        match tokio::time::timeout(Duration::from_secs(10), wait).await {
            Ok(found) => Arc::clone(&found.unwrap()),
            Err(_) => panic!("{what}: {:#?}", self.inventory.snapshot()),
        }
    }

    /// Waits for everything about each verified identity.
    async fn known(&self) -> Arc<Snapshot> {
        let known = |snapshot: &Snapshot| {
            let mut all = snapshot.identities.iter();
            snapshot.complete
                && snapshot.account.is_some()
                && all.all(|it| it.details.is_some() || !it.verified_for_sending)
        };
        self.until("everything is known", known).await
    }

    async fn end(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(5), self.task).await;
        ended.expect("it ends soon").unwrap();
    }
}

async fn fake(world: impl FnOnce(&mut World)) -> FakeSes {
    let fake = FakeSes::start([]).await;
    world(&mut fake.world.lock().unwrap());
    fake
}

/// `example.com` with all details, `app@example.org` without, and one that is not verified.
fn three(world: &mut World) {
    world.identity(
        "example.com",
        json!({
            "ConfigurationSetName": "transactional",
            "Tags": [{ "Key": "team", "Value": "growth" }, { "Key": "stage", "Value": "" }],
            "Policies": { "no-bulk": POLICY },
        }),
    );
    world.identity("app@example.org", json!({}));
    world.identity(
        "failed.example",
        json!({ "VerificationStatus": "FAILED", "VerifiedForSendingStatus": true }),
    );
}

fn nowhere() -> String {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", closed.local_addr().unwrap())
}

fn names(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.identities.iter().map(|identity| identity.name.as_str()).collect()
}

/// Waits until something holds.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The log of the current thread, as values.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// The lines of the inventory at that level.
    fn lines(&self, level: &str) -> Vec<Value> {
        let bytes = self.0.lock().unwrap().clone();
        let lines = String::from_utf8(bytes).unwrap();
        lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|line| line["target"].as_str().unwrap().starts_with("sesgate::inventory"))
            .filter(|line| line["level"] == level)
            .collect()
    }
}

#[tokio::test]
async fn everything_that_ses_says_is_in_the_snapshot() {
    let fake = fake(three).await;
    let running = start(&fake.url, settings(None));
    let snapshot = running.known().await;
    assert_eq!(names(&snapshot), ["app@example.org", "example.com", "failed.example"]);
    let account = snapshot.account.clone().unwrap();
    assert!(account.production_access && account.sending_enabled);
    assert_eq!(account.enforcement_status, "HEALTHY");
    assert_eq!((account.max_24_hour_send, account.max_send_rate), (50_000.0, 14.0));
    let [app, domain, failed] = snapshot.identities.as_slice() else { panic!("{snapshot:?}") };
    let details = domain.details.as_ref().unwrap();
    assert_eq!(details.configuration_set.as_deref(), Some("transactional"));
    assert_eq!(details.policies["no-bulk"], POLICY);
    assert!(app.verified_for_sending && app.details.as_ref().unwrap().policies.is_empty());
    assert!(!failed.verified_for_sending, "a failure is one whatever the flag says");

    let converted = inventory::identities(&snapshot);
    let [app, domain] = converted.as_slice() else { panic!("{converted:?}") };
    assert_eq!((app.name.as_str(), &app.unsure), ("app@example.org", &None));
    assert_eq!(domain.configuration_set.as_deref(), Some("transactional"));
    let tag = |key: &str, value: &str| (format!("aws:ResourceTag/{key}"), value.to_owned());
    assert_eq!(domain.tags, [tag("team", "growth"), tag("stage", "")]);
    let [policy] = domain.policies.as_slice() else { panic!("{domain:?}") };
    assert_eq!(policy.name(), "identity example.com policy no-bulk");
    running.end().await;
}

#[tokio::test]
async fn the_account_alone_may_be_read() {
    let fake = fake(three).await;
    let running = start(&fake.url, InventorySettings { identities: false, ..settings(None) });
    eventually("the account is read", || fake.readings().len() >= 3).await;
    let snapshot = running.inventory.snapshot();
    assert!(snapshot.account.is_some() && snapshot.identities.is_empty() && !snapshot.complete);
    running.end().await;
    assert!(fake.readings().iter().all(|(_, read, _)| *read == Read::Account));
}

/// A page an answer, and never two calls within the interval, whatever they ask.
#[tokio::test]
async fn the_list_is_read_page_by_page_at_a_measured_pace() {
    let fake = fake(|world| {
        world.page = 10;
        (0..45).for_each(|number| world.identity(&format!("d{number:02}.example"), json!({})));
    })
    .await;
    let interval = Duration::from_millis(30);
    let running = start(&fake.url, InventorySettings { interval, ..settings(None) });
    let snapshot = running.until("the list is read", |snapshot| snapshot.complete).await;
    assert_eq!(snapshot.identities.len(), 45);
    assert!(snapshot.identities.iter().all(|identity| identity.details.is_none()));
    let converted = inventory::identities(&snapshot);
    let unread = "its configuration set and policies were not read from SES yet";
    assert!(converted.iter().all(|it| it.unsure.as_deref() == Some(unread)), "{converted:?}");
    running.known().await;
    running.end().await;
    let readings = fake.readings();
    let count = |wanted: Read| readings.iter().filter(|(_, read, _)| *read == wanted).count();
    assert!(count(Read::List) >= 5, "{readings:?}");
    // The account is asked again and again although details are outstanding all the time.
    assert!(count(Read::Account) >= 5, "{readings:?}");
    let elapsed = readings.last().unwrap().0 - readings[0].0;
    let least = interval * u32::try_from(readings.len() - 1).unwrap();
    // The moments are those of arrival: a little apart from those of sending.
    assert!(elapsed + Duration::from_millis(20) >= least, "{} in {elapsed:?}", readings.len());
}

#[tokio::test]
async fn identities_in_use_are_read_first() {
    let fake = fake(|world| {
        (0..200).for_each(|number| world.identity(&format!("d{number:03}.example"), json!({})));
    })
    .await;
    let slow = InventorySettings { interval: Duration::from_millis(20), ..settings(None) };
    let running = start(&fake.url, slow);
    running.until("the list is read", |snapshot| snapshot.complete).await;
    running.inventory.wanted("d199.example");
    running.inventory.wanted("unknown.example");
    let known = |snapshot: &Snapshot| {
        snapshot.identities.last().is_some_and(|identity| identity.details.is_some())
    };
    let snapshot = running.until("the wanted one is read", known).await;
    let read = snapshot.identities.iter().filter(|identity| identity.details.is_some()).count();
    assert!(read < 30, "{read} of 200");
    running.end().await;
}

#[tokio::test]
async fn changes_at_ses_arrive() {
    let fake = fake(three).await;
    let running = start(&fake.url, settings(None));
    running.known().await;
    let world = |change: &dyn Fn(&mut World)| change(&mut fake.world.lock().unwrap());

    world(&|world| world.identity("example.com", json!({ "Policies": { "none": "{}" } })));
    let policies = |snapshot: &Snapshot, name: &str| {
        let identity = snapshot.identities.iter().find(|identity| identity.name == "example.com");
        identity.unwrap().details.as_ref().unwrap().policies.contains_key(name)
    };
    running.until("another policy", |snapshot| policies(snapshot, "none")).await;

    world(&|world| drop(world.identities.remove("app@example.org")));
    world(&|world| world.identity("new.example", json!({})));
    let list = |snapshot: &Snapshot| names(snapshot).join(" ");
    let expected = "example.com failed.example new.example";
    running.until("one gone, one new", |snapshot| list(snapshot) == expected).await;

    let pending = json!({ "VerificationStatus": "PENDING", "VerifiedForSendingStatus": false });
    world(&|world| world.identity("example.com", pending.clone()));
    let covers = |snapshot: &Snapshot, name: &str| {
        inventory::identities(snapshot).iter().any(|it| it.name == name)
    };
    running.until("no longer verified", |snapshot| !covers(snapshot, "example.com")).await;
    world(&|world| world.identity("example.com", json!({})));
    running.until("verified again", |snapshot| covers(snapshot, "example.com")).await;

    world(&|world| world.account["SendQuota"]["MaxSendRate"] = json!(90.0));
    let rate = |snapshot: &Snapshot| snapshot.account.as_ref().unwrap().max_send_rate;
    running.until("another rate", |snapshot| rate(snapshot) == 90.0).await;
    running.end().await;
}

/// Those who rebuild from a snapshot are not woken for nothing, nor for each of many changes.
#[tokio::test]
async fn snapshots_are_few() {
    let fake = fake(|world| {
        (0..60).for_each(|number| world.identity(&format!("d{number:02}.example"), json!({})));
    })
    .await;
    let settle = Duration::from_millis(200);
    let running = start(&fake.url, InventorySettings { settle, ..settings(None) });
    let mut changes = running.inventory.changes();
    let counted = tokio::spawn(async move {
        let mut count = 0;
        while changes.changed().await.is_ok() {
            count += 1;
        }
        count
    });
    let known = running.known().await;
    tokio::time::sleep(2 * settle).await;
    // The account's numbers alone leave the identities as they are.
    fake.world.lock().unwrap().account["SendQuota"]["SentLast24Hours"] = json!(26.0);
    let sent = |snapshot: &Snapshot| snapshot.account.as_ref().unwrap().sent_last_24_hours;
    let later = running.until("the numbers change", |snapshot| sent(snapshot) == 26.0).await;
    assert!(Arc::ptr_eq(&known.identities, &later.identities));
    running.end().await;
    let count = counted.await.unwrap();
    assert!((2..=8).contains(&count), "{count} snapshots");
}

#[tokio::test]
async fn a_policy_that_cannot_be_evaluated_is_not_skipped() {
    let fake = fake(|world| {
        let odd = POLICY.replace("\"Effect\"", "\"Effects\"");
        world.identity("example.com", json!({ "Policies": { "good": POLICY, "odd": odd } }));
        world.identity("example.org", json!({ "Policies": { "cut": "{\"Statement\":" } }));
    })
    .await;
    let running = start(&fake.url, settings(None));
    let converted = inventory::identities(&*running.known().await);
    for (converted, name) in converted.iter().zip(["odd", "cut"]) {
        assert!(converted.policies.is_empty(), "not the good ones alone");
        let unsure = converted.unsure.as_deref().unwrap();
        let place = format!("identity {} policy {name}:", converted.name);
        let said = format!("its policy `{name}` cannot be evaluated: {place}");
        assert!(unsure.starts_with(&said), "{unsure}");
    }
    running.end().await;
}

/// Whatever happens to one call, the others go on, and it is made again until it succeeds.
#[tokio::test]
async fn every_fault_passes() {
    let denied = Act::Refuse(403, "AccessDeniedException", "User is not authorized");
    let faults = [
        denied,
        Act::Refuse(429, "TooManyRequestsException", "Rate exceeded"),
        Act::Refuse(400, "ThrottlingException", "Rate exceeded"),
        Act::Refuse(403, "ExpiredTokenException", "expired"),
        Act::Refuse(500, "InternalFailure", "Oops"),
        Act::Refuse(400, "BadRequestException", "Oops"),
        Act::Answer(200, "{}"),
        Act::Answer(200, "<html>"),
        Act::Answer(200, r#"{"EmailIdentities":7,"SendQuota":[],"IdentityType":{}}"#),
        Act::Answer(404, "<html>"),
        Act::ResetEarly,
        Act::ResetLate,
        Act::Stall(Duration::from_secs(5)),
        Act::TakeAfter(Duration::from_secs(5), ""),
        Act::Rubbish,
    ];
    let mut cases = JoinSet::new();
    for fault in faults {
        for read in [Read::Account, Read::List, Read::Identity] {
            cases.spawn(passes(read, fault.clone()));
        }
    }
    cases.join_all().await;
}

async fn passes(read: Read, fault: Act) {
    let what = format!("{read:?} {fault:?}");
    let fake = fake(three).await;
    fake.world.lock().unwrap().faults.insert(read, fault);
    let running = start(&fake.url, settings(None));
    let others = |snapshot: &Snapshot| match read {
        Read::Account => snapshot.complete,
        Read::List => snapshot.account.is_some(),
        Read::Identity => snapshot.complete && snapshot.account.is_some(),
    };
    let before = running.until(&what, others).await;
    assert_eq!(before.account.is_none(), read == Read::Account, "{what}");
    assert_eq!(before.complete, read != Read::List, "{what}");
    let asked = || fake.readings().iter().filter(|(_, it, _)| *it == read).count();
    eventually(&what, || asked() >= 3).await;
    fake.world.lock().unwrap().faults.clear();
    running.known().await;
    running.end().await;
}

/// Other identities are read although one cannot be.
#[tokio::test]
async fn one_identity_that_cannot_be_read_holds_up_no_other() {
    let long = r#"{"IdentityType":"DOMAIN","VerifiedForSendingStatus":true,"Policies":{"p":"#;
    let long = format!("{long}\"{}\"}}}}", "x".repeat(20_000));
    let long: &'static str = Box::leak(long.into_boxed_str());
    for fault in [
        Act::Refuse(403, "AccessDeniedException", "not on this one"),
        Act::Refuse(400, "BadRequestException", "odd"),
        Act::Answer(200, long),
        Act::Answer(200, "rubbish"),
    ] {
        let (log, _guard) = Log::start();
        let fake = fake(three).await;
        let what = format!("{fault:?}").chars().take(60).collect::<String>();
        fake.world.lock().unwrap().faulty.insert("app@example.org".to_owned(), fault);
        let running = start(&fake.url, settings(None));
        let domain = |snapshot: &Snapshot| {
            let identity = snapshot.identities.iter().find(|it| it.name == "example.com");
            identity.is_some_and(|identity| identity.details.is_some())
        };
        let snapshot = running.until(&what, domain).await;
        assert!(snapshot.identities[0].details.is_none(), "{what}");
        tokio::time::sleep(Duration::from_millis(400)).await;
        let lines = log.lines("WARN");
        let [line] = lines.as_slice() else { panic!("{what}: {lines:#?}") };
        assert_eq!(line["identity"], "app@example.org", "{what}");
        fake.world.lock().unwrap().faulty.clear();
        running.known().await;
        assert_eq!(log.lines("INFO").len(), 1, "{what}");
        running.end().await;
    }
}

/// An identity that was deleted since it was listed.
#[tokio::test]
async fn an_identity_that_is_gone_is_taken_out() {
    let fake = fake(three).await;
    let gone = Act::Refuse(404, "NotFoundException", "Email identity does not exist.");
    fake.world.lock().unwrap().faulty.insert("app@example.org".to_owned(), gone);
    let once = InventorySettings { refresh: Duration::from_secs(60), ..settings(None) };
    let running = start(&fake.url, once);
    let expected = ["example.com", "failed.example"];
    running.until("it is gone", |snapshot| names(snapshot) == expected).await;
    running.end().await;
}

/// One line when it begins, however long it lasts, with the right to grant; one when it ends.
#[tokio::test]
async fn the_log_says_what_to_do_once() {
    let denied = Act::Refuse(403, "AccessDeniedException", "User is not authorized");
    let throttled = Act::Refuse(429, "TooManyRequestsException", "Rate exceeded");
    let cases = [
        (Read::Account, denied.clone(), "ses:GetAccount", "grant the relay's role"),
        (Read::List, denied.clone(), "ses:ListEmailIdentities", "grant the relay's role"),
        (Read::Identity, denied, "ses:GetEmailIdentity", "grant the relay's role"),
        (Read::Account, throttled, "ses:GetAccount", "the relay waits longer"),
        (Read::List, Act::ResetLate, "ses:ListEmailIdentities", "network path"),
        (Read::Account, Act::Rubbish, "ses:GetAccount", "network path"),
        (Read::List, Act::Answer(200, "{}"), "ses:ListEmailIdentities", "endpoint_url"),
    ];
    for (read, fault, right, remedy) in cases {
        let (log, _guard) = Log::start();
        let fake = fake(three).await;
        fake.world.lock().unwrap().faults.insert(read, fault.clone());
        let running = start(&fake.url, settings(None));
        let what = format!("{read:?} {fault:?}");
        let asked = || fake.readings().iter().filter(|(_, it, _)| *it == read).count();
        eventually(&what, || asked() >= 7).await;
        let lines = log.lines("WARN");
        let [line] = lines.as_slice() else { panic!("{what}: {lines:#?}") };
        assert_eq!(line["right"], right, "{what}");
        assert!(line["remedy"].as_str().unwrap().contains(remedy), "{what}: {line}");
        assert!(log.lines("INFO").is_empty(), "{what}");
        fake.world.lock().unwrap().faults.clear();
        running.known().await;
        assert_eq!(log.lines("INFO").len(), 1, "{what}");
        running.end().await;
    }
}

/// The pauses grow up to their bound.
#[tokio::test]
async fn a_failing_call_is_made_less_and_less_often() {
    let fake = fake(|world| {
        world.faults.insert(Read::Account, Act::Refuse(429, "TooManyRequestsException", "slow"));
    })
    .await;
    let longest_pause = Duration::from_secs(10);
    let running = start(&fake.url, InventorySettings { longest_pause, ..settings(None) });
    tokio::time::sleep(Duration::from_millis(1500)).await;
    running.end().await;
    let asked = fake.readings().iter().filter(|(_, read, _)| *read == Read::Account).count();
    assert!((5..=10).contains(&asked), "{asked} calls with 5, 10, 20, … ms between them");
}

/// SES may mean something else than the quota of the account: it is asked at once, at the pace of all
/// calls, and what it says is told even when it is what it said before.
#[tokio::test]
async fn a_doubt_has_the_account_read_at_once() {
    let fake = fake(three).await;
    let (doubts, doubted) = watch::channel(());
    let seldom = Duration::from_secs(3600);
    let calm = InventorySettings {
        account_refresh: seldom,
        refresh: seldom,
        settle: seldom,
        interval: Duration::from_millis(100),
        ..settings(None)
    };
    let (inventory, reader) = Inventory::open(calm, client(&fake.url));
    let stop = CancellationToken::new();
    let task = tokio::spawn(reader.asked_by(doubted).run(stop.clone()));
    let running = Running { inventory, stop, task };
    let asked = || fake.readings().iter().filter(|(_, read, _)| *read == Read::Account).count();
    eventually("all is read once", || fake.readings().len() == 4).await;

    let mut changes = running.inventory.changes();
    changes.mark_unchanged();
    let before = changes.borrow().account.clone();
    assert!(before.is_some());
    for count in 2..=4 {
        // Many at once are one.
        for _ in 0..20 {
            doubts.send_replace(());
        }
        let told = tokio::time::timeout(Duration::from_secs(5), changes.changed());
        told.await.expect("the same is told again").unwrap();
        assert_eq!(asked(), count);
        assert_eq!(changes.borrow_and_update().account, before);
    }
    let readings = fake.readings();
    let elapsed = readings.last().unwrap().0 - readings[0].0;
    // The moments are those of arrival: a little apart from those of sending.
    assert!(elapsed + Duration::from_millis(20) >= Duration::from_millis(600), "{readings:?}");

    fake.world.lock().unwrap().faults.insert(Read::Account, Act::Refuse(500, "Oops", "x"));
    doubts.send_replace(());
    eventually("it is asked once more", || asked() == 5).await;
    assert!(!changes.has_changed().unwrap(), "and tells nothing");
    running.end().await;
}

#[tokio::test]
async fn expired_credentials_are_asked_for_again() {
    let fake = fake(three).await;
    let expired = Act::Refuse(403, "ExpiredTokenException", "The security token has expired");
    fake.world.lock().unwrap().faults.insert(Read::List, expired);
    let (inventory, reader) = Inventory::open(settings(None), client(&fake.url));
    let world = Arc::clone(&fake.world);
    let reader = reader.on_expired(move || world.lock().unwrap().faults.clear());
    let stop = CancellationToken::new();
    let task = tokio::spawn(reader.run(stop.clone()));
    Running { inventory, stop, task }.known().await;
}

/// A token that SES no longer knows begins the list anew.
#[tokio::test]
async fn a_list_whose_token_is_forgotten_begins_anew() {
    let fake = fake(|world| {
        let page =
            r#"{"EmailIdentities":[{"IdentityName":"old.example"}],"NextToken":"forgotten"}"#;
        world.faults.insert(Read::List, Act::Answer(200, page));
        world.identity("new.example", json!({}));
    })
    .await;
    let running = start(&fake.url, settings(None));
    let asked = || fake.readings().iter().filter(|(_, read, _)| *read == Read::List).count();
    eventually("two pages", || asked() >= 2).await;
    fake.world.lock().unwrap().faults.clear();
    let snapshot = running.until("the list is read", |snapshot| snapshot.complete).await;
    assert_eq!(names(&snapshot), ["new.example"]);
    running.end().await;
}

#[tokio::test]
async fn a_list_without_an_end_is_given_up() {
    let fake = fake(|world| {
        let page = r#"{"EmailIdentities":[],"NextToken":"again"}"#;
        world.faults.insert(Read::List, Act::Answer(200, page));
    })
    .await;
    let (log, _guard) = Log::start();
    let interval = Duration::from_micros(100);
    let running = start(&fake.url, InventorySettings { interval, ..settings(None) });
    eventually("a warning", || !log.lines("WARN").is_empty()).await;
    assert_eq!(log.lines("WARN")[0]["error"], "the list has no end");
    fake.world.lock().unwrap().faults.clear();
    running.until("the list is read", |snapshot| snapshot.complete).await;
    running.end().await;
}

#[tokio::test]
async fn it_ends_in_the_middle_of_a_call() {
    for act in [Act::Stall(Duration::from_secs(30)), Act::TakeAfter(Duration::from_secs(30), "")] {
        let fake = fake(three).await;
        fake.world.lock().unwrap().faults.insert(Read::List, act);
        let patience = Duration::from_secs(30);
        let running = start(&fake.url, InventorySettings { patience, ..settings(None) });
        let asked = || fake.readings().iter().any(|(_, read, _)| *read == Read::List);
        eventually("the list is asked for", asked).await;
        let since = Instant::now();
        running.end().await;
        assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    }
}
