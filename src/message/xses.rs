//! The values of the `X-SES-` fields, which choose how SES sends.
//!
//! Whether a client may choose is for the policies to say; here a value is only read, strictly.

use super::error::{FieldError, MessageError};
use super::fields::unfold;
use super::names::BLANKS;
use crate::address::{Address, check_domain, excerpt};

const NAME_CHARACTERS: usize = 64;
const TAG_CHARACTERS: usize = 256;
const TAGS: usize = 50;
/// The tags of SES itself that a message may carry: they fill its Feedback-ID (SES guide).
const SES_TAGS: [&str; 2] = ["ses:feedback-id-a", "ses:feedback-id-b"];

/// What the client asked for with `X-SES-` fields (decision 11).
///
/// The fields never reach SES: a value is authorised and then passed as a parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct XSes {
    /// `X-SES-CONFIGURATION-SET`: 1 to 64 of `[A-Za-z0-9_-]`.
    pub configuration_set: Option<String>,
    /// `X-SES-MESSAGE-TAGS`: at most 50 names with their values, each name once.
    pub message_tags: Vec<(String, String)>,
    /// `X-SES-SOURCE-ARN`: the identity the reverse-path is sent with.
    pub source_arn: Option<IdentityArn>,
    /// `X-SES-FROM-ARN`: the identity From is sent with; the same as `source_arn` when both are there.
    pub from_arn: Option<IdentityArn>,
    /// `X-SES-RETURN-PATH-ARN`: the identity that takes bounces.
    pub return_path_arn: Option<IdentityArn>,
    /// `X-SES-LIST-MANAGEMENT-OPTIONS`: the contact list, perhaps with a topic.
    pub list_management: Option<ListManagement>,
    /// `X-SES-TENANT`: 1 to 64 of `[A-Za-z0-9_-]`.
    pub tenant: Option<String>,
}

impl XSes {
    /// The names of all fields that are known.
    pub const NAMES: [&'static str; 7] = KNOWN;

    /// Iterates over the names of the fields that have a value.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        KNOWN.into_iter().filter(|name| match *name {
            CONFIGURATION_SET => self.configuration_set.is_some(),
            SOURCE_ARN => self.source_arn.is_some(),
            FROM_ARN => self.from_arn.is_some(),
            RETURN_PATH_ARN => self.return_path_arn.is_some(),
            LIST_MANAGEMENT_OPTIONS => self.list_management.is_some(),
            TENANT => self.tenant.is_some(),
            _ => !self.message_tags.is_empty(),
        })
    }

    /// Returns the value of a field, as it is written, where a decision depends on it: tags and the list
    /// that a message belongs to decide nothing.
    #[must_use]
    pub fn decisive(&self, name: &str) -> Option<&str> {
        match name {
            CONFIGURATION_SET => self.configuration_set.as_deref(),
            SOURCE_ARN => self.source_arn.as_ref().map(IdentityArn::as_str),
            FROM_ARN => self.from_arn.as_ref().map(IdentityArn::as_str),
            RETURN_PATH_ARN => self.return_path_arn.as_ref().map(IdentityArn::as_str),
            TENANT => self.tenant.as_deref(),
            _ => None,
        }
    }

    /// Returns a value that a field may have on which no decision depends.
    #[must_use]
    pub fn example(name: &str) -> &'static str {
        if name == MESSAGE_TAGS { "name=value" } else { "list" }
    }

    /// Whether both have the same value in a field.
    #[must_use]
    pub fn agrees(&self, other: &Self, name: &str) -> bool {
        match name {
            CONFIGURATION_SET => self.configuration_set == other.configuration_set,
            SOURCE_ARN => self.source_arn == other.source_arn,
            FROM_ARN => self.from_arn == other.from_arn,
            RETURN_PATH_ARN => self.return_path_arn == other.return_path_arn,
            LIST_MANAGEMENT_OPTIONS => self.list_management == other.list_management,
            TENANT => self.tenant == other.tenant,
            _ => self.message_tags == other.message_tags,
        }
    }

    /// Returns these values with those of `other` in place of them, where it has any.
    #[must_use]
    pub fn with(self, other: &Self) -> Self {
        let tags = if other.message_tags.is_empty() {
            self.message_tags
        } else {
            other.message_tags.clone()
        };
        Self {
            configuration_set: other.configuration_set.clone().or(self.configuration_set),
            message_tags: tags,
            source_arn: other.source_arn.clone().or(self.source_arn),
            from_arn: other.from_arn.clone().or(self.from_arn),
            return_path_arn: other.return_path_arn.clone().or(self.return_path_arn),
            list_management: other.list_management.clone().or(self.list_management),
            tenant: other.tenant.clone().or(self.tenant),
        }
    }

    /// Takes one field in, if its name is one of those that are known; returns whether it is.
    pub(super) fn read(&mut self, name: &str, value: &[u8]) -> Result<bool, MessageError> {
        let Some(&field) = KNOWN.iter().find(|known| known.eq_ignore_ascii_case(name)) else {
            return Ok(false);
        };
        let (text, _) = unfold(value).map_err(|error| MessageError::Field { field, error })?;
        let text = text.trim_matches(BLANKS);
        let is_first = match field {
            CONFIGURATION_SET => set(&mut self.configuration_set, named(text)),
            SOURCE_ARN => set(&mut self.source_arn, IdentityArn::parse(text)),
            FROM_ARN => set(&mut self.from_arn, IdentityArn::parse(text)),
            RETURN_PATH_ARN => set(&mut self.return_path_arn, IdentityArn::parse(text)),
            LIST_MANAGEMENT_OPTIONS => set(&mut self.list_management, ListManagement::parse(text)),
            TENANT => set(&mut self.tenant, named(text)),
            _ => tags(text).map(|tags| {
                let is_first = self.message_tags.is_empty();
                self.message_tags = tags;
                is_first
            }),
        };
        match is_first {
            Some(true) => Ok(true),
            Some(false) => Err(MessageError::Duplicate(field)),
            None => {
                let error = match text {
                    "" => FieldError::NoValue(form(field)),
                    text => FieldError::Value(excerpt(text), form(field)),
                };
                Err(MessageError::Field { field, error })
            }
        }
    }

    /// Checks what the fields say together.
    pub(super) fn check(&self) -> Result<(), MessageError> {
        // One parameter overrides both (SES guide), so they cannot be passed on when they differ.
        match (&self.source_arn, &self.from_arn) {
            (Some(source), Some(from)) if source != from => Err(MessageError::ArnsDiffer),
            _ => Ok(()),
        }
    }
}

