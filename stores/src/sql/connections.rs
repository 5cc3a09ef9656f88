//! Connections that are kept between statements.
//!
//! A pool pings each connection that is returned to it: one more round trip for every statement, in a
//! task of its own. Here a connection goes back to the pool only if it should be checked: after an error,
//! after its caller was cancelled, and from time to time.

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

/// The time after which a connection goes back to the pool, so that the pool's rules apply to it: it is
/// pinged, and its age is limited.
const MAX_KEPT: Duration = Duration::from_secs(60);

/// A number of connections of a pool. Callers wait for a permit in the order of their requests.
pub(crate) struct Connections<DB: Database> {
    pool: Pool<DB>,
    permits: Semaphore,
    kept: Mutex<Vec<KeptConnection<DB>>>,
}

struct KeptConnection<DB: Database> {
    connection: PoolConnection<DB>,
    since: Instant,
}

impl<DB: Database> Connections<DB> {
    /// Uses at most `connections` of the pool, which may have more for other purposes.
    pub(crate) fn new(pool: Pool<DB>, connections: u32) -> Self {
        Self { pool, permits: Semaphore::new(connections as usize), kept: Mutex::default() }
    }

    /// Takes a connection as soon as one is free.
    ///
    /// # Errors
    /// Those of the pool: it is closed, or no connection has become free in time.
    pub(crate) async fn take(&self) -> Result<TakenConnection<'_, DB>, Error> {
        let permit = self.permit().await?;
        let connection = match self.take_kept() {
            Some(connection) => connection,
            None => {
                let connection = self.pool.acquire().await?;
                KeptConnection { connection, since: Instant::now() }
            }
        };
        Ok(TakenConnection { connections: self, connection, _permit: permit })
    }

    async fn permit(&self) -> Result<SemaphorePermit<'_>, Error> {
        if self.is_closed() {
            return Err(Error::PoolClosed);
        }
        if let Ok(permit) = self.permits.try_acquire() {
            return Ok(permit);
        }
        match timeout(self.pool.options().get_acquire_timeout(), self.permits.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(Error::PoolClosed),
            Err(_) => Err(Error::PoolTimedOut),
        }
    }

    /// Takes the connection that was used last. Those that were kept for too long go back to the pool.
    fn take_kept(&self) -> Option<KeptConnection<DB>> {
        let mut kept = self.kept();
        kept.retain(|connection| connection.since.elapsed() < MAX_KEPT);
        kept.pop()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.pool.is_closed()
    }

    /// Closes the connections. Callers that wait for one are refused, and so are later ones.
    pub(crate) async fn close(&self) {
        let closing = self.pool.close();
        self.permits.close();
        self.kept().clear();
        closing.await;
    }

    fn kept(&self) -> MutexGuard<'_, Vec<KeptConnection<DB>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<DB: Database> Connections<DB>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    /// Returns all rows of a statement.
    pub(crate) async fn fetch_all<'q>(
        &self,
        query: impl Execute<'q, DB> + 'q,
    ) -> Result<Vec<DB::Row>, Error> {
        let mut connection = self.take().await?;
        let rows = (&mut *connection).fetch_all(query).await?;
        connection.keep();
        Ok(rows)
    }

    /// Returns the row of a statement that has exactly one.
    pub(crate) async fn fetch_one<'q>(
        &self,
        query: impl Execute<'q, DB> + 'q,
    ) -> Result<DB::Row, Error> {
        self.fetch_all(query).await?.into_iter().next().ok_or(Error::RowNotFound)
    }

    /// Runs a statement without rows. On SQLite there is one connection for writes, which is not here.
    #[cfg(feature = "postgres")]
    pub(crate) async fn execute<'q>(
        &self,
        query: impl Execute<'q, DB> + 'q,
    ) -> Result<DB::QueryResult, Error> {
        let mut connection = self.take().await?;
        let done = (&mut *connection).execute(query).await?;
        connection.keep();
        Ok(done)
    }
}

/// Detaches the kept connections. Returning them to the pool would need a runtime, which may be gone.
impl<DB: Database> Drop for Connections<DB> {
    fn drop(&mut self) {
        for kept in self.kept().drain(..) {
            drop(kept.connection.detach());
        }
    }
}

impl<DB: Database> fmt::Debug for Connections<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// A connection that a caller has taken. When it is dropped it goes back to the pool, which cleans up
/// unfinished work; unless it is [kept](Self::keep).
pub(crate) struct TakenConnection<'a, DB: Database> {
    connections: &'a Connections<DB>,
    connection: KeptConnection<DB>,
    /// Released after the connection.
    _permit: SemaphorePermit<'a>,
}

impl<DB: Database> TakenConnection<'_, DB> {
    /// Keeps the connection for the next statement: all work on it is finished.
    pub(crate) fn keep(self) {
        let mut kept = self.connections.kept();
        // `close` marks the pool as closed first, and clears the kept connections afterwards.
        if !self.connections.is_closed() {
            kept.push(self.connection);
        }
    }
}

impl<DB: Database> Deref for TakenConnection<'_, DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &Self::Target {
        &self.connection.connection
    }
}

impl<DB: Database> DerefMut for TakenConnection<'_, DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.connection.connection
    }
}
