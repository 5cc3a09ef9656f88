//! A worker on one shard of a view, and its commits: helpers of the properties of views.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use highwater_core::{
    Code, Position, Result,
    domain::{ViewName, ViewSpec},
    port::{
        Claim, ClaimMode, ParkChange, Progress, ShardClaim, StoredRow, ViewCommit, ViewState,
        WorkerId,
    },
    value::{ShardId, Sharding},
};
use jiff::Timestamp;

use crate::testing::Store;

/// A lease that outlasts every property.
pub(super) const LONG_LEASE: Duration = Duration::from_secs(3_600);

pub(super) fn name(name: &str) -> ViewName {
    ViewName::new(name).unwrap()
}

pub(super) fn spec(view: &str) -> ViewSpec {
    ViewSpec::rows(name(view))
}

pub(super) fn shard(number: u32) -> ShardId {
    ShardId::new(number)
}

/// Returns true if the view does not exist.
pub(super) fn is_missing<T>(outcome: Result<T>) -> bool {
    outcome.is_err_and(|error| error.code() == Code::VIEW_MISSING)
}

/// Returns progress at a position, with a distinct time.
pub(super) fn progress(position: u64) -> Progress {
    let as_of = Timestamp::from_second(1_700_000_000 + position as i64).unwrap();
    Progress { position: Position::new(position), as_of, cursor: Bytes::new() }
}

/// Returns the state whose shards are at these positions; 0 is a fresh shard.
pub(super) fn state(sharding: Sharding, positions: &[u64]) -> ViewState {
    let at =
        |position: &u64| if *position == 0 { Progress::default() } else { progress(*position) };
    ViewState {
        sharding,
        shards: positions.iter().map(at).collect(),
        stops: Vec::new(),
        definition: None,
    }
}

/// Encodes a row as JSON.
pub(super) fn row(text: &str) -> Bytes {
    serde_json::to_vec(text).unwrap().into()
}

/// Encodes rows to write as JSON.
pub(super) fn rows(rows: &[(&str, Option<&str>)]) -> Vec<(String, Option<Bytes>)> {
    rows.iter().map(|(key, text)| ((*key).to_owned(), text.map(row))).collect()
}

pub(super) fn park(key: &str, since: u64, error: &str, attempts: u32) -> ParkChange {
    let key = key.to_owned();
    let error = error.to_owned();
    ParkChange::Park { key, since: Position::new(since), error, attempts }
}

pub(super) fn queue(key: &str, position: u64) -> ParkChange {
    ParkChange::Queue { key: key.to_owned(), position: Position::new(position) }
}

pub(super) fn drain(key: &str, through: u64) -> ParkChange {
    ParkChange::Drain { key: key.to_owned(), through: Position::new(through) }
}

pub(super) async fn opened(store: &dyn Store, view: &str, sharding: Sharding) -> ViewName {
    store.open_view(&spec(view), sharding).await.unwrap();
    name(view)
}

/// Reads the positions of the shards, and the rows of these keys as text.
pub(super) async fn found(
    store: &dyn Store,
    view: &ViewName,
    keys: &[&str],
) -> (Vec<u64>, Vec<Option<String>>) {
    let keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
    let read = store.read_view(view, &keys).await.unwrap();
    let text = |row: Bytes| serde_json::from_slice::<String>(&row).unwrap();
    let rows = read.rows.into_iter().map(|StoredRow { value, .. }| value.map(text)).collect();
    (read.state.shards.iter().map(|shard| shard.position.get()).collect(), rows)
}

pub(super) fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A worker that has claimed a shard, and continues from its progress.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) store: Arc<dyn Store>,
    pub(super) view: ViewName,
    pub(super) id: WorkerId,
    pub(super) claim: Claim,
}

impl Worker {
    /// Creates a worker of a fresh view with a single shard.
    pub(super) async fn on(store: &Arc<dyn Store>, view: &str) -> Self {
        let view = opened(&**store, view, Sharding::SINGLE).await;
        Self::taking(store, &view, ShardId::FIRST, "first").await
    }

    /// Claims a shard of a view, also from another worker.
    pub(super) async fn taking(
        store: &Arc<dyn Store>,
        view: &ViewName,
        shard: ShardId,
        id: &str,
    ) -> Self {
        let id = WorkerId::new(id).unwrap();
        let sharding = store.read_view(view, &[]).await.unwrap().state.sharding;
        let claim = store
            .claim_shard(ShardClaim {
                view: view.clone(),
                sharding,
                shard,
                worker: id.clone(),
                mode: ClaimMode::Always,
                lease: LONG_LEASE,
                definition: None,
            })
            .await;
        let claim = claim.unwrap().unwrap();
        Self { store: Arc::clone(store), view: view.clone(), id, claim }
    }

    /// Creates a commit to a position.
    pub(super) fn to(&self, position: u64, changes: &[(&str, Option<&str>)]) -> ViewCommit {
        let rows = rows(changes);
        ViewCommit { rows, ..ViewCommit::new(self.view.clone(), &self.claim, progress(position)) }
    }

    pub(super) async fn send(&mut self, commit: ViewCommit) -> Result<()> {
        let to = commit.to.clone();
        self.store.commit_view(commit).await?;
        self.claim.progress = to;
        Ok(())
    }

    /// Commits rows, which must succeed.
    pub(super) async fn write(&mut self, position: u64, changes: &[(&str, Option<&str>)]) {
        self.send(self.to(position, changes)).await.unwrap();
    }

    /// Commits changes of parked keys, which must succeed.
    pub(super) async fn park(&mut self, position: u64, parked: Vec<ParkChange>) {
        self.send(ViewCommit { parked, ..self.to(position, &[]) }).await.unwrap();
    }
}
