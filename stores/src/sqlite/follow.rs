//! Waking followers: at once within the process; by a poll for what other processes append.

use std::time::Duration;

use highwater_core::{Position, Result, domain::ViewName, port::ViewState};
use tokio::{sync::watch, time::timeout};

use crate::hints::{Hint, Hints};

/// How long a follower waits at the most before it looks for itself. SQLite tells nobody what
/// another process has written.
const POLL: Duration = Duration::from_millis(50);

pub(super) struct Following {
    head: watch::Sender<Position>,
    hints: Hints,
}

impl Default for Following {
    fn default() -> Self {
        Self { head: watch::Sender::new(Position::START), hints: Hints::default() }
    }
}

impl Following {
    /// Notes a commit.
    pub(super) fn committed(&self, position: Position) {
        self.head.send_if_modified(|head| {
            let later = position > *head;
            *head = position.max(*head);
            later
        });
    }

    pub(super) async fn wait(&self, position: Position) {
        let mut head = self.head.subscribe();
        // An error would mean that the sender is gone, but it is in `self`.
        let _ = timeout(POLL, head.wait_for(|head| *head > position)).await;
    }

    /// Notes a change of a view.
    pub(super) fn changed(&self, hint: &Hint) {
        self.hints.heard(hint);
    }

    /// Waits until a view may have changed since it was seen.
    pub(super) async fn wait_for_view(
        &self,
        view: &ViewName,
        seen: &ViewState,
        is_same: impl Future<Output = Result<bool>>,
    ) -> Result<()> {
        let mut listening = self.hints.listen(view, seen);
        if !listening.has_missed(is_same).await? {
            let _ = timeout(POLL, listening.is_moved()).await;
        }
        Ok(())
    }
}
