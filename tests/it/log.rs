//! The log of a running relay: one line a transaction, everything an operator needs, no secret.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::{path, program};

/// A relay on the outbox with `app` (password `secret`) and one listener in clear.
struct Running {
    child: Child,
    /// Reads them as they come: what nobody reads is dropped.
    lines: std::thread::JoinHandle<Vec<Value>>,
    address: String,
}

fn start(folder: &Path, more: &str) -> Running {
    start_in(folder, "", more)
}

fn start_in(folder: &Path, account: &str, more: &str) -> Running {
    let hash = bcrypt::hash("secret", 4).unwrap();
    let policies = path("config/policies");
    let config = format!(
        "[account]\nid = \"123456789012\"\nregion = \"us-east-1\"\n{account}\
         [upstream]\nkind = \"outbox\"\ndirectory = \"outbox\"\n\
         [admin]\nenabled = false\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\ntls = \"off\"\nauth_in_clear = true\n\
         [[users]]\nname = \"app\"\npassword_hash = \"{hash}\"\n\
         arn = \"arn:aws:iam::123456789012:user/app\"\n\
         policies = [\"{}/from-marketing.json\"]\n{more}",
        policies.display()
    );
    let file = folder.join("sesgate.toml");
    std::fs::write(&file, config).unwrap();
    let mut child =
        program().args(["serve", "--config"]).arg(&file).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let listening = lines
        .by_ref()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
        .find(|line| line["message"] == "listening")
        .unwrap();
    let address = listening["address"].as_str().unwrap().to_owned();
    let lines = std::thread::spawn(move || {
        lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
    });
    Running { child, lines, address }
}

impl Running {
    /// Ends it and returns the lines since the start.
    fn stop(mut self) -> Vec<Value> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        self.lines.join().unwrap()
    }
}

/// Says everything at once, as far as the protocol allows, and returns what was answered.
fn say(address: &str, turns: &[&str]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answers = String::new();
    let mut read = |stream: &mut TcpStream| {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).unwrap();
        answers.push_str(&String::from_utf8_lossy(&buffer[..length]));
    };
    read(&mut stream);
    for turn in turns {
        stream.write_all(turn.as_bytes()).unwrap();
        read(&mut stream);
    }
    answers
}

fn login(password: &str) -> String {
    format!("AUTH PLAIN {}\r\n", STANDARD.encode(format!("\0app\0{password}")))
}

const EHLO: &str = "EHLO client.test\r\n";

fn mail(from: &str) -> String {
    format!("MAIL FROM:<{from}>\r\n")
}

#[test]
fn a_transaction_is_one_line_that_says_everything() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), "");
    let content = |from: &str| {
        format!(
            "From: Someone <{from}>\r\nX-SES-Note: a\r\nx-ses-note: b\r\nX-SES-Feedback-ID: c\r\nX-SES-TENANT2: d\r\n\
             Subject: top secret subject\r\n\r\nsecret body\r\n.\r\n"
        )
    };
    let (good, bad) = (content("marketing@example.com"), content("ceo@example.com"));
    let login = login("secret");
    let answers = say(
        &running.address,
        &[
            EHLO,
            &login,
            &mail("marketing@example.com"),
            "RCPT TO:<a@example.org>\r\n",
            "DATA\r\n",
            &good,
            &mail("ceo@example.com"),
            "RCPT TO:<a@example.org>\r\n",
            "DATA\r\n",
            &bad,
            &mail("marketing@example.com"),
            "RCPT TO:<a@example.org>\r\n",
            "DATA\r\n",
            "no header\r\n.\r\n",
        ],
    );
    let lines = running.stop();
    let transactions: Vec<_> = lines
        .iter()
        .filter(|line| line["message"] == "relayed" || line["message"] == "refused")
        .collect();
    let [relayed, denied, unreadable] = transactions[..] else { panic!("{transactions:#?}") };
    for (line, message, reply) in [
        (relayed, "relayed", "250 Ok "),
        (denied, "refused", "554 Access denied: "),
        (unreadable, "refused", "554 Transaction failed: "),
    ] {
        assert_eq!(line["message"], message);
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["principal"], "app");
        assert_eq!(line["recipients"], "a@example.org");
        assert_eq!(line["ehlo"], "client.test");
        assert_eq!(line["span"]["tls"], "none");
        assert!(line["span"]["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
        assert!(line["reply"].as_str().unwrap().starts_with(reply), "{line}");
        assert!(answers.contains(line["reply"].as_str().unwrap()), "{answers}");
    }
    for line in [relayed, denied] {
        assert_eq!(line["unknown_x_ses"], "X-SES-Note,X-SES-Feedback-ID,X-SES-TENANT2");
    }
    let nearest = denied["nearest"].as_str().unwrap();
    assert!(
        nearest.ends_with(
            "from-marketing.json:4: Allow statement 1 (identity) condition `StringEquals` on \
             `ses:FromAddress` does not hold"
        ),
        "{nearest}"
    );
    assert!(relayed["nearest"].is_null() && denied["statement"].is_null(), "{denied}");
    let id = |line: &Value| line["decision"].as_str().unwrap().to_owned();
    assert_eq!(relayed["message_id"], relayed["decision"]);
    assert_eq!(relayed["verdict"], "Allowed");
    assert!(relayed["statement"].as_str().unwrap().ends_with("from-marketing.json:4: statement 1"));
    assert!(relayed["bytes"].as_u64().unwrap() > 50 && relayed["elapsed_ms"].is_u64(), "{relayed}");
    assert!(denied["reply"].as_str().unwrap().ends_with(&format!(" [{}]", id(denied))));
    assert_eq!(denied["verdict"], "ImplicitlyDenied");
    assert_eq!(denied["author"], "ceo@example.com");
    assert_eq!(denied["display_name"], "Someone");
    let whole = serde_json::to_string(&lines).unwrap();
    for secret in ["secret", "AGFwcA", "body", "Subject"] {
        assert!(!whole.contains(secret), "`{secret}` in {whole}");
    }
}

