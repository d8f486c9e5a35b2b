//! Every word that a client reads, with its code and its source.
//!
//! The words are those of the SES SMTP endpoint where they are known (decision 12), else those of
//! SubEthaSMTP, whose replies the endpoint shares, else of an RFC. What is wrong with a header section is told
//! in the words of `message/error.rs`, which reads it. Text that comes from a client or
//! from SES is made one line of printable ASCII and cut, by `form`.

mod form;
mod unsupported;

use self::form::TEXT_BYTES;
pub use self::form::{Reply, printable};
pub use self::unsupported::Unsupported;

/// Longest piece of client text inside a reply.
const CLIENT_TEXT_BYTES: usize = 64;
/// Longest resource ARN and longest decision id inside a denial.
const RESOURCE_BYTES: usize = 320;
const DECISION_ID_BYTES: usize = 40;

/// Opening, closing and commands that always work.
impl Reply {
    /// Greets a client. Greeting style of SES with the configured host name (decision 12).
    pub fn banner(hostname: &str) -> Reply {
        Reply::composed(220, &format!("{hostname} ESMTP sesgate"))
    }

    /// Answers EHLO with one line for each extension; `8BITMIME` first (decision 12).
    pub fn ehlo(hostname: &str, extensions: &[String]) -> Reply {
        let lines = [hostname.to_owned()].into_iter().chain(extensions.iter().cloned());
        Reply::lines(250, lines.chain(["Ok".to_owned()]))
    }

    /// Answers HELO. RFC 5321 section 4.1.1.1.
    pub fn helo(hostname: &str) -> Reply {
        Reply::composed(250, hostname)
    }

    /// Accepts a command. SES.
    pub fn ok() -> Reply {
        Reply::fixed(250, "Ok")
    }

    /// Answers HELP. RFC 5321 section 4.1.1.8.
    pub fn help() -> Reply {
        Reply::fixed(214, "See RFC 5321")
    }

    /// Answers QUIT. SES.
    pub fn bye() -> Reply {
        Reply::fixed(221, "Bye")
    }

    /// Agrees to STARTTLS. SES.
    pub fn ready_for_tls() -> Reply {
        Reply::fixed(220, "Ready to start TLS")
    }

    /// Asks for the content. SES.
    pub fn start_content() -> Reply {
        Reply::fixed(354, "End data with <CR><LF>.<CR><LF>")
    }

    /// Says that the client was silent too long; then the connection closes. SES.
    pub fn timeout() -> Reply {
        Reply::fixed(451, "4.4.2 Timeout waiting for data from client.")
    }

    /// Says that sesgate shuts down. RFC 5321 section 4.2.2.
    pub fn service_closing() -> Reply {
        Reply::fixed(421, "Service not available, closing transmission channel")
    }

    /// Says that there is no room for one more connection. SES.
    pub fn too_many_connections() -> Reply {
        Reply::fixed(421, "Too many concurrent SMTP connections")
    }

    /// Says that the listener speaks for nobody at this address (decision 17). RFC 5321 section 3.1.
    pub fn no_service() -> Reply {
        Reply::fixed(554, "No SMTP service for this client address")
    }

    /// Says that this connection has carried its share. SES.
    pub fn too_many_messages() -> Reply {
        Reply::fixed(421, "Connection closed by server. Maximum message count per session reached.")
    }

    /// Says that the client made too many mistakes. RFC 5321 section 3.8.
    pub fn too_many_errors() -> Reply {
        Reply::fixed(421, "Too many errors, closing connection")
    }

    /// Says that too many logins were refused. RFC 5321 section 3.8.
    pub fn too_many_auth_failures() -> Reply {
        Reply::fixed(421, "Too many failed logins, closing connection")
    }

    /// Answers what is no SMTP at all: HTTP, TLS or header lines. RFC 5321 section 3.8.
    pub fn not_smtp() -> Reply {
        Reply::fixed(421, "This is an SMTP server, closing connection")
    }

    /// Says that the client did not wait for the banner. RFC 5321 section 3.1.
    pub fn not_synchronized() -> Reply {
        Reply::fixed(554, "Error: SMTP protocol synchronization")
    }
}

