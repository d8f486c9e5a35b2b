//! The dialogues of `tests/dialogues` over a real socket, and what only a socket shows.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use sesgate::smtp::Auth;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::dialogues::format::{Answers, Dialogue, Event, Turn};
use crate::dialogues::{dialogues, play};
use crate::support::{Certificate, Gate, certificate, outbox, relay, service};

/// A turn is over when its replies have come and nothing followed for this long.
const QUIET: Duration = Duration::from_millis(150);
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Whether what the file asks for can be brought about from outside: a listener that answers for
/// itself, without waiting for minutes of silence.
pub(crate) fn is_real(dialogue: &Dialogue) -> bool {
    dialogue.answers == Answers::default()
        && dialogue.turns.iter().all(|turn| turn.event != Some(Event::Timeout))
}

#[tokio::test(flavor = "multi_thread")]
async fn dialogues_over_a_socket() {
    let certificate = Arc::new(certificate());
    let mut plays = JoinSet::new();
    let dialogues: Vec<_> = dialogues().into_iter().filter(is_real).collect();
    assert!(dialogues.len() > 80, "only {} dialogues are played", dialogues.len());
    for dialogue in dialogues {
        let certificate = Arc::clone(&certificate);
        plays.spawn(async move { over_socket(&dialogue, &certificate).await });
    }
    let failures: Vec<_> = plays.join_all().await.into_iter().filter_map(Result::err).collect();
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}

async fn over_socket(dialogue: &Dialogue, certificate: &Certificate) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let mut service = service(relay(outbox(folder.path())), Some(&certificate.tls));
    service.settings = Arc::new(dialogue.settings.clone());
    service.implicit_tls = dialogue.implicit_tls;
    if dialogue.settings.auth == Auth::None {
        let app = "app".to_owned();
        service.clients.speaks_for.push(("127.0.0.0/8".parse().unwrap(), app));
    }
    let gate = Gate::open(service, 10).await;
    let socket = TcpStream::connect(gate.address).await.unwrap();
    let talks_first = dialogue.turns.first().is_some_and(|turn| !turn.send.is_empty());
    let mut stream: Box<dyn Stream> = Box::new(socket);
    if dialogue.implicit_tls {
        stream = shake_hands(stream, certificate).await;
    }
    let mut lines = Lines::default();
    for turn in &dialogue.turns {
        match turn.event {
            Some(Event::Tls) => stream = shake_hands(stream, certificate).await,
            Some(Event::Shutdown) => gate.stop.cancel(),
            Some(Event::Timeout) | None => {}
        }
        // The server may close while a hostile client still talks.
        let _ = stream.write_all(&turn.send).await;
        let _ = stream.flush().await;
        if talks_first && turn.line == dialogue.turns[0].line {
            // Whether early bytes arrive before the banner is a race on a real socket.
            return Ok(());
        }
        lines
            .read(&mut stream, turn)
            .await
            .and_then(|()| relayed(folder.path(), turn))
            .map_err(|problem| format!("{}.smtp line {}: {problem}", dialogue.name, turn.line))?;
    }
    Ok(())
}

pub(crate) async fn shake_hands(
    stream: Box<dyn Stream>,
    certificate: &Certificate,
) -> Box<dyn Stream> {
    let connector = TlsConnector::from(Arc::clone(&certificate.client));
    let name = ServerName::try_from("localhost").unwrap();
    Box::new(connector.connect(name, stream).await.expect("a TLS handshake"))
}

/// Reply lines of one connection.
#[derive(Default)]
pub(crate) struct Lines {
    unread: Vec<u8>,
    closed: bool,
}

impl Lines {
    pub(crate) async fn read(
        &mut self,
        stream: &mut Box<dyn Stream>,
        turn: &Turn,
    ) -> Result<(), String> {
        loop {
            let text = String::from_utf8_lossy(&self.unread).into_owned();
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            // Skipped replies may be late, but never missing.
            let answered = turn.expect.is_empty() || !lines.is_empty();
            let fits = answered && play::fits(&turn.expect, &lines) && (self.closed || !turn.close);
            let patience = if fits { QUIET } else { PATIENCE };
            let mut buffer = [0; 4096];
            let read = timeout(patience, stream.read(&mut buffer)).await;
            match read {
                Err(_) if fits => {
                    self.unread.clear();
                    return Ok(());
                }
                Err(_) => return Err(format!("expected {:#?}\nread {lines:#?}", turn.expect)),
                Ok(Ok(length)) if length > 0 => self.unread.extend(&buffer[..length]),
                Ok(_) if fits && turn.close => return Ok(()),
                Ok(_) if self.closed || !turn.close => {
                    return Err(format!("closed; expected {:#?}\nread {lines:#?}", turn.expect));
                }
                Ok(_) => self.closed = true,
            }
        }
    }
}

