//! Records read again out of the file.

use serde::Deserialize;

use super::{Facts, VERSION};

/// How much is told of what is wrong with a line, in bytes.
const SAID_BYTES: usize = 256;

/// A line of the file, as far as it tells of one message and what was decided about it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Recorded {
    /// The version of the schema.
    pub version: u64,
    /// What it tells: `relayed`, `refused`, or a word that tells of no decision.
    pub event: String,
    /// When it was written, RFC 3339.
    pub timestamp: String,
    /// The decision id.
    #[serde(default)]
    pub decision: String,
    /// Why a message was refused.
    pub reason: Option<String>,
    /// The user's name.
    #[serde(default)]
    pub principal: String,
    /// The client's address and port.
    #[serde(default)]
    pub client: String,
    /// The version of TLS, or `none`.
    #[serde(default)]
    pub tls: String,
    /// What the client called itself.
    #[serde(default)]
    pub ehlo: String,
    /// MAIL FROM.
    #[serde(default)]
    pub reverse_path: String,
    /// RCPT TO.
    #[serde(default)]
    pub recipients: Vec<String>,
    /// The mailboxes in From.
    #[serde(default)]
    pub from: Vec<String>,
    /// What the policies said.
    pub verdict: Option<String>,
    /// The statement that settled it.
    pub statement: Option<String>,
    /// The author in the claim that was denied.
    pub author: Option<String>,
    /// What went wrong, of a message that was refused.
    pub error: Option<String>,
    /// How long the message waited for its turn.
    #[serde(default)]
    pub waited_ms: u64,
    /// How long the transaction took from the end of its content.
    #[serde(default)]
    pub elapsed_ms: u64,
    /// How many records were lost, of a record that says so.
    #[serde(default)]
    pub records: u64,
    /// What a decision needs beside all this.
    pub facts: Option<Facts<'static>>,
}

/// Why a line is no record that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// It is something else.
    #[error("it is no record of the decision log: {0}")]
    NoRecord(String),
    /// Another sesgate wrote it.
    #[error("its `version` is {0}, and this sesgate reads version {VERSION}")]
    Version(u64),
}

impl Recorded {
    /// Reads a line.
    ///
    /// # Errors
    /// When it is no record, or one of another version.
    pub fn parse(line: &[u8]) -> Result<Self, Unread> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        if line.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
            return Err(Unread::NoRecord("it is no JSON object".to_owned()));
        }
        match serde_json::from_slice::<Self>(line) {
            Ok(record) if record.version == VERSION => Ok(record),
            Ok(record) => Err(Unread::Version(record.version)),
            Err(error) => Err(match serde_json::from_slice::<Versioned>(line) {
                // What is in it is for that version to say.
                Ok(Versioned { version }) if version != VERSION => Unread::Version(version),
                _ => Unread::NoRecord(said(&error)),
            }),
        }
    }
}

/// What is wrong with a line; its number is for others to say.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    // It may quote what is there.
    let what = what.get(..what.floor_char_boundary(SAID_BYTES)).unwrap_or_default();
    format!("column {}: {what}", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_record_says_why() {
        let long = format!("{{\"version\":\"{}\"}}", "é".repeat(1_000));
        assert!(Recorded::parse(long.as_bytes()).unwrap_err().to_string().len() < 400);
        let (ends, no_list) = ("EOF while parsing", "invalid type: map, expected a sequence");
        for (line, wrong) in [
            ("", ends),
            ("{\"version\":1,\"event\":\"rel", ends),
            ("hello", "no JSON object"),
            ("[1]", "no JSON object"),
            ("{]", "column 2: "),
            ("{\"event\":\"relayed\",\"timestamp\":\"\"}", "missing field `version`"),
            ("{\"version\":1,\"event\":\"relayed\",\"timestamp\":\"\",\"from\":{}}", no_list),
            ("{\"version\":2,\"event\":{}}", "its `version` is 2"),
            (
                "{\"version\":1,\"event\":\"\",\"timestamp\":\"\",\"facts\":{\"dkim\":1}}",
                "unknown field `dkim`",
            ),
            ("{\"version\":2,\"event\":\"relayed\",\"timestamp\":\"\"}", "its `version` is 2"),
        ] {
            let error = Recorded::parse(line.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(wrong) && !error.contains("line 1"), "{line}: {error}");
        }
    }
}