/// Commands that are refused.
impl Reply {
    /// Refuses an unknown command. SubEthaSMTP.
    pub fn not_implemented() -> Reply {
        Reply::fixed(500, "Error: command not implemented")
    }

    /// Refuses a line with a control or 8-bit byte. RFC 5321 section 4.1.2.
    pub fn illegal_byte() -> Reply {
        Reply::fixed(500, "Error: illegal character in command line")
    }

    /// Refuses EHLO or HELO with such a byte, often of a host name that holds an umlaut. RFC 5321
    /// section 4.1.1.1.
    pub fn illegal_host_name(command: &'static str) -> Reply {
        let why = "the host name has a character that is not printable ASCII";
        Reply::composed(501, &format!("Syntax: {command} hostname ({why})"))
    }

    /// Refuses a line that is not ended by CRLF. RFC 5321 section 2.3.8.
    pub fn bare_lf_line() -> Reply {
        Reply::fixed(500, "Error: command line must end with <CR><LF>")
    }

    /// Refuses a line that is too long. RFC 5321 section 4.5.3.1.4.
    pub fn line_too_long() -> Reply {
        Reply::fixed(500, "Error: line too long")
    }

    /// Refuses a command that was written wrongly; `syntax` is the right form. SubEthaSMTP.
    pub fn syntax(syntax: &'static str) -> Reply {
        Reply::composed(501, &format!("Syntax: {syntax}"))
    }

    /// Refuses a command that is known and not offered, such as VRFY. SubEthaSMTP.
    pub fn disabled(command: &'static str) -> Reply {
        Reply::composed(502, &format!("{command} command is disabled"))
    }

    /// Refuses BDAT, whose payload would be read as commands. RFC 5321 section 4.2.1.
    pub fn no_chunking() -> Reply {
        Reply::fixed(521, "BDAT is not supported, closing connection")
    }

    /// Refuses an argument to STARTTLS. RFC 3207 section 4.
    pub fn starttls_parameter() -> Reply {
        Reply::fixed(501, "Syntax error (no parameters allowed)")
    }

    /// Refuses plaintext behind STARTTLS (command injection, CVE-2011-0411). RFC 3207 section 6.
    pub fn starttls_not_last() -> Reply {
        Reply::fixed(501, "Error: data sent after STARTTLS, closing connection")
    }

    /// Refuses STARTTLS under TLS. SubEthaSMTP.
    pub fn tls_active() -> Reply {
        Reply::fixed(503, "TLS already active")
    }

    /// Refuses STARTTLS where it is not offered. SubEthaSMTP.
    pub fn tls_not_supported() -> Reply {
        Reply::fixed(502, "TLS not supported")
    }

    /// Refuses mail before TLS. SES.
    pub fn must_start_tls() -> Reply {
        Reply::fixed(530, "Must issue a STARTTLS command first")
    }

    /// Refuses mail before AUTH. SES.
    pub fn authentication_required() -> Reply {
        Reply::fixed(530, "Authentication required")
    }

    /// Refuses a command before EHLO or HELO. RFC 5321 section 4.1.4.
    pub fn need_ehlo() -> Reply {
        Reply::fixed(503, "Error: send EHLO first")
    }

    /// Refuses RCPT or DATA before MAIL. SubEthaSMTP.
    pub fn need_mail() -> Reply {
        Reply::fixed(503, "5.5.1 Error: need MAIL command")
    }

    /// Refuses DATA before an accepted RCPT. SubEthaSMTP.
    pub fn need_rcpt() -> Reply {
        Reply::fixed(503, "Error: need RCPT command")
    }

    /// Refuses a second MAIL. SubEthaSMTP.
    pub fn sender_specified() -> Reply {
        Reply::fixed(503, "5.5.1 Sender already specified.")
    }

    /// Refuses an empty or unreadable address of MAIL FROM. SES.
    pub fn invalid_reverse_path() -> Reply {
        Reply::fixed(501, "Invalid MAIL FROM address provided")
    }

