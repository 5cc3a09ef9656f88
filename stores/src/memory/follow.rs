//! Waking followers.

use highwater_core::{Position, Result, error::Unavailable};
use tokio::sync::watch;

use super::MemoryStore;

impl MemoryStore {
    /// Called under the lock of the state, so that heads are announced in order.
    pub(super) fn announce(&self, head: Position) {
        self.shared.head.send_replace(head);
    }
}

/// Waits until the head is beyond `position`. The head is looked at before each wait, so that no
/// announcement can fall in between.
pub(super) async fn beyond(mut head: watch::Receiver<Position>, position: Position) -> Result<()> {
    let reached = head.wait_for(|head| *head > position).await;
    reached.map(drop).map_err(|_| Unavailable::Closed.into())
}
