//! Wakes followers: at once after a commit of this process, and by polling for commits of others.

use std::time::Duration;

use highwater_core::{Position, Result, domain::ViewName, port::ViewState};
use tokio::{sync::watch, time::timeout};

use crate::sql::view_changes::{ViewChange, ViewChanges};

/// The longest wait before a follower reads again. SQLite does not notify a process of the writes of
/// another one.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

pub(super) struct SqliteFollower {
    head: watch::Sender<Position>,
    changes: ViewChanges,
}

impl Default for SqliteFollower {
    fn default() -> Self {
        Self { head: watch::Sender::new(Position::START), changes: ViewChanges::default() }
    }
}

impl SqliteFollower {
    /// Records a commit of appends.
    pub(super) fn committed(&self, position: Position) {
        self.head.send_if_modified(|head| {
            let is_later = position > *head;
            *head = position.max(*head);
            is_later
        });
    }

    /// Waits until there may be events after `position`.
    pub(super) async fn wait(&self, position: Position) {
        let mut head = self.head.subscribe();
        // Fails only if the sender is gone, but `self` has it.
        let _ = timeout(POLL_INTERVAL, head.wait_for(|head| *head > position)).await;
    }

    /// Records a change of a view.
    pub(super) fn changed(&self, change: &ViewChange) {
        self.changes.record(change);
    }

    /// Waits until a view may have changed since it was seen.
    pub(super) async fn wait_for_view(
        &self,
        view: &ViewName,
        seen: &ViewState,
        is_unchanged: impl Future<Output = Result<bool>>,
    ) -> Result<()> {
        let mut waiter = self.changes.subscribe(view, seen);
        if !waiter.has_missed(is_unchanged).await? {
            let _ = timeout(POLL_INTERVAL, waiter.changed()).await;
        }
        Ok(())
    }
}
