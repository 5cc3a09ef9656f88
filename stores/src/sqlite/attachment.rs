//! An application's own writes in the transaction of an append or of a view's commit.

use std::{any::Any, fmt, sync::Arc};

use futures_util::future::BoxFuture;
use highwater_core::{Result, domain::TransactionHook, port::Append};
use sqlx::{Executor, SqliteConnection};

use super::error::{self, classify, is_without_savepoint};
use crate::work::{HookError, ended, foreign_work, needs_append, unless_it_panics};

type Appending = dyn for<'a> Fn(&'a mut SqliteConnection, &'a Append) -> BoxFuture<'a, Result<(), HookError>>
    + Send
    + Sync;

type Writing =
    dyn for<'a> Fn(&'a mut SqliteConnection) -> BoxFuture<'a, Result<(), HookError>> + Send + Sync;

/// Work on SQLite that is committed with the events of a command or with the progress of a view, or
/// not at all: an outbox row, a projection of the application's own.
///
/// It is run before the events or the progress are stored and may be run again, if the command is
/// decided again after a conflict. An append or a commit with work has a transaction of its own: it
/// shares none with others. The work must not end that transaction; savepoints are its own affair.
///
/// ```
/// use highwater_stores::{SqliteHook, sqlx};
///
/// let outbox = SqliteHook::new(|connection, append| {
///     Box::pin(async move {
///         for (stream, event) in append.events() {
///             sqlx::query("insert into outbox (stream, event) values (?, ?)")
///                 .bind(stream.as_str())
///                 .bind(event.id.to_string())
///                 .execute(&mut *connection)
///                 .await?;
///         }
///         Ok(())
///     })
/// });
/// ```
#[derive(Clone)]
pub struct SqliteHook(Work);

#[derive(Clone)]
enum Work {
    Appending(Arc<Appending>),
    Writing(Arc<Writing>),
}

impl SqliteHook {
    /// Work that is given the connection, inside the transaction, and the append. It can go with
    /// appends alone.
    pub fn new<F>(work: F) -> Self
    where
        F: for<'a> Fn(&'a mut SqliteConnection, &'a Append) -> BoxFuture<'a, Result<(), HookError>>
            + Send
            + Sync
            + 'static,
    {
        Self(Work::Appending(Arc::new(work)))
    }

    /// Work that is given the connection, inside the transaction. It can go with appends and with
    /// commits of views.
    ///
    /// ```
    /// use highwater_stores::{SqliteHook, sqlx};
    ///
    /// let counted = SqliteHook::writing(|connection| {
    ///     Box::pin(async move {
    ///         sqlx::query("update totals set count = count + 1").execute(connection).await?;
    ///         Ok(())
    ///     })
    /// });
    /// ```
    pub fn writing<F>(work: F) -> Self
    where
        F: for<'a> Fn(&'a mut SqliteConnection) -> BoxFuture<'a, Result<(), HookError>>
            + Send
            + Sync
            + 'static,
    {
        Self(Work::Writing(Arc::new(work)))
    }

    /// What is attached, if it is work for this store.
    pub(super) fn of(attachment: &dyn TransactionHook) -> Result<&Self> {
        let work = (attachment as &dyn Any).downcast_ref();
        work.ok_or_else(|| foreign_work(attachment, "SQLite", "SqliteWork").into())
    }

    /// Does the work within the transaction of an append.
    pub(super) async fn run(
        &self,
        connection: &mut SqliteConnection,
        append: &Append,
    ) -> Result<()> {
        guard(connection).await?;
        let done = unless_it_panics(|| match &self.0 {
            Work::Appending(work) => work(connection, append),
            Work::Writing(work) => work(connection),
        });
        done.await.map_err(error::work)?;
        release(connection).await
    }

    /// Does the work within the transaction of something that is no append.
    pub(super) async fn run_alone(&self, connection: &mut SqliteConnection) -> Result<()> {
        let Work::Writing(work) = &self.0 else {
            return Err(needs_append("SqliteWork").into());
        };
        guard(connection).await?;
        unless_it_panics(|| work(connection)).await.map_err(error::work)?;
        release(connection).await
    }
}

const DOING: &str = "doing the application's own work";

/// The savepoint is gone if the work ends the transaction, whose other writes would then be stored
/// apart from it.
async fn guard(connection: &mut SqliteConnection) -> Result<()> {
    connection.execute("savepoint highwater_work").await.map(drop).map_err(classify(DOING))
}

async fn release(connection: &mut SqliteConnection) -> Result<()> {
    match connection.execute("release highwater_work").await {
        Ok(_) => Ok(()),
        Err(error) if is_without_savepoint(&error) => Err(ended(error)),
        Err(error) => Err(classify(DOING)(error)),
    }
}

impl TransactionHook for SqliteHook {}

impl fmt::Debug for SqliteHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteWork")
    }
}
