//! What reading a message costs without a socket and a policy: `cargo bench --bench message`.
//!
//! The header section is scanned and parsed, content is decoded, and a whole session is played in
//! memory, with every question of it answered yes.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark fails by panicking"
)]

use std::sync::Arc;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use sesgate::message::HeaderSection;
use sesgate::smtp::content::{Decoder, Event};
use sesgate::smtp::{Auth, BareLf, Reply, Session, SessionLimits, SessionSettings, Step};

fn main() {
    divan::main();
}

const MESSAGE_BYTES: usize = 40 * 1024 * 1024;
/// As much as a connection hands over at a time, at most.
const PIECE_BYTES: usize = 64 * 1024;

/// A header section of a mail library, to so many recipients.
fn header(recipients: usize) -> String {
    let to: Vec<_> = (0..recipients).map(|number| format!("user{number}@example.net")).collect();
    format!(
        "From: =?utf-8?q?B=C3=BCro?= <app@example.com>\r\n\
         To: {}\r\n\
         Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\n\
         Date: Tue, 24 Nov 2026 12:00:00 +0000\r\n\
         Message-ID: <0123456789abcdef@client.test>\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\n",
        to.join(",\r\n ")
    )
}

/// A message of so many bytes as it is sent behind DATA; of `dots` every line begins with one.
fn content(bytes: usize, dots: bool) -> Vec<u8> {
    let line = if dots {
        "..line of a mail, of the length that most lines have in them\r\n"
    } else {
        "a line of a mail, of the length that most lines have in them\r\n"
    };
    let mut content = header(1);
    while content.len() + line.len() < bytes {
        content.push_str(line);
    }
    content.push_str(".\r\n");
    content.into_bytes()
}

#[divan::bench(args = [1, 50])]
fn header_scan(bencher: Bencher<'_, '_>, recipients: usize) {
    let header = header(recipients);
    bencher
        .counter(BytesCount::of_str(&header))
        .bench_local(|| HeaderSection::parse(black_box(header.as_bytes())).unwrap());
}

#[divan::bench(args = [(2_048, false), (102_400, false), (102_400, true), (10_485_760, false)])]
fn content_decoded(bencher: Bencher<'_, '_>, (bytes, dots): (usize, bool)) {
    let content = content(bytes, dots);
    bencher.counter(BytesCount::of_slice(&content)).bench_local(|| {
        let mut decoder = Decoder::new(BareLf::Refuse, MESSAGE_BYTES);
        for piece in content.chunks(PIECE_BYTES) {
            let mut rest = piece;
            while !rest.is_empty() {
                let (used, event) = decoder.decode(black_box(rest));
                rest = rest.get(used..).unwrap();
                if event == Event::End {
                    assert_eq!(decoder.fault(), None);
                    return decoder.take();
                }
            }
        }
        panic!("the content has no end");
    });
}

/// A session without AUTH that sends so many messages of 2 KiB, from the banner to the last reply.
#[divan::bench(args = [1, 20])]
fn session(bencher: Bencher<'_, '_>, messages: usize) {
    let settings = Arc::new(SessionSettings {
        hostname: "gate.test".to_owned(),
        message_bytes: MESSAGE_BYTES,
        starttls: false,
        require_tls: false,
        auth: Auth::None,
        bare_lf: BareLf::Refuse,
        limits: SessionLimits::default(),
    });
    let content = content(2_048, false);
    let message = [
        &b"MAIL FROM:<app@example.com>\r\n"[..],
        b"RCPT TO:<user0@example.net>\r\n",
        b"DATA\r\n",
        &content,
    ];
    let sent: Vec<&[u8]> = [&b"EHLO client.test\r\n"[..]]
        .into_iter()
        .chain(message.into_iter().cycle().take(4 * messages))
        .chain([&b"QUIT\r\n"[..]])
        .collect();
    bencher.counter(ItemsCount::new(messages)).bench_local(|| {
        let mut session = Session::new(Arc::clone(&settings), false);
        let (mut sent, mut relayed) = (sent.iter(), 0);
        loop {
            match session.next_step() {
                Step::Read => session.receive(black_box(sent.next().unwrap())),
                Step::Reply(reply) => drop(black_box(reply)),
                Step::Mail(_) => session.mail_answered(Ok(())),
                Step::Data(_) => session.data_answered(Ok(())),
                Step::Header(_, _) => session.header_answered(Ok(())),
                Step::Relay(transaction) => {
                    drop(black_box(transaction));
                    relayed += 1;
                    session.relayed(Reply::accepted("0100"));
                }
                Step::Close(_) => break,
                step => panic!("{step:?}"),
            }
        }
        assert_eq!(relayed, messages);
    });
}
