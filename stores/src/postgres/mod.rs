//! The event store on PostgreSQL 15 or newer.
//!
//! | File | What is in it |
//! |---|---|
//! | `append` | a batch in one round trip, each append with its own outcome (W1, W2, W4, W6) |
//! | `commit` | rows, parked keys and progress in one transaction (R1) |
//! | `error` | classification of errors |
//! | `follow` | waking followers |
//! | `hook` | transaction hooks |
//! | `idempotency` | commands that have been stored (W4) |
//! | `migrate` | migrations of the schema |
//! | `notifications` | notifying other processes of changes of views |
//! | `parked` | parked keys and the events behind them (R4) |
//! | `range` | rows of a view in the order of their keys |
//! | `read` | pages of a stream and of the log, durable before they are returned (W3) |
//! | `read_batcher` | reads of single rows that share a statement |
//! | `row` | decoding of rows |
//! | `shard` | leases and epochs of shards (R1) |
//! | `snapshot` | snapshots |
//! | `tags` | tags added to stored events |
//! | `view`, `table` | views: reading them, and their tables with columns and indexes |
//! | `view_store` | the ports of views |

mod append;
mod commit;
mod error;
mod follow;
mod hook;
mod idempotency;
mod migrate;
mod notifications;
mod options;
mod parked;
mod range;
mod read;
mod read_batcher;
mod row;
mod shard;
mod snapshot;
mod table;
mod tags;
mod view;
mod view_store;

use std::{io, sync::Arc};

use async_trait::async_trait;
use highwater_core::{
    CommandId, LogId, Position, Query, ReadFrom, Result, StreamId, Version,
    error::Unavailable,
    port::{
        AddedTags, Append, AppendFuture, EventStore, LogPage, RecordedCommand, Snapshot,
        SnapshotStore, StreamPage, Untagged,
    },
};
use sqlx::{Connection as _, Postgres, postgres::PgPoolOptions};
use tokio::time::timeout;

pub use hook::PostgresHook;
pub use options::PostgresOptions;

use crate::{
    metrics::StoreMeter,
    sql::{
        connections::Connections, group_commit::GroupCommit, spec_cache::SpecCache,
        uncancellable::uncancellable,
    },
};
use follow::PostgresFollower;
use options::Schema;
use read_batcher::RowReadBatcher;

/// The event store on PostgreSQL. Cheap to clone: every clone is the same store.
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<PostgresInner>,
}

struct PostgresInner {
    id: LogId,
    connections: Arc<Connections<Postgres>>,
    schema: Schema,
    appends: GroupCommit,
    follower: Arc<PostgresFollower>,
    row_reads: RowReadBatcher,
    specs: SpecCache,
    options: PostgresOptions,
}

impl PostgresInner {
    fn is_closed(&self) -> bool {
        self.connections.is_closed()
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
        let mut first = options.connection().await?;
        migrate::migrate(&mut first, &options).await?;
        let id = migrate::log_id(&mut first, &options.schema).await?;
        first.close().await.map_err(error::classify("connecting"))?;
        let max_wait = options.connect_timeout;
        let pool = PgPoolOptions::new()
            // One connection listens for notifications.
            .max_connections(options.connections + 1)
            .acquire_timeout(options.connect_timeout)
            // A dead connection is detected when it is used; a ping would be one more round trip.
            .test_before_acquire(false)
            // A connection that does not answer when it is returned is closed. Otherwise it would stay until
            // TCP gives up.
            .after_release(move |connection, _| {
                Box::pin(async move {
                    let answer = timeout(max_wait, connection.ping()).await;
                    answer.unwrap_or_else(|late| Err(io::Error::from(late).into())).map(|()| true)
                })
            })
            .connect_lazy_with(options.connect.clone());
        let schema = options.schema.clone();
        let connections = Arc::new(Connections::new(pool.clone(), options.connections));
        let follower = Arc::new(PostgresFollower::new(pool, &connections, &schema));
        let writer = append::PostgresWriter::new(&options, &follower);
        let appends = GroupCommit::start(writer, StoreMeter::new("postgres"));
        let row_reads = RowReadBatcher::new(options.connections);
        let specs = SpecCache::default();
        let inner =
            PostgresInner { id, connections, schema, appends, follower, row_reads, specs, options };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Closes the connections, after all queued appends are done. Later calls are refused.
    pub async fn close(&self) {
        self.inner.appends.close().await;
        self.inner.follower.stop();
        self.inner.connections.close().await;
    }
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
        span: ReadFrom<Version>,
        limit: usize,
    ) -> Result<StreamPage> {
        read::read_stream(&self.inner, stream, span, limit).await
    }

    async fn read_log(
        &self,
        query: &Query,
        span: ReadFrom<Position>,
        limit: usize,
    ) -> Result<LogPage> {
        query.validate()?;
        let (inner, query) = (self.inner(), query.clone());
        uncancellable(async move { read::read_log(&inner, &query, None, span, limit).await }).await
    }

    async fn read_log_and_untagged(
        &self,
        query: &Query,
        untagged: &Untagged,
        after: Position,
        limit: usize,
    ) -> Result<LogPage> {
        query.validate()?;
        let (inner, query, untagged) = (self.inner(), query.clone(), untagged.clone());
        let span = ReadFrom::After(after);
        uncancellable(
            async move { read::read_log(&inner, &query, Some(&untagged), span, limit).await },
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
}

#[async_trait]
impl SnapshotStore for PostgresStore {
    async fn load_snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>> {
        snapshot::load(&self.inner, stream).await
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<()> {
        snapshot::save(&self.inner, snapshot).await
    }
}
