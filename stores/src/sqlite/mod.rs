//! The event store on SQLite, embedded: one file, one writer, readers are never blocked.
//!
//! | File | What is in it |
//! |---|---|
//! | `append` | a batch in one transaction, each append with its own outcome (W1, W2, W4, W6) |
//! | `commit` | rows, parked keys and progress in one transaction (R1) |
//! | `definition` | the definition of a view, and its change (R5) |
//! | `error` | classification of errors |
//! | `examine` | looking at the file without changing it |
//! | `follow` | waking followers |
//! | `generation` | generations of views (R5) |
//! | `hook` | transaction hooks |
//! | `idempotency` | commands that have been stored (W4) |
//! | `migrate` | migrations of the schema |
//! | `options` | the options of a store, and its URL |
//! | `parked` | parked keys and the events behind them (R4) |
//! | `read` | pages of a stream and of the log (W3) |
//! | `row` | decoding of rows |
//! | `shard` | leases and epochs of shards (R1) |
//! | `transfer` | moving the log to another store |
//! | `tags` | tags added to stored events |
//! | `view`, `table` | views: their statements, and their tables with columns and indexes |
//! | `view_store` | the ports of views |
//! | `write_connection` | the connection for writes |

mod append;
mod commit;
mod definition;
mod error;
mod examine;
mod follow;
mod generation;
mod hook;
mod idempotency;
mod migrate;
mod options;
mod parked;
mod read;
mod row;
mod shard;
mod table;
mod tags;
mod transfer;
mod view;
mod view_store;
mod write_connection;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use highwater_core::{
    CommandId, LogId, Position, Query, ReadFrom, Result, StreamId, Version,
    error::Unavailable,
    port::{
        AddedTags, Append, AppendFuture, Clock, EventStore, LogPage, LogTransfer, RecordedCommand,
        Snapshot, SnapshotStore, StreamPage, Untagged,
    },
};
use sqlx::{ConnectOptions as _, Sqlite};
use tokio::sync::{Mutex, MutexGuard};

pub(crate) use examine::examine;
pub use hook::SqliteHook;
pub use options::SqliteOptions;

use crate::{
    metrics::StoreMeter,
    sql::{
        connection_pool::ConnectionLimits, connections::Connections, group_commit::GroupCommit,
        page_limit::PageLimit, snapshot, spec_cache::SpecCache, uncancellable::uncancellable,
    },
};
use follow::SqliteFollower;
use options::Prefix;
use write_connection::WriteConnection;

/// The one connection for writes. Writers wait for it in the order of their requests, so the writers of one
/// process never wait for SQLite's own lock, which is not fair.
type SharedWriter = Arc<Mutex<WriteConnection>>;

/// The event store on SQLite. Cheap to clone: every clone is the same store.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<SqliteInner>,
}

struct SqliteInner {
    id: LogId,
    /// For the log, its streams and snapshots.
    log_readers: Connections<Sqlite>,
    /// The same without the reserve, for reads of views.
    view_readers: Connections<Sqlite>,
    writer: SharedWriter,
    prefix: Prefix,
    appends: GroupCommit,
    follower: Arc<SqliteFollower>,
    specs: SpecCache,
    page_limit: PageLimit,
    clock: Arc<dyn Clock>,
    options: SqliteOptions,
}

impl SqliteInner {
    fn is_closed(&self) -> bool {
        self.log_readers.is_closed()
    }

    /// Returns the connection for writes, unless the store has been closed.
    async fn writer(&self) -> Result<MutexGuard<'_, WriteConnection>> {
        if self.log_readers.is_closed() {
            return Err(Unavailable::Closed.into());
        }
        Ok(self.writer.lock().await)
    }
}

impl SqliteStore {
    fn inner(&self) -> Arc<SqliteInner> {
        Arc::clone(&self.inner)
    }

