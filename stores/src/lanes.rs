//! Connections that stay at hand from one statement to the next.
//!
//! A pool asks each connection that is given back whether it is still there: a round trip more for every
//! statement, in a task of its own. Here only those are given back that somebody should look at: after
//! an error, if their caller went away in the middle, and now and then.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{Database, Error, Execute, Executor, Pool, pool::PoolConnection};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

/// After so long a connection is given back, so that the pool's own rules hold for it: whether it is there,
/// and how old it may be.
const KEPT: Duration = Duration::from_secs(60);

/// So many connections of a pool. Who takes one waits for its turn, in the order of asking.
pub(crate) struct Lanes<DB: Database> {
    pool: Pool<DB>,
    turns: Semaphore,
    free: Mutex<Vec<Kept<DB>>>,
}

struct Kept<DB: Database> {
    connection: PoolConnection<DB>,
    since: Instant,
}

impl<DB: Database> Lanes<DB> {
    /// The pool may have more connections than these, for others.
    pub(crate) fn of(pool: Pool<DB>, connections: u32) -> Self {
        Self { pool, turns: Semaphore::new(connections as usize), free: Mutex::default() }
    }

    /// A connection, as soon as one is free.
    ///
    /// # Errors
    /// As those of the pool: that it is closed, that none has become free in time.
    pub(crate) async fn take(&self) -> Result<Lane<'_, DB>, Error> {
        let turn = self.turn().await?;
        let kept = match self.at_hand() {
            Some(kept) => kept,
            None => Kept { connection: self.pool.acquire().await?, since: Instant::now() },
        };
        Ok(Lane { lanes: self, kept, _turn: turn })
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, Error> {
        if self.is_closed() {
            return Err(Error::PoolClosed);
        }
        if let Ok(turn) = self.turns.try_acquire() {
            return Ok(turn);
        }
        match timeout(self.pool.options().get_acquire_timeout(), self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) => Err(Error::PoolClosed),
            Err(_) => Err(Error::PoolTimedOut),
        }
    }

    /// The connection that was used last. Those that were kept for too long go back.
    fn at_hand(&self) -> Option<Kept<DB>> {
        let mut free = self.free();
        free.retain(|kept| kept.since.elapsed() < KEPT);
        free.pop()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.pool.is_closed()
    }

    /// Ends the connections: whoever waits for one, or asks for one from now on, is refused.
    pub(crate) async fn close(&self) {
        let closing = self.pool.close();
        self.turns.close();
        self.free().clear();
        closing.await;
    }

    fn free(&self) -> MutexGuard<'_, Vec<Kept<DB>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<DB: Database> Lanes<DB>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    /// Every row of a statement.
    pub(crate) async fn fetch_all<'q>(
        &self,
        query: impl Execute<'q, DB> + 'q,
    ) -> Result<Vec<DB::Row>, Error> {
        let mut lane = self.take().await?;
        let rows = (&mut *lane).fetch_all(query).await?;
        lane.settle();
        Ok(rows)
    }

    /// The row of a statement that has at most one.
    pub(crate) async fn fetch_optional<'q>(
        &self,
        query: impl Execute<'q, DB> + 'q,
    ) -> Result<Option<DB::Row>, Error> {
        Ok(self.fetch_all(query).await?.into_iter().next())
    }

    /// The row of a statement that has one.
    pub(crate) async fn fetch_one<'q>(
        &self,
        query: impl Execute<'q, DB> + 'q,
    ) -> Result<DB::Row, Error> {
        self.fetch_optional(query).await?.ok_or(Error::RowNotFound)
    }

    /// Runs a statement that has no rows. On SQLite whoever writes has a connection of its own.
    #[cfg(feature = "postgres")]
    pub(crate) async fn execute<'q>(
        &self,
        query: impl Execute<'q, DB> + 'q,
    ) -> Result<DB::QueryResult, Error> {
        let mut lane = self.take().await?;
        let done = (&mut *lane).execute(query).await?;
        lane.settle();
        Ok(done)
    }
}

/// Dropping connections needs a runtime, in which the pool looks at them, and there may be none any more.
impl<DB: Database> Drop for Lanes<DB> {
    fn drop(&mut self) {
        for kept in self.free().drain(..) {
            drop(kept.connection.detach());
        }
    }
}

impl<DB: Database> fmt::Debug for Lanes<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes").field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// A connection that somebody has taken. It goes back to the pool when this is dropped, which looks after
/// what was left in the middle; unless it is [settled](Self::settle).
pub(crate) struct Lane<'a, DB: Database> {
    lanes: &'a Lanes<DB>,
    kept: Kept<DB>,
    /// Given back after the connection.
    _turn: SemaphorePermit<'a>,
}

impl<DB: Database> Lane<'_, DB> {
    /// Keeps the connection at hand: what was begun with it has come to its end.
    pub(crate) fn settle(self) {
        let mut free = self.lanes.free();
        // Whoever closes looks here after they have said so.
        if !self.lanes.is_closed() {
            free.push(self.kept);
        }
    }
}

impl<DB: Database> Deref for Lane<'_, DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &Self::Target {
        &self.kept.connection
    }
}

impl<DB: Database> DerefMut for Lane<'_, DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.kept.connection
    }
}