/// What the file says was relayed lies in the outbox, and nothing else.
pub(crate) fn relayed(folder: &Path, turn: &Turn) -> Result<(), String> {
    let Some(expected) = &turn.relayed else { return Ok(()) };
    let mut contents = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "eml") {
            contents.push(std::fs::read(&path).unwrap().escape_ascii().to_string());
            std::fs::remove_file(&path).unwrap();
        }
    }
    let expected = expected.escape_ascii().to_string();
    if contents == [expected.clone()] {
        Ok(())
    } else {
        Err(format!("expected in the outbox {expected}\nfound {contents:#?}"))
    }
}

async fn first_line(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n") {
        let byte = timeout(PATIENCE, stream.read_u8()).await.expect("a line in time").unwrap();
        bytes.push(byte);
    }
    String::from_utf8(bytes).unwrap().trim_end().to_owned()
}

/// Over TLS a reply that is not flushed stays in the buffer for ever, now and then, behind content
/// that took all of the task's budget.
#[tokio::test(flavor = "multi_thread")]
async fn replies_behind_large_content_arrive_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = certificate();
    let mut service = service(relay(outbox(folder.path())), Some(&certificate.tls));
    service.implicit_tls = true;
    let app = "app".to_owned();
    service.clients.speaks_for.push(("127.0.0.0/8".parse().unwrap(), app));
    let mut settings = (*service.settings).clone();
    settings.auth = Auth::None;
    service.settings = Arc::new(settings);
    let gate = Gate::open(service, 10).await;
    let socket = TcpStream::connect(gate.address).await.unwrap();
    let mut stream = shake_hands(Box::new(socket), &certificate).await;
    let head = "MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n";
    let line = "a line of text, one of many\r\n";
    let content = format!("From: a@example.com\r\n\r\n{}.\r\n", line.repeat(150_000));
    let mut taken = 0;
    let mut unread = String::new();
    for turn in 0..25 {
        // What follows EHLO waits for its answer (RFC 2920 section 3.1).
        let (say, wait_for) = match turn {
            0 => ("EHLO client.test\r\n", "250 Ok"),
            odd if odd % 2 == 1 => (head, "354 "),
            _ => (content.as_str(), "250 Ok 0"),
        };
        stream.write_all(say.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        while !unread.contains(wait_for) {
            let mut buffer = [0; 4096];
            let read = timeout(PATIENCE, stream.read(&mut buffer)).await;
            let length = read.expect("a reply in time").unwrap();
            assert!(length > 0, "closed after {unread}");
            unread.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        }
        unread.clear();
        taken += 1;
    }
    assert_eq!(taken, 25);
}

#[tokio::test]
async fn a_connection_over_the_limit_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Gate::open(service(relay(outbox(folder.path())), None), 1).await;
    let mut first = TcpStream::connect(gate.address).await.unwrap();
    assert_eq!(first_line(&mut first).await, "220 gate.test ESMTP sesgate");
    let mut second = TcpStream::connect(gate.address).await.unwrap();
    assert_eq!(first_line(&mut second).await, "421 Too many concurrent SMTP connections");
    drop(first);
    // The place is free once the server has seen the first one leave.
    for _ in 0..100 {
        let mut third = TcpStream::connect(gate.address).await.unwrap();
        if first_line(&mut third).await.starts_with("220 ") {
            return;
        }
    }
    panic!("the place never came free");
}

#[tokio::test]
async fn a_peer_of_no_named_network_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut service = service(relay(outbox(folder.path())), None);
    let app = "app".to_owned();
    service.clients.speaks_for.push(("10.0.0.0/8".parse().unwrap(), app));
    let gate = Gate::open(service, 10).await;
    let mut stream = TcpStream::connect(gate.address).await.unwrap();
    assert_eq!(first_line(&mut stream).await, "554 No SMTP service for this client address");
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
}

#[tokio::test]
async fn silence_ends_a_connection_in_the_words_of_ses() {
    let folder = tempfile::tempdir().unwrap();
    let mut service = service(relay(outbox(folder.path())), None);
    service.deadlines.login = Duration::from_millis(50);
    let gate = Gate::open(service, 10).await;
    let mut stream = TcpStream::connect(gate.address).await.unwrap();
    first_line(&mut stream).await;
    let timed_out = first_line(&mut stream).await;
    assert_eq!(timed_out, "451 4.4.2 Timeout waiting for data from client.");
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
}

