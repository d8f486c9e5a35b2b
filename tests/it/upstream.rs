//! What becomes of a message at SES and in the outbox, and what its client is told.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::{SharedCredentialsProvider, future};
use aws_credential_types::{Credentials, provider::ProvideCredentials};
use serde_json::json;
use sesgate::address::Address;
use sesgate::authorize::Client;
use sesgate::login::Principals;
use sesgate::principals::User;
use sesgate::relay::{Relay, RelaySettings};
use sesgate::rules::Rules;
use sesgate::smtp::{Envelope, HeaderSection, Transaction};
use sesgate::trace::TransactionTimes;
use sesgate::upstream::{Ses, SesSettings, Upstream};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_util::sync::CancellationToken;

use crate::fake_ses::{Act, FakeSes};
use crate::support::{self, FULL_ACCESS, manner, memory, outbox, pace, principal, relay, rules};

const MESSAGE: &str = "From: App <app@example.com>\r\n\
    To: one@example.org\r\n\
    Bcc: hidden@example.org\r\n\
    Return-Path: <app@example.com>\r\n\
    Subject: hello\r\n\
    X-SES-CONFIGURATION-SET: transactional\r\n\
    X-SES-MESSAGE-TAGS: kind=welcome, team=growth\r\n\
    X-SES-LIST-MANAGEMENT-OPTIONS: {customers}; topic={news}\r\n\
    X-SES-Unknown: gone\r\n\
    \r\n\
    Hi.\r\n\
    .dot\r\n";
const FORWARDED: &str = "From: App <app@example.com>\r\n\
    To: one@example.org\r\n\
    Subject: hello\r\n\
    \r\n\
    Hi.\r\n\
    .dot\r\n";

/// Credentials that count how often they were asked for.
#[derive(Debug, Clone, Default)]
struct Counted(Arc<AtomicUsize>);

impl ProvideCredentials for Counted {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let asked = self.0.fetch_add(1, Ordering::SeqCst);
        let key = format!("AKIA{asked}");
        future::ProvideCredentials::ready(Ok(Credentials::new(key, "secret", None, None, "test")))
    }
}

fn settings(url: &str) -> SesSettings {
    SesSettings {
        region: "us-east-1".to_owned(),
        endpoint_url: Some(url.to_owned()),
        calls: 4,
        connect: Duration::from_secs(2),
        finish: Duration::from_secs(30),
    }
}

fn ses(settings: SesSettings) -> Arc<Relay> {
    impatient(settings, Duration::from_secs(20))
}

fn impatient(settings: SesSettings, patience: Duration) -> Arc<Relay> {
    let credentials = SharedCredentialsProvider::new(Counted::default());
    let upstream = Upstream::Ses(Ses::with_credentials(settings, credentials, pace()));
    Arc::new(Relay::new(rules(), upstream, pace(), RelaySettings { patience, ..manner() }))
}

fn client() -> Client {
    support::client(Arc::new(principal("app", FULL_ACCESS)))
}

pub(crate) fn transaction(content: &str) -> Transaction {
    let end = content.find("\r\n\r\n").unwrap() + 4;
    let paths = ["one@example.org", "two@example.org"];
    Transaction {
        envelope: Arc::new(Envelope {
            reverse_path: Address::parse("bounce@example.com").unwrap(),
            forward_paths: paths.map(|path| Address::parse(path).unwrap()).to_vec(),
            ehlo: "client.test".to_owned(),
            body_8bit: false,
        }),
        header: Arc::new(HeaderSection::parse(&content.as_bytes()[..end]).unwrap()),
        content: content.as_bytes().to_vec(),
    }
}

async fn reply(relay: &Relay) -> String {
    reply_to(relay, MESSAGE, &CancellationToken::new()).await
}

async fn reply_to(relay: &Relay, content: &str, abort: &CancellationToken) -> String {
    let share = memory().share_of("app");
    let transaction = transaction(content);
    relay
        .carry_out(&client(), transaction, None, share, abort, TransactionTimes::now())
        .await
        .to_string()
}

