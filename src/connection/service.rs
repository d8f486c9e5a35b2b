//! What the connections of one listener share.

use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::TlsAcceptor;

use crate::authorize::Clients;
use crate::memory::Memory;
use crate::relay::Relay;
use crate::smtp::SessionSettings;

/// How long each thing may take.
#[derive(Debug, Clone)]
pub struct Deadlines {
    /// TLS handshake.
    pub handshake: Duration,
    /// From connecting to a successful login.
    pub login: Duration,
    /// Silence between commands.
    pub command: Duration,
    /// A connection that is not in the middle of a message.
    pub lifetime: Duration,
    /// Silence within content.
    pub content: Duration,
    /// Content as a whole.
    pub content_total: Duration,
    /// Writing replies.
    pub reply: Duration,
}

impl Deadlines {
    /// Content may be slow for so long; from then on it comes at the least rate or faster.
    const SLOW: Duration = Duration::from_secs(30);
    /// The least rate of content, in bytes per second since its beginning.
    const RATE: u64 = 500;

    /// How long content may take of which so many bytes have come.
    ///
    /// A client that declared more (SIZE) must come faster, just so fast that it ends in time: memory is
    /// reserved for it.
    pub(super) fn earned(&self, bytes: u64, declared: u64) -> Duration {
        let time = self.content_total.saturating_sub(Self::SLOW).as_secs().max(1);
        let earned = Duration::from_secs(bytes / Self::RATE.max(declared / time));
        self.content_total.min(Self::SLOW + earned)
    }
}

/// Everything that the connections of one listener share.
pub struct Service {
    /// The listener as the log names it.
    pub name: Arc<str>,
    /// What the sessions are told.
    pub settings: Arc<SessionSettings>,
    /// The same for peers that may not log in in clear: those that are not on loopback.
    pub remote_settings: Arc<SessionSettings>,
    /// TLS, when the listener has it.
    pub tls: Option<TlsAcceptor>,
    /// TLS from the first byte.
    pub implicit_tls: bool,
    /// What the listener says of its clients.
    pub clients: Clients,
    /// How long each thing may take.
    pub deadlines: Deadlines,
    /// The budget of messages in flight.
    pub memory: Memory,
    /// What becomes of messages, and who may log in.
    pub relay: Arc<Relay>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Service {
    /// Whether another setting of the listener says the same of its clients: who they are, where from,
    /// and how they may log in.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
            || (self.clients == other.clients
                && self.settings.auth == other.settings.auth
                && self.settings.require_tls == other.settings.require_tls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_must_come_fast_enough_to_end_in_time() {
        let deadlines = Deadlines {
            handshake: Duration::ZERO,
            login: Duration::ZERO,
            command: Duration::ZERO,
            lifetime: Duration::ZERO,
            content: Duration::from_secs(180),
            content_total: Duration::from_secs(900),
            reply: Duration::ZERO,
        };
        const LARGE: u64 = 40 * 1024 * 1024;
        // Bytes that have come, declared, and the seconds until which the next must come.
        for (bytes, declared, seconds) in [
            (0, 0, 30),
            (499, 0, 30),
            (5_000, 0, 40),
            (5_000, 5_000, 40),
            (10_000_000, 0, 900),
            (0, LARGE, 30),
            (5_000, LARGE, 30),
            (LARGE / 2, LARGE, 30 + 435),
            (LARGE, LARGE, 900),
        ] {
            let earned = deadlines.earned(bytes, declared);
            assert_eq!(earned.as_secs(), seconds, "{bytes} of {declared}");
        }
    }
}
