//! The connection for writes, in a state to begin a transaction.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, SqlSafeStr, SqlStr, Sqlite, SqliteConnection, Transaction,
    sqlite::SqliteConnectOptions,
};
use tokio::time::Instant;

use super::{SqliteOptions, error::is_busy};

/// The wait before a locked file is opened again.
const RETRY_DELAY: Duration = Duration::from_millis(10);

/// The one connection for writes.
pub(super) struct WriteConnection {
    connection: SqliteConnection,
    options: SqliteConnectOptions,
    /// The temporary objects of the connection, from `sql/append_all.sql`.
    setup: SqlStr,
}

impl WriteConnection {
    /// Opens the file. While another process switches a new file to WAL, SQLite reports that it is locked
    /// at once, without the usual wait.
    pub(super) async fn open(options: &SqliteOptions) -> Result<Self, sqlx::Error> {
        let start = Instant::now();
        loop {
            match options.connect.connect().await {
                Err(error) if is_busy(&error) && start.elapsed() < options.busy_timeout => {
                    tokio::time::sleep(RETRY_DELAY).await;
                }
                connected => {
                    let setup =
                        options.prefix.sql(include_str!("sql/append_all.sql")).into_sql_str();
                    let options = options.connect.clone();
                    return connected.map(|connection| Self { connection, options, setup });
                }
            }
        }
    }

    /// Creates the temporary objects of the connection, after the tables exist.
    pub(super) async fn configure(&mut self) -> Result<(), sqlx::Error> {
        let setup = sqlx::raw_sql(self.setup.clone());
        setup.execute(&mut self.connection).await.map(drop)
    }

    /// Begins a transaction that holds the file's write lock.
    pub(super) async fn begin(&mut self) -> Result<Transaction<'_, Sqlite>, sqlx::Error> {
        self.outside_transactions().await?.begin_with("BEGIN IMMEDIATE").await
    }

    /// Returns the connection, in no transaction.
    ///
    /// The driver counts transactions itself. If one has ended without the driver (SQLite rolls back when
    /// the disk is full; a transaction hook may do it), the driver's own rollback fails, its count stays,
    /// and it would refuse every later transaction: such a connection is replaced.
    pub(super) async fn outside_transactions(
        &mut self,
    ) -> Result<&mut SqliteConnection, sqlx::Error> {
        if self.connection.is_in_transaction() && self.is_stuck().await {
            let mut fresh = self.options.connect().await?;
            sqlx::raw_sql(self.setup.clone()).execute(&mut fresh).await?;
            self.connection = fresh;
        }
        Ok(&mut self.connection)
    }

    /// Returns true if the connection stays in a transaction. A rollback may still be pending: the ping is
    /// executed after it.
    async fn is_stuck(&mut self) -> bool {
        self.connection.ping().await.is_err() || self.connection.is_in_transaction()
    }
}

impl Deref for WriteConnection {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for WriteConnection {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}
