//! What a listener wants of its sessions, as plain values.

/// Settings of one listener, shared by its sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// Host name in the banner and in the answer to EHLO and HELO (decision 12).
    pub hostname: String,
    /// Largest message content, in bytes after dot-unstuffing, told to clients as SIZE.
    pub message_bytes: usize,
    /// Whether STARTTLS is offered while the connection is in clear.
    pub starttls: bool,
    /// Whether mail commands are refused until TLS is in place (`530 Must issue a STARTTLS …`).
    pub require_tls: bool,
    /// Whether clients log in.
    pub auth: Auth,
    /// What happens to a bare LF in content (decision 5).
    pub bare_lf: BareLf,
    /// Bounds of one session.
    pub limits: SessionLimits,
}

/// Whether clients log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// The listener speaks for one user (decision 17): AUTH is not offered, MAIL needs none.
    None,
    /// MAIL needs AUTH, which is offered under TLS.
    Offered {
        /// AUTH is offered in clear as well; for loopback listeners alone (decision 17).
        in_clear: bool,
    },
}

/// What happens to a bare LF in content (decision 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BareLf {
    /// The message is refused and the connection closed.
    #[default]
    Refuse,
    /// Every bare LF becomes CRLF; the end of data stays CRLF.CRLF alone.
    Normalize,
}

/// Bounds of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Longest command line, in bytes without its CRLF.
    pub command_line_bytes: usize,
    /// Longest AUTH command or continuation line, in bytes without its CRLF (RFC 4954 section 4).
    pub auth_line_bytes: usize,
    /// Commands and messages refused since the last accepted message that close the connection; of
    /// messages those refused for good.
    pub errors: u32,
    /// Errors of that kind behind which each further one is answered late.
    pub errors_before_delay: u32,
    /// Unknown commands before AUTH that close the connection.
    pub unknown_before_auth: u32,
    /// NOOP, RSET, VRFY, EXPN, HELP, EHLO and HELO between messages before each counts as an error.
    pub idle_commands: u32,
    /// Refused logins that close the connection.
    pub auth_failures: u32,
    /// Forward-paths kept; more are refused at RCPT. Above 50 the message is refused (decision 2).
    pub recipients: usize,
    /// Messages in one connection.
    pub messages: u32,
}

impl Default for SessionLimits {
    fn default() -> SessionLimits {
        SessionLimits {
            command_line_bytes: 2_048,
            auth_line_bytes: 12_288,
            errors: 20,
            errors_before_delay: 10,
            unknown_before_auth: 3,
            idle_commands: 100,
            auth_failures: 3,
            recipients: 1_000,
            messages: 1_000,
        }
    }
}