#[tokio::test]
async fn the_request_holds_what_was_checked_and_nothing_else() {
    let fake = FakeSes::start([Act::Take("0107-id")]).await;
    assert_eq!(reply(&ses(settings(&fake.url))).await, "250 Ok 0107-id");
    let requests = fake.requests();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(request.request_line, "POST /v2/email/outbound-emails HTTP/1.1");
    assert!(request.authorization.contains("/us-east-1/ses/aws4_request"), "{request:?}");
    assert_eq!(String::from_utf8(request.message()).unwrap(), FORWARDED);
    let mut body = request.body.clone();
    body["Content"]["Raw"]["Data"] = json!("…");
    // No FromEmailAddress and no ReplyToAddresses: SES would replace the header (decision 4).
    assert_eq!(
        body,
        json!({
            "Content": { "Raw": { "Data": "…" } },
            "Destination": { "ToAddresses": ["one@example.org", "two@example.org"] },
            "FeedbackForwardingEmailAddress": "bounce@example.com",
            "ConfigurationSetName": "transactional",
            "EmailTags": [
                { "Name": "kind", "Value": "welcome" },
                { "Name": "team", "Value": "growth" },
            ],
            "ListManagementOptions": { "ContactListName": "customers", "TopicName": "news" },
        })
    );
}

