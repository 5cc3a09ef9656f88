//! An application's own writes in the transaction of an append or of a view's commit.

use std::{any::Any, fmt, sync::Arc};

use futures_util::future::BoxFuture;
use highwater_core::{
    Error, Result,
    domain::TransactionHook,
    error::{Invalid, Source},
    port::Append,
};
use sqlx::{Executor, PgConnection};

use super::error::{self, classify, state};
use crate::work::{HookError, ended, foreign_work, needs_append, unless_it_panics};

type Appending = dyn for<'a> Fn(&'a mut PgConnection, &'a Append) -> BoxFuture<'a, Result<(), HookError>>
    + Send
    + Sync;

type Writing =
    dyn for<'a> Fn(&'a mut PgConnection) -> BoxFuture<'a, Result<(), HookError>> + Send + Sync;

/// Work on PostgreSQL that is committed with the events of a command or with the progress of a view,
/// or not at all: an outbox row, a projection of the application's own.
///
/// It is run before the events or the progress are stored and may be run again, if the command is
/// decided again after a conflict. An append or a commit with work has a transaction of its own: it
/// shares none with others. The work must not end that transaction; savepoints are its own affair.
///
/// ```
/// use highwater_stores::{PostgresHook, sqlx};
///
/// let outbox = PostgresHook::new(|connection, append| {
///     Box::pin(async move {
///         for (stream, event) in append.events() {
///             sqlx::query("insert into outbox (stream, event) values ($1, $2)")
///                 .bind(stream.as_str())
///                 .bind(event.id.as_uuid())
///                 .execute(&mut *connection)
///                 .await?;
///         }
///         Ok(())
///     })
/// });
/// ```
#[derive(Clone)]
pub struct PostgresHook(Work);

#[derive(Clone)]
enum Work {
    Appending(Arc<Appending>),
    Writing(Arc<Writing>),
}

impl PostgresHook {
    /// Work that is given the connection, inside the transaction, and the append. It can go with
    /// appends alone.
    pub fn new<F>(work: F) -> Self
    where
        F: for<'a> Fn(&'a mut PgConnection, &'a Append) -> BoxFuture<'a, Result<(), HookError>>
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
    /// use highwater_stores::{PostgresHook, sqlx};
    ///
    /// let counted = PostgresHook::writing(|connection| {
    ///     Box::pin(async move {
    ///         sqlx::query("update totals set count = count + 1").execute(connection).await?;
    ///         Ok(())
    ///     })
    /// });
    /// ```
    pub fn writing<F>(work: F) -> Self
    where
        F: for<'a> Fn(&'a mut PgConnection) -> BoxFuture<'a, Result<(), HookError>>
            + Send
            + Sync
            + 'static,
    {
        Self(Work::Writing(Arc::new(work)))
    }

    /// What is attached, if it is work for this store.
    pub(super) fn of(attachment: &dyn TransactionHook) -> Result<&Self> {
        let work = (attachment as &dyn Any).downcast_ref();
        work.ok_or_else(|| foreign_work(attachment, "PostgreSQL", "PostgresWork").into())
    }

    /// Does the work within the transaction of an append.
    pub(super) async fn run(&self, connection: &mut PgConnection, append: &Append) -> Result<()> {
        guard(connection).await?;
        let done = unless_it_panics(|| match &self.0 {
            Work::Appending(work) => work(connection, append),
            Work::Writing(work) => work(connection),
        });
        done.await.map_err(error::work)?;
        release(connection).await
    }

    /// Does the work within the transaction of something that is no append.
    pub(super) async fn run_alone(&self, connection: &mut PgConnection) -> Result<()> {
        let Work::Writing(work) = &self.0 else {
            return Err(needs_append("PostgresWork").into());
        };
        guard(connection).await?;
        unless_it_panics(|| work(connection)).await.map_err(error::work)?;
        release(connection).await
    }
}

const DOING: &str = "doing the application's own work";

/// The savepoint is gone if the work ends the transaction, whose other writes would then be stored
/// apart from it.
async fn guard(connection: &mut PgConnection) -> Result<()> {
    connection.execute("savepoint highwater_work").await.map(drop).map_err(classify(DOING))
}

async fn release(connection: &mut PgConnection) -> Result<()> {
    match connection.execute("release savepoint highwater_work").await {
        Ok(_) => Ok(()),
        Err(error) => Err(match state(&error).as_deref() {
            Some(NO_TRANSACTION | NO_SAVEPOINT) => ended(error),
            Some(FAILED_TRANSACTION) => passed_over(error),
            _ => classify(DOING)(error),
        }),
    }
}

const NO_TRANSACTION: &str = "25P01";
const FAILED_TRANSACTION: &str = "25P02";
const NO_SAVEPOINT: &str = "3B001";

/// A statement of the work failed, and the work did not say so.
fn passed_over(error: sqlx::Error) -> Error {
    let message = "the work of the application has passed over an error of one of its statements: \
                   nothing more can be done in the transaction";
    Invalid::request(message).caused_by(Source::new(error)).into()
}

impl TransactionHook for PostgresHook {}

impl fmt::Debug for PostgresHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresWork")
    }
}
