//! The event store on SQLite, embedded: one file, one writer, readers unblocked.
//!
//! | File | What is in it |
//! |---|---|
//! | `append` | a batch in one transaction, many outcomes (W1, W2, W4, W6) |
//! | `attachment` | an application's own writes in the append's transaction |
//! | `read` | pages of a stream and of the log (W3) |
//! | `follow` | waking followers |
//! | `idempotency` | what is known of a command |
//! | `snapshot` | snapshots |
//! | `range` | rows of a view by their keys' order |
//! | `view`, `table` | views: reading them, and their tables with columns and indexes |
//! | `commit` | rows, parked keys and progress in one transaction (R1) |
//! | `shard` | who may commit to a view, and who is alive |
//! | `parked` | parked keys and what waits behind them (R4) |
//! | `writing` | the connection that writes, in a state to begin a transaction |
//! | `migrate` | the schema, versioned |
//! | `error` | whose move it is |

mod append;
mod attachment;
mod commit;
mod error;
mod follow;
mod idempotency;
mod migrate;
mod options;
mod parked;
mod range;
mod read;
mod row;
mod shard;
mod snapshot;
mod table;
mod view;
mod view_store;
mod writing;

use std::sync::Arc;

use async_trait::async_trait;
use highwater_core::{
    CommandId, LogId, Position, Query, ReadFrom, Result, StreamId, Version,
    error::Unavailable,
    port::{
        Append, AppendFuture, Clock, EventStore, LogPage, RecordedCommand, Snapshot, SnapshotStore,
        StreamPage,
    },
};
use sqlx::{Sqlite, sqlite::SqlitePoolOptions};
use tokio::sync::{Mutex, MutexGuard};

pub use attachment::SqliteHook;
pub use options::SqliteOptions;

use crate::{
    group_commit::GroupCommit, lanes::Lanes, metrics::Meter, opened::Opened,
    unbroken::uncancellable,
};
use follow::Following;
use options::Prefix;
use writing::Writing;

/// The one connection that writes. Whoever writes waits for it in the order of asking, so writers of
/// one process never meet SQLite's own lock, which is not fair.
type WriteConnection = Arc<Mutex<Writing>>;

/// The event store on SQLite. Cheap to clone: every clone is the same store.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    id: LogId,
    readers: Lanes<Sqlite>,
    writer: WriteConnection,
    prefix: Prefix,
    appends: GroupCommit,
    following: Arc<Following>,
    opened: Opened,
    clock: Arc<dyn Clock>,
    options: SqliteOptions,
}

impl Inner {
    fn is_closed(&self) -> bool {
        self.readers.is_closed()
    }

    /// The connection that writes, unless the store has been closed.
    async fn writing(&self) -> Result<MutexGuard<'_, Writing>> {
        if self.readers.is_closed() {
            return Err(Unavailable::Closed.into());
        }
        Ok(self.writer.lock().await)
    }
}

impl SqliteStore {
    /// Opens the file, makes it if it isn't there, and brings the schema up to date.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if the file can't be opened, is no database, or
    /// is from a newer Highwater; [`Unavailable`](highwater_core::Error::Unavailable) if another
    /// process holds its lock for longer than the busy time-out.
    pub async fn open(options: SqliteOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        let file = options.connect.get_filename();
        let mut writer = Writing::open(&options).await.map_err(error::door(file))?;
        migrate::migrate(&mut writer, &options.prefix, file).await?;
        writer.equip().await.map_err(error::door(file))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(options.readers)
            .test_before_acquire(false)
            .connect_with(options.connect.clone().read_only(true))
            .await
            .map_err(error::door(file))?;
        let id = migrate::identity(&readers, &options.prefix, file).await?;
        let readers = Lanes::of(readers, options.readers);
        let writer = Arc::new(Mutex::new(writer));
        let following = Arc::new(Following::default());
        let prefix = options.prefix.clone();
        let appends = append::SqliteWriter::new(&writer, &prefix, &following, Arc::clone(&clock));
        let appends = GroupCommit::start(appends, Meter::new("sqlite"));
        let opened = Opened::default();
        let inner =
            Inner { id, readers, writer, prefix, appends, following, opened, clock, options };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Ends the connections. What waits to be appended is appended first; calls after that are
    /// refused.
    pub async fn close(&self) {
        self.inner.appends.close().await;
        self.inner.readers.close().await;
    }
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("options", &self.inner.options).finish()
    }
}

#[async_trait]
impl EventStore for SqliteStore {
    fn log_id(&self) -> LogId {
        self.inner.id
    }

    fn append(&self, append: Append) -> AppendFuture {
        if let Err(error) = append.validate(&self.inner.options.limits) {
            return Box::pin(async { Err(error) });
        }
        self.inner.appends.submit(append)
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        span: ReadFrom<Version>,
        limit: usize,
    ) -> Result<StreamPage> {
        let (inner, stream) = (Arc::clone(&self.inner), stream.clone());
        uncancellable(async move { read::stream(&inner, &stream, span, limit).await }).await
    }

    async fn read_log(
        &self,
        query: &Query,
        span: ReadFrom<Position>,
        limit: usize,
    ) -> Result<LogPage> {
        query.validate()?;
        let (inner, query) = (Arc::clone(&self.inner), query.clone());
        uncancellable(async move { read::log(&inner, &query, span, limit).await }).await
    }

    async fn head(&self) -> Result<Position> {
        let inner = Arc::clone(&self.inner);
        uncancellable(async move { read::head(&inner).await }).await
    }

    async fn wait_for_append(&self, position: Position) -> Result<()> {
        if self.inner.is_closed() {
            return Err(Unavailable::Closed.into());
        }
        self.inner.following.wait(position).await;
        Ok(())
    }

    async fn find_command(&self, id: CommandId) -> Result<Option<RecordedCommand>> {
        let inner = Arc::clone(&self.inner);
        uncancellable(async move {
            let lane = inner.readers.take().await;
            let mut lane = lane.map_err(error::classify("looking up a command"))?;
            let command = idempotency::command(&mut lane, &inner.prefix, id).await?;
            lane.settle();
            Ok(command)
        })
        .await
    }
}

#[async_trait]
impl SnapshotStore for SqliteStore {
    async fn load_snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>> {
        let (inner, stream) = (Arc::clone(&self.inner), stream.clone());
        uncancellable(async move { snapshot::load(&inner, &stream).await }).await
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        uncancellable(async move { snapshot::save(&inner, snapshot).await }).await
    }
}
