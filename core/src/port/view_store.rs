//! Where views live: rows by key, the progress that is committed with them, and who may commit (R1, R4).

use std::{fmt, ops::Bound, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    parked::{ParkChange, ParkedKey},
    progress::{Claim, ClaimMode, Members, Progress, WorkerId},
};
use crate::{
    Result,
    domain::{TransactionHook, ViewName, ViewSpec},
    value::{Epoch, Position, ShardId, Sharding},
};

/// The longest key of a row, in bytes of UTF-8. It keeps every key well inside what the stores' indexes
/// can hold.
pub const KEY_LIMIT: usize = 2_048;

/// What is known of a view: how its work is divided, and how far each shard is. The cursors are left
/// empty: only who claims a shard needs its cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewState {
    /// The division.
    pub sharding: Sharding,
    /// The progress of each shard, by its number.
    pub shards: Vec<Progress>,
}

impl ViewState {
    /// Up to where every event is in the view: the least of its shards.
    #[must_use]
    pub fn least(&self) -> Progress {
        self.shards.iter().min_by_key(|shard| shard.position).cloned().unwrap_or_default()
    }
}

/// Rows of a view and how far it was when they were read, all of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredView {
    /// What there is of the keys asked for, in their order.
    pub rows: Vec<StoredRow>,
    /// How far the view is.
    pub state: ViewState,
    /// Where the log of the same store is at that moment, as far as it can be seen; `None` if the store
    /// has no log.
    pub head: Option<Position>,
}

/// Which keys, in the order of their bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyRange {
    /// From where.
    pub from: Bound<String>,
    /// To where.
    pub to: Bound<String>,
}

/// Some rows of a view in the order of their keys, and how far it was, all of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRange {
    /// The rows with their keys, at most as many as the limit; keys that are parked without a row among
    /// them.
    pub rows: Vec<(String, StoredRow)>,
    /// Whether there are more keys after these.
    pub more: bool,
    /// How far the view is.
    pub state: ViewState,
    /// As [`StoredView::head`].
    pub head: Option<Position>,
}

/// A row as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredRow {
    /// The row, or `None` if the view has none of this key.
    pub value: Option<Bytes>,
    /// The first event that is not in it, if the key is parked (R4).
    pub parked_since: Option<Position>,
}

/// Changes to a view that become visible together with the progress of a shard (R1).
#[derive(Clone)]
pub struct ViewCommit {
    /// The view.
    pub view: ViewName,
    /// Whose progress moves.
    pub shard: ShardId,
    /// The ownership under which this is written; under another nothing is.
    pub epoch: Epoch,
    /// Where the shard must be; elsewhere nothing is written.
    pub from: Position,
    /// Where it will be.
    pub to: Progress,
    /// Rows to write, in JSON: each key once, `None` to delete it. A key has no
    /// NUL, and at most [`KEY_LIMIT`] bytes.
    pub rows: Vec<(String, Option<Bytes>)>,
    /// What changes about parked keys, in order.
    pub parked: Vec<ParkChange>,
    /// Writes of the projection's own in the same transaction.
    pub hook: Option<Arc<dyn TransactionHook>>,
}

impl ViewCommit {
    /// A commit that moves the progress of a claimed shard and writes nothing yet.
    #[must_use]
    pub fn new(view: ViewName, claim: &Claim, to: Progress) -> Self {
        Self {
            view,
            shard: claim.shard,
            epoch: claim.epoch,
            from: claim.progress.position,
            to,
            rows: Vec::new(),
            parked: Vec::new(),
            hook: None,
        }
    }
}

impl fmt::Debug for ViewCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewCommit")
            .field("view", &self.view)
            .field("shard", &self.shard)
            .field("epoch", &self.epoch)
            .field("from", &self.from)
            .field("to", &self.to.position)
            .field("rows", &self.rows.len())
            .field("parked", &self.parked.len())
            .finish_non_exhaustive()
    }
}

