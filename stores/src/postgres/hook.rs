//! Transaction hooks on PostgreSQL.

use std::{any::Any, fmt, sync::Arc};

use futures_util::future::BoxFuture;
use highwater_core::{
    Error, Result,
    domain::TransactionHook,
    error::{Invalid, Source},
    port::Append,
};
use sqlx::{Executor, PgConnection};

use super::error::{RUNNING_HOOK, classify, classify_hook, state};
use crate::sql::hook::{HookError, HookFn, transaction_ended, wrong_store};

/// A transaction hook on PostgreSQL: writes of the application that are committed with the events of a
/// command or with the progress of a view, or not at all. An outbox row, for example, or a projection with
/// its own tables.
///
/// The hook runs before the events or the progress are stored. It may run again, if the command is
/// decided again after a conflict. An append or a commit with a hook has a transaction of its own, which
/// it shares with no other. The hook must not end that transaction; it may use savepoints. The server ends it if the
/// hook sends no statement for a minute: the locks of a machine that is gone don't outlive it.
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
pub struct PostgresHook(Arc<HookFn<PgConnection>>);

impl PostgresHook {
    /// Creates a hook that gets the connection, inside the transaction, and the append. It can only be
    /// used with appends.
    pub fn new<F>(work: F) -> Self
    where
        F: for<'a> Fn(&'a mut PgConnection, &'a Append) -> BoxFuture<'a, Result<(), HookError>>
            + Send
            + Sync
            + 'static,
    {
        Self(Arc::new(HookFn::Append(Box::new(work))))
    }

    /// Creates a hook that gets the connection, inside the transaction. It can be used with appends and
    /// with commits of views.
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
        Self(Arc::new(HookFn::Transaction(Box::new(work))))
    }

    /// Returns the hook if it is one for this store.
    pub(super) fn of(hook: &dyn TransactionHook) -> Result<&Self> {
        let own = (hook as &dyn Any).downcast_ref();
        own.ok_or_else(|| wrong_store(hook, "PostgreSQL", "PostgresHook").into())
    }

    /// Runs the hook in the transaction of an append, or of a view's commit if there is none. The
    /// savepoint shows if the hook has ended the transaction, whose other writes would be stored apart
    /// from it.
    pub(super) async fn run(
        &self,
        connection: &mut PgConnection,
        append: Option<&Append>,
    ) -> Result<()> {
        let begun = connection.execute("savepoint highwater_work").await;
        begun.map_err(classify(RUNNING_HOOK))?;
        self.0.run(connection, append, "PostgresHook").await.map_err(classify_hook)?;
        match connection.execute("release savepoint highwater_work").await {
            Ok(_) => Ok(()),
            Err(error) => Err(match state(&error).as_deref() {
                Some(NO_TRANSACTION | NO_SAVEPOINT) => transaction_ended(error),
                Some(FAILED_TRANSACTION) => ignored_error(error),
                _ => classify(RUNNING_HOOK)(error),
            }),
        }
    }
}

const NO_TRANSACTION: &str = "25P01";
const FAILED_TRANSACTION: &str = "25P02";
const NO_SAVEPOINT: &str = "3B001";

/// The error of a hook that hid the failure of one of its statements.
fn ignored_error(error: sqlx::Error) -> Error {
    let message = "the transaction hook ignored an error of one of its statements: nothing more can be \
                   done in the transaction";
    Invalid::request(message).caused_by(Source::new(error)).into()
}

impl TransactionHook for PostgresHook {}

impl fmt::Debug for PostgresHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresHook")
    }
}
