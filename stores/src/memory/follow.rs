//! Waking followers.

use std::time::Duration;

use highwater_core::{Position, Result, domain::ViewName, error::Unavailable, port::ViewState};
use tokio::{sync::watch, time::timeout};

use super::MemoryStore;
use crate::claims::is_same;

/// How long whoever waits for a view waits at the most. What is asked of parked keys is not in the
/// state that has been seen, and may have been asked since.
const POLL: Duration = Duration::from_secs(1);

impl MemoryStore {
    /// Called under the lock of the state, so that heads are announced in order.
    pub(super) fn announce(&self, head: Position) {
        self.shared.head.send_replace(head);
    }

    /// What tells of the next change of a view, or `None` if there has been one since `seen`.
    pub(super) fn change_of(
        &self,
        view: &ViewName,
        seen: &ViewState,
    ) -> Result<Option<watch::Receiver<()>>> {
        let state = self.state();
        let view = state.views.get(view)?;
        Ok(is_same(&view.state(), seen).then(|| view.changed.subscribe()))
    }
}

/// Waits until the head is beyond `position`. The head is looked at before each wait, so that no
/// announcement can fall in between.
pub(super) async fn beyond(mut head: watch::Receiver<Position>, position: Position) -> Result<()> {
    let reached = head.wait_for(|head| *head > position).await;
    reached.map(drop).map_err(|_| Unavailable::Closed.into())
}

/// Waits for the next change of a view. Its sender is gone if the view has been renamed away.
pub(super) async fn changed(mut changed: watch::Receiver<()>) -> Result<()> {
    let _ = timeout(POLL, changed.changed()).await;
    Ok(())
}
