//! Views: rows by key, and the progress that is committed with them (R1).

use std::{fmt, ops::Bound, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Claim, GenerationStore, LeaseStore, ParkChange, ParkedStore, Progress, ShardStop};
use crate::{
    Result,
    domain::{
        DefinitionHash, StoredDefinition, TransactionHook, ViewDefinition, ViewName, ViewSpec,
    },
    value::{Epoch, Position, ShardId, Sharding},
};

/// The sharding of a view and the progress of each shard. The cursors are left empty: only the worker
/// that claims a shard needs its cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewState {
    /// The sharding.
    pub sharding: Sharding,
    /// The progress of each shard, by its number.
    pub shards: Vec<Progress>,
    /// The shards that have stopped, in their order.
    pub stops: Vec<ShardStop>,
    /// The definition by which the rows were folded; `None` if it isn't known.
    pub definition: Option<DefinitionHash>,
}

impl ViewState {
    /// Returns the least progress of all shards: every event up to there is in the view.
    #[must_use]
    pub fn least(&self) -> Progress {
        self.shards.iter().min_by_key(|shard| shard.position).cloned().unwrap_or_default()
    }
}

/// Rows of a view with the progress of the same snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredView {
    /// A row for each requested key, in the order of the request.
    pub rows: Vec<StoredRow>,
    /// The progress of the view.
    pub state: ViewState,
    /// The head of the log in the same store, as the snapshot sees it; `None` if the store has no log.
    pub head: Option<Position>,
}

/// A range of keys, in the order of their bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyRange {
    /// The lower bound.
    pub from: Bound<String>,
    /// The upper bound.
    pub to: Bound<String>,
}

/// Rows of a view in the order of their keys, with the progress of the same snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRange {
    /// The rows with their keys, at most as many as the limit. Keys that are parked without a row are
    /// among them.
    pub rows: Vec<(String, StoredRow)>,
    /// True if the range has more keys after these.
    pub more: bool,
    /// The progress of the view.
    pub state: ViewState,
    /// The head of the log, as in [`StoredView::head`].
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

/// Changes of a view that become visible together with the progress of a shard (R1).
#[derive(Clone)]
pub struct ViewCommit {
    /// The view.
    pub view: ViewName,
    /// The shard whose progress moves.
    pub shard: ShardId,
    /// The epoch of the writer's claim; nothing is written if the shard has another one.
    pub epoch: Epoch,
    /// The position that the shard must have; nothing is written if it has another one.
    pub from: Position,
    /// The progress of the shard after the commit.
    pub to: Progress,
    /// Rows to write, in JSON: each key once, `None` to delete it. A key has no NUL, and at most
    /// [`KEY_LIMIT`](super::KEY_LIMIT) bytes.
    pub rows: Vec<(String, Option<Bytes>)>,
    /// Changes of parked keys, in order.
    pub parked: Vec<ParkChange>,
    /// Writes of the application in the same transaction.
    pub hook: Option<Arc<dyn TransactionHook>>,
}

impl ViewCommit {
    /// Creates a commit that moves the progress of a claimed shard and writes nothing yet.
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

/// Storage of views, with the leases on their shards, their parked keys and their generations. It may be separate from
/// the log.
#[async_trait]
pub trait ViewStore: LeaseStore + ParkedStore + GenerationStore {
    /// Makes sure that a generation of the view exists with its table, columns and indexes, and returns its progress.
    /// A new one gets this sharding, and every shard starts where the spec says. One that exists
    /// keeps its sharding, its progress and its definition; if its definition isn't known, it gets that of the spec.
    /// The first is live until another one is promoted. A view that exists under a former name is renamed, with all that
    /// belongs to it.
    ///
    /// # Errors
    /// [`Corrupt`](crate::Error::Corrupt), *renamed view*, if the view has been renamed and this is its former
    /// name.
    /// [`Conflict`](crate::Error::Conflict), *definition*, if a later generation exists with another definition, or one of
    /// this number was removed.
    /// [`Unavailable`](crate::Error::Unavailable), or [`Invalid`](crate::Error::Invalid) if the
    /// table can't be created, a column exists with another kind, or rows that exist don't fit a column or an
    /// index.
    async fn open_view(&self, spec: &ViewSpec, sharding: Sharding) -> Result<ViewState>;

    /// Reads rows and progress in one snapshot, and the head of the log if that is in this store.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable), with code
    /// [`VIEW_MISSING`](crate::Code::VIEW_MISSING) if the view has never been opened;
    /// [`Invalid`](crate::Error::Invalid) if keys are requested of a view without rows.
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

    /// Writes rows, parked keys and the progress, and runs the transaction hook, in one transaction, if
    /// the shard has the epoch and the position of the commit. A shard that had stopped has not afterwards.
    ///
    /// # Errors
    /// [`Conflict`](crate::Error::Conflict): *fenced* if another worker has claimed the shard since,
    /// *checkpoint* if its position isn't `from`. [`Invalid`](crate::Error::Invalid) if the commit would
    /// move the position back, the hook is not for this store or fails, or a row is refused.
    /// [`Panicked`](crate::Error::Panicked) if the hook panics.
    /// [`Unavailable`](crate::Error::Unavailable), after which the progress shows if the commit was
    /// stored; or with code [`VIEW_MISSING`](crate::Code::VIEW_MISSING).
    async fn commit_view(&self, commit: ViewCommit) -> Result<()>;

    /// Returns the definition by which the rows of a view were folded; `None` if it isn't known.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable), with code
    /// [`VIEW_MISSING`](crate::Code::VIEW_MISSING) if the view has never been opened;
    /// [`Corrupt`](crate::Error::Corrupt) if this version can't decode it.
    async fn view_definition(&self, view: &ViewName) -> Result<Option<StoredDefinition>>;

    /// Replaces the definition of a view, and fences its workers, which have to claim their shards again. Returns
    /// false, and changes nothing, if the view has another definition than `from` or a shard is beyond
    /// `through`.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable), with code
    /// [`VIEW_MISSING`](crate::Code::VIEW_MISSING) if the view has never been opened.
    async fn replace_definition(
        &self,
        view: &ViewName,
        from: Option<DefinitionHash>,
        to: &ViewDefinition,
        through: Position,
    ) -> Result<bool>;

    /// Waits until the view may have changed since `seen` was read: the position of a shard, its stop, or a
    /// request to retry a parked key. It may return early; after a missed change it returns with a
    /// delay, but it always returns.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable) if the store has been closed.
    async fn wait_for_view_change(&self, view: &ViewName, seen: &ViewState) -> Result<()>;
}
