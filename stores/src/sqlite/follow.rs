//! Wakes followers: at once after a commit of this process, and by polling for commits of others.

use std::time::Duration;

use highwater_core::{Position, Result, domain::ViewName, port::ViewState};
use tokio::time::timeout;

use crate::sql::{
    append_hints::{AppendHints, HeardHints},
    view_changes::{ViewChange, ViewChanges},
};

/// The longest wait before a follower reads again. SQLite does not notify a process of the writes of
/// another one.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

#[derive(Default)]
pub(super) struct SqliteFollower {
    appends: AppendHints,
    changes: ViewChanges,
}

impl SqliteFollower {
    /// Records a commit of appends.
    pub(super) fn committed(&self, position: Position) {
        self.appends.record(position);
    }

    /// Returns what is known of the log before a read of it begins.
    pub(super) fn heard(&self) -> HeardHints {
        self.appends.heard()
    }

    /// Records the head that a read has seen: a file may be restored from a backup under this process.
    pub(super) fn saw_head(&self, head: Position, before: HeardHints) {
        self.appends.saw_head(head, before);
    }

    /// Waits until there may be events after `position`.
    pub(super) async fn wait(&self, position: Position) {
        let _ = timeout(POLL_INTERVAL, self.appends.wait(position)).await;
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
