//! An application's own writes in the append's transaction.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use highwater_core::{
    Error, Result,
    error::{Invalid, Source},
    port::{Append, Attachment},
};
use sqlx::{Executor, PgConnection};

use super::error::{self, classify, state};
use crate::work::{WorkError, ended, unless_it_panics};

type Work = dyn for<'a> Fn(&'a mut PgConnection, &'a Append) -> BoxFuture<'a, Result<(), WorkError>>
    + Send
    + Sync;

/// Work on PostgreSQL that is committed with the events of a command, or not at all: an outbox row,
/// an inline projection of the application's own.
///
/// It is run before the events are stored and may be run again, if the command is decided again
/// after a conflict. An append with work has a transaction of its own: it shares none with others.
/// The work must not end that transaction; savepoints are its own affair.
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
        // The savepoint is gone if the work ends the transaction, whose events would then be stored
        // apart from it.
        let doing = "working in the append's transaction";
        connection.execute("savepoint highwater_work").await.map_err(classify(doing))?;
        unless_it_panics(|| (self.0)(connection, append)).await.map_err(error::work)?;
        match connection.execute("release savepoint highwater_work").await {
            Ok(_) => Ok(()),
            Err(error) => Err(match state(&error).as_deref() {
                Some(NO_TRANSACTION | NO_SAVEPOINT) => ended(error),
                Some(FAILED_TRANSACTION) => passed_over(error),
                _ => classify(doing)(error),
            }),
        }
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

impl Attachment for PostgresWork {}

impl fmt::Debug for PostgresWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresWork")
    }
}
