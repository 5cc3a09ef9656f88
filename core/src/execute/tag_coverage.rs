//! The positions up to which stored events have the tags that boundaries query.
//!
//! The first use of a query in a process scans the log from the position that an earlier process has recorded;
//! later reads continue from there. The record is a snapshot of a stream that has no events: it saves reading, and
//! can always be deleted.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use quick_cache::sync::Cache;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    Error, Result,
    port::{MissingTag, Snapshot, SnapshotStore},
    value::{EventId, Position, SchemaVersion, StreamId, Version},
};

/// The category of the records.
const CATEGORY: &str = "highwater.tags";

/// The number of positions after which progress is recorded.
const RECORD_EVERY: u64 = 10_000;

/// The number of sets of tags whose positions are kept. A program has few: one for each kind of boundary.
const CAPACITY: usize = 1000;

/// The covered positions of this process, by the tags that a query needs.
pub(super) struct TagCoverage(Cache<Vec<MissingTag>, Arc<Covered>>);

/// The position up to which all events have the needed tags, and the last one that was recorded.
#[derive(Debug, Default)]
pub(super) struct Covered {
    position: AtomicU64,
    recorded: AtomicU64,
}

impl Default for TagCoverage {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl TagCoverage {
    /// Returns the covered position of the tags that a query needs. The first call scans the log; calls at the
    /// same time wait for it.
    pub(super) async fn get_or_scan(
        &self,
        needed: &[MissingTag],
        scan: impl Future<Output = Result<Covered>>,
    ) -> Result<Arc<Covered>> {
        if let Some(covered) = self.0.get(needed) {
            return Ok(covered);
        }
        let scan = async { scan.await.map(Arc::new) };
        self.0.get_or_insert_async(needed, scan).await
    }

    /// Drops a covered position, unless another one has replaced it.
    pub(super) fn forget(&self, needed: &[MissingTag], covered: &Arc<Covered>) {
        self.0.remove_if(needed, |kept| Arc::ptr_eq(kept, covered));
    }
}

impl Covered {
    /// Starts at the position that was recorded. A record of other tags, whose hash is the same, counts as none.
    pub(super) async fn load(store: &dyn SnapshotStore, needed: &[MissingTag]) -> Result<Self> {
        let state = describe(needed);
        let loaded = match store.load_snapshot(&stream_of(&state)?).await {
            Err(Error::Corrupt(_)) => None,
            outcome => outcome?,
        };
        let recorded = loaded.filter(|snapshot| *snapshot.state == *state);
        let position = recorded.map_or(0, |snapshot| snapshot.version.get());
        Ok(Self { position: position.into(), recorded: position.into() })
    }

    pub(super) fn position(&self) -> Position {
        Position::new(self.position.load(Ordering::Acquire))
    }

    /// Advances to a position, and records it if the last record is far behind.
    pub(super) async fn advance(
        &self,
        store: &dyn SnapshotStore,
        needed: &[MissingTag],
        position: Position,
    ) {
        self.position.fetch_max(position.get(), Ordering::AcqRel);
        let recorded = self.recorded.load(Ordering::Acquire);
        if position.get().saturating_sub(recorded) < RECORD_EVERY {
            return;
        }
        let new = position.get();
        let order = Ordering::AcqRel;
        if self.recorded.compare_exchange(recorded, new, order, Ordering::Relaxed).is_ok() {
            record(store, needed, position).await;
        }
    }
}

/// Records a position. It only saves time, so it may fail.
async fn record(store: &dyn SnapshotStore, needed: &[MissingTag], position: Position) {
    let state = describe(needed);
    let Ok(stream) = stream_of(&state) else { return };
    let snapshot = Snapshot {
        stream,
        version: Version::new(position.get()),
        head: EventId::from_uuid(Uuid::nil()),
        schema: SchemaVersion::FIRST,
        state: state.into(),
    };
    if let Err(error) = store.save_snapshot(snapshot).await {
        tracing::warn!(%position, %error, "the position up to which events have their tags is not recorded");
    }
}

fn stream_of(state: &[u8]) -> Result<StreamId> {
    Ok(StreamId::new(CATEGORY, format_args!("{:016x}", xxh3_64(state)))?)
}

/// Returns the text of the tags, as it is recorded.
fn describe(needed: &[MissingTag]) -> Vec<u8> {
    serde_json::to_vec(needed).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use async_trait::async_trait;
    use futures_util::FutureExt as _;

    use super::*;

    /// The snapshots that were saved, the last at the end.
    #[derive(Default)]
    struct Saved(Mutex<Vec<Snapshot>>);

    impl Saved {
        fn versions(&self) -> Vec<u64> {
            let saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            saved.iter().map(|snapshot| snapshot.version.get()).collect()
        }
    }

    #[async_trait]
    impl SnapshotStore for Saved {
        async fn load_snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>> {
            let saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(saved.iter().rev().find(|snapshot| snapshot.stream == *stream).cloned())
        }

        async fn save_snapshot(&self, snapshot: Snapshot) -> Result<()> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(snapshot);
            Ok(())
        }
    }

    fn needed(name: &str) -> Vec<MissingTag> {
        vec![MissingTag { name: name.to_owned(), types: vec!["user.registered".to_owned()] }]
    }

    async fn loaded(store: &Saved, name: &str) -> u64 {
        Covered::load(store, &needed(name)).await.unwrap().position().get()
    }

    #[test]
    fn w6_the_covered_position_is_recorded_now_and_then_and_found_by_its_tags() {
        let run = async {
            let (store, covered) = (Saved::default(), Covered::default());
            for position in [1, 9_999, 10_000, 19_999, 20_500, 20_501, 30_600] {
                covered.advance(&store, &needed("email"), Position::new(position)).await;
                assert_eq!(covered.position().get(), position);
            }
            assert_eq!(store.versions(), [10_000, 20_500, 30_600]);
            assert_eq!((loaded(&store, "email").await, loaded(&store, "name").await), (30_600, 0));
            covered.advance(&store, &needed("email"), Position::new(7)).await;
            assert_eq!(covered.position().get(), 30_600, "it never goes back");
        };
        assert!(run.now_or_never().is_some());
    }

    #[test]
    fn w6_a_record_of_other_tags_with_the_same_hash_counts_as_none() {
        let run = async {
            let store = Saved::default();
            record(&store, &needed("email"), Position::new(5)).await;
            assert_eq!(loaded(&store, "email").await, 5);
            for snapshot in store.0.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
                snapshot.state = describe(&needed("name")).into();
            }
            assert_eq!(loaded(&store, "email").await, 0);
        };
        assert!(run.now_or_never().is_some());
    }
}
