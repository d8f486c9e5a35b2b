//! A mail of a case.

use std::net::IpAddr;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::layout::Json;
use crate::clock::rfc3339;

/// Most bytes of a text in one encoded word, which has 75 characters (RFC 2047 section 2).
const ENCODED_BYTES: usize = 45;

/// A message, its client and its moment.
#[derive(Debug, Clone)]
pub(super) struct Mail {
    pub(super) author: String,
    pub(super) name: Option<String>,
    pub(super) reverse_path: String,
    pub(super) to: Vec<String>,
    pub(super) source_ip: Option<IpAddr>,
    pub(super) at: Option<SystemTime>,
}

impl Mail {
    pub(super) fn message(&self) -> Json {
        let mut members =
            vec![("from", Json::text(self.reverse_path.as_str())), ("to", Json::texts(&self.to))];
        let from = match &self.name {
            Some(name) => format!("From: {} <{}>", phrase(name), self.author),
            None => format!("From: {}", self.author),
        };
        // Without a header field From is the reverse-path.
        if self.name.is_some() || self.author != self.reverse_path {
            members.push(("header", Json::Text(from)));
        }
        Json::Object(members)
    }

    /// The client and the moment, as far as they are not those of another mail.
    pub(super) fn surroundings(&self, other: Option<&Mail>) -> Vec<(&'static str, Json)> {
        let mut members = Vec::new();
        if let Some(ip) =
            self.source_ip.filter(|_| other.and_then(|it| it.source_ip) != self.source_ip)
        {
            members.push(("client", Json::Object(vec![("source_ip", Json::text(ip.to_string()))])));
        }
        if let Some(at) = self.at.filter(|_| other.and_then(|it| it.at) != self.at) {
            members.push(("at", Json::Text(rfc3339(at).unwrap_or_default())));
        }
        members
    }
}

/// A display name as it stands in a header field (RFC 5322 section 3.2.5, RFC 2047 section 5).
fn phrase(name: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || it == ' ' || it == '-';
    if name.chars().all(is_plain) {
        return name.to_owned();
    }
    if name.is_ascii() {
        return format!("\"{}\"", name.replace('\\', r"\\").replace('"', "\\\""));
    }
    let mut words: Vec<String> = Vec::new();
    let mut part = String::new();
    for character in name.chars() {
        if part.len() + character.len_utf8() > ENCODED_BYTES {
            words.push(std::mem::take(&mut part));
        }
        part.push(character);
    }
    words.push(part);
    let words = words.iter().map(|word| format!("=?UTF-8?B?{}?=", STANDARD.encode(word)));
    words.collect::<Vec<_>>().join(" ")
}