    /// Refuses an unreadable address; `address` is client text. SES guide.
    pub fn invalid_address(address: &str) -> Reply {
        let address = printable(address, CLIENT_TEXT_BYTES);
        Reply::composed(553, &format!("<{address}> Invalid email address"))
    }

    /// Refuses a parameter of MAIL or RCPT; `keyword` is client text. RFC 5321 section 4.1.1.11.
    pub fn unknown_parameter(keyword: &str) -> Reply {
        let keyword = printable(keyword, CLIENT_TEXT_BYTES);
        Reply::composed(555, &format!("Unsupported parameter: {keyword}"))
    }

    /// Refuses the value of a known parameter of MAIL. RFC 5321 section 4.1.1.11.
    pub fn invalid_parameter(keyword: &'static str) -> Reply {
        Reply::composed(501, &format!("Syntax error in parameter: {keyword}"))
    }
}

/// AUTH.
impl Reply {
    /// Asks for a PLAIN response. RFC 4954 section 4.
    pub fn challenge_empty() -> Reply {
        Reply::fixed(334, "")
    }

    /// Asks for the user name of LOGIN. SES.
    pub fn challenge_username() -> Reply {
        Reply::fixed(334, "VXNlcm5hbWU6")
    }

    /// Asks for the password of LOGIN. SES.
    pub fn challenge_password() -> Reply {
        Reply::fixed(334, "UGFzc3dvcmQ6")
    }

    /// Lets a user in. SES.
    pub fn authentication_successful() -> Reply {
        Reply::fixed(235, "Authentication successful.")
    }

    /// Refuses a user name, a password or an authorization identity, never saying which. SES.
    pub fn credentials_invalid() -> Reply {
        Reply::fixed(535, "Authentication Credentials Invalid")
    }

    /// Says that credentials cannot be checked now. SES.
    pub fn temporary_authentication_failure() -> Reply {
        Reply::fixed(454, "Temporary authentication failure")
    }

    /// Refuses a response that is not strict base64. SubEthaSMTP.
    pub fn invalid_base64() -> Reply {
        Reply::fixed(501, "Invalid command argument, not a valid Base64 string")
    }

    /// Refuses a response that decodes to something else than its mechanism wants. RFC 4954 section 4.
    pub fn malformed_response() -> Reply {
        Reply::fixed(501, "Invalid command argument, does not contain a user name and a password")
    }

    /// Refuses a response that decodes to text with a line break, as `echo` puts one before base64. RFC
    /// 4954 section 4.
    pub fn line_break_in_response() -> Reply {
        Reply::fixed(
            501,
            "Invalid command argument, holds a line break: encode it with printf, not with echo",
        )
    }

    /// Ends an exchange that the client cancelled. RFC 4954 section 4.
    pub fn authentication_cancelled() -> Reply {
        Reply::fixed(501, "Authentication cancelled")
    }

    /// Refuses a mechanism. SubEthaSMTP.
    pub fn unknown_mechanism() -> Reply {
        Reply::fixed(504, "The requested authentication mechanism is not supported")
    }

    /// Refuses AUTH after AUTH. SubEthaSMTP.
    pub fn already_authenticated() -> Reply {
        Reply::fixed(503, "Refusing any other AUTH command.")
    }

    /// Refuses AUTH in clear. RFC 4954 section 6.
    pub fn encryption_required() -> Reply {
        Reply::fixed(538, "Encryption required for requested authentication mechanism")
    }
}

/// The answer to a message.
impl Reply {
    /// Says that the upstream took the message (decision 1). SES.
    pub fn accepted(message_id: &str) -> Reply {
        Reply::composed(250, &format!("Ok {message_id}"))
    }

    /// Says which resource a policy denies; the id finds the decision in the log (decision 13). SES.
    pub fn access_denied(user_arn: &str, resource_arn: &str, decision_id: &str) -> Reply {
        let resource = printable(resource_arn, RESOURCE_BYTES);
        let id = printable(decision_id, DECISION_ID_BYTES);
        let text = |user: &str| {
            format!(
                "Access denied: User `{user}' is not authorized to perform `ses:SendRawEmail' \
                 on resource `{resource}' [{id}]"
            )
        };
        let user = printable(user_arn, TEXT_BYTES.saturating_sub(text("").len()));
        Reply::composed(554, &text(&user))
    }

