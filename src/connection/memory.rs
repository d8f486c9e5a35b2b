//! Memory for the message under way: reserved before it is taken, given back as soon as it is not used.

use super::Connection;
use super::stream::READ;
use crate::memory::Exhausted;
use crate::smtp::{Envelope, Reply};

impl Connection {
    /// Reserves memory for a message before it is asked for, as much as the client says that it needs.
    pub(super) async fn make_room(&mut self, envelope: &Envelope) -> Result<(), Reply> {
        let declared = self.session.declared_bytes().unwrap_or(0);
        let declared = usize::try_from(declared).unwrap_or(usize::MAX);
        // Memory grows in steps, an eighth at most beyond what is needed.
        let bytes = (declared.saturating_add(declared / 8)).max(self.session.content_growth(READ));
        self.share = match &self.client {
            Some(client) => self.service.memory.share_of(&client.principal.name),
            None => self.service.memory.nothing(),
        };
        self.grow_share(bytes).await.map_err(|Exhausted| {
            let reply = Reply::temporary_failure();
            if let Some(client) = &self.client {
                let relay = &self.service.relay;
                relay.put_off(client, envelope, declared, &reply, self.transaction);
            }
            reply
        })
    }

    /// Reserves memory for what is read next. Where there is none in time, the message is given up.
    /// A message that is refused holds none, however long its client goes on.
    pub(super) async fn hold_room(&mut self) {
        let (held, growth) = (self.session.content_bytes(), self.session.content_growth(READ));
        if held == 0 && growth == 0 {
            return self.leave_room();
        }
        let bytes = held.saturating_add(growth);
        if self.grow_share(bytes).await.is_err() {
            // Its record follows with the end of the content.
            self.session.refuse_content(Reply::temporary_failure());
            self.leave_room();
        }
    }

    fn leave_room(&mut self) {
        if self.share.bytes() > 0 {
            self.share = self.service.memory.nothing();
        }
    }

    async fn grow_share(&mut self, content: usize) -> Result<(), Exhausted> {
        let bytes = content.saturating_mul(self.service.relay.weight());
        self.share.grow(bytes.min(self.service.memory.largest())).await
    }
}
