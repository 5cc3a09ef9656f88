//! The event store on PostgreSQL 15 or newer.
//!
//! | File | What is in it |
//! |---|---|
//! | `append` | a batch in one round trip, each append with its own outcome (W1, W2, W4, W6) |
//! | `background` | tasks that run beside the calls of a store |
//! | `commit` | rows, parked keys and progress in one transaction (R1) |
//! | `connect` | new connections, whose server is checked |
//! | `definition` | the definition of a view, and its change (R5) |
//! | `error` | classification of errors |
//! | `examine` | looking at the database without changing it |
//! | `follow` | waking followers |
//! | `generation` | generations of views (R5) |
//! | `hook` | transaction hooks |
//! | `idempotency` | commands that have been stored (W4) |
//! | `large_table` | columns and indexes of large tables, added while they are in use |
//! | `migrate` | migrations of the schema |
//! | `notifications` | notifying other processes of changes of views |
//! | `options` | the options of a store, and its URL |
//! | `parked` | parked keys and the events behind them (R4) |
//! | `read` | pages of a stream and of the log, durable before they are returned (W3) |
//! | `read_batcher` | reads of single rows that share a statement |
//! | `rename` | the names of views, and their former ones |
//! | `row` | decoding of rows |
//! | `server_refusal` | servers that can't keep what Highwater promises |
//! | `session` | the bounds of work of several statements |
//! | `shard` | leases and epochs of shards (R1) |
//! | `transfer` | moving the log to another store |
//! | `tags` | tags added to stored events |
//! | `tls` | the parameters of TLS, and its errors |
//! | `view`, `table` | views: their statements, and their tables with columns and indexes |
//! | `view_store` | the ports of views |

mod append;
mod background;
mod commit;
mod connect;
mod definition;
mod error;
mod examine;
mod follow;
mod generation;
mod hook;
mod idempotency;
mod large_table;
mod migrate;
mod notifications;
mod options;
mod parked;
mod read;
mod read_batcher;
mod rename;
mod row;
mod server_refusal;
mod session;
mod shard;
mod table;
mod tags;
mod tls;
mod transfer;
mod view;
mod view_store;

use std::sync::Arc;

use async_trait::async_trait;
use highwater_core::{
    CommandId, LogId, Position, Query, ReadFrom, Result, StreamId, Version,
    error::Unavailable,
    port::{
        AddedTags, Append, AppendFuture, EventStore, LogPage, LogTransfer, RecordedCommand,
        Snapshot, SnapshotStore, StreamPage, Untagged,
    },
};
use sqlx::{Connection as _, Postgres};

pub(crate) use examine::examine;
pub use hook::PostgresHook;
pub use options::PostgresOptions;

use crate::{
    metrics::StoreMeter,
    sql::{
        connection_pool::within, connections::Connections, group_commit::GroupCommit,
        page_limit::PageLimit, snapshot, spec_cache::SpecCache, uncancellable::uncancellable,
    },
};
use follow::PostgresFollower;
use options::Schema;
use read_batcher::RowReadBatcher;
use session::bounded;

/// The event store on PostgreSQL. Cheap to clone: every clone is the same store.
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<PostgresInner>,
}

struct PostgresInner {
    id: LogId,
    /// For the log, its streams and snapshots.
    log_connections: Connections<Postgres>,
    /// The same without the reserve, for all work on views.
    view_connections: Arc<Connections<Postgres>>,
    schema: Schema,
    appends: GroupCommit,
    follower: Arc<PostgresFollower>,
    row_reads: RowReadBatcher,
    specs: SpecCache,
    page_limit: PageLimit,
    options: PostgresOptions,
}

impl PostgresInner {
    fn is_closed(&self) -> bool {
        self.log_connections.is_closed()
    }
}

impl PostgresStore {
    fn inner(&self) -> Arc<PostgresInner> {
        Arc::clone(&self.inner)
    }

