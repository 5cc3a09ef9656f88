//! Transaction hooks on SQLite.

use std::{any::Any, fmt, sync::Arc};

use futures_util::future::BoxFuture;
use highwater_core::{Result, domain::TransactionHook, port::Append};
use sqlx::{Executor, SqliteConnection};

use super::error::{RUNNING_HOOK, classify, classify_hook, is_missing_savepoint};
use crate::sql::hook::{HookError, HookFn, transaction_ended, wrong_store};

/// A transaction hook on SQLite: writes of the application that are committed with the events of a
/// command or with the progress of a view, or not at all. An outbox row, for example, or a projection with
/// its own tables.
///
/// The hook runs before the events or the progress are stored. It may run again, if the command is
/// decided again after a conflict. An append or a commit with a hook has a transaction of its own, which
/// it shares with no other. The hook must not end that transaction; it may use savepoints.
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
pub struct SqliteHook(Arc<HookFn<SqliteConnection>>);

impl SqliteHook {
    /// Creates a hook that gets the connection, inside the transaction, and the append. It can only be
    /// used with appends.
    pub fn new<F>(work: F) -> Self
    where
        F: for<'a> Fn(&'a mut SqliteConnection, &'a Append) -> BoxFuture<'a, Result<(), HookError>>
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
        Self(Arc::new(HookFn::Transaction(Box::new(work))))
    }

    /// Returns the hook if it is one for this store.
    pub(super) fn of(hook: &dyn TransactionHook) -> Result<&Self> {
        let own = (hook as &dyn Any).downcast_ref();
        own.ok_or_else(|| wrong_store(hook, "SQLite", "SqliteHook").into())
    }

    /// Runs the hook in the transaction of an append, or of a view's commit if there is none. The
    /// savepoint shows if the hook has ended the transaction, whose other writes would be stored apart
    /// from it.
    pub(super) async fn run(
        &self,
        connection: &mut SqliteConnection,
        append: Option<&Append>,
    ) -> Result<()> {
        let begun = connection.execute("savepoint highwater_work").await;
        begun.map_err(classify(RUNNING_HOOK))?;
        self.0.run(connection, append, "SqliteHook").await.map_err(classify_hook)?;
        match connection.execute("release highwater_work").await {
            Ok(_) => Ok(()),
            Err(error) if is_missing_savepoint(&error) => Err(transaction_ended(error)),
            Err(error) => Err(classify(RUNNING_HOOK)(error)),
        }
    }
}

impl TransactionHook for SqliteHook {}

impl fmt::Debug for SqliteHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteHook")
    }
}
