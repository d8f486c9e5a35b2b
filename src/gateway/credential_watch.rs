//! Keeps watch over what mail needs beside the relay itself: AWS credentials.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::admin::Readiness;
use crate::relay::Relay;
use crate::upstream::{NO_CREDENTIALS, looked_for};

/// How often credentials are checked while there are some. The chain is asked only when they expire.
const WHILE_THERE: Duration = Duration::from_secs(30);
/// How often they are checked while there are none.
const WHILE_NONE: Duration = Duration::from_secs(5);

/// What blocks readiness until the first check.
pub(super) const CREDENTIALS: &str = "credentials";

/// Checks until `end`.
pub(super) async fn watch(relay: Arc<Relay>, readiness: Readiness, end: CancellationToken) {
    let mut had = true;
    loop {
        let looked = tokio::select! {
            () = end.cancelled() => return,
            looked = relay.credentials() => looked,
        };
        let has = looked.is_ok();
        match &looked {
            Err(error) if had => tracing::error!(
                error,
                looked_for = looked_for(),
                remedy = NO_CREDENTIALS,
                "there are no AWS credentials: mail is answered 451 until there are",
            ),
            Ok(()) if !had => tracing::info!("there are AWS credentials again"),
            _ => {}
        }
        // What the chain says may name files and roles: the log has it.
        let none = looked.err().map(|_| "there are none; see the log".to_owned());
        readiness.found(CREDENTIALS, none);
        had = has;
        let wait = if has { WHILE_THERE } else { WHILE_NONE };
        tokio::select! {
            () = end.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}
