//! A SESv2 endpoint of our own: it records requests byte for byte and does what a script says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
}

impl FakeSes {
    /// Starts it; requests beyond the script are taken as `extra`.
    pub(crate) async fn start(script: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            script: Arc::new(Mutex::new(script.into_iter().collect())),
            requests: Arc::default(),
        };
        let serving = fake.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(socket));
            }
        });
        fake
    }

    /// The requests that were read whole, in order.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.requests.lock().unwrap().clone()
    }

    async fn serve(self, mut socket: TcpStream) {
        let mut unread = Vec::new();
        loop {
            let Some(head) = head(&mut socket, &mut unread).await else { return };
            let act = self.script.lock().unwrap().pop_front().unwrap_or(Act::Take("extra"));
            match act {
                Act::ResetEarly => {
                    // With bytes unread the close becomes a reset.
                    return;
                }
                Act::Stall(time) => return tokio::time::sleep(time).await,
                _ => {}
            }
            let Some(recorded) = body(&mut socket, &mut unread, &head).await else { return };
            self.requests.lock().unwrap().push(recorded);
            let (status, code, body) = match act {
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
                Act::Rubbish => {
                    let _ = socket.write_all(b"this is no HTTP\r\n\r\n").await;
                    return;
                }
                Act::ResetEarly | Act::ResetLate | Act::Stall(_) => return,
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
    let length: usize = header("content-length").expect("a content length").parse().unwrap();
    while unread.len() < length {
        more(socket, unread).await?;
    }
    let rest = unread.split_off(length);
    let body = std::mem::replace(unread, rest);
    Some(Recorded {
        request_line: head.lines().next().unwrap().to_owned(),
        authorization: header("authorization").unwrap_or_default(),
        body: serde_json::from_slice(&body).unwrap(),
    })
}

async fn more(socket: &mut TcpStream, unread: &mut Vec<u8>) -> Option<()> {
    let mut buffer = vec![0; 65536];
    let length = socket.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
    unread.extend(&buffer[..length]);
    Some(())
}
