//! A SESv2 endpoint of our own: it records requests byte for byte and does what a script says.
//!
//! Sends follow the script of [`FakeSes::start`]. The calls that read the account, its list of
//! identities and one of them are answered from [`World`], each with faults of its own.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What is done with one request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Takes the message under this id.
    Take(&'static str),
    /// Answers with an error: status, code, message.
    Refuse(u16, &'static str, &'static str),
    /// Answers with exactly this status and body.
    Answer(u16, &'static str),
    /// Answers with these bytes, then closes.
    Bytes(&'static [u8]),
    /// Answers with this status and body after the headers, and reads nothing more for a while.
    AnswerEarly(u16, &'static str),
    /// Closes after the headers, before the body is read.
    ResetEarly,
    /// Reads everything, then closes without an answer.
    ResetLate,
    /// Reads everything, waits, then takes the message.
    TakeAfter(Duration, &'static str),
    /// Reads everything, waits, then answers with an error: status and code.
    RefuseAfter(Duration, u16, &'static str),
    /// Reads the headers and then nothing more, for this long.
    Stall(Duration),
    /// Reads everything and answers something that is no HTTP.
    Rubbish,
}

/// The calls that read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Read {
    Account,
    List,
    Identity,
}

/// What the reading calls find.
#[derive(Debug)]
pub(crate) struct World {
    /// The answer of `GetAccount`.
    pub(crate) account: Value,
    /// The answer of `GetEmailIdentity` by name; the list is made from it.
    pub(crate) identities: BTreeMap<String, Value>,
    /// Identities in one page, however many are asked for.
    pub(crate) page: usize,
    /// What is done with every call of a kind instead; `Take` is the ordinary answer.
    pub(crate) faults: HashMap<Read, Act>,
    /// What is done with `GetEmailIdentity` of one identity instead.
    pub(crate) faulty: HashMap<String, Act>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            account: account(),
            identities: BTreeMap::new(),
            page: 1000,
            faults: HashMap::new(),
            faulty: HashMap::new(),
        }
    }
}

impl World {
    /// Adds a verified identity, or replaces it.
    pub(crate) fn identity(&mut self, name: &str, more: Value) {
        let kind = if name.contains('@') { "EMAIL_ADDRESS" } else { "DOMAIN" };
        let mut answer = serde_json::json!({
            "IdentityType": kind,
            "FeedbackForwardingStatus": true,
            "VerifiedForSendingStatus": true,
            "VerificationStatus": "SUCCESS",
            "Policies": {},
            "Tags": [],
        });
        let Value::Object(more) = more else { panic!("{more}") };
        answer.as_object_mut().unwrap().extend(more);
        self.identities.insert(name.to_owned(), answer);
    }

    /// A page of the list; `None` for a token that was not given out.
    fn list(&self, request: &Value) -> Option<Value> {
        let asked = request["PageSize"].as_u64().unwrap() as usize;
        let from: usize = request["NextToken"].as_str().map_or(Ok(0), str::parse).ok()?;
        let to = (from + asked.min(self.page)).min(self.identities.len());
        let list: Vec<_> = (self.identities.iter().skip(from).take(to.saturating_sub(from)))
            .map(|(name, identity)| {
                serde_json::json!({
                    "IdentityName": name,
                    "IdentityType": identity["IdentityType"],
                    "SendingEnabled": identity["VerifiedForSendingStatus"],
                    "VerificationStatus": identity["VerificationStatus"],
                })
            })
            .collect();
        let more = to < self.identities.len();
        let next = more.then(|| to.to_string());
        Some(serde_json::json!({ "EmailIdentities": list, "NextToken": next }))
    }
}

/// An account in production that may send 14 a second.
pub(crate) fn account() -> Value {
    serde_json::json!({
        "ProductionAccessEnabled": true,
        "SendingEnabled": true,
        "EnforcementStatus": "HEALTHY",
        "SendQuota": { "Max24HourSend": 50000.0, "MaxSendRate": 14.0, "SentLast24Hours": 25.0 },
    })
}

/// One reading request: when, which, and its identity.
pub(crate) type Reading = (Instant, Read, String);

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) request_line: String,
    pub(crate) authorization: String,
    pub(crate) body: Value,
}

impl Recorded {
    /// The raw message.
    pub(crate) fn message(&self) -> Vec<u8> {
        let data = self.body["Content"]["Raw"]["Data"].as_str().unwrap();
        STANDARD.decode(data).unwrap()
    }
}

#[derive(Clone)]
pub(crate) struct FakeSes {
    pub(crate) url: String,
    script: Arc<Mutex<VecDeque<Act>>>,
    requests: Arc<Mutex<Vec<Recorded>>>,
    /// What the reading calls find.
    pub(crate) world: Arc<Mutex<World>>,
    readings: Arc<Mutex<Vec<Reading>>>,
}