    /// Refuses a message for its identity, content or account; `text` is of SES. SES.
    pub fn message_rejected(text: &str) -> Reply {
        Reply::composed(554, &format!("Message rejected: {text}"))
    }

    /// Refuses a message from addresses that no identity covers. SES.
    pub fn not_verified(region: &str, identities: &[String]) -> Reply {
        Reply::message_rejected(&format!(
            "Email address is not verified. The following identities failed the check in region {}: {}",
            region.to_ascii_uppercase(),
            identities.join(", ")
        ))
    }

    /// Refuses a message that cannot be read or sent as it is; `text` says why. SES.
    pub fn transaction_failed(text: &str) -> Reply {
        Reply::composed(554, &format!("Transaction failed: {text}"))
    }

    /// Refuses a message that asks for what this user does not get.
    pub fn unsupported(why: &Unsupported) -> Reply {
        Reply::transaction_failed(&why.to_string())
    }

    /// Refuses a message whose decision would take too long.
    pub fn too_many_addresses() -> Reply {
        Reply::transaction_failed(
            "The message has too many addresses for the policies of this user.",
        )
    }

    /// Refuses content with a NUL. SES.
    pub fn nul_in_content() -> Reply {
        Reply::transaction_failed("Message contains a NUL character.")
    }

    /// Refuses content with a CR that no LF follows. RFC 5321 section 2.3.8.
    pub fn bare_cr_in_content() -> Reply {
        Reply::transaction_failed("Message contains a bare CR: lines must end with CRLF.")
    }

    /// Refuses content with a LF that no CR precedes. RFC 5321 section 2.3.8.
    pub fn bare_lf_in_content() -> Reply {
        Reply::transaction_failed("Message contains a bare LF: lines must end with CRLF.")
    }

    /// Refuses more than 50 recipients (decision 2). SES.
    pub fn too_many_recipients() -> Reply {
        Reply::transaction_failed("Recipient count exceeds 50.")
    }

    /// Refuses a message over the size limit. SES.
    pub fn message_too_long() -> Reply {
        Reply::fixed(552, "Message is too long.")
    }

    /// Refuses a message that names a missing configuration set; `text` is of SES. SES.
    pub fn configuration_set_missing(text: &str) -> Reply {
        Reply::composed(554, &format!("Configuration Set does not exist: {text}"))
    }

    /// Refuses a message to which SES denies something for a reason of the message's own; `text` is of
    /// SES. SES.
    pub fn access_denied_by_ses(text: &str) -> Reply {
        Reply::composed(554, &format!("Access denied: {text}"))
    }

    /// Refuses a message whose MAIL FROM domain is broken; `text` is of SES. SES.
    pub fn mail_from_not_verified(text: &str) -> Reply {
        Reply::composed(554, &format!("MAIL FROM domain not verified: {text}"))
    }

    /// Asks for a pause, for rate or quota; `text` is of SES (decision 14). SES.
    pub fn throttled(text: &str) -> Reply {
        Reply::composed(454, &format!("Throttling failure: {text}"))
    }

    /// Asks for a pause: the rate is used up, of the account or of the user (decision 14). SES.
    pub fn rate_exceeded() -> Reply {
        Reply::throttled("Maximum sending rate exceeded.")
    }

    /// Asks for a longer pause: the quota of 24 hours is used up, of the account or of the user
    /// (decision 14). SES.
    pub fn quota_exceeded() -> Reply {
        Reply::throttled("Daily message quota exceeded.")
    }

    /// Reports trouble of ours or of SES that may pass (decision 14). SES.
    pub fn temporary_failure() -> Reply {
        Reply::fixed(451, "Temporary service failure")
    }

    /// Reports a paused account where the operator wants it to be temporary (decision 14); `text` is of SES.
    pub fn temporarily_rejected(text: &str) -> Reply {
        Reply::composed(451, &format!("Message rejected: {text}"))
    }
}
