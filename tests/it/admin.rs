//! The admin port: whom it answers.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::Arc;

use sesgate::admin::{Admin, Pages, Readiness};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::support::{path, program};

/// The status and what follows the head.
async fn ask(address: &str, head: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{head}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// The pages on a free port, of a relay by the names `relay.example` and `sesgate`.
async fn pages() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let pages = Pages {
        readiness: Readiness::default(),
        metrics: (Arc::new(|| "metrics\n".to_owned()), "text/plain"),
        status: Arc::new(|| "{}\n".to_owned()),
        reload: (Arc::new(Notify::new()), Arc::new(|| None)),
        named: Arc::new(|name| ["relay.example", "sesgate"].contains(&name)),
    };
    tokio::spawn(Admin::new(listener, pages).run(CancellationToken::new()));
    address
}

#[tokio::test]
async fn a_name_of_somebody_else_is_told_nothing() {
    let address = pages().await;
    // What each page says otherwise; without a token there is no reload.
    let guarded = [("GET", "/status", 200), ("GET", "/metrics", 200), ("POST", "/reload", 404)];
    for (host, is_own) in [
        ("127.0.0.1", true),
        ("127.0.0.1:8025", true),
        ("10.1.2.3:80", true),
        ("[::1]", true),
        ("[2001:db8::1]:8025", true),
        ("localhost", true),
        ("LocalHost:1", true),
        ("localhost.", true),
        ("relay.example:8025", true),
        ("RELAY.example.", true),
        ("sesgate", true),
        ("attacker.example", false),
        ("attacker.example:8025", false),
        ("127.0.0.1.attacker.example", false),
        ("localhost.attacker.example", false),
        ("relay.example.attacker.example", false),
        ("notsesgate", false),
        ("127.1", false),
        ("2130706433", false),
        ("[::1%25lo]", false),
        ("attacker.example@localhost", false),
        ("localhost@attacker.example", false),
        ("localhost attacker.example", false),
        ("localhost/", false),
        ("", false),
        ("\u{e9}", false),
    ] {
        for (method, page, usual) in guarded {
            let head = format!("{method} {page} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n");
            let (status, text) = ask(&address, &head).await;
            assert_eq!(status, if is_own { usual } else { 421 }, "{page} of {host:?}: {text}");
            assert_eq!(text.contains("add the name to `hosts` in `[admin]`"), !is_own, "{text}");
        }
        // It does not serve yet.
        for (probe, expected) in [("/livez", 200), ("/readyz", 503)] {
            let head = format!("GET {probe} HTTP/1.1\r\nHost: {host}\r\n");
            assert_eq!(ask(&address, &head).await.0, expected, "{probe} of {host:?}");
        }
    }
}

#[tokio::test]
async fn a_request_names_one_host() {
    let address = pages().await;
    for (head, expected) in [
        ("GET /status HTTP/1.1\r\n", 400),
        ("GET /status HTTP/1.1\r\nHost: localhost\r\nHost: attacker.example\r\n", 400),
        ("GET /status HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n", 400),
        ("GET /status HTTP/1.0\r\n", 200),
        ("GET /status HTTP/1.0\r\nHost: attacker.example\r\n", 421),
        ("GET http://localhost/status HTTP/1.1\r\nHost: localhost\r\n", 200),
        ("GET http://attacker.example/status HTTP/1.1\r\nHost: localhost\r\n", 421),
        ("GET http://localhost/status HTTP/1.1\r\nHost: attacker.example\r\n", 421),
        ("GET /livez HTTP/1.1\r\n", 200),
        ("GET /nothing HTTP/1.1\r\nHost: attacker.example\r\n", 404),
    ] {
        assert_eq!(ask(&address, head).await.0, expected, "{head:?}");
    }
}

/// The names of a running relay are those of its configuration.
#[tokio::test]
async fn hostname_and_hosts_of_the_configuration_are_names_of_the_relay() {
    let folder = tempfile::tempdir().unwrap();
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!(
        "[server]\nhostname = \"Relay.example\"\n\
         [admin]\naddress = \"{free}\"\nhosts = [\"sesgate\", \"Sesgate.mail.svc\"]\n\
         [account]\nid = \"123456789012\"\nregion = \"us-east-1\"\n\
         [upstream]\nkind = \"outbox\"\ndirectory = \"outbox\"\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\ntls = \"off\"\nuser = \"app\"\n\
         [[users]]\nname = \"app\"\npolicies = [\"{}\"]\n",
        path("config/policies/send-only.json").display()
    );
    let file = folder.path().join("sesgate.toml");
    std::fs::write(&file, text).unwrap();
    let mut child =
        program().args(["serve", "--config"]).arg(&file).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let started = lines.any(|line| line.contains("told over HTTP"));
    let reading = std::thread::spawn(move || lines.count());
    let mut told = Vec::new();
    for host in ["relay.example", "sesgate", "sesgate.mail.svc:80", "attacker.example"] {
        let head = format!("GET /status HTTP/1.1\r\nHost: {host}\r\n");
        told.push(ask(&free.to_string(), &head).await.0);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reading.join().unwrap();
    assert!(started);
    assert_eq!(told, [200, 200, 200, 421]);
}
