//! The event store on PostgreSQL 15 or newer.
//!
//! | File | What is in it |
//! |---|---|
//! | `append` | one batch, one round trip, many outcomes (W1, W2, W4, W6) |
//! | `attachment` | an application's own writes in the append's transaction |
//! | `read` | pages of a stream and of the log, durable before they are handed out (W3) |
//! | `follow` | waking followers |
//! | `idempotency` | what is known of a command |
//! | `tell` | telling other processes of views that have changed |
//! | `snapshot` | snapshots |
//! | `gather` | reads of single rows that meet |
//! | `range` | rows of a view by their keys' order |
//! | `view`, `table` | views: reading them, and their tables with columns and indexes |
//! | `commit` | rows, parked keys and progress in one transaction (R1) |
//! | `shard` | who may commit to a view, and who is alive |
//! | `parked` | parked keys and what waits behind them (R4) |
//! | `migrate` | the schema, versioned |
//! | `error` | whose move it is |

mod append;
mod attachment;
mod commit;
mod error;
mod follow;
mod gather;
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
mod tell;
mod view;
mod view_store;

use std::{io, sync::Arc};

use async_trait::async_trait;
use highwater_core::{
    CommandId, LogId, Position, Query, ReadFrom, Result, StreamId, Version,
    error::Unavailable,
    port::{
        Append, AppendFuture, EventStore, LogPage, RecordedCommand, Snapshot, SnapshotStore,
        StreamPage,
    },
};
use sqlx::{Connection as _, Postgres, postgres::PgPoolOptions};
use tokio::time::timeout;

pub use attachment::PostgresHook;
pub use options::PostgresOptions;

use crate::{
    group_commit::GroupCommit, lanes::Lanes, metrics::Meter, opened::Opened,
    unbroken::uncancellable,
};
use follow::Following;
use gather::Gathering;
use options::Schema;

/// The event store on PostgreSQL. Cheap to clone: every clone is the same store.
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
}

struct Inner {
    id: LogId,
    lanes: Arc<Lanes<Postgres>>,
    schema: Schema,
    appends: GroupCommit,
    following: Arc<Following>,
    gathering: Gathering,
    opened: Opened,
    options: PostgresOptions,
}

impl Inner {
    fn is_closed(&self) -> bool {
        self.lanes.is_closed()
    }
}

impl PostgresStore {
    /// Connects, and brings the schema up to date.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if the URL, the credentials, the database or its
    /// schema are not right, and it says which; [`Unavailable`](highwater_core::Error::Unavailable)
    /// if the server can't be reached.
    pub async fn connect(options: PostgresOptions) -> Result<Self> {
        let mut first = options.connection().await?;
        migrate::migrate(&mut first, &options).await?;
        let id = migrate::identity(&mut first, &options.schema).await?;
        first.close().await.map_err(error::classify("connecting"))?;
        let patience = options.connect_timeout;
        let pool = PgPoolOptions::new()
            // One of them listens for notifications.
            .max_connections(options.connections + 1)
            .acquire_timeout(options.connect_timeout)
            // A dead connection is found when it is used; asking first would be a round trip more.
            .test_before_acquire(false)
            // One that is silent when it is given back is given up, or it would be kept for as long as TCP goes on.
            .after_release(move |connection, _| {
                Box::pin(async move {
                    let answer = timeout(patience, connection.ping()).await;
                    answer.unwrap_or_else(|late| Err(io::Error::from(late).into())).map(|()| true)
                })
            })
            .connect_lazy_with(options.connect.clone());
        let schema = options.schema.clone();
        let lanes = Arc::new(Lanes::of(pool.clone(), options.connections));
        let following = Arc::new(Following::new(pool, &lanes, &schema));
        let writer = append::PostgresWriter::new(&options, &following);
        let appends = GroupCommit::start(writer, Meter::new("postgres"));
        let (gathering, opened) = (Gathering::new(options.connections), Opened::default());
        let inner = Inner { id, lanes, schema, appends, following, gathering, opened, options };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Ends the connections. What waits to be appended is appended first; calls after that are
    /// refused.
    pub async fn close(&self) {
        self.inner.appends.close().await;
        self.inner.following.stop();
        self.inner.lanes.close().await;
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
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            match appended.await? {
                appended if appended.repeated => {
                    idempotency::first_answer(&inner, command, appended).await
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
        read::stream(&self.inner, stream, span, limit).await
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
        read::head(&self.inner).await
    }

    async fn wait_for_append(&self, position: Position) -> Result<()> {
        if self.inner.is_closed() {
            return Err(Unavailable::Closed.into());
        }
        self.inner.following.wait(position).await;
        Ok(())
    }

    async fn find_command(&self, id: CommandId) -> Result<Option<RecordedCommand>> {
        idempotency::command(&self.inner, id).await
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