/// The reply has the words of SES, which names the recipient's identity and not why it counts.
#[test]
fn a_refusal_for_the_sandbox_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let more = format!(
        "[[identities.known]]\nname = \"example.com\"\n[[users]]\nname = \"own\"\n\
         password_hash = \"{}\"\narn = \"arn:aws:iam::123456789012:user/own\"\n\
         policies = [\"{}\"]\n",
        bcrypt::hash("secret", 4).unwrap(),
        path("tests/explain/policies/own-identity.json").display(),
    );
    let running = start_in(folder.path(), "sandbox = true\n", &more);
    let login = format!("AUTH PLAIN {}\r\n", STANDARD.encode("\0own\0secret"));
    let mut turns = vec![EHLO.to_owned(), login];
    for (from, to) in [("a@example.com", "b@example.net"), ("a@example.org", "b@example.com")] {
        turns.extend([mail(from), format!("RCPT TO:<{to}>\r\n"), "DATA\r\n".to_owned()]);
        turns.push(format!("From: {from}\r\n\r\n.\r\n"));
    }
    say(&running.address, &turns.iter().map(String::as_str).collect::<Vec<_>>());
    let lines = running.stop();
    let refused: Vec<_> = lines.iter().filter(|line| line["message"] == "refused").collect();
    let [recipient, sender] = refused[..] else { panic!("{lines:#?}") };
    assert!(recipient["resource"].as_str().unwrap().ends_with("identity/b@example.net"));
    assert!(recipient["remedy"].as_str().unwrap().starts_with("the account is in the sandbox"));
    assert!(sender["resource"].as_str().unwrap().ends_with("identity/a@example.org"));
    assert_eq!(sender["remedy"], Value::Null);
}

#[test]
fn a_password_in_the_wrong_field_is_not_logged() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), "[log]\nlevel = \"trace\"\n");
    let swapped = format!("AUTH PLAIN {}\r\n", STANDARD.encode("\0hunter2secret\0app"));
    let answers = say(&running.address, &[EHLO, &swapped, &login("wrongsecret"), &login("secret")]);
    assert_eq!(answers.matches("535 ").count(), 2, "{answers}");
    assert!(answers.contains("235 "), "{answers}");
    let lines = running.stop();
    let refused: Vec<_> = lines
        .iter()
        .filter(|line| line["message"].as_str().unwrap().starts_with("login refused"))
        .collect();
    assert_eq!(refused.len(), 2, "{lines:#?}");
    assert_eq!(refused[0]["user"], Value::Null);
    assert_eq!(refused[1]["user"], "app");
    let whole = serde_json::to_string(&lines).unwrap();
    assert!(!whole.contains("secret"), "{whole}");
}

