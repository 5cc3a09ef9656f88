//! Wakes followers.

use std::time::Duration;

use highwater_core::{Position, Result, domain::ViewName, error::Unavailable, port::ViewState};
use tokio::{sync::watch, time::timeout};

use super::MemoryStore;
use crate::fencing::is_same_progress;

/// The longest wait for a view. A request to retry a parked key is not in the state that a reader has seen,
/// so it may have been made since.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

impl MemoryStore {
    /// Announces a head. It is called under the lock of the state, so heads are announced in order.
    pub(super) fn announce(&self, head: Position) {
        self.shared.head.send_replace(head);
    }

    /// Subscribes to the next change of a view. Returns `None` if it has changed since `seen`.
    pub(super) fn change_of(
        &self,
        view: &ViewName,
        seen: &ViewState,
    ) -> Result<Option<watch::Receiver<()>>> {
        let state = self.state();
        let view = state.views.get(view)?;
        Ok(is_same_progress(&view.state(), seen).then(|| view.changed.subscribe()))
    }
}

/// Waits until the head is beyond `position`. The head is read before each wait, so no announcement is
/// missed.
pub(super) async fn beyond(mut head: watch::Receiver<Position>, position: Position) -> Result<()> {
    let reached = head.wait_for(|head| *head > position).await;
    reached.map(drop).map_err(|_| Unavailable::Closed.into())
}

/// Waits for the next change of a view. Its sender is gone if the view has been renamed.
pub(super) async fn changed(mut changed: watch::Receiver<()>) -> Result<()> {
    let _ = timeout(POLL_INTERVAL, changed.changed()).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use highwater_core::{
        domain::ViewSpec,
        port::{ClaimMode, LeaseStore as _, ShardClaim, ShardStop, ViewStore as _, WorkerId},
        value::{ShardId, Sharding},
    };
    use jiff::Timestamp;

    use super::*;

    #[tokio::test]
    async fn r2_a_stop_is_noticed_without_a_poll() {
        let store = MemoryStore::default();
        let spec = ViewSpec::rows(ViewName::new("stops").unwrap());
        let seen = store.open_view(&spec, Sharding::SINGLE).await.unwrap();
        let claim = ShardClaim {
            view: spec.name.clone(),
            sharding: Sharding::SINGLE,
            shard: ShardId::FIRST,
            worker: WorkerId::new("worker").unwrap(),
            mode: ClaimMode::Always,
            lease: Duration::from_secs(60),
            definition: None,
        };
        let epoch = store.claim_shard(claim).await.unwrap().unwrap().epoch;
        let waiting = store.change_of(&spec.name, &seen).unwrap().unwrap();
        assert!(!waiting.has_changed().unwrap());
        let error = "HW506".to_owned();
        let stop = ShardStop { shard: ShardId::FIRST, at: Timestamp::UNIX_EPOCH, error };
        store.stop_shard(&spec.name, epoch, stop).await.unwrap();
        assert!(waiting.has_changed().unwrap(), "a waiter is woken");
        assert!(store.change_of(&spec.name, &seen).unwrap().is_none(), "a later one doesn't wait");
    }
}
