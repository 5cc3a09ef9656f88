//! What this process has heard of views that have changed. It wakes who waits for them; what is true
//! of a view only the view says.

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
pub(crate) struct Hints {
    views: Mutex<HashMap<ViewName, watch::Sender<Heard>>>,
}

/// What has been heard of one view.
#[derive(Clone, Default, PartialEq, Eq)]
struct Heard {
    shards: BTreeMap<ShardId, At>,
    /// How often something else has happened to it.
    others: u64,
}

/// Where a shard is: the position, and the microsecond as of which it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At {
    position: Position,
    as_of: i64,
}

impl From<&Progress> for At {
    fn from(progress: &Progress) -> Self {
        Self { position: progress.position, as_of: progress.as_of.as_microsecond() }
    }
}

/// What has happened to a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hint {
    /// A shard has come here.
    Moved(ViewName, ShardId, At),
    /// Something else: a parked key is to be tried again, or the work is divided anew.
    Other(ViewName),
}

impl Hint {
    pub(crate) fn moved(view: &ViewName, shard: ShardId, to: &Progress) -> Self {
        Self::Moved(view.clone(), shard, to.into())
    }
}

impl Hints {
    pub(crate) fn heard(&self, hint: &Hint) {
        match hint {
            Hint::Moved(view, shard, at) => self.of(view).send_modify(|heard| {
                heard.shards.insert(*shard, *at);
            }),
            Hint::Other(view) => self.of(view).send_modify(|heard| heard.others += 1),
        }
    }

    /// Listens from now on.
    pub(crate) fn listen(&self, view: &ViewName, seen: &ViewState) -> Listening {
        let of = self.of(view);
        let (heard, before) = (of.subscribe(), of.borrow().clone());
        Listening { of, heard, before, seen: seen.shards.iter().map(At::from).collect() }
    }

    fn of(&self, view: &ViewName) -> watch::Sender<Heard> {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        views.entry(view.clone()).or_default().clone()
    }
}

/// Somebody who waits for a view.
pub(crate) struct Listening {
    of: watch::Sender<Heard>,
    heard: watch::Receiver<Heard>,
    before: Heard,
    seen: Vec<At>,
}

impl Listening {
    /// Whether the view had changed before the listening began. Only if something has been heard of
    /// it need it be looked at, which says whether it is still the same.
    pub(crate) async fn has_missed(
        &self,
        is_same: impl Future<Output = Result<bool>>,
    ) -> Result<bool> {
        if !is_beyond(&self.before, &self.seen) {
            return Ok(false);
        }
        let has_changed = !is_same.await?;
        if !has_changed {
            self.forget();
        }
        Ok(has_changed)
    }

    /// What had been heard is not true any more: the view has begun anew. Without this, nobody who
    /// waits for it would ever wait.
    fn forget(&self) {
        self.of.send_if_modified(|heard| {
            if *heard == self.before {
                heard.shards.clear();
            }
            false
        });
    }

    /// Waits until something newer is heard.
    pub(crate) async fn is_moved(&mut self) {
        let (others, seen) = (self.before.others, &self.seen);
        // An error would mean that the sender is gone, but it is in `self`.
        let _ = self.heard.wait_for(|heard| heard.others != others || is_beyond(heard, seen)).await;
    }
}

fn is_beyond(heard: &Heard, seen: &[At]) -> bool {
    let seen = |shard: &ShardId| seen.get(usize::try_from(shard.get()).ok()?);
    heard.shards.iter().any(|(shard, at)| seen(shard).is_some_and(|seen| at > seen))
}

/// As it is told to other processes.
impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved(view, shard, At { position, as_of }) => {
                write!(f, "{view} {shard} {} {as_of}", position.get())
            }
            Self::Other(view) => write!(f, "{view}"),
        }
    }
}

/// What another process has told, which need not be one of this version.
impl FromStr for Hint {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let parts: Vec<&str> = text.split(' ').collect();
        let view = |name| ViewName::new(name).map_err(drop);
        match parts[..] {
            [name] => Ok(Self::Other(view(name)?)),
            [name, shard, position, as_of] => {
                let shard = ShardId::new(shard.parse().map_err(drop)?);
                let position = Position::new(position.parse().map_err(drop)?);
                let at = At { position, as_of: as_of.parse().map_err(drop)? };
                Ok(Self::Moved(view(name)?, shard, at))
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
        ViewState { sharding: Sharding::SINGLE, shards: vec![at(position)] }
    }

    fn moved(position: u64) -> Hint {
        Hint::moved(&view(), ShardId::FIRST, &at(position))
    }

    #[test]
    fn a_hint_is_told_and_heard() {
        for hint in [moved(7), Hint::Other(view())] {
            assert_eq!(hint.to_string().parse(), Ok(hint));
        }
        for strange in ["", "Balances", "balances 1", "balances x 1 1", "balances 1 1 1 1"] {
            assert_eq!(strange.parse::<Hint>(), Err(()), "{strange}");
        }
    }

    #[tokio::test]
    async fn whoever_has_not_seen_it_is_told_at_once_and_others_are_woken() {
        let hints = Hints::default();
        hints.heard(&moved(7));
        let missed = hints.listen(&view(), &seen(6)).has_missed(ready(Ok(false))).await;
        assert!(missed.unwrap());
        let mut listening = hints.listen(&view(), &seen(7));
        assert!(!listening.has_missed(ready(Ok(false))).await.unwrap());
        hints.heard(&moved(8));
        listening.is_moved().await;
        let mut listening = hints.listen(&view(), &seen(8));
        hints.heard(&Hint::Other(view()));
        listening.is_moved().await;
    }

    #[tokio::test]
    async fn what_was_heard_of_a_view_that_has_begun_anew_wakes_nobody() {
        let hints = Hints::default();
        hints.heard(&moved(7));
        let mut listening = hints.listen(&view(), &seen(0));
        assert!(!listening.has_missed(ready(Ok(true))).await.unwrap());
        assert!(listening.is_moved().now_or_never().is_none());
        let mut listening = hints.listen(&view(), &seen(0));
        assert!(listening.is_moved().now_or_never().is_none());
    }
}
