//! The body of a `SendEmail` request, written straight from the permit.
//!
//! It is what the SDK's serializer writes, byte for byte (a test compares them), but the SDK would
//! hold a large message almost four times: as it came, in base64, and in JSON that grows around that.
//! Here it is held once, and becomes base64 piece by piece: for the hash that is signed, and again
//! when it is sent.

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::authorize::{Parameters, Permit};
use crate::trace::hex;

/// Bytes of the message in one piece of the body, where they are 64 KiB of base64. A multiple of
/// three, so that only the last piece is padded.
const CONTENT_BYTES: usize = 48 * 1024;
/// The first pieces are kept: most messages become base64 once.
const KEPT_PIECES: usize = 4;
/// Room for the names and the short values, so that the buffer rarely grows.
const ROOM: usize = 1024;

/// The body of a request, and its SHA-256 in hexadecimal.
pub(super) struct Payload {
    /// The body without the message.
    json: String,
    /// Where in it the message belongs.
    at: usize,
    content: Vec<u8>,
    kept: Vec<Bytes>,
    hash: String,
}

impl Payload {
    /// Takes everything of the permit and nothing else (decision 4): `FromEmailAddress` and
    /// `ReplyToAddresses` stay unset, since SES would replace the header fields with them.
    pub(super) fn new(permit: Permit) -> Self {
        let (json, at) =
            written(permit.reverse_path(), permit.forward_paths(), permit.parameters());
        Self::around(json, at, permit.into_content())
    }

    fn around(json: String, at: usize, content: Vec<u8>) -> Self {
        let mut payload = Self { json, at, content, kept: Vec::new(), hash: String::new() };
        let mut hash = Context::new(&SHA256);
        for number in 0..payload.piece_count() {
            let piece = payload.piece(number);
            hash.update(&piece);
            if number < KEPT_PIECES {
                payload.kept.push(piece);
            }
        }
        payload.hash = hex(hash.finish().as_ref());
        payload
    }

    /// The SHA-256 of the body, in hexadecimal.
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    /// Bytes of the body.
    pub(super) fn length(&self) -> usize {
        self.json.len().saturating_add(encoded_bytes(&self.content))
    }

    /// How many pieces it has: at least one.
    pub(super) fn piece_count(&self) -> usize {
        self.content.len().div_ceil(CONTENT_BYTES).max(1)
    }

    /// One piece of the body, counted from 0.
    pub(super) fn piece(&self, number: usize) -> Bytes {
        if let Some(kept) = self.kept.get(number) {
            return kept.clone();
        }
        let content = self.content.chunks(CONTENT_BYTES).nth(number).unwrap_or_default();
        let (before, after) = self.json.split_at(self.at);
        let before = if number == 0 { before } else { "" };
        let after = if number + 1 == self.piece_count() { after } else { "" };
        let bytes = encoded_bytes(content) + before.len() + after.len();
        let mut piece = String::with_capacity(bytes);
        piece.push_str(before);
        STANDARD.encode_string(content, &mut piece);
        piece.push_str(after);
        piece.into()
    }
}

fn encoded_bytes(content: &[u8]) -> usize {
    base64::encoded_len(content.len(), true).unwrap_or(usize::MAX)
}

/// Returns the body without the message, and where that belongs.
fn written<'p>(
    feedback: &str,
    to: impl Iterator<Item = &'p str>,
    parameters: &Parameters,
) -> (String, usize) {
    let mut body = Object(String::with_capacity(ROOM));
    body.open();
    body.text_if_any("ConfigurationSetName", parameters.configuration_set.as_deref());
    body.name("Content");
    body.open();
    body.name("Raw");
    body.open();
    body.name("Data");
    body.0.push('"');
    let at = body.0.len();
    body.0.push_str("\"}}");
    body.name("Destination");
    body.open();
    body.name("ToAddresses");
    body.array(to, |body, address| body.value(address));
    body.0.push('}');
    if !parameters.message_tags.is_empty() {
        body.name("EmailTags");
        body.array(&parameters.message_tags, |body, (name, value)| {
            body.open();
            body.text("Name", name);
            body.text("Value", value);
            body.0.push('}');
        });
    }
    body.text("FeedbackForwardingEmailAddress", feedback);
    let arn = parameters.return_path_arn.as_deref();
    body.text_if_any("FeedbackForwardingEmailAddressIdentityArn", arn);
    body.text_if_any("FromEmailAddressIdentityArn", parameters.from_arn.as_deref());
    if let Some(list) = &parameters.list_management {
        body.name("ListManagementOptions");
        body.open();
        body.text("ContactListName", &list.contact_list);
        body.text_if_any("TopicName", list.topic.as_deref());
        body.0.push('}');
    }
    body.text_if_any("TenantName", parameters.tenant.as_deref());
    body.0.push('}');
    (body.0, at)
}

/// JSON as it is written.
struct Object(String);

impl Object {
    fn open(&mut self) {
        self.0.push('{');
    }

    /// The name of a member of the object that is open.
    fn name(&mut self, name: &str) {
        self.separate();
        self.0.push('"');
        self.0.push_str(name);
        self.0.push_str("\":");
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.value(value);
    }

