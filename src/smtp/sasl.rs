//! AUTH PLAIN and LOGIN (RFC 4954, RFC 4616): responses → credentials.
//!
//! Whether the credentials are right is left to the caller. Every buffer that may hold a password is
//! wiped when it is dropped, and no `Debug` output shows one.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::reply::Reply;

/// A user name and a password, not yet checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name, exactly as sent; not empty, no control characters.
    pub username: String,
    /// The password, exactly as sent; no control characters, may be empty.
    pub password: Zeroizing<String>,
}

/// Hides both: clients that mix up the fields send a password as the user name.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// An exchange that waits for one more line of the client.
pub enum Exchange {
    /// PLAIN without an initial response.
    Plain,
    /// LOGIN before the user name.
    LoginUsername,
    /// LOGIN after the user name.
    LoginPassword(Zeroizing<String>),
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange(..)")
    }
}

/// Where an exchange stands after a line.
#[derive(Debug)]
pub enum SaslOutcome {
    /// Send the challenge and wait for one more line.
    Challenge(Reply, Exchange),
    /// Complete: have them checked.
    Credentials(Credentials),
    /// Over. `535` counts as a failed login.
    Refused(Reply),
}

/// Starts an exchange with what follows `AUTH `.
///
/// Blanks are strict: one between mechanism and initial response, none inside or behind it.
pub fn start(arguments: &str) -> SaslOutcome {
    let (mechanism, response) = match arguments.split_once(' ') {
        Some((mechanism, response)) => (mechanism, Some(response)),
        None => (arguments, None),
    };
    let response = response.filter(|response| !response.is_empty());
    let exchange = match mechanism.to_ascii_uppercase().as_str() {
        "" => return SaslOutcome::Refused(Reply::syntax("AUTH mechanism [initial-response]")),
        "PLAIN" => Exchange::Plain,
        "LOGIN" => Exchange::LoginUsername,
        _ => return SaslOutcome::Refused(Reply::unknown_mechanism()),
    };
    match response {
        // RFC 4954 section 4: a lone `=` is an empty initial response.
        Some("=") => exchange.decoded(&Zeroizing::new(Vec::new())),
        Some(response) => exchange.respond(response.as_bytes()),
        None => SaslOutcome::Challenge(exchange.challenge(), exchange),
    }
}

impl Exchange {
    /// Takes a line of the client, without its CRLF. `*` has been dealt with by `answer`.
    fn respond(self, response: &[u8]) -> SaslOutcome {
        // Sized before, so that decoding never moves and leaves a copy behind.
        let mut decoded = Zeroizing::new(Vec::with_capacity(response.len()));
        match STANDARD.decode_vec(response, &mut decoded) {
            Ok(()) => self.decoded(&decoded),
            Err(_) => SaslOutcome::Refused(Reply::invalid_base64()),
        }
    }

    /// Takes the client's answer to a challenge, a line without its CRLF; `*` cancels.
    pub fn answer(self, line: &[u8]) -> SaslOutcome {
        match line {
            b"*" => SaslOutcome::Refused(Reply::authentication_cancelled()),
            line => self.respond(line),
        }
    }

    fn challenge(&self) -> Reply {
        match self {
            Exchange::Plain => Reply::challenge_empty(),
            Exchange::LoginUsername => Reply::challenge_username(),
            Exchange::LoginPassword(_) => Reply::challenge_password(),
        }
    }

    fn decoded(self, message: &[u8]) -> SaslOutcome {
        match self {
            Exchange::Plain => plain(message),
            Exchange::LoginUsername => match text(message).filter(|name| !name.is_empty()) {
                Some(name) => {
                    let next = Exchange::LoginPassword(Zeroizing::new(name.to_owned()));
                    SaslOutcome::Challenge(next.challenge(), next)
                }
                None => SaslOutcome::Refused(malformed(message)),
            },
            Exchange::LoginPassword(username) => match text(message) {
                Some(password) => credentials(&username, password),
                None => SaslOutcome::Refused(malformed(message)),
            },
        }
    }
}

/// `[authzid] NUL authcid NUL passwd`, RFC 4616 section 2.
fn plain(message: &[u8]) -> SaslOutcome {
    let mut parts = message.split(|byte| *byte == 0).map(text);
    let parts = (parts.next(), parts.next(), parts.next(), parts.next());
    match parts {
        (Some(Some(authzid)), Some(Some(username)), Some(Some(password)), None)
            if !username.is_empty() =>
        {
            // Acting for another identity is not offered (CVE-2023-27582 took it unchecked).
            if authzid.is_empty() || authzid == username {
                credentials(username, password)
            } else {
                SaslOutcome::Refused(Reply::credentials_invalid())
            }
        }
        _ => SaslOutcome::Refused(malformed(message)),
    }
}

/// What is wrong with a response, without a word of it.
fn malformed(message: &[u8]) -> Reply {
    if message.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
        Reply::line_break_in_response()
    } else {
        Reply::malformed_response()
    }
}

fn credentials(username: &str, password: &str) -> SaslOutcome {
    SaslOutcome::Credentials(Credentials {
        username: username.to_owned(),
        password: Zeroizing::new(password.to_owned()),
    })
}

/// Returns the bytes as text without control characters.
fn text(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes).ok().filter(|text| !text.contains(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_hides_credentials() {
        let SaslOutcome::Credentials(credentials) = start("PLAIN AGFwcABzZWNyZXQ=") else {
            panic!("not complete")
        };
        assert_eq!(credentials.username, "app");
        assert_eq!(credentials.password.as_str(), "secret");
        let shown = format!("{credentials:?} {:?} {:?}", start("LOGIN YXBw"), start("LOGIN"));
        assert!(!shown.contains("app") && !shown.contains("secret"), "{shown}");
    }
}
