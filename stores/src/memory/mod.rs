//! A store in the memory of this process: for tests, for examples, and as the model of the others.
//!
//! It keeps every contract but W7: its events are lost when the process ends.
//!
//! | File | What is in it |
//! |---|---|
//! | `append` | an append, checked before anything is changed (W1, W2, W4, W6) |
//! | `follow` | waking followers |
//! | `generation` | generations of views (R5) |
//! | `idempotency` | commands that have been stored (W4) |
//! | `parked` | parked keys and the events behind them (R4) |
//! | `range` | rows of a view in the order of their keys |
//! | `read` | pages of a stream and of the log (W3) |
//! | `shard` | leases and epochs of shards (R1) |
//! | `snapshot` | snapshots |
//! | `transfer` | moving the log to another store |
//! | `view` | rows and the progress that is committed with them (R1) |
//! | `view_store` | the ports of views |

mod append;
mod follow;
mod generation;
mod idempotency;
mod parked;
mod range;
mod read;
mod shard;
mod snapshot;
mod transfer;
mod view;
mod view_store;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use highwater_core::{
    CommandId, LogId, Position, Query, ReadFrom, Result, StreamId, Version,
    port::{
        AddedTags, Append, AppendFuture, Clock, EventStore, Ids, Limits, LogPage, LogTransfer,
        RecordedCommand, Snapshot, SnapshotStore, StreamPage, Untagged,
    },
};
use tokio::sync::watch;

use self::{
    append::MemoryLog, idempotency::MemoryCommands, snapshot::MemorySnapshots, view::MemoryViews,
};
use crate::{
    metrics::StoreMeter,
    system::{SystemClock, SystemIds},
};

/// A store in memory. A clone is another handle to the same log.
///
/// Each call does its work at once, under one lock that is never held over an `await`.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<MemoryShared>,
}

struct MemoryShared {
    clock: Arc<dyn Clock>,
    limits: Limits,
    id: LogId,
    state: Mutex<MemoryState>,
    head: watch::Sender<Position>,
    meter: StoreMeter,
}

#[derive(Default)]
struct MemoryState {
    log: MemoryLog,
    commands: MemoryCommands,
    snapshots: MemorySnapshots,
    views: MemoryViews,
}

impl MemoryStore {
    /// Creates an empty store whose events get the time of `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_limits(clock, Limits::default())
    }

    /// Creates an empty store that refuses appends larger than `limits`.
    #[must_use]
    pub fn with_limits(clock: Arc<dyn Clock>, limits: Limits) -> Self {
        let (head, _) = watch::channel(Position::START);
        let id = LogId::of(SystemIds.command_id().as_uuid().as_bytes());
        let meter = StoreMeter::new("memory");
        let state = Mutex::default();
        Self { shared: Arc::new(MemoryShared { clock, limits, id, state, head, meter }) }
    }

    /// Locks the state. No code panics between two changes that belong together, so a poisoned lock is
    /// harmless.
    fn state(&self) -> MutexGuard<'_, MemoryState> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    /// Creates an empty store with the clock of this machine.
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("head", &*self.shared.head.borrow()).finish()
    }
}

#[async_trait]
impl EventStore for MemoryStore {
    fn log_id(&self) -> LogId {
        self.shared.id
    }

    fn append(&self, append: Append) -> AppendFuture {
        let events = append.events().count();
        let answer = self.append_now(append);
        self.shared.meter.answered(events, &answer);
        std::future::ready(answer).boxed()
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: ReadFrom<Version>,
        limit: usize,
    ) -> Result<StreamPage> {
        Ok(self.state().log.stream_page(stream, from, limit))
    }

    async fn read_log(
        &self,
        query: &Query,
        from: ReadFrom<Position>,
        limit: usize,
    ) -> Result<LogPage> {
        query.validate()?;
        Ok(self.state().log.page(query, from, limit))
    }

    async fn read_log_and_untagged(
        &self,
        query: &Query,
        untagged: &Untagged,
        after: Position,
        limit: usize,
    ) -> Result<LogPage> {
        query.validate()?;
        Ok(self.state().log.page_and_untagged(query, untagged, after, limit))
    }

    async fn add_tags(&self, added: &[AddedTags]) -> Result<()> {
        added.iter().try_for_each(AddedTags::validate)?;
        self.state().log.add_tags(added);
        Ok(())
    }

    async fn head(&self) -> Result<Position> {
        Ok(self.state().log.head())
    }

    async fn wait_for_append(&self, position: Position) -> Result<()> {
        follow::beyond(self.shared.head.subscribe(), position).await
    }

    async fn find_command(&self, id: CommandId) -> Result<Option<RecordedCommand>> {
        Ok(self.state().commands.get(id))
    }

    fn transfer(&self) -> &dyn LogTransfer {
        self
    }
}

#[async_trait]
impl SnapshotStore for MemoryStore {
    async fn load_snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>> {
        Ok(self.state().snapshots.load(stream))
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<()> {
        self.state().snapshots.save(snapshot);
        Ok(())
    }
}
