//! Changes of views that this process knows of. They wake the readers that wait for a view; the true state
//! of a view is only in the store.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    str::FromStr,
    sync::{Mutex, PoisonError},
};

use highwater_core::{
    Position, Result,
    domain::ViewName,
    port::{Progress, ViewState},
    value::ShardId,
};
use tokio::sync::watch;

#[derive(Default)]
pub(crate) struct ViewChanges {
    views: Mutex<HashMap<ViewName, watch::Sender<KnownProgress>>>,
}

/// The progress of one view, as far as this process knows it.
#[derive(Clone, Default, PartialEq, Eq)]
struct KnownProgress {
    shards: BTreeMap<ShardId, ShardProgress>,
    /// The number of changes of other kinds.
    other_changes: u64,
}

impl KnownProgress {
    /// Returns true if a shard is further than in `seen`.
    fn is_beyond(&self, seen: &[ShardProgress]) -> bool {
        let seen = |shard: &ShardId| seen.get(usize::try_from(shard.get()).ok()?);
        self.shards.iter().any(|(shard, known)| seen(shard).is_some_and(|seen| known > seen))
    }
}

/// The position of a shard and its `as_of` in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ShardProgress {
    position: Position,
    as_of: i64,
}

impl From<&Progress> for ShardProgress {
    fn from(progress: &Progress) -> Self {
        Self { position: progress.position, as_of: progress.as_of.as_microsecond() }
    }
}

/// A change of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ViewChange {
    /// A shard has this progress.
    Moved(ViewName, ShardId, ShardProgress),
    /// Any other change: a parked key is to be retried, or the view has been resharded.
    Other(ViewName),
}

impl ViewChange {
    pub(crate) fn moved(view: &ViewName, shard: ShardId, to: &Progress) -> Self {
        Self::Moved(view.clone(), shard, to.into())
    }
}

impl ViewChanges {
    pub(crate) fn record(&self, change: &ViewChange) {
        match change {
            ViewChange::Moved(view, shard, progress) => self.sender(view).send_modify(|known| {
                known.shards.insert(*shard, *progress);
            }),
            ViewChange::Other(view) => {
                self.sender(view).send_modify(|known| known.other_changes += 1);
            }
        }
    }

    /// Subscribes to the changes of a view from now on.
    pub(crate) fn subscribe(&self, view: &ViewName, seen: &ViewState) -> ViewWaiter {
        let sender = self.sender(view);
        let changes = sender.subscribe();
        let known = sender.borrow().clone();
        let seen = seen.shards.iter().map(ShardProgress::from).collect();
        ViewWaiter { sender, changes, known, seen }
    }

    fn sender(&self, view: &ViewName) -> watch::Sender<KnownProgress> {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        views.entry(view.clone()).or_default().clone()
    }
}

/// A reader that waits for a change of a view.
pub(crate) struct ViewWaiter {
    sender: watch::Sender<KnownProgress>,
    changes: watch::Receiver<KnownProgress>,
    /// The known progress at the time of the subscription.
    known: KnownProgress,
    seen: Vec<ShardProgress>,
}

impl ViewWaiter {
    /// Returns true if the view changed before the subscription. The view is only read, by
    /// `is_unchanged`, if this process knows of a later progress than the reader has seen.
    pub(crate) async fn has_missed(
        &self,
        is_unchanged: impl Future<Output = Result<bool>>,
    ) -> Result<bool> {
        if !self.known.is_beyond(&self.seen) {
            return Ok(false);
        }
        let has_changed = !is_unchanged.await?;
        if !has_changed {
            self.forget_reset_view();
        }
        Ok(has_changed)
    }

    /// Forgets the cached progress of a view that was reset. Otherwise no reader of the view would wait
    /// any more.
    fn forget_reset_view(&self) {
        self.sender.send_if_modified(|known| {
            if *known == self.known {
                known.shards.clear();
            }
            false
        });
    }

    /// Waits until the view changes.
    pub(crate) async fn changed(&mut self) {
        let others = self.known.other_changes;
        let seen = &self.seen;
        let is_news =
            |known: &KnownProgress| known.other_changes != others || known.is_beyond(seen);
        // Fails only if the sender is gone, but `self` has it.
        let _ = self.changes.wait_for(is_news).await;
    }
}

/// Formats the payload of a notification.
impl fmt::Display for ViewChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved(view, shard, ShardProgress { position, as_of }) => {
                write!(f, "{view} {shard} {} {as_of}", position.get())
            }
            Self::Other(view) => write!(f, "{view}"),
        }
    }
}

/// Parses the payload of a notification, which may be of another version of the program.
impl FromStr for ViewChange {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let parts: Vec<&str> = text.split(' ').collect();
        let view = |name| ViewName::new(name).map_err(drop);
        match parts[..] {
            [name] => Ok(Self::Other(view(name)?)),
            [name, shard, position, as_of] => {
                let shard = ShardId::new(shard.parse().map_err(drop)?);
                let position = Position::new(position.parse().map_err(drop)?);
                let progress = ShardProgress { position, as_of: as_of.parse().map_err(drop)? };
                Ok(Self::Moved(view(name)?, shard, progress))
            }
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use futures_util::FutureExt as _;
    use highwater_core::value::Sharding;

    use super::*;

    fn view() -> ViewName {
        ViewName::new("balances").unwrap()
    }

    fn at(position: u64) -> Progress {
        Progress { position: Position::new(position), ..Progress::default() }
    }

    fn seen(position: u64) -> ViewState {
        ViewState {
            sharding: Sharding::SINGLE,
            shards: vec![at(position)],
            stops: Vec::new(),
            definition: None,
        }
    }

    fn moved(position: u64) -> ViewChange {
        ViewChange::moved(&view(), ShardId::FIRST, &at(position))
    }

    #[test]
    fn a_change_survives_its_notification() {
        for change in [moved(7), ViewChange::Other(view())] {
            assert_eq!(change.to_string().parse(), Ok(change));
        }
        for strange in ["", "Balances", "balances 1", "balances x 1 1", "balances 1 1 1 1"] {
            assert_eq!(strange.parse::<ViewChange>(), Err(()), "{strange}");
        }
    }

    #[tokio::test]
    async fn a_reader_that_has_missed_a_change_returns_at_once_and_others_are_woken() {
        let changes = ViewChanges::default();
        changes.record(&moved(7));
        let missed = changes.subscribe(&view(), &seen(6)).has_missed(ready(Ok(false))).await;
        assert!(missed.unwrap());
        let mut waiter = changes.subscribe(&view(), &seen(7));
        assert!(!waiter.has_missed(ready(Ok(false))).await.unwrap());
        changes.record(&moved(8));
        waiter.changed().await;
        let mut waiter = changes.subscribe(&view(), &seen(8));
        changes.record(&ViewChange::Other(view()));
        waiter.changed().await;
    }

    #[tokio::test]
    async fn the_cached_progress_of_a_view_that_was_reset_wakes_no_reader() {
        let changes = ViewChanges::default();
        changes.record(&moved(7));
        let mut waiter = changes.subscribe(&view(), &seen(0));
        assert!(!waiter.has_missed(ready(Ok(true))).await.unwrap());
        assert!(waiter.changed().now_or_never().is_none());
        let mut waiter = changes.subscribe(&view(), &seen(0));
        assert!(waiter.changed().now_or_never().is_none());
    }
}
