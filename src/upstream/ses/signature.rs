//! AWS Signature Version 4 of a `SendEmail` request.
//!
//! `aws-sigv4` derives a key from the secret for every request, though it is the same for a day, and
//! sorts, encodes and copies headers that are the same for every message: half of what a request takes.
//! So its key is kept, and the canonical request is written as it is known to be. A test holds the
//! outcome against `aws-sigv4`.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::fmt::Write;
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use aws_credential_types::Credentials;
use aws_lc_rs::{digest, hmac};
use aws_sigv4::sign::v4::generate_signing_key;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::{DateTimeFormatError, Format};

use crate::trace::hex;

/// The media type of every request, which is signed.
pub(super) const CONTENT_TYPE: &str = "application/json";
/// The name under which requests to SES are signed.
const SERVICE: &str = "ses";

/// Signs requests to one region.
#[derive(Debug)]
pub(super) struct Signer {
    region: String,
    /// That of the last request.
    key: ArcSwapOption<SigningKey>,
}

/// What is signed with for a day.
struct SigningKey {
    credentials: Credentials,
    day: String,
    key: hmac::Key,
}

/// Never the key.
impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.day)
    }
}

/// What is signed of a request: a POST whose other parts are the same for all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signed<'r> {
    /// Host and port, as `Host` gives them.
    pub(super) host: &'r str,
    /// The path of the URL, encoded as it is sent.
    pub(super) path: &'r str,
    /// The SHA-256 of the body, in hexadecimal.
    pub(super) payload_hash: &'r str,
}

/// The header fields that a signature adds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signature {
    /// `x-amz-date`.
    pub(super) date: String,
    /// `authorization`.
    pub(super) authorization: String,
}

impl Signer {
    pub(super) fn new(region: &str) -> Self {
        Self { region: region.to_owned(), key: ArcSwapOption::empty() }
    }

    /// Signs a request of that time, with the session token of the credentials if they have one.
    ///
    /// # Errors
    /// For a time before the year 0 or after 9999.
    pub(super) fn sign(
        &self,
        request: Signed<'_>,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Result<Signature, DateTimeFormatError> {
        let date = compact(now)?;
        let day = date.split('T').next().unwrap_or_default();
        let token = credentials.session_token();
        let mut canonical = String::with_capacity(512 + token.map_or(0, str::len));
        canonical.push_str("POST\n");
        encode_path(request.path, &mut canonical);
        let host = request.host;
        // Writing to a string does not fail.
        let _ =
            write!(canonical, "\n\ncontent-type:{CONTENT_TYPE}\nhost:{host}\nx-amz-date:{date}\n");
        let names = match token {
            Some(token) => {
                let _ = writeln!(canonical, "x-amz-security-token:{token}");
                "content-type;host;x-amz-date;x-amz-security-token"
            }
            None => "content-type;host;x-amz-date",
        };
        let _ = write!(canonical, "\n{names}\n{}", request.payload_hash);
        let hash = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let scope = format!("{day}/{}/{SERVICE}/aws4_request", self.region);
        let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hash}");
        let signature =
            hex(hmac::sign(&self.key(credentials, day, now), to_sign.as_bytes()).as_ref());
        let id = credentials.access_key_id();
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}"
        );
        Ok(Signature { date, authorization })
    }

    fn key(&self, credentials: &Credentials, day: &str, now: SystemTime) -> hmac::Key {
        let kept = self.key.load();
        let is_same = |kept: &SigningKey| {
            kept.day == day
                && kept.credentials.secret_access_key() == credentials.secret_access_key()
        };
        if let Some(kept) = kept.as_ref().filter(|kept| is_same(kept)) {
            return kept.key.clone();
        }
        let secret = credentials.secret_access_key();
        let bytes = generate_signing_key(secret, now, &self.region, SERVICE);
        let key = hmac::Key::new(hmac::HMAC_SHA256, bytes.as_ref());
        let (credentials, day) = (credentials.clone(), day.to_owned());
        self.key.store(Some(SigningKey { credentials, day, key: key.clone() }.into()));
        key
    }
}

/// The time as in `20260131T235959Z`.
fn compact(now: SystemTime) -> Result<String, DateTimeFormatError> {
    let seconds = DateTime::from(now).secs();
    let mut text = DateTime::from_secs(seconds).fmt(Format::DateTime)?;
    text.retain(|character| !matches!(character, '-' | ':'));
    Ok(text)
}

/// Encodes a path once more, as every service but S3 has it.
fn encode_path(path: &str, canonical: &mut String) {
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                canonical.push(byte.into());
            }
            _ => {
                let _ = write!(canonical, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    use aws_sigv4::sign::v4::SigningParams;

    use super::*;

    fn by_aws_sigv4(
        request: Signed<'_>,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Vec<(String, String)> {
        let url = format!("https://{}{}", request.host, request.path);
        let headers = [("content-type", CONTENT_TYPE), ("host", request.host)];
        let body = SignableBody::Precomputed(request.payload_hash.to_owned());
        let signable = SignableRequest::new("POST", url, headers.into_iter(), body).unwrap();
        let identity = credentials.clone().into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name(SERVICE)
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .unwrap();
        let (instructions, _) = sign(signable, &parameters.into()).unwrap().into_parts();
        let headers = instructions.headers();
        headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn aws_sigv4_signs_the_same() {
        let signer = Signer::new("eu-west-1");
        let paths = ["/v2/email/outbound-emails", "/a%20b/%C3%A9+~x/v2/email/outbound-emails"];
        let keys =
            [("secret", None), ("secret", Some("to/ken+=")), ("other", None), ("secret", None)];
        let days = [0, 86_399, 86_400, 1_800_000_000, 0, 253_402_300_799];
        for seconds in days {
            let now = UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 999);
            for (secret, token) in keys {
                let token = token.map(str::to_owned);
                let credentials = Credentials::new("AKID", secret, token.clone(), None, "test");
                for path in paths {
                    for host in ["email.eu-west-1.amazonaws.com", "127.0.0.1:8080"] {
                        let request = Signed { host, path, payload_hash: "0123abcd" };
                        let found = signer.sign(request, &credentials, now).unwrap();
                        let mut found = vec![
                            ("authorization".to_owned(), found.authorization),
                            ("x-amz-date".to_owned(), found.date),
                        ];
                        found.extend(
                            token.clone().map(|it| ("x-amz-security-token".to_owned(), it)),
                        );
                        found.sort();
                        let mut expected = by_aws_sigv4(request, &credentials, now);
                        expected.sort();
                        assert_eq!(found, expected, "{request:?}");
                    }
                }
            }
        }
    }
}