impl FakeSes {
    /// Starts it; sends beyond the script are taken as `extra`.
    pub(crate) async fn start(script: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            script: Arc::new(Mutex::new(script.into_iter().collect())),
            requests: Arc::default(),
            world: Arc::default(),
            readings: Arc::default(),
        };
        let serving = fake.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(socket));
            }
        });
        fake
    }

    /// The requests that read, in order.
    pub(crate) fn readings(&self) -> Vec<Reading> {
        self.readings.lock().unwrap().clone()
    }

    /// What is done with a reading request, which is noted.
    fn reading(&self, read: Read, name: &str) -> Act {
        self.readings.lock().unwrap().push((Instant::now(), read, name.to_owned()));
        let world = self.world.lock().unwrap();
        let fault = world.faulty.get(name).or_else(|| world.faults.get(&read));
        fault.cloned().unwrap_or(Act::Take(""))
    }

    /// The ordinary answer to a reading request: status, code and body.
    fn found(&self, read: Read, name: &str, request: &Value) -> (u16, &'static str, String) {
        let world = self.world.lock().unwrap();
        match read {
            Read::Account => (200, "", world.account.to_string()),
            Read::List => match world.list(request) {
                Some(page) => (200, "", page.to_string()),
                None => (400, "BadRequestException", r#"{"message":"odd token"}"#.to_owned()),
            },
            Read::Identity => match world.identities.get(name) {
                Some(identity) => (200, "", identity.to_string()),
                None => (404, "NotFoundException", r#"{"message":"no such identity"}"#.to_owned()),
            },
        }
    }

    /// The sends that were read whole, in order.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.requests.lock().unwrap().clone()
    }

    async fn serve(self, mut socket: TcpStream) {
        let mut unread = Vec::new();
        loop {
            let Some(head) = head(&mut socket, &mut unread).await else { return };
            let reading = reading(&head);
            let act = match &reading {
                Some((read, name)) => self.reading(*read, name),
                None => self.script.lock().unwrap().pop_front().unwrap_or(Act::Take("extra")),
            };
            match act {
                Act::ResetEarly => {
                    // With bytes unread the close becomes a reset.
                    return;
                }
                Act::Stall(time) => return tokio::time::sleep(time).await,
                Act::AnswerEarly(status, body) => {
                    let length = body.len();
                    let answer =
                        format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}");
                    let _ = socket.write_all(answer.as_bytes()).await;
                    return tokio::time::sleep(Duration::from_secs(3)).await;
                }
                _ => {}
            }
            let Some(recorded) = body(&mut socket, &mut unread, &head).await else { return };
            let ordinary = match &reading {
                Some((read, name)) => Some(self.found(*read, name, &recorded.body)),
                None => {
                    self.requests.lock().unwrap().push(recorded);
                    None
                }
            };
            let (status, code, body) = match act {
                Act::Take(_) if ordinary.is_some() => ordinary.unwrap(),
                Act::TakeAfter(time, _) if ordinary.is_some() => {
                    tokio::time::sleep(time).await;
                    ordinary.unwrap()
                }
                Act::Take(id) => (200, "", format!(r#"{{"MessageId":"{id}"}}"#)),
                Act::TakeAfter(time, id) => {
                    tokio::time::sleep(time).await;
                    (200, "", format!(r#"{{"MessageId":"{id}"}}"#))
                }
                Act::Refuse(status, code, message) => {
                    (status, code, serde_json::json!({ "message": message }).to_string())
                }
                Act::RefuseAfter(time, status, code) => {
                    tokio::time::sleep(time).await;
                    (status, code, "{}".to_owned())
                }
                Act::Answer(status, body) => (status, "", body.to_owned()),
                Act::Bytes(bytes) => {
                    let _ = socket.write_all(bytes).await;
                    return;
                }
                Act::Rubbish => {
                    let _ = socket.write_all(b"this is no HTTP\r\n\r\n").await;
                    return;
                }
                Act::ResetEarly | Act::ResetLate | Act::Stall(_) | Act::AnswerEarly(..) => return,
            };
            let answer = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n\
                 x-amzn-errortype: {code}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            if socket.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// Which reading call a head begins, and the name of its identity.
fn reading(head: &str) -> Option<(Read, String)> {
    let line = head.lines().next().unwrap();
    let target = line.strip_suffix(" HTTP/1.1").unwrap();
    match target {
        "GET /v2/email/account" => Some((Read::Account, String::new())),
        "POST /v2/email/list-identities" => Some((Read::List, String::new())),
        _ => {
            let name = target.strip_prefix("GET /v2/email/identities/")?;
            assert!(!name.contains('/'), "{line}");
            Some((Read::Identity, name.replace("%40", "@").replace("%2B", "+")))
        }
    }
}

/// Reads up to the blank line behind the headers.
async fn head(socket: &mut TcpStream, unread: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = unread.split_off(end + 4);
            let head = std::mem::replace(unread, rest);
            return Some(String::from_utf8(head).unwrap());
        }
        more(socket, unread).await?;
    }
}

async fn body(socket: &mut TcpStream, unread: &mut Vec<u8>, head: &str) -> Option<Recorded> {
    let header = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
    };
    let length = header("content-length").unwrap_or_else(|| {
        assert!(head.starts_with("GET "), "a content length in {head}");
        "0".to_owned()
    });
    let length: usize = length.parse().unwrap();
    while unread.len() < length {
        more(socket, unread).await?;
    }
    let rest = unread.split_off(length);
    let body = std::mem::replace(unread, rest);
    Some(Recorded {
        request_line: head.lines().next().unwrap().to_owned(),
        authorization: header("authorization").unwrap_or_default(),
        body: if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() },
    })
}

async fn more(socket: &mut TcpStream, unread: &mut Vec<u8>) -> Option<()> {
    let mut buffer = vec![0; 65536];
    let length = socket.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
    unread.extend(&buffer[..length]);
    Some(())
}