    /// Opens the file, creates it if it does not exist, and brings the schema up to date.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if the file can't be opened, is not a database, or
    /// is of a newer Highwater; [`Unavailable`](highwater_core::Error::Unavailable) if another
    /// process holds its lock for longer than the busy time-out.
    pub async fn open(options: SqliteOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        let file = options.connect.get_filename();
        let mut writer =
            WriteConnection::open(&options).await.map_err(error::classify_open(file))?;
        migrate::migrate(&mut writer, &options.prefix, file).await?;
        writer.configure().await.map_err(error::classify_open(file))?;
        let id = migrate::log_id(&mut writer, &options.prefix, file).await?;
        let log_readers = readers(&options);
        let view_readers = log_readers.without_reserve();
        log_readers.take().await.map_err(error::classify_open(file))?.keep();
        let writer = Arc::new(Mutex::new(writer));
        let follower = Arc::new(SqliteFollower::default());
        let prefix = options.prefix.clone();
        let appends = append::SqliteWriter::new(&writer, &prefix, &follower, Arc::clone(&clock));
        let appends = GroupCommit::new(appends, StoreMeter::new("sqlite"));
        let inner = SqliteInner {
            id,
            log_readers,
            view_readers,
            writer,
            prefix,
            appends,
            follower,
            specs: SpecCache::default(),
            page_limit: PageLimit::default(),
            clock,
            options,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Closes the connections, after all queued appends are done. Later calls are refused.
    pub async fn close(&self) {
        self.inner.appends.close().await;
        self.inner.log_readers.close().await;
    }
}

/// The longest wait for a connection that reads.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// The number of connections that are for the log alone: slow reads of views don't keep a command from its streams.
const RESERVE: u32 = 1;

fn readers(options: &SqliteOptions) -> Connections<Sqlite> {
    let limits = ConnectionLimits {
        connections: options.readers,
        reserve: RESERVE,
        wait: MAX_WAIT,
        answer: None,
    };
    let connect = options.connect.clone().read_only(true);
    Connections::new(
        limits,
        Box::new(move || {
            let connect = connect.clone();
            Box::pin(async move { connect.connect().await })
        }),
    )
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
        from: ReadFrom<Version>,
        limit: usize,
    ) -> Result<StreamPage> {
        uncancellable(read::read_stream(self.inner(), stream.clone(), from, limit)).await
    }

    async fn read_log(
        &self,
        query: &Query,
        from: ReadFrom<Position>,
        limit: usize,
    ) -> Result<LogPage> {
        query.validate()?;
        uncancellable(read::read_log(self.inner(), query.clone(), None, from, limit)).await
    }

    async fn read_log_and_untagged(
        &self,
        query: &Query,
        untagged: &Untagged,
        after: Position,
        limit: usize,
    ) -> Result<LogPage> {
        query.validate()?;
        let from = ReadFrom::After(after);
        let untagged = Some(untagged.clone());
        uncancellable(read::read_log(self.inner(), query.clone(), untagged, from, limit)).await
    }

    async fn add_tags(&self, added: &[AddedTags]) -> Result<()> {
        added.iter().try_for_each(AddedTags::validate)?;
        uncancellable(tags::add(self.inner(), added.to_vec())).await
    }

    async fn head(&self) -> Result<Position> {
        uncancellable(read::head(self.inner())).await
    }

    async fn wait_for_append(&self, position: Position) -> Result<()> {
        if self.inner.is_closed() {
            return Err(Unavailable::Closed.into());
        }
        self.inner.follower.wait(position).await;
        Ok(())
    }

    async fn find_command(&self, id: CommandId) -> Result<Option<RecordedCommand>> {
        uncancellable(read::command(self.inner(), id)).await
    }

    fn transfer(&self) -> &dyn LogTransfer {
        self
    }
}

#[async_trait]
impl SnapshotStore for SqliteStore {
    async fn load_snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>> {
        uncancellable(snapshot::load(self.inner(), stream.clone())).await
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<()> {
        uncancellable(snapshot::save(self.inner(), snapshot)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SystemClock, SystemIds};

    #[tokio::test]
    async fn the_log_is_read_while_reads_of_views_hold_all_their_connections_on_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}?readers=1", folder.path().join("log.db").display());
        let options = SqliteOptions::new(&url).unwrap();
        let store = SqliteStore::open(options, Arc::new(SystemClock)).await.unwrap();
        let slow = store.inner.view_readers.take().await.unwrap();
        let stream = StreamId::new("account", "cold").unwrap();
        assert_eq!(store.load_snapshot(&stream).await.unwrap(), None);
        store.read_stream(&stream, ReadFrom::After(Version::NONE), 9).await.unwrap();
        let all = Query::all();
        store.read_log(&all, ReadFrom::After(Position::START), 9).await.unwrap();
        let unknown = highwater_core::port::Ids::command_id(&SystemIds);
        assert_eq!(store.find_command(unknown).await.unwrap(), None);
        assert_eq!(store.head().await.unwrap(), Position::START);
        slow.keep();
        store.close().await;
    }
}
