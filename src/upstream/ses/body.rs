//! The body of a request with the message in it, made once and with no copy beside it.
//!
//! The SDK would hold a large message almost four times: as it came, in base64, and in JSON that
//! grows around that. So it writes the request around a few bytes that stand for the message, and
//! before the first attempt the message takes their place.

use std::sync::{Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;

/// Stands for the message in the request that the SDK writes.
pub(super) const STAND_IN: &[u8] = b"the message";
/// The stand-in as it is written. Within a string of JSON a quote has a backslash before it, so that
/// nothing a client says can look like this.
const WRITTEN: &[u8] = br#""Data":"dGhlIG1lc3NhZ2U=""#;
const NAME: &[u8] = br#""Data":""#;

/// The message, until it has its place in the request.
pub(super) struct Content(Mutex<Option<Vec<u8>>>);

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").finish_non_exhaustive()
    }
}

impl Content {
    pub(super) fn new(message: Vec<u8>) -> Self {
        Self(Mutex::new(Some(message)))
    }
}

/// The request is not the one that was expected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request has no place for the message")]
struct NoPlace;

impl Intercept for Content {
    fn name(&self) -> &'static str {
        "Content"
    }

    fn modify_before_retry_loop(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let message = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let message = message.ok_or(NoPlace)?;
        let request = context.request_mut();
        let body = filled(request.body().bytes().ok_or(NoPlace)?, &message)?;
        drop(message);
        request.headers_mut().insert("content-length", body.len().to_string());
        *request.body_mut() = SdkBody::from(body);
        Ok(())
    }
}

/// Returns the request with the message in place of what stands for it.
fn filled(request: &[u8], message: &[u8]) -> Result<Vec<u8>, NoPlace> {
    let mut places = memmem::find_iter(request, WRITTEN);
    let (Some(place), None) = (places.next(), places.next()) else { return Err(NoPlace) };
    let (before, rest) = request.split_at_checked(place + NAME.len()).ok_or(NoPlace)?;
    let (_, after) = rest.split_at_checked(WRITTEN.len() - NAME.len() - 1).ok_or(NoPlace)?;
    let length = base64::encoded_len(message.len(), true).ok_or(NoPlace)?;
    // Exactly as long as it will be, so that it never moves.
    let mut body = String::with_capacity(request.len().saturating_add(length));
    body.push_str(std::str::from_utf8(before).map_err(|_| NoPlace)?);
    STANDARD.encode_string(message, &mut body);
    body.push_str(std::str::from_utf8(after).map_err(|_| NoPlace)?);
    Ok(body.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_takes_the_place_of_its_stand_in() {
        for (request, message, expected) in [
            (
                r#"{"Content":{"Raw":{"Data":"dGhlIG1lc3NhZ2U="}},"T":"x"}"#,
                "From: a\r\n\r\n",
                Ok(r#"{"Content":{"Raw":{"Data":"RnJvbTogYQ0KDQo="}},"T":"x"}"#),
            ),
            // What a client says, as JSON writes it.
            (
                r#"{"T":"\"Data\":\"dGhlIG1lc3NhZ2U=\"","Data":"dGhlIG1lc3NhZ2U="}"#,
                "",
                Ok(r#"{"T":"\"Data\":\"dGhlIG1lc3NhZ2U=\"","Data":""}"#),
            ),
            (r#"{"Data":"dGhlIG1lc3NhZ2U="},{"Data":"dGhlIG1lc3NhZ2U="}"#, "x", Err(NoPlace)),
            (r#"{"Data":"c29tZXRoaW5nIGVsc2U="}"#, "x", Err(NoPlace)),
            ("", "x", Err(NoPlace)),
        ] {
            let found = filled(request.as_bytes(), message.as_bytes());
            assert_eq!(found, expected.map(|text| text.as_bytes().to_vec()), "{request}");
        }
    }

    #[test]
    fn it_is_made_in_one_piece() {
        let request = br#"{"Data":"dGhlIG1lc3NhZ2U="}"#;
        let body = filled(request, &vec![b'x'; 3_000_000]).unwrap();
        assert!(body.capacity() < 4_000_100, "{}", body.capacity());
    }
}
