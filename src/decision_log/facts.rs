//! What a decision was made from beside the other fields of a record, so that it can be made again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What policies were asked about a message, beside the fields of [`Record`](super::Record): with
/// both, other policies can be asked the same. In the file alone, and only with addresses in full.
/// A record with a fact that this version does not know is not read: the decision may depend on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts<'a> {
    /// The mailboxes of From, then those of Sender, Resent-From and Resent-Sender.
    #[serde(default)]
    pub authors: Vec<Author<'a>>,
    /// The address of Return-Path, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_path: Option<Cow<'a, str>>,
    /// Addresses of To, Cc and Bcc that are no forward-paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub header_recipients: Vec<Cow<'a, str>>,
    /// The `X-SES-` fields of the message that are known, with their values; the empty text stands for
    /// one that no policy asks about.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub x_ses: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    /// The client's address as policies see it, where the listener states another than that of the
    /// connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<IpAddr>,
    /// Whether the client has TLS as policies see it, where `tls` says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_transport: Option<bool>,
    /// The VPC that the client came through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc: Option<VpcFacts<'a>>,
    /// Whether the message says more than a record holds, and so all else is left out here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub too_long: bool,
}

/// A mailbox that says who a message is from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Author<'a> {
    /// Its address.
    pub address: Cow<'a, str>,
    /// The name shown for it, decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Cow<'a, str>>,
    /// The name with its encoded words as they are, where that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Cow<'a, str>>,
}

/// A VPC that a client came through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VpcFacts<'a> {
    /// `aws:SourceVpc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Cow<'a, str>>,
    /// `aws:SourceVpce`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Cow<'a, str>>,
}
