//! An application's own writes in the append's transaction.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use highwater_core::{
    Result,
    port::{Append, Attachment},
};
use sqlx::PgConnection;

use super::error;
use crate::work::{WorkError, unless_it_panics};

type Work = dyn for<'a> Fn(&'a mut PgConnection, &'a Append) -> BoxFuture<'a, Result<(), WorkError>>
    + Send
    + Sync;

/// Work on PostgreSQL that is committed with the events of a command, or not at all: an outbox row,
/// an inline projection of the application's own.
///
/// It is run before the events are stored and may be run again, if the command is decided again
/// after a conflict. An append with work has a transaction of its own: it shares none with others.
///
/// ```
/// use highwater_stores::{PostgresWork, sqlx};
///
/// let outbox = PostgresWork::new(|connection, append| {
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
pub struct PostgresWork(Arc<Work>);

impl PostgresWork {
    /// Work that is given the connection, inside the transaction, and the append.
    pub fn new<F>(work: F) -> Self
    where
        F: for<'a> Fn(&'a mut PgConnection, &'a Append) -> BoxFuture<'a, Result<(), WorkError>>
            + Send
            + Sync
            + 'static,
    {
        Self(Arc::new(work))
    }

    pub(super) async fn run(&self, connection: &mut PgConnection, append: &Append) -> Result<()> {
        unless_it_panics(|| (self.0)(connection, append)).await.map_err(error::work)
    }
}

impl Attachment for PostgresWork {}

impl fmt::Debug for PostgresWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresWork")
    }
}