/// Each answer of SES, how often the request is then made, and what the client is told.
#[tokio::test]
async fn each_answer_of_ses_has_its_reply() {
    let temporary = "451 Temporary service failure";
    let verified = "Email address is not verified. The following identities failed the check in \
                    region US-EAST-1: app@example.com";
    let cases: Vec<(Act, usize, String)> = vec![
        (Act::Refuse(400, "MessageRejected", verified), 1, format!("554 Message rejected: {verified}")),
        (
            Act::Refuse(400, "BadRequestException", "Duplicate header 'Date'."),
            1,
            "554 Transaction failed: Duplicate header 'Date'.".to_owned(),
        ),
        (
            Act::Refuse(400, "BadRequestException", "Message length is more than 41943040 bytes long"),
            1,
            "552 Message is too long.".to_owned(),
        ),
        (
            Act::Refuse(400, "MailFromDomainNotVerifiedException", "DNS setup for MAIL FROM domain is invalid."),
            1,
            "554 MAIL FROM domain not verified: DNS setup for MAIL FROM domain is invalid.".to_owned(),
        ),
        (
            Act::Refuse(404, "NotFoundException", "Configuration set <transactional> does not exist."),
            1,
            "554 Configuration Set does not exist: Configuration set <transactional> does not exist."
                .to_owned(),
        ),
        (
            Act::Refuse(400, "AccountSuspendedException", "Account is suspended."),
            1,
            "554 Message rejected: Account is suspended.".to_owned(),
        ),
        (
            Act::Refuse(400, "SendingPausedException", "Sending paused for this account."),
            1,
            "554 Message rejected: Sending paused for this account.".to_owned(),
        ),
        (
            Act::Refuse(400, "LimitExceededException", "Daily message quota exceeded."),
            1,
            "454 Throttling failure: Daily message quota exceeded.".to_owned(),
        ),
        (Act::Refuse(400, "NewException", "New."), 1, "554 Transaction failed: New.".to_owned()),
        (Act::Refuse(403, "AccessDeniedException", "User is not authorized"), 1, temporary.to_owned()),
        (
            Act::Refuse(403, "AccessDeniedException", "Tenant not associated with resources [arn:x]"),
            1,
            "554 Access denied: Tenant not associated with resources [arn:x]".to_owned(),
        ),
        (Act::Refuse(403, "SignatureDoesNotMatch", "Clock"), 1, temporary.to_owned()),
        (Act::Refuse(500, "InternalFailure", "Oops"), 1, temporary.to_owned()),
        (Act::Refuse(503, "ServiceUnavailable", "Oops"), 1, temporary.to_owned()),
        (Act::Answer(200, "{}"), 1, temporary.to_owned()),
        (Act::Answer(200, r#"{"MessageId":""}"#), 1, temporary.to_owned()),
        (Act::Answer(200, "<html>"), 1, temporary.to_owned()),
        (Act::ResetLate, 1, temporary.to_owned()),
        (Act::Rubbish, 1, temporary.to_owned()),
    ];
    for (act, requests, expected) in cases {
        let fake = FakeSes::start([act.clone()]).await;
        assert_eq!(reply(&ses(settings(&fake.url))).await, expected, "{act:?}");
        assert_eq!(fake.requests().len(), requests, "{act:?}");
    }
}

/// An answer that does not prove that SES did not take the message is said to leave a doubt, and no
/// answer makes a second request but those that prove it (decision 15).
#[tokio::test]
async fn what_ses_may_have_taken_is_a_possible_duplicate() {
    const GZIP: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
        Content-Encoding: gzip\r\nContent-Length: 10\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\x03";
    const CUT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n{\"MessageId\":\"01";
    const NOTHING: &[u8] = b"HTTP/1.1 204 X\r\n\r\n";
    const MOVED: &[u8] = b"HTTP/1.1 307 X\r\nLocation: /v2/email/outbound-emails\r\n\
        Content-Length: 0\r\n\r\n";
    for (act, doubtful) in [
        (Act::Bytes(GZIP), true),
        (Act::Bytes(CUT), true),
        (Act::Bytes(NOTHING), true),
        (Act::Answer(200, "{}"), true),
        (Act::Answer(200, ""), true),
        (Act::Answer(200, r#"{"MessageId":"0107"#), true),
        (Act::Answer(200, r#"{"MessageId":7}"#), true),
        (Act::Answer(200, r#"{"MessageId":["0107"]}"#), true),
        (Act::Answer(200, r#"{"MessageId":""}"#), true),
        (Act::Answer(202, "<html>"), true),
        (Act::Bytes(MOVED), true),
        (Act::Answer(302, ""), true),
        (Act::Answer(408, ""), true),
        (Act::Refuse(408, "RequestTimeoutException", "x"), true),
        (Act::Refuse(400, "RequestTimeout", "x"), true),
        (Act::Refuse(409, "ConflictException", "x"), true),
        (Act::Refuse(500, "InternalFailure", "x"), true),
        (Act::Answer(502, "<html>"), true),
        (Act::Answer(503, ""), true),
        (Act::ResetLate, true),
        (Act::Rubbish, true),
        (Act::Answer(407, ""), false),
        (Act::Answer(403, "<html>"), false),
        (Act::Refuse(403, "AccessDeniedException", "x"), false),
        (Act::Refuse(400, "BadRequestException", "x"), false),
        (Act::Refuse(404, "NotFoundException", "x"), false),
        (Act::Refuse(400, "LimitExceededException", "x"), false),
    ] {
        let fake = FakeSes::start([act.clone()]).await;
        let relay = ses(settings(&fake.url));
        let reply = reply(&relay).await;
        if doubtful {
            assert_eq!(reply, "451 Temporary service failure", "{act:?}");
        }
        assert_eq!(fake.requests().len(), 1, "sent again after {act:?}");
        assert_eq!(possible_duplicates(&relay), u64::from(doubtful), "{act:?}");
    }
}

#[tokio::test]
async fn an_answer_before_the_whole_message_leaves_no_doubt() {
    let big = format!("{MESSAGE}{}", "line of text\r\n".repeat(1_500_000));
    let answers = [(307, ""), (408, ""), (503, ""), (200, r#"{"MessageId":"early"}"#)];
    for (status, body) in answers {
        let fake = FakeSes::start([Act::AnswerEarly(status, body)]).await;
        let relay = ses(settings(&fake.url));
        let reply = reply_to(&relay, &big, &CancellationToken::new()).await;
        assert_eq!(reply, "451 Temporary service failure");
        assert_eq!(fake.requests().len(), 0);
        assert_eq!(possible_duplicates(&relay), 0, "{status}");
    }
}

/// As the metrics say.
fn possible_duplicates(relay: &Relay) -> u64 {
    let text = relay.metrics().text(Nothing);
    let line =
        text.lines().find_map(|line| line.strip_prefix("sesgate_possible_duplicates_total "));
    line.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
}

#[derive(Debug)]
struct Nothing;

impl prometheus_client::collector::Collector for Nothing {
    fn encode(
        &self,
        _: prometheus_client::encoding::DescriptorEncoder<'_>,
    ) -> Result<(), std::fmt::Error> {
        Ok(())
    }
}

/// Only what SES provably did not take is tried again within the dialogue (decision 15).
#[tokio::test]
async fn what_was_provably_not_taken_is_tried_again() {
    let throttled = Act::Refuse(429, "TooManyRequestsException", "Maximum sending rate exceeded.");
    let expired = Act::Refuse(403, "ExpiredTokenException", "The security token has expired");
    let cases: Vec<(Vec<Act>, usize, &str)> = vec![
        (vec![throttled.clone(), Act::Take("id")], 2, "250 Ok id"),
        (vec![Act::Refuse(400, "ThrottlingException", "x"), Act::Take("id")], 2, "250 Ok id"),
        (
            vec![throttled.clone(), throttled.clone(), throttled.clone(), throttled],
            3,
            "454 Throttling failure: Maximum sending rate exceeded.",
        ),
        (vec![expired.clone(), Act::Take("id")], 2, "250 Ok id"),
        (vec![expired.clone(), expired.clone(), expired], 2, "451 Temporary service failure"),
    ];
    for (script, requests, expected) in cases {
        let fake = FakeSes::start(script.clone()).await;
        assert_eq!(reply(&ses(settings(&fake.url))).await, expected, "{script:?}");
        // Each attempt has the whole message.
        let sent = fake.requests().into_iter().map(|request| request.message());
        let sent: Vec<_> = sent.map(|message| String::from_utf8(message).unwrap()).collect();
        assert_eq!(sent, vec![FORWARDED; requests], "{script:?}");
    }
}

/// Most of its pieces are made anew for each attempt.
#[tokio::test]
async fn a_large_message_is_tried_again_whole() {
    let lines: String = (0..60_000).map(|number| format!("line {number}\r\n")).collect();
    let throttled = Act::Refuse(429, "TooManyRequestsException", "Maximum sending rate exceeded.");
    let fake = FakeSes::start([throttled, Act::Take("id")]).await;
    let relay = ses(settings(&fake.url));
    let content = format!("{MESSAGE}{lines}");
    assert_eq!(reply_to(&relay, &content, &CancellationToken::new()).await, "250 Ok id");
    let sent: Vec<_> = fake.requests().into_iter().map(|request| request.message()).collect();
    let expected = format!("{FORWARDED}{lines}").into_bytes();
    assert!(sent.len() == 2 && sent.iter().all(|message| *message == expected));
}

#[tokio::test]
async fn an_expired_credential_is_asked_for_anew() {
    let expired = Act::Refuse(403, "ExpiredTokenException", "The security token has expired");
    let fake = FakeSes::start([expired, Act::Take("id"), Act::Take("other")]).await;
    let relay = ses(settings(&fake.url));
    assert_eq!(reply(&relay).await, "250 Ok id");
    assert_eq!(reply(&relay).await, "250 Ok other");
    let keys: Vec<_> = fake
        .requests()
        .iter()
        .map(|request| request.authorization.contains("Credential=AKIA1/"))
        .collect();
    assert_eq!(keys, [false, true, true], "{:?}", fake.requests());
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_body_is_tried_again() {
    let lines = "line of text\r\n".repeat(500_000);
    let big = format!("{MESSAGE}{lines}");
    let fake = FakeSes::start([Act::ResetEarly, Act::Take("id")]).await;
    let relay = ses(settings(&fake.url));
    let reply = reply_to(&relay, &big, &CancellationToken::new()).await;
    assert_eq!(reply, "250 Ok id");
    let requests = fake.requests();
    let [request] = requests.as_slice() else { panic!("{}", requests.len()) };
    let sent = String::from_utf8(request.message()).unwrap();
    assert!(sent == format!("{FORWARDED}{lines}"), "{} bytes", sent.len());
}

#[tokio::test]
async fn nobody_at_the_endpoint_is_temporary() {
    // Bound, so that no other test gets the port, but nobody listens.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    assert_eq!(reply(&ses(settings(&url))).await, "451 Temporary service failure");
}

#[tokio::test]
async fn a_slow_answer_is_temporary_and_its_call_is_left_to_finish() {
    let slow = Act::TakeAfter(Duration::from_millis(2500), "late");
    let fake = FakeSes::start([slow]).await;
    let relay = impatient(settings(&fake.url), Duration::from_millis(1000));
    assert_eq!(reply(&relay).await, "451 Temporary service failure");
    relay.settle().await;
    assert_eq!(fake.requests().len(), 1, "taken once, and not sent again");
}

/// The end of a drain: the client hears `451`, and what SES may take is left to it.
#[tokio::test]
async fn an_abort_answers_the_client_and_leaves_the_call() {
    let fake = FakeSes::start([Act::TakeAfter(Duration::from_millis(2500), "late")]).await;
    let relay = ses(settings(&fake.url));
    let abort = CancellationToken::new();
    let carried = reply_to(&relay, MESSAGE, &abort);
    let soon = async {
        tokio::time::sleep(Duration::from_millis(1000)).await;
        abort.cancel();
    };
    let (reply, ()) = tokio::join!(carried, soon);
    assert_eq!(reply, "451 Temporary service failure");
    relay.settle().await;
    assert_eq!(fake.requests().len(), 1);
}

/// The end of a drain while the record of a message that SES has taken cannot be written: the client
/// is told so all the same.
#[tokio::test]
async fn an_abort_while_a_record_is_written_keeps_the_250() {
    let folder = tempfile::tempdir().unwrap();
    let (log, hang) = crate::decision_log::hanging(folder.path());
    let fake = FakeSes::start([Act::TakeAfter(Duration::from_millis(500), "id")]).await;
    let relay = Arc::into_inner(ses(settings(&fake.url))).unwrap().with_decision_log(log);
    let abort = CancellationToken::new();
    let carried = tokio::time::timeout(Duration::from_secs(3), reply_to(&relay, MESSAGE, &abort));
    let drained = async {
        // SES has the message, and the intention is in the file.
        while fake.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        hang();
        tokio::time::sleep(Duration::from_millis(1000)).await;
        abort.cancel();
    };
    let (reply, ()) = tokio::join!(carried, drained);
    assert_eq!(reply.as_deref(), Ok("250 Ok id"));
}

/// The answer that a call gets after its client was told `451` never starts another attempt.
#[tokio::test]
async fn a_late_throttle_is_not_tried_again() {
    let throttle = Act::RefuseAfter(Duration::from_millis(2500), 429, "TooManyRequestsException");
    let fake = FakeSes::start([throttle, Act::Take("second")]).await;
    let relay = impatient(settings(&fake.url), Duration::from_millis(1000));
    assert_eq!(reply(&relay).await, "451 Temporary service failure");
    relay.settle().await;
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test]
async fn a_body_that_is_not_written_in_time_is_cancelled() {
    let big = format!("{MESSAGE}{}", "line of text\r\n".repeat(1_500_000));
    let fake = FakeSes::start([Act::Stall(Duration::from_secs(3))]).await;
    let relay = impatient(settings(&fake.url), Duration::from_millis(300));
    let reply = reply_to(&relay, &big, &CancellationToken::new()).await;
    assert_eq!(reply, "451 Temporary service failure");
    relay.settle().await;
    assert_eq!(fake.requests().len(), 0);
}

/// Rules that have no user `app`.
fn nobody() -> Rules {
    let nobody = Principals::new(Vec::new(), 1).unwrap();
    Rules { principals: Arc::new(nobody), ..rules() }
}

/// The user `app` with that policy.
fn principals_of(policy: &str) -> Principals {
    let user = User { principal: principal("app", policy), passwords: Vec::new() };
    Principals::new(vec![user], 1).unwrap()
}

const DENYING: &str = r#"{ "Version": "2012-10-17", "Statement": [
    { "Effect": "Allow", "Action": "*", "Resource": "*" },
    { "Effect": "Deny", "Action": "*", "Resource": "*",
      "Condition": { "StringEquals": { "ses:FromAddress": "ADDRESS" } } }] }"#;

/// What a message was permitted by counts until its last byte is handed over (decision 19).
#[tokio::test]
async fn a_message_that_waits_is_overtaken_by_other_rules() {
    const OVERTAKEN: &str = "451 Temporary service failure";
    let throttle = Act::RefuseAfter(Duration::from_millis(300), 429, "TooManyRequestsException");
    let slow = Act::TakeAfter(Duration::from_millis(600), "id");
    let rule = |policy: &str| Rules { principals: Arc::new(principals_of(policy)), ..rules() };
    let denying = || rule(&DENYING.replace("ADDRESS", "app@example.com"));
    let other = || rule(&DENYING.replace("ADDRESS", "other@example.com"));
    // What SES does, how many calls there may be, the new rules, and the replies to messages of which
    // those after the first wait.
    for (script, calls, new, expected, sent) in [
        (vec![throttle.clone(), Act::Take("id")], 4, nobody(), vec![OVERTAKEN], 1),
        (vec![throttle.clone(), Act::Take("id")], 4, denying(), vec![OVERTAKEN], 1),
        (vec![throttle, Act::Take("id")], 4, other(), vec!["250 Ok id"], 2),
        (vec![slow.clone(), Act::Take("2")], 1, denying(), vec!["250 Ok id", OVERTAKEN], 1),
        (vec![slow, Act::Take("2")], 1, other(), vec!["250 Ok id", "250 Ok 2"], 2),
    ] {
        let fake = FakeSes::start(script.clone()).await;
        let relay = ses(SesSettings { calls, ..settings(&fake.url) });
        let mut waiting = Vec::new();
        for _ in &expected {
            let relay = Arc::clone(&relay);
            waiting.push(tokio::spawn(async move { reply(&relay).await }));
            while fake.requests().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        relay.renew(new);
        let mut replies = Vec::new();
        for one in waiting {
            replies.push(one.await.unwrap());
        }
        assert_eq!(replies, expected, "{script:?}");
        assert_eq!(fake.requests().len(), sent, "{script:?}");
    }
}

#[tokio::test]
async fn a_message_that_waits_for_its_record_is_overtaken_too() {
    let folder = tempfile::tempdir().unwrap();
    let (log, hang) = crate::decision_log::hanging(folder.path());
    hang();
    let fake = FakeSes::start([Act::Take("id")]).await;
    let relay = Arc::into_inner(ses(settings(&fake.url))).unwrap().with_decision_log(log);
    let abort = CancellationToken::new();
    let carried = reply_to(&relay, MESSAGE, &abort);
    let renewed = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        relay.renew(nobody());
        // The disk goes on.
        let pipe = std::fs::File::open(folder.path().join("pipe")).unwrap();
        std::thread::spawn(move || std::io::copy(&mut { pipe }, &mut std::io::sink()));
    };
    let (reply, ()) = tokio::join!(carried, renewed);
    assert_eq!(reply, "451 Temporary service failure");
    assert_eq!(fake.requests().len(), 0);
}

#[tokio::test]
async fn calls_in_flight_are_bounded_and_the_rest_wait() {
    let slow = Act::TakeAfter(Duration::from_millis(100), "id");
    let fake = FakeSes::start(vec![slow; 8]).await;
    let relay = ses(SesSettings { calls: 2, ..settings(&fake.url) });
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let relay = Arc::clone(&relay);
        tasks.spawn(async move { reply(&relay).await });
    }
    for reply in tasks.join_all().await {
        assert_eq!(reply, "250 Ok id");
    }
}

#[tokio::test]
async fn the_outbox_holds_the_message_and_the_decision() {
    let folder = tempfile::tempdir().unwrap();
    let relay = relay(outbox(folder.path()));
    let reply = reply(&relay).await;
    let id = reply.strip_prefix("250 Ok ").unwrap();
    let read = |kind: &str| std::fs::read(folder.path().join(format!("{id}.{kind}"))).unwrap();
    assert_eq!(String::from_utf8(read("eml")).unwrap(), FORWARDED);
    let record: serde_json::Value = serde_json::from_slice(&read("json")).unwrap();
    assert_eq!(record["user"], "app");
    assert_eq!(record["decision"], "Allowed");
    assert_eq!(record["statement"], "test.json:2: statement 1");
    assert_eq!(record["reverse_path"], "bounce@example.com");
    assert_eq!(record["forward_paths"], json!(["one@example.org", "two@example.org"]));
    assert_eq!(record["configuration_set"], "transactional");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no drafts are left");
}

#[tokio::test]
async fn an_outbox_that_cannot_be_written_is_temporary() {
    let folder = tempfile::tempdir().unwrap();
    let relay = relay(outbox(&folder.path().join("outbox")));
    std::fs::remove_dir(folder.path().join("outbox")).unwrap();
    assert_eq!(reply(&relay).await, "451 Temporary service failure");
}
