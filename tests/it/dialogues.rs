//! The files in `tests/dialogues`, played against a session, and properties of any dialogue.
//!
//! `format` reads the files, `play` is the other end of a session.

#![cfg(test)]

pub(crate) mod format;
pub(crate) mod play;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use sesgate::smtp::{Authentication, Phase, Reply, Session, Step};

use self::format::Dialogue;
use self::play::{Player, play};

/// Returns every dialogue of `tests/dialogues`, in the order of their names.
pub(crate) fn dialogues() -> Vec<Dialogue> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues");
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "smtp"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{}: no dialogues", folder.display());
    paths.iter().map(|path| format::read(path)).collect()
}

/// Plays each dialogue with each turn cut by `cut`, and reports every failure at once.
fn play_all(only_splittable: bool, cut: impl Fn(&[u8]) -> Vec<&[u8]>) {
    let dialogues = dialogues();
    let failures: Vec<String> = dialogues
        .iter()
        .filter(|dialogue| !(only_splittable && dialogue.whole))
        .filter_map(|dialogue| play(dialogue, &cut).err())
        .collect();
    assert!(failures.is_empty(), "{} dialogues fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn dialogues_played_whole() {
    play_all(false, |bytes| vec![bytes]);
}

#[test]
fn dialogues_split_at_every_byte() {
    play_all(true, |bytes| bytes.chunks(1).collect());
}

#[test]
fn dialogues_split_in_two_at_every_place() {
    for dialogue in dialogues().iter().filter(|dialogue| !dialogue.whole) {
        let longest = dialogue.turns.iter().map(|turn| turn.send.len()).max().unwrap_or(0);
        // Long lines of filler are the same everywhere: their two ends are enough.
        for at in (0..longest.min(600)).chain(longest.saturating_sub(40)..longest) {
            let cut = |bytes: &[u8]| -> usize { at.min(bytes.len()) };
            let played = play(dialogue, &|bytes| <[_; 2]>::from(bytes.split_at(cut(bytes))).into());
            assert!(played.is_ok(), "split at {at}: {}", played.unwrap_err());
        }
    }
}

#[test]
fn a_wrong_expectation_fails() {
    for (text, problem) in [
        ("# A.\nS: 220 gate.test ESMTP other\n", "line 2"),
        ("# A.\n...\nC: NOOP\nS: 250 Ok\nS: 250 Ok\n", "line 3"),
        ("# A.\n...\nC: QUIT\nS: 221 Bye\n", "closed"),
        ("# A.\n...\nC: NOOP\nS: 250 Ok\nS: <close>\n", "open"),
    ] {
        let dialogue = format::parse("sample", text).unwrap();
        let failure = play(&dialogue, &|bytes| vec![bytes]).unwrap_err();
        assert!(failure.contains(problem), "{failure}");
    }
    assert!(format::parse("sample", "# A.\nX: what\n").is_err());
    assert!(format::parse("sample", "S: 220 no title\n").is_err());
}

/// Says EHLO, MAIL, RCPT and DATA, and stops at the question that `stop` picks.
fn session_at(stop: fn(&Step) -> bool) -> Session {
    let dialogue = format::parse("sample", "# A.\n@ auth none\n...\n").unwrap();
    let mut session = Session::new(Arc::new(dialogue.settings), false);
    let mut unread = [PREAMBLE, ENVELOPE, HEADER, b".\r\n"].into_iter();
    loop {
        let step = session.next_step();
        match &step {
            step if stop(step) => return session,
            Step::Read => session.receive(unread.next().unwrap()),
            Step::Mail(_) => session.mail_answered(Ok(())),
            Step::Data(_) => session.data_answered(Ok(())),
            Step::Header(_, _) => session.header_answered(Ok(())),
            step => assert!(matches!(step, Step::Reply(_)), "{step:?}"),
        }
    }
}

/// Reads what a session still says, without answering anything.
fn last_words(session: &mut Session) -> Vec<String> {
    let mut words = Vec::new();
    loop {
        match session.next_step() {
            Step::Reply(reply) => words.push(reply.to_string()),
            Step::Close(reply) => {
                words.extend(reply.map(|reply| reply.to_string()));
                return words;
            }
            step => panic!("{step:?}"),
        }
    }
}

#[test]
fn a_question_without_its_answer_ends_the_session() {
    const STOPS: [fn(&Step) -> bool; 4] = [
        |step| matches!(step, Step::Mail(_)),
        |step| matches!(step, Step::Data(_)),
        |step| matches!(step, Step::Header(_, _)),
        |step| matches!(step, Step::Relay(_)),
    ];
    let closing = ["421 Service not available, closing transmission channel"];
    for stop in STOPS {
        let mut session = session_at(stop);
        assert_eq!(last_words(&mut session), closing);
        let mut session = session_at(stop);
        session.authenticated(Authentication::Accepted);
        assert_eq!(last_words(&mut session), closing);
        assert_eq!(session.phase(), Phase::Closed);
    }
}

/// What the log can tell of a message that never reached the relay.
#[test]
fn a_message_refused_by_the_session_is_told_once() {
    let bodies: [&[u8]; 4] = [
        b"no header\r\n.\r\n",
        b"X: y\r\n\r\nhi\r\n.\r\n",
        b"From: a@b.test\r\n\r\n\0\r\n.\r\n",
        b".\r\n",
    ];
    for body in bodies {
        let mut session = session_at(|step| matches!(step, Step::Data(_)));
        session.data_answered(Ok(()));
        let mut told = Vec::new();
        session.receive(body);
        loop {
            match session.next_step() {
                Step::Read | Step::Close(_) => break,
                Step::Header(_, _) => session.header_answered(Ok(())),
                Step::Refused(envelope, reply) => {
                    assert_eq!(envelope.reverse_path.as_str(), "app@example.com");
                    told.push(reply.to_string());
                }
                Step::Reply(_) => {}
                step => panic!("{step:?}"),
            }
        }
        assert_eq!(told.len(), 1, "{}: {told:?}", body.escape_ascii());
        assert!(told[0].starts_with("554 Transaction failed: "), "{told:?}");
    }
}

/// Hands over `bytes` and says yes to everything; returns the replies.
fn says(session: &mut Session, bytes: &[u8]) -> Vec<String> {
    session.receive(bytes);
    let mut replies = Vec::new();
    loop {
        match session.next_step() {
            Step::Read | Step::Close(None) => return replies,
            Step::Reply(reply) | Step::Close(Some(reply)) => replies.push(reply.to_string()),
            Step::Refused(_, reply) => replies.push(format!("noted: {reply}")),
            Step::Mail(_) => session.mail_answered(Ok(())),
            Step::Data(_) => session.data_answered(Ok(())),
            Step::Header(_, _) => session.header_answered(Ok(())),
            Step::Relay(transaction) => {
                let held = transaction.content.capacity();
                assert!(session.relayed(Reply::accepted(&held.to_string())));
            }
            step => panic!("{step:?}"),
        }
    }
}

/// A session of a listener that speaks for a user, after EHLO.
fn greeted() -> Session {
    let dialogue = format::parse("sample", "# A.\n@ auth none\n...\n").unwrap();
    let mut session = Session::new(Arc::new(dialogue.settings), false);
    says(&mut session, b"");
    says(&mut session, PREAMBLE);
    session
}

#[test]
fn memory_for_content_is_foreseen_and_freed() {
    let mut session = session_at(|step| matches!(step, Step::Data(_)));
    assert_eq!((session.content_bytes(), session.content_growth(0)), (0, 0));
    assert_eq!(session.content_growth(1), 16 * 1024);
    session.data_answered(Ok(()));
    says(&mut session, HEADER);
    assert_eq!((session.content_bytes(), session.content_growth(1_000)), (16 * 1024, 0));
    assert_eq!(session.content_growth(16 * 1024), 16 * 1024);
    says(&mut session, &[b'x'; 20_000]);
    assert_eq!(session.content_bytes(), 32 * 1024);
    assert_eq!(says(&mut session, b"\r\n.\r\n"), ["250 Ok 32768"]);
    assert_eq!((session.content_bytes(), session.content_growth(1_000_000)), (0, 0));
}

/// What came behind DATA was read before there was room for it: it is counted in.
#[test]
fn content_received_with_data_is_foreseen() {
    let mut session = greeted();
    session.receive(&[ENVELOPE, HEADER, &[b'x'; 16_384]].concat());
    let growth = loop {
        match session.next_step() {
            Step::Data(_) => break session.content_growth(0),
            Step::Mail(_) => session.mail_answered(Ok(())),
            step => assert!(matches!(step, Step::Reply(_))),
        }
    };
    session.data_answered(Ok(()));
    says(&mut session, b"");
    assert_eq!((growth, session.content_bytes()), (32 * 1024, 32 * 1024));
}

#[test]
fn content_given_up_is_drained_up_to_its_real_end() {
    let mut session = session_at(|step| matches!(step, Step::Header(_, _)));
    session.header_answered(Ok(()));
    says(&mut session, &[b'x'; 50_000]);
    assert_eq!(session.content_bytes(), 64 * 1024);
    session.refuse_content(Reply::temporary_failure());
    session.refuse_content(Reply::message_too_long());
    assert_eq!((session.content_bytes(), session.content_growth(1_000_000)), (0, 0));
    assert_eq!(says(&mut session, b"\r\n.\r"), [""; 0]);
    assert_eq!(session.phase(), Phase::Content);
    let replies = says(&mut session, b"\nNOOP\r\n");
    let given_up = "451 Temporary service failure";
    assert_eq!(replies, [&format!("noted: {given_up}"), given_up, "250 Ok"]);
    session.refuse_content(Reply::temporary_failure());
    assert_eq!(says(&mut session, b"NOOP\r\n"), ["250 Ok"]);
    let again = [ENVELOPE, HEADER, b".\r\n"].concat();
    assert_eq!(says(&mut session, &again).last().unwrap(), "250 Ok 16384");
}

#[test]
fn a_declared_size_is_told() {
    let mut session = greeted();
    assert_eq!(session.declared_bytes(), None);
    for (size, declared) in [("=00123", Some(123)), ("=0", None), ("=9", Some(9))] {
        let mail = format!("RSET\r\nMAIL FROM:<a@b.test> SIZE{size}\r\n");
        assert_eq!(says(&mut session, mail.as_bytes()), ["250 Ok", "250 Ok"]);
        assert_eq!(session.declared_bytes(), declared);
    }
}

/// Ten mistakes are answered at once; further ones are held back, other commands are not.
#[test]
fn many_errors_are_answered_late() {
    let mut session = greeted();
    let mut late = Vec::new();
    session.receive(&b"QUIT now\r\n".repeat(11));
    session.receive(b"NOOP\r\n");
    session.receive(&b"FOO\r\n".repeat(9));
    loop {
        match session.next_step() {
            Step::Reply(reply) => late.push((reply.code(), session.is_slowed())),
            Step::Close(Some(reply)) => {
                late.push((reply.code(), session.is_slowed()));
                break;
            }
            step => panic!("{step:?}"),
        }
    }
    let mut expected = vec![(501, false); 10];
    expected.extend([(501, true), (250, false)]);
    expected.extend([(500, true); 9]);
    expected.push((421, false));
    assert_eq!(late, expected);
}

/// Denied messages are errors like others, and their answers are held back too.
#[test]
fn many_denied_messages_are_answered_late() {
    let mut session = greeted();
    let mut answers = Vec::new();
    let mut step = session.next_step();
    loop {
        match step {
            Step::Read if answers.len() < 100 => {
                session.receive(&[ENVELOPE, HEADER, b".\r\n"].concat());
            }
            Step::Mail(_) => session.mail_answered(Ok(())),
            Step::Data(_) => session.data_answered(Ok(())),
            Step::Header(..) => session.header_answered(Ok(())),
            Step::Relay(_) => assert!(!session.relayed(Reply::transaction_failed("Denied."))),
            Step::Reply(reply) => {
                let is_slowed = session.is_slowed();
                assert!(reply.code() == 554 || !is_slowed);
                if reply.code() == 554 {
                    answers.push(is_slowed);
                }
            }
            Step::Close(reply) => {
                assert_eq!(reply.unwrap().code(), 421);
                break;
            }
            step => panic!("{step:?}"),
        }
        step = session.next_step();
    }
    assert_eq!(answers, [vec![false; 10], vec![true; 10]].concat());
}

#[test]
fn an_answer_after_the_end_is_ignored() {
    let mut session = session_at(|step| matches!(step, Step::Relay(_)));
    assert_eq!(session.phase(), Phase::Content);
    session.timed_out();
    assert!(!session.relayed(Reply::accepted("0192")));
    session.receive(b"NOOP\r\n");
    assert_eq!(last_words(&mut session), [""; 0]);
}

#[test]
fn debug_output_hides_what_was_said() {
    let secret = "AGFwcABzZWNyZXQ=";
    let dialogue = format::parse("sample", "# A.\n...\n").unwrap();
    let mut session = Session::new(Arc::new(dialogue.settings), false);
    assert!(matches!(session.next_step(), Step::Reply(_)));
    session.receive(PREAMBLE);
    assert!(matches!(session.next_step(), Step::Reply(_)));
    session.receive(format!("AUTH PLAIN {secret}").as_bytes());
    assert!(!format!("{session:?}").contains(secret));
    session.receive(b"\r\n");
    let step = session.next_step();
    assert!(matches!(step, Step::Authenticate(_)));
    let shown = format!("{step:?} {session:?}");
    assert!(!shown.contains("secret") && !shown.contains(secret), "{shown}");

    let mut session = session_at(|step| matches!(step, Step::Header(_, _)));
    session.header_answered(Ok(()));
    session.receive(b".\r\n");
    let step = session.next_step();
    assert!(matches!(step, Step::Relay(_)));
    let shown = format!("{step:?} {session:?}");
    assert!(!shown.contains("From:"), "{shown}");
}

const PREAMBLE: &[u8] = b"EHLO client.test\r\n";
const ENVELOPE: &[u8] = b"MAIL FROM:<app@example.com>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n";
const HEADER: &[u8] = b"From: app@example.com\r\n\r\n";

/// Pieces that conversations are made of; STARTTLS must be last in what is sent, and so must AUTH where
/// it is refused.
const PIECES: [&[u8]; 26] = [
    PREAMBLE,
    b"HELO client.test\r\n",
    b"MAIL FROM:<app@example.com>\r\n",
    b"MAIL FROM:<app@example.com> SIZE=99999999999\r\n",
    b"RCPT TO:<ann@example.org>\r\n",
    b"RCPT TO:<bob@example.org>\r\n",
    b"DATA\r\n",
    ENVELOPE,
    ENVELOPE,
    HEADER,
    b"RSET\r\n",
    b"NOOP\r\n",
    b"QUIT\r\n",
    b"\r\n.\r\n",
    b"\r\n.\r\n",
    b".\r\n",
    b"\r\n",
    b".",
    b"\r",
    b"\n",
    b"\0",
    b"text",
    b"Subject: x",
    b"\xff",
    b"\x16\x03",
    b" ",
];

/// What may look like an end of data.
const LINE_ENDS: [&[u8]; 8] = [
    b"\n",
    b".",
    b"\r\n",
    b"text",
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"MAIL FROM:<eve@example.com>",
];

/// Plays `stream` in pieces to a listener that speaks for a user, after EHLO.
fn transcript(pieces: &[&[u8]], bare_lf: bool) -> (Vec<String>, Vec<Vec<u8>>) {
    let options = if bare_lf { "@ bare-lf normalize\n" } else { "" };
    let text = format!("# A listener that speaks for a user.\n@ auth none\n{options}...\n");
    let mut player = Player::new(&format::parse("generated", &text).unwrap());
    player.pump();
    player.send(PREAMBLE);
    for piece in pieces {
        player.send(piece);
    }
    (player.lines, player.relayed.into_iter().map(|relayed| relayed.content).collect())
}

fn cut<'a>(stream: &'a [u8], at: &[Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = at.iter().map(|index| index.index(stream.len() + 1)).collect();
    at.sort_unstable();
    let mut pieces = Vec::new();
    let mut start = 0;
    for end in at.into_iter().chain([stream.len()]) {
        pieces.push(&stream[start..end]);
        start = end;
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_split_gives_the_same_dialogue(
        pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..24),
        at in prop::collection::vec(any::<Index>(), 0..12),
        bare_lf in any::<bool>(),
    ) {
        let stream = pieces.concat();
        let bytewise: Vec<&[u8]> = stream.chunks(1).collect();
        let (whole, whole_relayed) = transcript(&[&stream], bare_lf);
        for cuts in [cut(&stream, &at), bytewise] {
            let (split, split_relayed) = transcript(&cuts, bare_lf);
            // Bytes behind a refused DATA end the dialogue, if they are there already.
            let data_refused = whole.last().is_some_and(|line| line == "<close>")
                && whole.iter().nth_back(1).is_some_and(|line| line.starts_with("503"));
            if data_refused {
                let (_, before) = whole.split_last().unwrap();
                prop_assert!(split.starts_with(before), "{whole:?} {split:?}");
                prop_assert!(split_relayed.starts_with(&whole_relayed));
            } else {
                prop_assert_eq!(&whole, &split);
                prop_assert_eq!(&whole_relayed, &split_relayed);
            }
        }
    }

    #[test]
    fn dot_stuffing_comes_back_unchanged(
        lines in prop::collection::vec(prop::collection::vec(
            prop_oneof![Just(b'.'), any::<u8>()].prop_filter("no line end, no NUL",
                |byte| !matches!(byte, b'\r' | b'\n' | 0)), 0..40), 0..20),
        at in prop::collection::vec(any::<Index>(), 0..12),
        bare_lf in any::<bool>(),
    ) {
        let mut content = HEADER.to_vec();
        let mut stuffed = HEADER.to_vec();
        for line in &lines {
            if line.first() == Some(&b'.') {
                stuffed.push(b'.');
            }
            for side in [&mut content, &mut stuffed] {
                side.extend_from_slice(line);
                side.extend_from_slice(b"\r\n");
            }
        }
        stuffed.extend_from_slice(b".\r\n");
        let mut pieces = vec![ENVELOPE];
        pieces.extend(cut(&stuffed, &at));
        let (replies, relayed) = transcript(&pieces, bare_lf);
        prop_assert_eq!(relayed, vec![content], "{:?}", replies);
    }

    #[test]
    fn a_bare_lf_is_never_the_end_of_data(
        pieces in prop::collection::vec(prop::sample::select(LINE_ENDS.to_vec()), 0..20),
    ) {
        let body = pieces.concat();
        prop_assume!(!body.windows(5).any(|end| end == b"\r\n.\r\n") && !body.starts_with(b".\r\n"));
        let stream = [ENVELOPE, HEADER, &body, b"\r\n.\r\n"].concat();
        prop_assume!(!stream.windows(5).rev().skip(1).any(|end| end == b"\r\n.\r\n"));
        let (_, relayed) = transcript(&[&stream], true);
        prop_assert_eq!(relayed.len(), 1);
        prop_assert!(!relayed[0].split(|byte| *byte == b'\r').skip(1).any(|rest| !rest.starts_with(b"\n")));
        prop_assert_eq!(relayed[0].iter().filter(|byte| **byte == b'\n').count(),
            HEADER.iter().chain(&body).filter(|byte| **byte == b'\n').count() + 1);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        chunks in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..64),
            prop::sample::select(PIECES.to_vec()).prop_map(<[u8]>::to_vec),
            Just(b"EHLO x\r\n".to_vec()),
            Just(b"AUTH PLAIN AGFwcABzZWNyZXQ=\r\n".to_vec()),
            Just(b"AUTH LOGIN\r\n".to_vec()),
            Just(b"STARTTLS\r\n".to_vec()),
        ], 0..24),
        in_tls in any::<bool>(),
    ) {
        let options = if in_tls { "@ tls implicit\n" } else { "" };
        let text = format!("# Anything.\n{options}...\n");
        let mut player = Player::new(&format::parse("generated", &text).unwrap());
        player.pump();
        for chunk in &chunks {
            player.send(chunk);
            if player.handshake {
                player.tls_started();
            }
        }
        prop_assert!(player.relayed.is_empty() || player.logged_in);
        prop_assert!(player.lines.iter().all(|line| line.len() <= 510));
        prop_assert!(player.lines.iter().flat_map(|line| line.chars())
            .all(|letter| letter == ' ' || letter.is_ascii_graphic()));
    }
}
