//! The SMTP password of SES that belongs to a secret access key (SES guide, "Obtaining SES SMTP
//! credentials").

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Fixed by SES, whatever the day.
const DATE: &str = "11111111";
const VERSION: u8 = 0x04;

/// Derives the SMTP password that SES takes for a secret access key in a region: 44 characters.
///
/// It opens SMTP alone, and only in that region; it signs no other call.
#[must_use]
pub fn ses_smtp_password(secret_access_key: &str, region: &str) -> Zeroizing<String> {
    let first = Zeroizing::new(format!("AWS4{secret_access_key}"));
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, first.as_bytes());
    let steps = [DATE, region, "ses", "aws4_request"];
    for step in steps {
        key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, step.as_bytes()).as_ref());
    }
    let signature = hmac::sign(&key, b"SendRawEmail");
    let mut bytes = Zeroizing::new(vec![VERSION]);
    bytes.extend_from_slice(signature.as_ref());
    Zeroizing::new(STANDARD.encode(&*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let cases = [
            ("some+secret+key", "eu-central-1", "BMXhUYlu5Z3gSXVQORxlVa7XPaz91aGWdfHxvkOZdWZ2"),
            ("another+secret+key", "eu-central-1", "BBbphbrQmrKMx42d1N6+C7VINYEBGI5v9VsZeTxwskfh"),
            ("some+secret+key", "us-west-1", "BH+jbMzper5WwlwUar9E1ySBqHa9whi0GPo+sJ0mVYJj"),
            ("another+secret+key", "us-west-1", "BKVmjjMDFk/qqw8EROW99bjCS65PF8WKvK5bSr4Y6EqF"),
            (
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                "us-east-1",
                "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9",
            ),
        ];
        for (secret, region, password) in cases {
            assert_eq!(*ses_smtp_password(secret, region), password, "{region}");
        }
    }
}
