//! An application's own writes in the append's transaction.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use highwater_core::{
    Result,
    port::{Append, Attachment},
};
use sqlx::{Executor, SqliteConnection};

use super::error::{self, classify, is_without_savepoint};
use crate::work::{WorkError, ended, unless_it_panics};

type Work = dyn for<'a> Fn(&'a mut SqliteConnection, &'a Append) -> BoxFuture<'a, Result<(), WorkError>>
    + Send
    + Sync;

/// Work on SQLite that is committed with the events of a command, or not at all: an outbox row,
/// an inline projection of the application's own.
///
/// It is run before the events are stored, within the transaction, and may be run again, if the
/// command is decided again after a conflict. An append with work has a transaction of its own: it
/// shares none with others. The work must not end that transaction; savepoints are its own affair.
///
/// ```
/// use highwater_stores::{SqliteWork, sqlx};
///
/// let outbox = SqliteWork::new(|connection, append| {
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
pub struct SqliteWork(Arc<Work>);

impl SqliteWork {
    /// Work that is given the connection, inside the transaction, and the append.
    pub fn new<F>(work: F) -> Self
    where
        F: for<'a> Fn(&'a mut SqliteConnection, &'a Append) -> BoxFuture<'a, Result<(), WorkError>>
            + Send
            + Sync
            + 'static,
    {
        Self(Arc::new(work))
    }

    pub(super) async fn run(
        &self,
        connection: &mut SqliteConnection,
        append: &Append,
    ) -> Result<()> {
        // The savepoint is gone if the work ends the transaction, whose events would then be stored
        // apart from it.
        let doing = "working in the append's transaction";
        connection.execute("savepoint highwater_work").await.map_err(classify(doing))?;
        unless_it_panics(|| (self.0)(connection, append)).await.map_err(error::work)?;
        match connection.execute("release highwater_work").await {
            Ok(_) => Ok(()),
            Err(error) if is_without_savepoint(&error) => Err(ended(error)),
            Err(error) => Err(classify(doing)(error)),
        }
    }
}

impl Attachment for SqliteWork {}

impl fmt::Debug for SqliteWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteWork")
    }
}