    /// Connects, and brings the schema up to date.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if the URL, the credentials, the database or its
    /// schema are wrong, and the message names it; [`Unavailable`](highwater_core::Error::Unavailable)
    /// if the server can't be reached.
    pub async fn connect(options: PostgresOptions) -> Result<Self> {
        let log_connections = options.open_connections();
        let view_connections = Arc::new(log_connections.without_reserve());
        let id = prepare(&log_connections, &options).await?;
        let schema = options.schema.clone();
        let follower = Arc::new(PostgresFollower::new(&options, &view_connections));
        let writer = append::PostgresWriter::new(&options, &follower);
        let appends = GroupCommit::new(writer, StoreMeter::new("postgres"));
        let row_reads = RowReadBatcher::new(options.connections);
        let inner = PostgresInner {
            id,
            log_connections,
            view_connections,
            schema,
            appends,
            follower,
            row_reads,
            specs: SpecCache::default(),
            page_limit: PageLimit::default(),
            options,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Closes the connections, after all queued appends are done, or after the time-outs of a connection and
    /// of an answer. Later calls are refused.
    pub async fn close(&self) {
        let PostgresOptions { connect_timeout, answer_timeout, .. } = self.inner.options;
        self.inner.appends.close_within(connect_timeout.saturating_add(answer_timeout)).await;
        self.inner.follower.stop();
        self.inner.log_connections.close().await;
    }
}

/// Brings the schema up to date, and returns the id of the log. The first connection is outside the pool, which
/// would retry for long.
async fn prepare(connections: &Connections<Postgres>, options: &PostgresOptions) -> Result<LogId> {
    let limit = options.answer_timeout;
    let mut first = options.connection().await?;
    if !bounded(limit, "connecting", migrate::is_current(&mut first, options)).await? {
        let session = session::number(&mut first, limit, "migrating").await?;
        let migrating = migrate::migrate(&mut first, options);
        session::while_active(connections, limit, session, "migrating", migrating).await?;
    }
    let id = migrate::log_id(&mut first, &options.schema);
    let id = bounded(limit, "connecting", id).await?;
    within(limit, first.close()).await.map_err(error::classify("connecting"))?;
    Ok(id)
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").field("options", &self.inner.options).finish()
    }
}

#[async_trait]
impl EventStore for PostgresStore {
    fn log_id(&self) -> LogId {
        self.inner.id
    }

    fn append(&self, append: Append) -> AppendFuture {
        if let Err(error) = append.validate(&self.inner.options.limits) {
            return Box::pin(async { Err(error) });
        }
        let command = append.command;
        let appended = self.inner.appends.submit(append);
        let inner = self.inner();
        Box::pin(async move {
            match appended.await? {
                appended if appended.repeated => {
                    idempotency::with_streams(&inner, command, appended).await
                }
                appended => Ok(appended),
            }
        })
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: ReadFrom<Version>,
        limit: usize,
    ) -> Result<StreamPage> {
        read::read_stream(&self.inner, stream, from, limit).await
    }

    async fn read_log(
        &self,
        query: &Query,
        from: ReadFrom<Position>,
        limit: usize,
    ) -> Result<LogPage> {
        query.validate()?;
        let inner = self.inner();
        let query = query.clone();
        uncancellable(async move { read::read_log(&inner, &query, None, from, limit).await }).await
    }

    async fn read_log_and_untagged(
        &self,
        query: &Query,
        untagged: &Untagged,
        after: Position,
        limit: usize,
    ) -> Result<LogPage> {
        query.validate()?;
        let inner = self.inner();
        let query = query.clone();
        let untagged = untagged.clone();
        let from = ReadFrom::After(after);
        uncancellable(
            async move { read::read_log(&inner, &query, Some(&untagged), from, limit).await },
        )
        .await
    }

    async fn add_tags(&self, added: &[AddedTags]) -> Result<()> {
        added.iter().try_for_each(AddedTags::validate)?;
        tags::add(&self.inner, added).await
    }

    async fn head(&self) -> Result<Position> {
        read::head(&self.inner).await
    }

    async fn wait_for_append(&self, position: Position) -> Result<()> {
        if self.inner.is_closed() {
            return Err(Unavailable::Closed.into());
        }
        self.inner.follower.wait(position).await;
        Ok(())
    }

    async fn find_command(&self, id: CommandId) -> Result<Option<RecordedCommand>> {
        idempotency::find_command(&self.inner, id).await
    }

    fn transfer(&self) -> &dyn LogTransfer {
        self
    }
}

#[async_trait]
impl SnapshotStore for PostgresStore {
    async fn load_snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>> {
        snapshot::load(self.inner(), stream.clone()).await
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<()> {
        snapshot::save(self.inner(), snapshot).await
    }
}
