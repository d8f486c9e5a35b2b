//! Hostile clients over real sockets.
//!
//! What a client is told, and that nothing is relayed which should not be, whatever its bytes travel
//! through. `tests/hostile/README.md` says which file shows which rule.

mod listener;

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use serde_json::Value;
use sesgate::connection::Service;
use sesgate::message::HeaderSection;
use sesgate::smtp::{Auth, SessionSettings};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use self::listener::{Listener, PATIENCE, Transport, all, line, listener, read_json, rest};
use crate::dialogues::dialogues;
use crate::dialogues::format::{Dialogue, Event, unescape};
use crate::sockets::{Lines, Stream, is_real, relayed, shake_hands};
use crate::support::{Certificate, Gate, certificate, path};

const HEADER: &str = "From: app@example.com\r\n\r\n";
const ENVELOPE: &str = "MAIL FROM:<app@example.com>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n";
/// What a smuggler puts behind what may be taken for the end of data.
const SMUGGLED: &str = "MAIL FROM:<eve@example.net>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n\
    From: eve@example.net\r\n\r\nx\r\n.\r\n";

/// TLS changes nothing about what may be said, except to say STARTTLS and to log in in clear.
fn is_the_same_under_tls(dialogue: &Dialogue) -> bool {
    let about_tls = |text: &[u8]| text.windows(3).any(|word| word.eq_ignore_ascii_case(b"TLS"));
    is_real(dialogue)
        && !dialogue.implicit_tls
        && !dialogue.settings.require_tls
        && dialogue.settings.starttls
        && dialogue.settings.auth != (Auth::Offered { in_clear: false })
        && !about_tls(dialogue.title.as_bytes())
        && dialogue.turns.iter().all(|turn| {
            turn.event != Some(Event::Tls)
                && !about_tls(&turn.send)
                && !format!("{:?}", turn.expect).contains("STARTTLS")
        })
        && dialogue.turns[0].send.is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn dialogues_are_the_same_under_tls() {
    let certificate = Arc::new(certificate());
    let mut plays = JoinSet::new();
    for dialogue in dialogues().into_iter().filter(is_the_same_under_tls) {
        for transport in [Transport::StartTls, Transport::Tls] {
            let (dialogue, certificate) = (dialogue.clone(), Arc::clone(&certificate));
            plays.spawn(async move { play(&dialogue, &certificate, transport).await });
        }
    }
    all(plays, 200).await;
}

async fn play(
    dialogue: &Dialogue,
    certificate: &Arc<Certificate>,
    transport: Transport,
) -> Result<(), String> {
    let change =
        |_: &mut Service, settings: &mut SessionSettings| *settings = dialogue.settings.clone();
    let listener = Listener::open(certificate, transport, change).await;
    let mut stream = listener.connect().await;
    let mut lines = Lines::default();
    // Behind STARTTLS there is no second banner.
    let banner = usize::from(transport == Transport::StartTls);
    for turn in &dialogue.turns[banner..] {
        if turn.event == Some(Event::Shutdown) {
            listener.gate.stop.cancel();
        }
        let _ = stream.write_all(&turn.send).await;
        let _ = stream.flush().await;
        lines
            .read(&mut stream, turn)
            .await
            .and_then(|()| relayed(listener.folder.path(), turn))
            .map_err(|problem| {
                format!("{transport:?}: {}.smtp line {}: {problem}", dialogue.name, turn.line)
            })?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_answered_as_it_reads() {
    let certificate = Arc::new(certificate());
    let mut plays = JoinSet::new();
    for entry in fs::read_dir(path("tests/messages")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "eml") {
            continue;
        }
        let content = fs::read(&file).unwrap();
        let json = fs::read_to_string(file.with_extension("json")).unwrap();
        let facts: Value = serde_json::from_str(&json).unwrap();
        // A line end would have to be added. What X-SES fields ask for is for policies to say.
        if (!content.is_empty() && !content.ends_with(b"\r\n")) || facts.get("xses").is_some() {
            continue;
        }
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        for transport in [Transport::Clear, Transport::StartTls, Transport::Tls] {
            let certificate = Arc::clone(&certificate);
            let (name, content, facts) = (name.clone(), content.clone(), facts.clone());
            plays.spawn(async move {
                let told = send(&certificate, transport, &content, &facts).await;
                told.map_err(|problem| format!("{transport:?}: {name}: {problem}"))
            });
        }
    }
    all(plays, 600).await;
}

/// Sends a message, and compares the answer and the outbox with the facts.
async fn send(
    certificate: &Arc<Certificate>,
    transport: Transport,
    content: &[u8],
    facts: &Value,
) -> Result<(), String> {
    let listener = Listener::open(certificate, transport, |_, _| {}).await;
    let mut stream = listener.connect_for(ENVELOPE).await;
    let mut stuffed = Vec::new();
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    stuffed.extend_from_slice(b".\r\nNOOP\r\nQUIT\r\n");
    let _ = stream.write_all(&stuffed).await;
    let _ = stream.flush().await;
    let told = String::from_utf8(rest(&mut stream).await).unwrap();
    let relayed = listener.relayed().await;
    let (expected, expected_relayed) = match facts.get("error").and_then(Value::as_str) {
        Some(error) => (format!("554 Transaction failed: {error}"), Vec::new()),
        None => {
            let section = HeaderSection::parse(content).map_err(|error| error.to_string())?;
            let forwarded = section.forwarded(content.to_vec());
            ("250 Ok ".to_owned(), vec![forwarded.escape_ascii().to_string()])
        }
    };
    let mut lines = told.lines();
    let reply = lines.next().unwrap_or_default();
    let fits =
        if expected_relayed.is_empty() { reply == expected } else { reply.starts_with(&expected) };
    // Behind content that others may end elsewhere nothing is read (CVE-2023-51764).
    let closes = [" NUL ", " bare CR:", " bare LF:"].iter().any(|text| expected.contains(text));
    let after: Vec<&str> = lines.collect();
    let expected_after = if closes { vec![] } else { vec!["250 Ok", "221 Bye"] };
    if fits && after == expected_after && relayed == expected_relayed {
        return Ok(());
    }
    Err(format!("expected {expected}, {expected_relayed:?}\n  told {told:?}, {relayed:?}"))
}

/// Each mark is cut at each place, at the border of what is read at once, in a message that is kept
/// and in one that is drained.
#[tokio::test(flavor = "multi_thread")]
async fn ends_of_data_at_borders() {
    let certificate = Arc::new(certificate());
    let mut plays = JoinSet::new();
    for mark in read_json("ends.json", "marks") {
        let bytes = mark["bytes"].as_str().unwrap().to_owned();
        let is = mark["is"].as_str().unwrap().to_owned();
        for cut in 0..=bytes.len() {
            for (transport, too_long) in [
                (Transport::Clear, false),
                (Transport::Clear, true),
                (Transport::StartTls, true),
                (Transport::Tls, false),
            ] {
                let certificate = Arc::clone(&certificate);
                let (bytes, is) = (bytes.clone(), is.clone());
                plays.spawn(async move {
                    let told = end_at(&certificate, transport, &bytes, cut, &is, too_long).await;
                    told.map_err(|problem| {
                        let bytes = bytes.escape_default();
                        format!("{transport:?} {bytes} at {cut}, too long {too_long}: {problem}")
                    })
                });
            }
        }
    }
    all(plays, 300).await;
}

async fn end_at(
    certificate: &Arc<Certificate>,
    transport: Transport,
    mark: &str,
    cut: usize,
    is: &str,
    too_long: bool,
) -> Result<(), String> {
    const READ: usize = 16 * 1024;
    let change = |_: &mut Service, settings: &mut SessionSettings| {
        settings.message_bytes = if too_long { 10_000 } else { 100_000 };
    };
    let listener = Listener::open(certificate, transport, change).await;
    let mut stream = listener.connect_for(ENVELOPE).await;
    let (before, behind) = mark.split_at(cut);
    let filler = "x".repeat(READ - HEADER.len() - before.len());
    let first = format!("{HEADER}{filler}{before}");
    assert_eq!(first.len(), READ);
    let second = match is {
        "end" => format!("{behind}NOOP\r\nQUIT\r\n"),
        _ => format!("{behind}{SMUGGLED}NOOP\r\nQUIT\r\n"),
    };
    for piece in [first.as_str(), second.as_str()] {
        let _ = stream.write_all(piece.as_bytes()).await;
        let _ = stream.flush().await;
        sleep(Duration::from_millis(20)).await;
    }
    let told = String::from_utf8(rest(&mut stream).await).unwrap();
    let relayed = listener.relayed().await;
    let reply = match is {
        _ if too_long => "552 Message is too long.".to_owned(),
        "end" | "text" => "250 Ok ".to_owned(),
        "NUL" => "554 Transaction failed: Message contains a NUL character.".to_owned(),
        _ => format!("554 Transaction failed: Message contains a {is}: lines must end with CRLF."),
    };
    let lines: Vec<&str> = told.lines().collect();
    let goes_on = matches!(is, "end" | "text");
    let expected = if goes_on { &["250 Ok", "221 Bye"][..] } else { &[] };
    let is_told = lines.first().is_some_and(|line| line.starts_with(&reply));
    let content = match is {
        "end" => format!("{HEADER}{filler}\r\n"),
        // A dot that starts a line is taken away.
        _ => {
            let sent = format!("{HEADER}{filler}{mark}{SMUGGLED}").replace("\r\n.", "\r\n");
            sent.strip_suffix("\r\n").unwrap().to_owned()
        }
    };
    let expected_relayed = if goes_on && !too_long {
        vec![content.as_bytes().escape_ascii().to_string()]
    } else {
        vec![]
    };
    if is_told && lines[1..] == *expected && relayed == expected_relayed {
        return Ok(());
    }
    let ends: Vec<_> = relayed.iter().map(|text| &text[text.len().saturating_sub(200)..]).collect();
    Err(format!("told {told:?}, relayed {ends:?}"))
}

/// Bytes that are there when the connection is accepted.
#[tokio::test]
async fn bytes_before_the_banner_end_a_connection() {
    let certificate = Arc::new(certificate());
    let mut plays = JoinSet::new();
    for case in read_json("first-bytes.json", "cases") {
        let name = case["name"].as_str().unwrap().to_owned();
        let bytes = unescape(case["send"].as_str().unwrap()).unwrap();
        for transport in [Transport::Clear, Transport::Tls] {
            let certificate = Arc::clone(&certificate);
            let (name, bytes) = (name.clone(), bytes.clone());
            plays.spawn(async move {
                let told = talk_first(&certificate, transport, &bytes).await;
                told.map_err(|problem| format!("{transport:?}: {name}: {problem}"))
            });
        }
    }
    all(plays, 20).await;
}

async fn talk_first(
    certificate: &Arc<Certificate>,
    transport: Transport,
    bytes: &[u8],
) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let hasty = |service: &mut Service, _: &mut SessionSettings| {
        service.deadlines.handshake = Duration::from_millis(1_000);
    };
    let service = listener(folder.path(), certificate, transport, hasty);
    let gate = Gate::open(service, 10).await;
    // All on one thread, and without a pause: nothing is accepted before it is written.
    let mut stream = std::net::TcpStream::connect(gate.address).unwrap();
    stream.write_all(bytes).unwrap();
    stream.set_nonblocking(true).unwrap();
    let told = rest(&mut TcpStream::from_std(stream).unwrap()).await;
    let is_right = match transport {
        Transport::Clear => told == b"554 Error: SMTP protocol synchronization\r\n",
        // Nothing, or an alert (RFC 8446 section 6).
        _ => told.is_empty() || (told.first() == Some(&0x15) && told.len() == 7),
    };
    let text = told.escape_ascii();
    if is_right { Ok(()) } else { Err(format!("told {text}")) }
}

/// What follows STARTTLS in clear, but not at once, is no TLS (CVE-2011-0411).
#[tokio::test(flavor = "multi_thread")]
async fn commands_in_place_of_a_handshake_are_never_run() {
    let certificate = Arc::new(certificate());
    let listener = Listener::open(&certificate, Transport::Clear, |_, _| {}).await;
    let mut stream = listener.connect_for("").await;
    stream.write_all(b"STARTTLS\r\n").await.unwrap();
    assert_eq!(line(&mut stream).await, "220 Ready to start TLS");
    let injected = format!("EHLO eve.test\r\n{ENVELOPE}{HEADER}.\r\n");
    stream.write_all(injected.as_bytes()).await.unwrap();
    let connector = TlsConnector::from(Arc::clone(&certificate.client));
    let name = ServerName::try_from("localhost").unwrap();
    assert!(connector.connect(name, stream).await.is_err());
    assert_eq!(listener.relayed().await, [""; 0]);
}

/// A client that offers protocols must offer ours (ALPACA; RFC 7301 section 3.2).
#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_for_another_protocol_fails() {
    let certificate = certificate();
    for (protocols, is_taken) in [
        (&["h2", "http/1.1"][..], false),
        (&["ftp"], false),
        (&["smtp"], true),
        (&["h2", "smtp"], true),
        (&[], true),
    ] {
        let mut client = (*certificate.client).clone();
        client.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let other = Arc::new(Certificate { tls: certificate.tls.clone(), client: client.into() });
        let listener = Listener::open(&other, Transport::Tls, |_, _| {}).await;
        let socket = TcpStream::connect(listener.gate.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::clone(&other.client));
        let shaken = timeout(PATIENCE, connector.connect(name, socket)).await.expect("in time");
        assert_eq!(shaken.is_ok(), is_taken, "{protocols:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_byte_by_byte_is_one_message() {
    let certificate = Arc::new(certificate());
    for transport in [Transport::Clear, Transport::StartTls, Transport::Tls] {
        let listener = Listener::open(&certificate, transport, |_, _| {}).await;
        let mut stream = listener.connect_for("").await;
        let content = format!("{HEADER}.\r\n..x\r\n");
        let stuffed = content.replace("\r\n.", "\r\n..");
        let bytes = format!("{ENVELOPE}{stuffed}.\r\nQUIT\r\n");
        for byte in bytes.as_bytes() {
            stream.write_all(&[*byte]).await.unwrap();
            stream.flush().await.unwrap();
        }
        let told = String::from_utf8(rest(&mut stream).await).unwrap();
        let codes: Vec<&str> = told.lines().map(|line| &line[..3]).collect();
        assert_eq!(codes, ["250", "250", "354", "250", "221"], "{transport:?}: {told}");
        assert_eq!(listener.relayed().await, [content.as_bytes().escape_ascii().to_string()]);
    }
}

/// A connection that ends before the end of data relays nothing, however near it was.
#[tokio::test(flavor = "multi_thread")]
async fn content_without_its_end_is_never_relayed() {
    let certificate = Arc::new(certificate());
    for transport in [Transport::Clear, Transport::Tls] {
        for end in ["", "x", "\r", "\r\n", "\r\n.", "\r\n.\r", "\n.\n", "\r\n.\n", "\r\n.\r\r"] {
            let listener = Listener::open(&certificate, transport, |_, _| {}).await;
            let mut stream = listener.connect_for(ENVELOPE).await;
            stream.write_all(format!("{HEADER}x{end}").as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            let _ = stream.shutdown().await;
            let told = rest(&mut stream).await;
            assert_eq!(told.escape_ascii().to_string(), "", "{transport:?} {end:?}");
            drop(stream);
            assert_eq!(listener.relayed().await, [""; 0], "{transport:?} {end:?}");
        }
    }
}

/// Ten mebibytes over the limit are read to their real end, and the next message is another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_limit_is_drained() {
    let certificate = Arc::new(certificate());
    for transport in [Transport::Clear, Transport::Tls] {
        let change =
            |_: &mut Service, settings: &mut SessionSettings| settings.message_bytes = 50_000;
        let listener = Listener::open(&certificate, transport, change).await;
        let mut stream = listener.connect_for(ENVELOPE).await;
        let filler = ". QUIT\r\n.QUIT\r\n".repeat(700_000);
        let next = format!("{ENVELOPE}{HEADER}second\r\n.\r\nQUIT\r\n");
        let all = format!("{HEADER}first\r\n{filler}.\r\n{next}");
        stream.write_all(all.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let told = String::from_utf8(rest(&mut stream).await).unwrap();
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[..3], ["552 Message is too long.", "250 Ok", "250 Ok"], "{transport:?}");
        assert!(lines[4].starts_with("250 Ok ") && lines[5] == "221 Bye", "{lines:?}");
        let second = format!("{HEADER}second\r\n");
        assert_eq!(listener.relayed().await, [second.as_bytes().escape_ascii().to_string()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_pipelined_commands_are_answered_one_by_one() {
    const COMMANDS: usize = 65_000;
    let certificate = Arc::new(certificate());
    for (transport, limit) in [(Transport::Clear, u32::MAX), (Transport::Tls, u32::MAX)] {
        let change = |_: &mut Service, settings: &mut SessionSettings| {
            settings.limits.idle_commands = limit;
        };
        let listener = Listener::open(&certificate, transport, change).await;
        let stream = listener.connect_for("").await;
        let (mut reader, mut writer) = tokio::io::split(stream);
        let writing = tokio::spawn(async move {
            let commands = "NOOP\r\n".repeat(COMMANDS) + "QUIT\r\n";
            writer.write_all(commands.as_bytes()).await.unwrap();
            writer.flush().await.unwrap();
            writer
        });
        let told = String::from_utf8(rest(&mut reader).await).unwrap();
        assert_eq!(told, "250 Ok\r\n".repeat(COMMANDS) + "221 Bye\r\n");
        drop(writing.await.unwrap());
    }
}

/// Replies that nobody reads hold up their own connection, and end it.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_is_cut_off() {
    let certificate = Arc::new(certificate());
    for transport in [Transport::Clear, Transport::Tls] {
        let change = |service: &mut Service, settings: &mut SessionSettings| {
            settings.limits.idle_commands = u32::MAX;
            service.deadlines.reply = Duration::from_millis(700);
        };
        let listener = Listener::open(&certificate, transport, change).await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        socket.set_send_buffer_size(16 * 1024).unwrap();
        let mut deaf: Box<dyn Stream> =
            Box::new(socket.connect(listener.gate.address).await.unwrap());
        if transport == Transport::Tls {
            deaf = shake_hands(deaf, &certificate).await;
        }
        assert!(line(&mut deaf).await.starts_with("220 "));
        let commands = "HELP\r\n".repeat(1_000);
        let mut taken = 0;
        let ended = timeout(PATIENCE, async {
            loop {
                match deaf.write(commands.as_bytes()).await {
                    Ok(length) if length > 0 => taken += length,
                    Ok(_) => return ErrorKind::WriteZero,
                    Err(error) => return error.kind(),
                }
            }
        });
        let ended = ended.await.expect("an end in time");
        assert!(matches!(ended, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{ended}");
        // What the buffers of two sockets hold, and no more.
        assert!(taken < 16 * 1024 * 1024, "{transport:?}: {taken} bytes were taken");
        drop(listener.connect_for(ENVELOPE).await);
    }
}

/// The list of rules names files and tests that exist.
#[test]
fn the_rules_name_what_shows_them() {
    let text = fs::read_to_string(path("tests/hostile/README.md")).unwrap();
    let here = fs::read_to_string(path("tests/it/hostile.rs")).unwrap();
    let mut missing = Vec::new();
    let mut count = 0;
    for row in text.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let shown = row.split('|').nth(3).unwrap_or_default();
        for name in shown.split('`').skip(1).step_by(2) {
            count += 1;
            let found = match name.rsplit_once('.') {
                Some((_, "smtp")) => path("tests/dialogues").join(name).exists(),
                Some((_, "eml")) => path("tests/messages").join(name).exists(),
                Some((_, "json")) => path("tests/hostile").join(name).exists(),
                _ => here.contains(&format!("fn {name}()")),
            };
            if !found {
                missing.push(name.to_owned());
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
    assert!(count > 100, "only {count}");
}
