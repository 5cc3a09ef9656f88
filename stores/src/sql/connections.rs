//! Statements on connections that are kept between them.
//!
//! A statement on a server has a bound: a network that is silent answers nothing, not even an error. If a
//! connection was cut while it was idle (by a restart of the server, or by a gateway), its statement is sent
//! again on another one.

use std::{fmt, sync::Arc, time::Duration};

use sqlx::{Connection as _, Database, Error, Execute, Executor, SqlStr};

use super::connection_pool::{
    Access, Connect, ConnectionLimits, ConnectionPool, TakenConnection, is_cut, within,
};

/// The time without use after which a connection to a server is pinged before its next statement: a gateway
/// may have dropped it without a word.
const PING_AFTER: Duration = Duration::from_secs(30);
/// The same before work that is not sent again if the connection turns out to be cut.
const PING_BEFORE_WORK_AFTER: Duration = Duration::from_millis(100);

/// A number of connections. Callers wait for one in the order of their requests.
pub(crate) struct Connections<DB: Database> {
    pool: Arc<ConnectionPool<DB>>,
    access: Access,
}

impl<DB: Database> Connections<DB> {
    pub(crate) fn new(limits: ConnectionLimits, connect: Connect<DB>) -> Self {
        Self { pool: Arc::new(ConnectionPool::new(limits, connect)), access: Access::All }
    }

    /// Returns the same connections without the reserve: whatever waits on all of these, work on the others
    /// goes on.
    pub(crate) fn without_reserve(&self) -> Self {
        Self { pool: Arc::clone(&self.pool), access: Access::WithoutReserve }
    }

    /// Takes a connection as soon as one is free, for work of more than one statement.
    ///
    /// # Errors
    /// The connections are closed, none has become free in time, or a new one can't be opened.
    pub(crate) async fn take(&self) -> Result<TakenConnection<DB>, Error> {
        self.pool.take(self.access, PING_BEFORE_WORK_AFTER).await
    }

    /// Takes a connection for one statement.
    async fn take_for_statement(&self) -> Result<TakenConnection<DB>, Error> {
        self.pool.take(self.access, PING_AFTER).await
    }

    /// Waits for the end of work on a connection, but no longer than the bound.
    pub(crate) async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match self.pool.limits.answer {
            None => work.await,
            Some(limit) => within(limit, work).await,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.pool.is_closed()
    }

    /// Closes the connections when all have been returned, or when the bound is over. Callers that wait for
    /// one are refused, and so are later ones.
    pub(crate) async fn close(&self) {
        let idle = self.pool.close();
        let closing = async {
            for connection in idle {
                // It is gone in any case.
                let _ = connection.close().await;
            }
            self.pool.until_returned().await;
            Ok(())
        };
        if let Err(error) = self.bounded(closing).await {
            tracing::warn!(%error, "connections were closed without a word to the server");
        }
    }
}

impl<DB: Database> Connections<DB>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    DB::Arguments: Clone,
{
    /// Returns all rows of a statement that may be sent twice.
    pub(crate) async fn fetch_all<'q>(
        &self,
        query: impl Execute<'q, DB> + 'q,
    ) -> Result<Vec<DB::Row>, Error> {
        let statement = Statement::new(query)?;
        let again = self.copy(&statement);
        match (self.fetch(self.take_for_statement().await?, statement).await, again) {
            (Err(error), Some(again)) if is_cut(&error) => {
                self.fetch(self.take_for_statement().await?, again).await
            }
            (fetched, _) => fetched,
        }
    }

    async fn fetch(
        &self,
        mut taken: TakenConnection<DB>,
        statement: Statement<DB>,
    ) -> Result<Vec<DB::Row>, Error> {
        let rows = self.bounded((&mut *taken).fetch_all((statement.sql, statement.arguments)));
        let rows = rows.await;
        taken.finish(rows)
    }

    /// Returns the row of a statement that has exactly one.
    pub(crate) async fn fetch_one<'q>(
        &self,
        query: impl Execute<'q, DB> + 'q,
    ) -> Result<DB::Row, Error> {
        self.fetch_all(query).await?.into_iter().next().ok_or(Error::RowNotFound)
    }

    /// Runs a statement without rows that may be sent twice. On SQLite there is one connection for writes,
    /// which is not here.
    #[cfg(feature = "postgres")]
    pub(crate) async fn execute<'q>(
        &self,
        query: impl Execute<'q, DB> + 'q,
    ) -> Result<DB::QueryResult, Error> {
        let statement = Statement::new(query)?;
        let again = self.copy(&statement);
        match (self.run(self.take_for_statement().await?, statement).await, again) {
            (Err(error), Some(again)) if is_cut(&error) => {
                self.run(self.take_for_statement().await?, again).await
            }
            (executed, _) => executed,
        }
    }

    #[cfg(feature = "postgres")]
    async fn run(
        &self,
        mut taken: TakenConnection<DB>,
        statement: Statement<DB>,
    ) -> Result<DB::QueryResult, Error> {
        let done = self.bounded((&mut *taken).execute((statement.sql, statement.arguments)));
        let done = done.await;
        taken.finish(done)
    }

    /// Copies a statement to send it again, unless no connection can be cut.
    fn copy(&self, statement: &Statement<DB>) -> Option<Statement<DB>> {
        self.pool.is_remote().then(|| Statement {
            sql: statement.sql.clone(),
            arguments: statement.arguments.clone(),
        })
    }
}

/// A statement with its arguments.
struct Statement<DB: Database> {
    sql: SqlStr,
    arguments: Option<DB::Arguments>,
}

impl<DB: Database> Statement<DB> {
    fn new<'q>(mut query: impl Execute<'q, DB>) -> Result<Self, Error> {
        let arguments = query.take_arguments().map_err(Error::Encode)?;
        Ok(Self { sql: query.sql(), arguments })
    }
}

impl<DB: Database> fmt::Debug for Connections<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("is_closed", &self.is_closed()).finish_non_exhaustive()
    }
}
