//! An application's own writes in the append's transaction.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use highwater_core::{
    Result,
    port::{Append, Attachment},
};
use sqlx::SqliteConnection;

use super::error;
use crate::work::{WorkError, unless_it_panics};

type Work = dyn for<'a> Fn(&'a mut SqliteConnection, &'a Append) -> BoxFuture<'a, Result<(), WorkError>>
    + Send
    + Sync;

/// Work on SQLite that is committed with the events of a command, or not at all: an outbox row,
/// an inline projection of the application's own.
///
/// It is run before the events are stored, within the transaction, and may be run again, if the
/// command is decided again after a conflict. An append with work has a transaction of its own: it
/// shares none with others.
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
        unless_it_panics(|| (self.0)(connection, append)).await.map_err(error::work)
    }
}

impl Attachment for SqliteWork {}

impl fmt::Debug for SqliteWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteWork")
    }
}
