//! Clients that do not get as far as a message: one line each, with what the app has to do otherwise.
//!
//! A message that is refused has a record of its own; a client whose TLS or whose commands fail would
//! leave nothing, and whoever looks after it sees only that no mail arrives.

use super::{Relay, shown};
use crate::smtp::{Reply, Said};

/// The target of these lines. Of those with the same words only some are shown within a minute.
pub const CLIENTS: &str = "sesgate::relay::clients";

impl Relay {
    /// Notes a command that was refused, where the app or its settings are to blame. What scanners say
    /// is not worth a line.
    pub fn command_refused(&self, said: &Said, reply: &Reply) {
        let Some(cause) = cause(said.verb, reply) else { return };
        let path = said.path.as_deref().map(|path| self.settings.redaction.show(path));
        let command = match path {
            Some(path) => format!("{} <{path}>", said.verb),
            None => said.verb.to_owned(),
        };
        let reply = shown(&self.settings.redaction, reply);
        tracing::info!(target: CLIENTS, command, reply, "client refused: {cause}");
    }
}

/// What is wrong with the app or its settings, in words that do not depend on what it sent.
fn cause(verb: &str, reply: &Reply) -> Option<&'static str> {
    let is = |other: Reply| *reply == other;
    Some(match reply.code() {
        // What scanners ask for.
        530 if verb == "VRFY" || verb == "EXPN" => return None,
        530 | 538 if verb == "AUTH" => {
            "it logs in without TLS; turn STARTTLS on in the app, or on loopback set \
             `auth_in_clear = true` for the listener"
        }
        _ if is(Reply::must_start_tls()) => {
            "it does not begin TLS, which this listener wants first; turn STARTTLS on in the app"
        }
        530 => "it has not logged in; give the app a user name and password",
        // Another user than the one that logs in; wrong passwords have a line of their own.
        535 => {
            "it wants to act as another user than the one that logs in; leave out the authorization identity"
        }
        504 => {
            "it logs in with another mechanism than PLAIN or LOGIN; choose one of these in the app"
        }
        502 if verb == "AUTH" => {
            "it logs in, but this listener asks nobody to; take user name and password out of the app"
        }
        502 if verb == "STARTTLS" => {
            "it wants TLS, but this listener has `tls = \"off\"`; turn STARTTLS off in the app, or \
             lead it to a listener with TLS"
        }
        _ if is(Reply::line_break_in_response()) => {
            "its user name or password holds a line break within base64; encode it with printf, not with echo"
        }
        501 if verb == "AUTH" => "its login cannot be read; see which library it logs in with",
        501 if verb == "MAIL" => {
            "its MAIL FROM has no address that SES takes, such as `app@example.com`; set the sender \
             (envelope, return-path) in the app. The null reverse-path of bounces is none"
        }
        501 | 553 if verb == "MAIL" || verb == "RCPT" => {
            "SES takes no such address; it needs a domain of two labels or more, without underscores \
             and in ASCII"
        }
        _ if is(Reply::illegal_host_name("EHLO")) || is(Reply::illegal_host_name("HELO")) => {
            "its EHLO has a host name that is not ASCII; set another in the app, or rename the machine"
        }
        501 if verb == "EHLO" || verb == "HELO" => "its EHLO names no host; set one in the app",
        555 => {
            "it uses a parameter of MAIL or RCPT that SES does not offer; turn it off in the app"
        }
        _ => return None,
    })
}