const CONFIGURATION_SET: &str = "X-SES-CONFIGURATION-SET";
const MESSAGE_TAGS: &str = "X-SES-MESSAGE-TAGS";
const SOURCE_ARN: &str = "X-SES-SOURCE-ARN";
const FROM_ARN: &str = "X-SES-FROM-ARN";
const RETURN_PATH_ARN: &str = "X-SES-RETURN-PATH-ARN";
const LIST_MANAGEMENT_OPTIONS: &str = "X-SES-LIST-MANAGEMENT-OPTIONS";
const TENANT: &str = "X-SES-TENANT";
const KNOWN: [&str; 7] = [
    CONFIGURATION_SET,
    MESSAGE_TAGS,
    SOURCE_ARN,
    FROM_ARN,
    RETURN_PATH_ARN,
    LIST_MANAGEMENT_OPTIONS,
    TENANT,
];

/// What the value of a field looks like, in words for its sender.
fn form(field: &str) -> &'static str {
    match field {
        CONFIGURATION_SET | TENANT => "a name of up to 64 letters, digits, _ and -",
        LIST_MANAGEMENT_OPTIONS => "LIST or LIST; topic=TOPIC",
        MESSAGE_TAGS => "NAME=VALUE, NAME2=VALUE2 (letters, digits, _ and -; each name once)",
        _ => "arn:aws:ses:REGION:ACCOUNT:identity/DOMAIN-OR-ADDRESS",
    }
}

/// The ARN of one SES identity, whole and without wildcards.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdentityArn {
    text: String,
    region: String,
    account: String,
    name: String,
}

impl IdentityArn {
    /// Reads `arn:PARTITION:ses:REGION:ACCOUNT:identity/NAME`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let (arn, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
        let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
        let name = resource.strip_prefix("identity/")?;
        let is_identity = Address::parse(name).is_ok() || check_domain(name).is_ok();
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let is_whole = arn == "arn" && service == "ses" && is_code(partition) && is_code(region);
        // Both are atoms in the local part of an address, and wildcards in a policy.
        let is_one = !name.contains(['*', '?']);
        (is_whole && is_account && is_identity && is_one).then(|| Self {
            text: text.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Returns the ARN as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns its region, `eu-west-1`.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Returns the 12 digits of its account.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Returns the identity: a domain or an address.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A contact list and the topic of it that a message belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListManagement {
    /// The name of the contact list.
    pub contact_list: String,
    /// The name of the topic, if one is given.
    pub topic: Option<String>,
}

impl ListManagement {
    /// Reads `list; topic=topic`; braces around a name, as the SES guide shows them, are taken off.
    fn parse(text: &str) -> Option<Self> {
        let (contact_list, topic) = match text.split_once(';') {
            None => (text, None),
            Some((contact_list, option)) => {
                let (name, topic) = option.split_once('=')?;
                let is_topic = name.trim_matches(BLANKS).eq_ignore_ascii_case("topic");
                (contact_list, Some(is_topic.then_some(topic)?))
            }
        };
        let contact_list = named(unbraced(contact_list)?)?;
        let topic = match topic {
            Some(topic) => Some(named(unbraced(topic)?)?),
            None => None,
        };
        Some(Self { contact_list, topic })
    }
}

/// Puts a value in its place; returns whether the place was free, or `None` without a value.
fn set<T>(place: &mut Option<T>, value: Option<T>) -> Option<bool> {
    Some(place.replace(value?).is_none())
}

/// `name=value, name2=value2`, each name once.
fn tags(text: &str) -> Option<Vec<(String, String)>> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for tag in text.split(',') {
        let (name, value) = tag.split_once('=')?;
        let (name, value) = (name.trim_matches(BLANKS), value.trim_matches(BLANKS));
        let is_new = tags.len() < TAGS && tags.iter().all(|(known, _)| known != name);
        let is_tag = is_name(name, TAG_CHARACTERS) || SES_TAGS.contains(&name);
        if !is_new || !is_tag || !is_name(value, TAG_CHARACTERS) {
            return None;
        }
        tags.push((name.to_owned(), value.to_owned()));
    }
    Some(tags)
}

fn named(text: &str) -> Option<String> {
    is_name(text, NAME_CHARACTERS).then(|| text.to_owned())
}

fn unbraced(text: &str) -> Option<&str> {
    let text = text.trim_matches(BLANKS);
    match text.strip_prefix('{') {
        Some(text) => text.strip_suffix('}'),
        None => Some(text),
    }
}

fn is_name(text: &str, characters: usize) -> bool {
    (1..=characters).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn is_code(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
