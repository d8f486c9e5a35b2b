//! The copy of it on disk: a start without SES, and files of every kind in its place.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sesgate::inventory::{self, Inventory};

use super::{Log, client, eventually, fake, names, nowhere, settings, start, three};
use crate::fake_ses::{Act, Read};

const NAME: &str = "ses-identities.jsonl";

#[tokio::test]
async fn without_ses_the_copy_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("state/ses");
    let ses = fake(three).await;
    let running = start(&ses.url, settings(Some(&cache)));
    let before = running.known().await;
    running.end().await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&cache), mode(&cache.join(NAME))), (0o700, 0o600));
    assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 1, "no drafts are left");

    let (log, _guard) = Log::start();
    let (inventory, _reader) = Inventory::open(settings(Some(&cache)), client(&nowhere()));
    let after = inventory.snapshot();
    assert!(after.complete);
    assert_eq!(after.identities, before.identities, "known before anything was asked");
    assert_eq!(after.account, before.account);
    assert!(log.lines("WARN").is_empty());

    // It goes on with SES out of reach, and follows SES when it is back.
    let running = start(&nowhere(), settings(Some(&cache)));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(running.inventory.snapshot().identities, before.identities);
    running.end().await;
    let other = fake(|world| world.identity("new.example", json!({}))).await;
    let running = start(&other.url, settings(Some(&cache)));
    running.until("the list of now", |snapshot| names(snapshot) == ["new.example"]).await;
    running.end().await;
    let copy = std::fs::read_to_string(cache.join(NAME)).unwrap();
    assert!(copy.contains("new.example") && !copy.contains("example.com"), "{copy}");
}

#[tokio::test]
async fn without_ses_and_copy_nothing_is_known_until_ses_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _guard) = Log::start();
    let ses = fake(three).await;
    for read in [Read::Account, Read::List, Read::Identity] {
        ses.world.lock().unwrap().faults.insert(read, Act::ResetEarly);
    }
    let running = start(&ses.url, settings(Some(folder.path())));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let snapshot = running.inventory.snapshot();
    assert!(!snapshot.complete && snapshot.taken.is_none() && snapshot.account.is_none());
    assert_eq!(log.lines("WARN").len(), 2, "{:#?}", log.lines("WARN"));
    assert!(!folder.path().join(NAME).exists(), "nothing is kept of nothing");
    ses.world.lock().unwrap().faults.clear();
    running.known().await;
    eventually("the copy is there", || folder.path().join(NAME).exists()).await;
    running.end().await;
}

/// A copy from a good run, as lines.
async fn copy() -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let fake = fake(three).await;
    let running = start(&fake.url, settings(Some(folder.path())));
    running.known().await;
    running.end().await;
    let text = std::fs::read_to_string(folder.path().join(NAME)).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn changed(line: &str, key: &str, value: Value) -> String {
    let mut line: Value = serde_json::from_str(line).unwrap();
    line[key] = value;
    line.to_string()
}