/// The deadline of content is that of each message, whatever its recipients are.
#[tokio::test]
async fn content_has_a_deadline_of_its_own_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut service = service(relay(outbox(folder.path())), None);
    let app = "app".to_owned();
    service.clients.speaks_for.push(("127.0.0.0/8".parse().unwrap(), app));
    let mut settings = (*service.settings).clone();
    settings.auth = Auth::None;
    service.settings = Arc::new(settings);
    service.deadlines.content_total = Duration::from_millis(1500);
    let gate = Gate::open(service, 10).await;
    let mut stream = TcpStream::connect(gate.address).await.unwrap();
    let recipients = |count: usize| -> String {
        (0..count).map(|number| format!("RCPT TO:<r{number}@example.org>\r\n")).collect()
    };
    let mut told = Vec::new();
    let mut say = async |text: &str, replies: usize, stream: &mut TcpStream| {
        stream.write_all(text.as_bytes()).await.unwrap();
        for _ in 0..replies {
            told.push(first_line(stream).await);
        }
        told.last().unwrap().clone()
    };
    say("", 1, &mut stream).await;
    say("HELO client.test\r\n", 1, &mut stream).await;
    let content = "From: a@example.com\r\n\r\nHi.\r\n.\r\n";
    for (count, expected) in [
        (1, "250 Ok "),
        (51, "554 Transaction failed: Recipient count exceeds 50."),
        (1, "250 Ok "),
    ] {
        let head = format!("MAIL FROM:<a@example.com>\r\n{}DATA\r\n", recipients(count));
        let last = say(&head, count + 2, &mut stream).await;
        assert!(last.starts_with("354 "), "{last}");
        let reply = say(content, 1, &mut stream).await;
        assert!(reply.starts_with(expected), "{reply}");
        // Longer than content may take; it is not content.
        tokio::time::sleep(Duration::from_millis(1700)).await;
    }
    let head = format!("MAIL FROM:<a@example.com>\r\n{}DATA\r\n", recipients(51));
    say(&head, 53, &mut stream).await;
    let reply = say("From: a@", 1, &mut stream).await;
    assert_eq!(reply, "451 4.4.2 Timeout waiting for data from client.");
}

/// A client that pipelines the next envelope behind its end of data is never out of content, as far
/// as reading goes; each message still has its own time.
#[tokio::test]
async fn pipelined_messages_do_not_share_a_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let mut service = service(relay(outbox(folder.path())), None);
    let app = "app".to_owned();
    service.clients.speaks_for.push(("127.0.0.0/8".parse().unwrap(), app));
    let mut settings = (*service.settings).clone();
    settings.auth = Auth::None;
    service.settings = Arc::new(settings);
    service.deadlines.content_total = Duration::from_millis(2000);
    let gate = Gate::open(service, 10).await;
    let mut stream = TcpStream::connect(gate.address).await.unwrap();
    first_line(&mut stream).await;
    stream.write_all(b"HELO client.test\r\n").await.unwrap();
    first_line(&mut stream).await;
    let head = "MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n";
    let next = format!("From: a@example.com\r\n\r\nHi.\r\n.\r\n{head}");
    stream.write_all(head.as_bytes()).await.unwrap();
    for expected in ["250 Ok", "250 Ok", "354 "] {
        assert!(first_line(&mut stream).await.starts_with(expected));
    }
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        stream.write_all(next.as_bytes()).await.unwrap();
        for expected in ["250 Ok 0", "250 Ok", "250 Ok", "354 "] {
            let reply = first_line(&mut stream).await;
            assert!(reply.starts_with(expected), "{reply}");
        }
    }
}

#[tokio::test]
async fn a_stalled_handshake_holds_up_nobody_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = certificate();
    let mut service = service(relay(outbox(folder.path())), Some(&certificate.tls));
    service.implicit_tls = true;
    service.deadlines.handshake = Duration::from_millis(1500);
    let gate = Gate::open(service, 10).await;
    let mut stalled = TcpStream::connect(gate.address).await.unwrap();
    let other = TcpStream::connect(gate.address).await.unwrap();
    drop(shake_hands(Box::new(other), &certificate).await);
    let ended = timeout(PATIENCE, stalled.read(&mut [0; 16])).await.expect("an end in time");
    assert!(matches!(ended, Ok(0) | Err(_)));
}

#[tokio::test]
async fn draining_tells_idle_clients_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Gate::open(service(relay(outbox(folder.path())), None), 10).await;
    let mut idle = TcpStream::connect(gate.address).await.unwrap();
    first_line(&mut idle).await;
    gate.stop.cancel();
    assert!(first_line(&mut idle).await.starts_with("421 "));
    drop(idle);
    timeout(PATIENCE, gate.running).await.expect("an end in time").unwrap();
    assert!(TcpStream::connect(gate.address).await.is_err(), "nobody listens any more");
}