/// Storage of views. It need not be where the log is.
///
/// Time in leases is the store's own, so that the clocks of workers need not agree. Leases only say
/// who *should* work; who *may* commit is decided by the epoch, in the commit itself.
#[async_trait]
pub trait ViewStore: Send + Sync + 'static {
    /// Makes sure that the view is there with its table, columns and indexes, and says how far it is.
    /// A new view gets this layout, with every shard where the spec says that it begins; one that is
    /// there keeps its own, and its progress.
    /// A view that is there under a former name is renamed, with all that belongs to it.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable), or [`Invalid`](crate::Error::Invalid) if the
    /// table can't be made, or a column is there as another kind.
    async fn open_view(&self, spec: &ViewSpec, layout: Sharding) -> Result<ViewState>;

    /// Reads rows and progress in one snapshot, and the head of the log if that is in this store.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable), with code
    /// [`VIEW_MISSING`](crate::Code::VIEW_MISSING) if the view has never been opened;
    /// [`Invalid`](crate::Error::Invalid) if it has no rows, and some are asked for.
    async fn read_view(&self, view: &ViewName, keys: &[String]) -> Result<StoredView>;

    /// Reads the rows of a range of keys and the progress in one snapshot, at most `limit` rows.
    ///
    /// # Errors
    /// As [`ViewStore::read_view`].
    async fn read_range(
        &self,
        view: &ViewName,
        range: &KeyRange,
        limit: usize,
    ) -> Result<StoredRange>;

    /// Writes rows, parked keys, the attachment and the progress in one transaction, if the epoch and
    /// the position are what they must be.
    ///
    /// # Errors
    /// [`Conflict`](crate::Error::Conflict): *fenced* if another worker has claimed the shard since,
    /// *checkpoint* if its position isn't `from`. [`Invalid`](crate::Error::Invalid) if it would move
    /// the position back, the attachment is not this store's or fails, or a row is refused.
    /// [`Unavailable`](crate::Error::Unavailable), after which the progress tells whether it was
    /// written; or with code [`VIEW_MISSING`](crate::Code::VIEW_MISSING).
    async fn commit_view(&self, commit: ViewCommit) -> Result<()>;

    /// Takes a shard for a worker until `lease` has passed without a sign of life: its epoch grows,
    /// which fences whoever had it. `None` if somebody else holds it and `claiming` respects that.
    ///
    /// # Errors
    /// [`Conflict`](crate::Error::Conflict), *layout*, if the view is divided otherwise by now: what
    /// the worker takes for the shard's share is not its share. [`Unavailable`](crate::Error::Unavailable),
    /// with code [`VIEW_MISSING`](crate::Code::VIEW_MISSING) if the view has never been opened;
    /// [`Invalid`](crate::Error::Invalid) if there is no such shard.
    async fn claim_shard(
        &self,
        view: &ViewName,
        layout: Sharding,
        shard: ShardId,
        worker: &WorkerId,
        claiming: ClaimMode,
        lease: Duration,
    ) -> Result<Option<Claim>>;

    /// Says that a worker is alive: it is on the view's roll, and what it holds stays its own, until
    /// `lease` has passed. Tells who else is alive and who holds what.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable), with code
    /// [`VIEW_MISSING`](crate::Code::VIEW_MISSING) if the view has never been opened.
    async fn heartbeat(
        &self,
        view: &ViewName,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<Members>;

    /// Gives a shard back, if this epoch still has it. Its holder may not commit afterwards.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn release_shard(&self, view: &ViewName, shard: ShardId, epoch: Epoch) -> Result<()>;

    /// Takes a worker off the roll, and gives back all that it holds.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn leave(&self, view: &ViewName, worker: &WorkerId) -> Result<()>;

    /// Divides a view anew. Every shard of the old layout must be claimed under these claims and be at
    /// one position, that of the first; every shard of the new one begins there, free, without a
    /// cursor, its epoch beyond any of the old ones. Parked keys stay parked.
    ///
    /// # Errors
    /// [`Conflict`](crate::Error::Conflict) if a claim doesn't hold any more or a shard is elsewhere;
    /// [`Unavailable`](crate::Error::Unavailable), with code
    /// [`VIEW_MISSING`](crate::Code::VIEW_MISSING) if the view has never been opened.
    async fn reshard(&self, view: &ViewName, claims: &[Claim], layout: Sharding) -> Result<()>;

    /// The parked keys of a view in the order of their keys, after a key, at most `limit`. Of a view that
    /// isn't there there are none.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn parked_keys(
        &self,
        view: &ViewName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>>;

    /// The positions of the events that wait behind a parked key, in log order, after a position, at
    /// most `limit`.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn queued_events(
        &self,
        view: &ViewName,
        key: &str,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Position>>;

    /// Asks whoever works on it to try a parked key again. `false` if it isn't parked.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn retry_parked(&self, view: &ViewName, key: &str) -> Result<bool>;

    /// Waits until the view may have changed since `seen` was read: a shard's position, or what is
    /// asked of parked keys. It may return early, and at a loss after a while, never not at all.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable) if the store has been closed.
    async fn wait_for_view_change(&self, view: &ViewName, seen: &ViewState) -> Result<()>;
}