/// Each copy that cannot be used: one line that says why, and then the answers of SES instead.
#[tokio::test]
async fn a_copy_that_cannot_be_used_is_reported_and_replaced() {
    let good = copy().await;
    let now = seconds(SystemTime::now());
    let head = |key: &str, value: Value| {
        let mut lines = good.clone();
        lines[0] = changed(&good[0], key, value);
        lines.join("\n") + "\n"
    };
    let line = |line: &str| {
        let mut lines = good.clone();
        line.clone_into(&mut lines[1]);
        lines.join("\n") + "\n"
    };
    let many: Vec<_> = (0..60).map(|number| (format!("p{number}"), json!("{}"))).collect();
    let details = |key: &str, value: Value| {
        let mut all: Value = serde_json::from_str(&good[2]).unwrap();
        all["details"][key] = value;
        line(&all.to_string())
    };
    let whole = good.join("\n") + "\n";
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", Vec::new(), "line 1 is broken"),
        ("no JSON", b"nonsense\n".to_vec(), "line 1 is broken"),
        ("no UTF-8", vec![0xff; 5000], "line 1 is broken"),
        ("no object", b"[]\n".to_vec(), "another form"),
        ("deep", [b"[".repeat(100_000), b"\n".to_vec()].concat(), "line 1 is broken"),
        ("a long line", b"[1,".repeat(1_000_000), "line 1 is broken"),
        ("another version", head("version", json!(2)).into(), "another form"),
        ("another account", head("account", json!("999999999999")).into(), "`999999999999`"),
        ("another region", head("region", json!("eu-west-1")).into(), "`eu-west-1`"),
        ("stale", head("taken", json!(now - 8 * 24 * 3600)).into(), "192 hours old"),
        ("from the future", head("taken", json!(now + 90_000)).into(), "from the future"),
        ("beyond time", head("taken", json!(u64::MAX)).into(), "line 1 is broken"),
        ("before time", head("taken", json!(-1)).into(), "line 1 is broken"),
        ("too many", head("identities", json!(u64::MAX)).into(), "line 1 is broken"),
        ("more than there are", head("identities", json!(4)).into(), "line 5 is broken"),
        ("less than there are", head("identities", json!(2)).into(), "line 4 is broken"),
        ("an odd state", head("state", json!({ "max_send_rate": "x" })).into(), "line 1 is broken"),
        ("no name", line("{}").into(), "line 2 is broken"),
        ("an odd name", line(&changed(&good[1], "name", json!("a\nb"))).into(), "line 2 is broken"),
        ("a long name", line(&changed(&good[1], "name", json!("x".repeat(400)))).into(), "line 2"),
        ("odd tags", details("tags", json!({ "a": 1 })).into(), "line 2 is broken"),
        (
            "many policies",
            details("policies", Value::Object(many.into_iter().collect())).into(),
            "line 2",
        ),
        ("a long policy", details("policies", json!({ "p": "x".repeat(20_000) })).into(), "line 2"),
        ("no time", details("read", json!(null)).into(), "line 2 is broken"),
        ("cut", whole.as_bytes()[..whole.len() - 10].to_vec(), "line 4 is broken"),
    ];
    let fake = fake(three).await;
    let client = client(&nowhere());
    for (what, bytes, reason) in cases {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(NAME);
        std::fs::write(&file, bytes).unwrap();
        let (log, _guard) = Log::start();
        let running = start(&fake.url, settings(Some(folder.path())));
        assert!(!running.inventory.snapshot().complete, "{what}");
        let lines = log.lines("WARN");
        let [line] = lines.as_slice() else { panic!("{what}: {lines:#?}") };
        assert!(line["error"].as_str().unwrap().contains(reason), "{what}: {line}");
        assert_eq!(line["file"], file.display().to_string(), "{what}");
        running.known().await;
        running.end().await;
        let (again, _reader) = Inventory::open(settings(Some(folder.path())), client.clone());
        assert_eq!(again.snapshot().identities.len(), 3, "{what}: it was replaced");
        assert_eq!(log.lines("WARN").len(), 1, "{what}");
    }
}

/// A good copy under any cut or flipped byte is either refused, or reads within its bounds.
#[tokio::test]
async fn no_copy_makes_it_crash() {
    let good = copy().await.join("\n") + "\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(NAME);
    let client = client(&nowhere());
    let open = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        let (inventory, _reader) = Inventory::open(settings(Some(folder.path())), client.clone());
        inventory.snapshot().identities.len()
    };
    assert_eq!(open(good.as_bytes()), 3);
    for cut in (0..good.len()).step_by(3) {
        assert_eq!(open(&good.as_bytes()[..cut]), 0, "cut at {cut}");
    }
    for at in (0..good.len()).step_by(2) {
        for flip in [0x01, 0x20, 0x80] {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= flip;
            assert!([0, 2, 3].contains(&open(&bytes)), "{flip:#x} at {at}");
        }
    }
}

