//! Waking followers: at once within the process; by a poll for what other processes append.

use std::time::Duration;

use highwater_core::Position;
use tokio::sync::watch;

/// How long a follower waits at the most before it looks for itself. SQLite tells nobody what
/// another process has written.
const POLL: Duration = Duration::from_millis(50);

pub(super) struct Following {
    head: watch::Sender<Position>,
}

impl Default for Following {
    fn default() -> Self {
        Self { head: watch::Sender::new(Position::START) }
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
        let _ = tokio::time::timeout(POLL, head.wait_for(|head| *head > position)).await;
    }
}
