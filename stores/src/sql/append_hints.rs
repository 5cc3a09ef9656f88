//! The end of the log as this process has heard of it, which wakes followers.
//!
//! It is only a hint, and may be wrong: every session of a database may send a notification, and a log that was
//! restored from a backup is shorter than before. What a read has seen replaces it, so that no follower that
//! waits for events which don't exist reads again and again.

use highwater_core::Position;
use tokio::sync::watch;

#[derive(Default)]
pub(crate) struct AppendHints(watch::Sender<AppendHint>);

/// The last position that this process has heard of.
#[derive(Debug, Default)]
struct AppendHint {
    position: Position,
    /// The number of hints so far.
    heard: u64,
}

/// The hints that had been heard before a read of the log began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeardHints(u64);

impl AppendHints {
    /// Records that there are events up to a position.
    pub(crate) fn record(&self, position: Position) {
        self.0.send_if_modified(|hint| {
            let is_later = position > hint.position;
            hint.heard += 1;
            hint.position = position.max(hint.position);
            is_later
        });
    }

    /// Returns what has been heard so far. A read of the log that begins now sees all that is true of it.
    pub(crate) fn heard(&self) -> HeardHints {
        HeardHints(self.0.borrow().heard)
    }

    /// Records the head that a read has seen. It replaces what had been heard `before` the read began. Returns true
    /// if the log is shorter than that.
    pub(crate) fn saw_head(&self, head: Position, before: HeardHints) -> bool {
        if self.0.borrow().position == head {
            return false;
        }
        let mut is_shorter = false;
        self.0.send_if_modified(|hint| {
            is_shorter = head < hint.position && hint.heard == before.0;
            let is_longer = head > hint.position;
            if is_shorter || is_longer {
                *hint = AppendHint { position: head, heard: hint.heard + 1 };
            }
            is_longer
        });
        is_shorter
    }

    /// Waits until there may be events after `position`.
    pub(crate) async fn wait(&self, position: Position) {
        let mut hints = self.0.subscribe();
        // Fails only if the sender is gone, but `self` has it.
        let _ = hints.wait_for(|hint| hint.position > position).await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn at(position: u64) -> Position {
        Position::new(position)
    }

    /// Returns true if a follower that has read up to here would wait.
    fn waits(hints: &AppendHints, position: u64) -> bool {
        hints.wait(at(position)).now_or_never().is_none()
    }

    #[test]
    fn w3_a_hint_beyond_the_head_makes_a_follower_read_once_and_wait() {
        let hints = AppendHints::default();
        hints.record(at(1_000_000));
        assert!(!waits(&hints, 5));
        assert!(hints.saw_head(at(5), hints.heard()));
        assert!(waits(&hints, 5));
        hints.record(at(6));
        assert!(!waits(&hints, 5));
    }

    #[test]
    fn w3_a_hint_during_a_read_is_not_lost() {
        let hints = AppendHints::default();
        hints.record(at(1_000_000));
        let before = hints.heard();
        hints.record(at(6));
        assert!(!hints.saw_head(at(5), before));
        assert!(!waits(&hints, 5));
    }

    #[test]
    fn w3_a_read_that_ends_late_takes_back_nothing() {
        let hints = AppendHints::default();
        let slow = hints.heard();
        let fast = hints.heard();
        assert!(!hints.saw_head(at(60), fast));
        assert!(!hints.saw_head(at(50), slow));
        assert!(!waits(&hints, 59));
    }
}