/// What is no file of the relay's own, or cannot be opened or replaced.
#[tokio::test]
async fn odd_files_are_reported_and_never_waited_for() {
    let fake = fake(three).await;
    type Make = fn(&PathBuf);
    let make: [(&str, &str, Make); 3] = [
        ("a directory", "it is no file", |file| std::fs::create_dir(file).unwrap()),
        ("a pipe", "it is no file", |file| {
            assert!(std::process::Command::new("mkfifo").arg(file).status().unwrap().success());
        }),
        ("for all to write", "others than its owner may write it (mode 666)", |file| {
            std::fs::write(file, "{}\n").unwrap();
            std::fs::set_permissions(file, PermissionsExt::from_mode(0o666)).unwrap();
        }),
    ];
    for (what, reason, make) in make {
        let folder = tempfile::tempdir().unwrap();
        make(&folder.path().join(NAME));
        let (log, _guard) = Log::start();
        let running = start(&fake.url, settings(Some(folder.path())));
        assert_eq!(log.lines("WARN")[0]["error"], reason, "{what}");
        running.known().await;
        running.end().await;
    }
}

#[tokio::test]
async fn a_copy_that_cannot_be_written_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("taken"), "a file where the directory should be").unwrap();
    let (log, _guard) = Log::start();
    let fake = fake(three).await;
    let running = start(&fake.url, settings(Some(&folder.path().join("taken"))));
    running.known().await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    running.end().await;
    let lines = log.lines("WARN");
    let told =
        lines.iter().filter(|line| line["message"].as_str().unwrap().contains("kept on disk"));
    assert_eq!(told.count(), 1, "{lines:#?}");
}

/// 10,000 identities with tags load in under a second, also without optimisation.
#[tokio::test]
async fn ten_thousand_identities_load_in_under_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let mut copy = copy().await;
    copy.truncate(1);
    copy[0] = changed(&copy[0], "identities", json!(10_000));
    for number in 0..10_000 {
        let line = json!({
            "name": format!("sub-domain-{number:05}.example.com"), "verified": true, "listed": true,
            "details": {
                "read": 1_700_000_000, "configuration_set": "transactional",
                "tags": [["team", "growth"], ["stage", "production"], ["owner", "someone@example.com"]],
                "policies": {},
            },
        });
        copy.push(line.to_string());
    }
    std::fs::write(folder.path().join(NAME), copy.join("\n") + "\n").unwrap();
    let since = Instant::now();
    let (inventory, _reader) = Inventory::open(settings(Some(folder.path())), client(&nowhere()));
    let converted = inventory::identities(&inventory.snapshot());
    let elapsed = since.elapsed();
    assert_eq!(converted.len(), 10_000);
    assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
}

/// `policy explain` does not ask SES: it decides by what the relay kept.
#[tokio::test]
async fn the_copy_is_what_explain_knows_of_ses() {
    let folder = tempfile::tempdir().unwrap();
    let fake = fake(three).await;
    let running = start(&fake.url, settings(Some(folder.path())));
    running.known().await;
    running.end().await;
    std::fs::write(folder.path().join("all.json"), crate::support::FULL_ACCESS).unwrap();
    let text = r#"
        account = { id = "123456789012", region = "us-east-1" }
        identities = { source = "ses", cache = "." }
        upstream = { kind = "ses" }
        users = [{ name = "app", policies = ["all.json"] }]
    "#;
    std::fs::write(folder.path().join("sesgate.toml"), text).unwrap();
    let explain = |from: &str| {
        let output = crate::support::program()
            .args(["policy", "explain", "--rcpt", "b@example.net", "--from", from, "--config"])
            .arg(folder.path().join("sesgate.toml"))
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let denied = explain("a@example.com");
    for part in ["refused 554", "statement `NoBulk`", "of identity `example.com`"] {
        assert!(denied.contains(part), "no `{part}` in {denied}");
    }
    assert!(explain("app@example.org").starts_with("allowed"));
    std::fs::remove_file(folder.path().join(NAME)).unwrap();
    let unknown = explain("a@example.com");
    assert!(unknown.contains("not known here: what SES says of identities"), "{unknown}");
}