/// A flood of the same is one line, and one that says how many there were.
#[test]
fn what_repeats_itself_is_summed_up() {
    let folder = tempfile::tempdir().unwrap();
    let more = "[limits]\nlogin_failures_per_user = 1000\nlogin_failures_per_client = 1000\n";
    let running = start(folder.path(), more);
    let (mut tried, wrong) = (0, login("wrongsecret"));
    for _ in 0..20 {
        let answers = say(&running.address, &[EHLO, &wrong, &wrong]);
        tried += answers.matches("535 ").count();
    }
    assert_eq!(tried, 40);
    // A few decisions are not summed up.
    let login = login("secret");
    let mut turns = vec![EHLO, login.as_str()];
    let from = mail("ceo@example.com");
    for _ in 0..5 {
        turns.extend([from.as_str(), "RCPT TO:<a@example.org>\r\n", "DATA\r\n"]);
        turns.push("From: ceo@example.com\r\n\r\n.\r\n");
    }
    say(&running.address, &turns);
    let lines = running.stop();
    let starting = |words: &str| -> Vec<_> {
        let is_it = |line: &&Value| line["message"].as_str().unwrap().starts_with(words);
        lines.iter().filter(is_it).collect()
    };
    let ([shown], [summed]) = (&starting("login refused")[..], &starting("repeated: ")[..]) else {
        panic!("{lines:#?}")
    };
    assert_eq!(summed["repeated"], 39);
    assert_eq!(summed["level"], "WARN");
    let message = shown["message"].as_str().unwrap();
    assert_eq!(summed["message"], format!("repeated: {message}"));
    assert_eq!(starting("refused").len(), 5);
}

/// Each `warn` and `error` says what to do about it, in its words or in `remedy`.
#[test]
fn what_asks_for_a_look_says_what_to_do() {
    const WORDS: [&str; 24] = [
        "add one",
        "ask AWS",
        "check",
        "expect",
        "find out",
        "grant",
        "keeps asking",
        "let the relay",
        "lower",
        "to another disk",
        "make room",
        "name another",
        "raise",
        "report this",
        "restart",
        "see ",
        "set ",
        "wait for",
        "send SIGUSR1",
        "`sesgate check`",
        "{warning}",
        "{problem}",
        "{over}",
        "{error}",
    ];
    let mut silent = Vec::new();
    let mut found = 0;
    let mut folders = vec![path("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            if file.is_dir() {
                folders.push(file);
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            for (at, _) in
                text.match_indices("tracing::warn!(").chain(text.match_indices("tracing::error!("))
            {
                found += 1;
                let call = &text[at..at + end_of_call(&text[at..])];
                // The summary repeats what another line said.
                let says = WORDS.iter().any(|word| call.contains(word));
                if !says && !call.contains("remedy") && !call.contains("repeated: ") {
                    silent.push(format!("{}: {call}", file.display()));
                }
            }
        }
    }
    assert!(found > 25, "only {found} calls were found");
    assert!(silent.is_empty(), "{silent:#?}");
}

/// Where the bracket that a call opens is closed; brackets in its texts come in pairs.
fn end_of_call(call: &str) -> usize {
    let mut depth = 0_i32;
    for (at, byte) in call.bytes().enumerate() {
        depth += i32::from(byte == b'(') - i32::from(byte == b')');
        if depth == 0 && byte == b')' {
            return at + 1;
        }
    }
    call.len()
}

#[test]
fn addresses_are_shown_as_far_as_the_operator_wants() {
    for (mode, shown) in [("domain", "*@example.org"), ("hash", "#")] {
        let folder = tempfile::tempdir().unwrap();
        let running = start(folder.path(), &format!("[log]\naddresses = \"{mode}\"\n"));
        let content = "From: ceo@example.com\r\nX-SES-a@example.org: x\r\n\r\n.\r\n";
        say(
            &running.address,
            &[
                EHLO,
                &login("secret"),
                &mail("ceo@example.com"),
                "RCPT TO:<a@example.org>\r\n",
                "DATA\r\n",
                content,
            ],
        );
        let lines = running.stop();
        let line = lines.iter().find(|line| line["message"] == "refused").unwrap();
        assert!(line["recipients"].as_str().unwrap().starts_with(shown), "{line}");
        assert_eq!(line["reply"], "554");
        let whole = serde_json::to_string(&lines).unwrap();
        assert!(!whole.contains("ceo@") && !whole.contains("a@example.org"), "{whole}");
    }
}