    fn text_if_any(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    fn array<T>(&mut self, items: impl IntoIterator<Item = T>, write: impl Fn(&mut Self, T)) {
        self.0.push('[');
        for item in items {
            self.separate();
            write(self, item);
        }
        self.0.push(']');
    }

    fn separate(&mut self) {
        if !self.0.ends_with(['{', '[']) {
            self.0.push(',');
        }
    }

    fn value(&mut self, text: &str) {
        // Text always serializes; a request that lacked it would not be JSON, and SES would refuse it.
        self.0.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::digest;
    use aws_sdk_sesv2::operation::send_email::{SendEmail, SendEmailInput};
    use aws_sdk_sesv2::primitives::Blob;
    use aws_sdk_sesv2::types::{
        Destination, EmailContent, ListManagementOptions, MessageTag, RawMessage,
    };
    use aws_smithy_runtime_api::client::interceptors::context::Input;
    use aws_smithy_runtime_api::client::runtime_plugin::RuntimePlugin;
    use aws_smithy_runtime_api::client::ser_de::{SerializeRequest, SharedRequestSerializer};
    use aws_smithy_types::config_bag::ConfigBag;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::message::ListManagement;

    /// The body that the SDK writes for the same message.
    fn by_the_sdk(
        feedback: &str,
        to: &[String],
        parameters: &Parameters,
        content: &[u8],
    ) -> Vec<u8> {
        let raw = RawMessage::builder().data(Blob::new(content)).build().unwrap();
        let tags = parameters.message_tags.iter();
        let tags = tags
            .map(|(name, value)| MessageTag::builder().name(name).value(value).build().unwrap());
        let tags = Some(tags.collect::<Vec<_>>()).filter(|tags| !tags.is_empty());
        let list = parameters.list_management.as_ref().map(|list| {
            let options = ListManagementOptions::builder().contact_list_name(&list.contact_list);
            options.set_topic_name(list.topic.clone()).build().unwrap()
        });
        let input = SendEmailInput::builder()
            .destination(Destination::builder().set_to_addresses(Some(to.to_vec())).build())
            .content(EmailContent::builder().raw(raw).build())
            .feedback_forwarding_email_address(feedback)
            .set_configuration_set_name(parameters.configuration_set.clone())
            .set_from_email_address_identity_arn(parameters.from_arn.clone())
            .set_feedback_forwarding_email_address_identity_arn(parameters.return_path_arn.clone())
            .set_email_tags(tags)
            .set_list_management_options(list)
            .set_tenant_name(parameters.tenant.clone())
            .build()
            .unwrap();
        let config = SendEmail::new().config().unwrap();
        let serializer = config.load::<SharedRequestSerializer>().unwrap();
        let request =
            serializer.serialize_input(Input::erase(input), &mut ConfigBag::base()).unwrap();
        request.body().bytes().unwrap().to_vec()
    }

    fn whole(feedback: &str, to: &[String], parameters: &Parameters, content: Vec<u8>) -> Vec<u8> {
        let (json, at) = written(feedback, to.iter().map(String::as_str), parameters);
        let payload = Payload::around(json, at, content);
        (0..payload.piece_count()).flat_map(|number| payload.piece(number)).collect()
    }

    proptest! {
        #[test]
        fn the_sdk_writes_the_same(
            feedback in any::<String>(),
            to in vec(any::<String>(), 0..4),
            content in vec(any::<u8>(), 0..200),
            texts in vec(option::of(any::<String>()), 6),
            tags in vec((any::<String>(), any::<String>()), 0..3),
        ) {
            let text = |at: usize| texts[at].clone();
            let list = text(4).map(|contact_list| ListManagement { contact_list, topic: text(5) });
            let parameters = Parameters {
                configuration_set: text(0),
                message_tags: tags,
                from_arn: text(1),
                return_path_arn: text(2),
                list_management: list,
                tenant: text(3),
            };
            let found = whole(&feedback, &to, &parameters, content.clone());
            let expected = by_the_sdk(&feedback, &to, &parameters, &content);
            prop_assert_eq!(String::from_utf8(found), String::from_utf8(expected));
        }
    }

    #[test]
    fn every_character_is_escaped_as_the_sdk_does() {
        let all: String = (0..=0x2030_u32).filter_map(char::from_u32).collect();
        let to = [all.clone()];
        let parameters = Parameters { tenant: Some(all.clone()), ..Parameters::default() };
        let found = whole(&all, &to, &parameters, Vec::new());
        assert_eq!(
            String::from_utf8(found).unwrap(),
            String::from_utf8(by_the_sdk(&all, &to, &parameters, b"")).unwrap()
        );
    }

    #[test]
    fn pieces_are_the_body_and_its_hash_and_length_are_right() {
        let content: Vec<u8> = (0..=255).cycle().take(7 * CONTENT_BYTES + 1).collect();
        let to = ["a@example.com".to_owned()];
        let sizes = [0, 1, 2, 3, CONTENT_BYTES - 1, CONTENT_BYTES, CONTENT_BYTES + 1];
        for size in sizes.into_iter().chain([content.len()]) {
            let content = content.get(..size).unwrap();
            let parameters = Parameters::default();
            let (json, at) = written("f@example.com", to.iter().map(String::as_str), &parameters);
            let payload = Payload::around(json, at, content.to_vec());
            let pieces: Vec<_> = (0..payload.piece_count()).map(|it| payload.piece(it)).collect();
            assert!(pieces.iter().all(|piece| (1..66_000).contains(&piece.len())), "{size}");
            let expected = by_the_sdk("f@example.com", &to, &parameters, content);
            assert!(pieces.concat() == expected, "{size}");
            assert_eq!(payload.length(), expected.len());
            assert_eq!(payload.hash(), hex(digest(&SHA256, &expected).as_ref()));
        }
    }
}