/// Whoever names hundreds of recipients in the header does not fill the log with them.
#[test]
fn a_record_is_short_whatever_the_client_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("decisions.jsonl");
    let more = format!(
        "[decision_log]\nfile = \"{}\"\n[[users]]\nname = \"inside\"\npassword_hash = \"{}\"\n\
         arn = \"arn:aws:iam::123456789012:user/inside\"\n\
         policies = [\"{}/recipients-example-com.json\"]\n",
        file.display(),
        bcrypt::hash("secret", 4).unwrap(),
        path("config/policies").display(),
    );
    let running = start(folder.path(), &more);
    let login = format!("AUTH PLAIN {}\r\n", STANDARD.encode("\0inside\0secret"));
    let from = mail("marketing@example.com");
    let to: Vec<_> = (0..50).map(|number| format!("RCPT TO:<e{number}@example.com>\r\n")).collect();
    let named = |field: &str| {
        let domain = "y".repeat(40);
        let addresses: Vec<_> =
            (0..250).map(|number| format!("{field}{number}@{domain}.example")).collect();
        format!("{field}: {}\r\n", addresses.join(","))
    };
    let unknown = |number| format!("X-SES-{number}-{}: x\r\n", "y".repeat(60));
    let header: String =
        ["To", "Cc", "Bcc"].map(named).into_iter().chain((0..300).map(unknown)).collect();
    let content = format!("From: marketing@example.com\r\n{header}\r\n.\r\n");
    let mut turns = vec![EHLO, &login, &from];
    turns.extend(to.iter().map(String::as_str));
    turns.extend(["DATA\r\n", &content]);
    let answers = say(&running.address, &turns);
    assert!(answers.contains("554 Access denied"), "{answers}");
    let lines = running.stop();
    let line = lines.iter().find(|line| line["message"] == "refused").unwrap();
    let record = std::fs::read_to_string(file).unwrap();
    let record: Value = serde_json::from_str(record.trim_end()).unwrap();
    for list in ["recipients", "claimed_recipients"] {
        assert_eq!(line[list].as_str().unwrap().split(',').count(), 50, "{list}");
        assert_eq!(record[list].as_array().unwrap().len(), 50, "{list}");
    }
    for line in [line, &record] {
        assert_eq!(line["reason"], "denied");
        assert_eq!(line["recipients_omitted"], Value::Null);
        assert_eq!(line["claimed_recipients_omitted"], 750);
        assert!(line.to_string().len() < 10_000, "{line}");
    }
}

/// Keys, passwords and mail are in no image of its memory.
#[cfg(target_os = "linux")]
#[test]
fn a_crash_leaves_no_core() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), "");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", running.child.id())).unwrap();
    running.stop();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).collect::<Vec<_>>(), ["0", "0", "bytes"]);
}

/// A log reader that stands still holds up neither mail nor the end.
#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = start(folder.path(), "");
    let content = "From: marketing@example.com\r\n\r\nHi.\r\n.\r\n";
    let login = login("secret");
    let from = mail("marketing@example.com");
    let mut turns = vec![EHLO, login.as_str()];
    for _ in 0..300 {
        turns.extend([from.as_str(), "RCPT TO:<a@example.org>\r\n", "DATA\r\n", content]);
    }
    // More than a pipe takes: 300 lines of some 600 bytes.
    let answers = say(&running.address, &turns);
    assert_eq!(answers.matches("250 Ok 0").count(), 300);
    let id = running.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    for _ in 0..100 {
        if let Some(status) = running.child.try_wait().unwrap() {
            assert_eq!(status.code(), Some(0));
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    running.child.kill().unwrap();
    panic!("it did not end");
}

/// Of a flood of refused mail the first are shown for each user and reason, then a line says how many
/// there were. The file has each of them, and other mail is in the log as ever.
#[test]
fn a_flood_of_refused_mail_is_summed_up_in_the_log_alone() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), "[decision_log]\nfile = \"decisions.jsonl\"\n");
    let login = login("secret");
    let message = |from: &str| (mail(from), format!("From: {from}\r\n\r\n.\r\n"));
    let good = message("marketing@example.com");
    let unreadable = (good.0.clone(), "no header\r\n.\r\n".to_owned());
    // Seven connections, since each may make ten errors before it is slowed.
    for number in 0..7 {
        // What a refusal says of an address is the client's choice.
        let denied: Vec<_> =
            (0..10).map(|at| message(&format!("x{number}{at}@example.com"))).collect();
        let mut turns = vec![EHLO, login.as_str()];
        let mut messages: Vec<&(String, String)> = denied.iter().collect();
        if number == 6 {
            messages.extend([&good, &unreadable]);
        }
        for (from, content) in messages {
            turns.extend([from.as_str(), "RCPT TO:<a@example.org>\r\n", "DATA\r\n", content]);
        }
        let answers = say(&running.address, &turns);
        assert_eq!(answers.matches("554 Access denied").count(), 10, "{answers}");
    }
    let lines = running.stop();
    let of = |message: &str| lines.iter().filter(|line| line["message"] == message).count();
    assert_eq!((of("relayed"), of("refused")), (1, 61));
    let summed: Vec<_> = lines
        .iter()
        .filter(|line| line["message"].as_str().unwrap().starts_with("repeated: "))
        .collect();
    let [summed] = summed[..] else { panic!("{summed:#?}") };
    assert_eq!((&summed["repeated"], &summed["level"]), (&10.into(), &"INFO".into()));
    let words = summed["message"].as_str().unwrap();
    assert!(words.contains("`app`") && words.contains("denied"), "{words}");
    let file = std::fs::read_to_string(folder.path().join("decisions.jsonl")).unwrap();
    assert_eq!(file.matches("\"event\":\"refused\"").count(), 71);
}
