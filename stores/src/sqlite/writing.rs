//! The connection that writes, in a state to begin a transaction.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Sqlite, SqliteConnection, Transaction,
    sqlite::SqliteConnectOptions,
};
use tokio::time::Instant;

use super::{SqliteOptions, error::is_busy};

/// How long to wait before opening again a file that is locked.
const POLL: Duration = Duration::from_millis(10);

/// The one connection that writes.
pub(super) struct Writing {
    connection: SqliteConnection,
    options: SqliteConnectOptions,
    /// What the connection has of its own: `sql/append_all.sql`.
    own: String,
}

impl Writing {
    /// Opens the file. While another process turns a fresh file to WAL, SQLite says at once that it
    /// is locked, without waiting as it does otherwise.
    pub(super) async fn open(options: &SqliteOptions) -> Result<Self, sqlx::Error> {
        let begun = Instant::now();
        loop {
            match options.connect.connect().await {
                Err(error) if is_busy(&error) && begun.elapsed() < options.busy_timeout => {
                    tokio::time::sleep(POLL).await;
                }
                connected => {
                    let own = options.prefix.fill(include_str!("sql/append_all.sql"));
                    let options = options.connect.clone();
                    return connected.map(|connection| Self { connection, options, own });
                }
            }
        }
    }

    /// Makes what the connection has of its own, once the tables are there.
    pub(super) async fn equip(&mut self) -> Result<(), sqlx::Error> {
        let own = sqlx::raw_sql(AssertSqlSafe(self.own.as_str()));
        own.execute(&mut self.connection).await.map(drop)
    }

    /// Begins a transaction that holds the file's write lock.
    pub(super) async fn begin_writing(&mut self) -> Result<Transaction<'_, Sqlite>, sqlx::Error> {
        self.outside_transactions().await?.begin_with("BEGIN IMMEDIATE").await
    }

    /// The connection, in no transaction.
    ///
    /// The driver counts transactions by itself. If one has ended behind its back (SQLite rolls back
    /// by itself when the disk is full; an application's work may do so), the driver's own rollback
    /// fails, its count stays, and it would refuse every transaction from then on: such a connection
    /// is replaced.
    pub(super) async fn outside_transactions(
        &mut self,
    ) -> Result<&mut SqliteConnection, sqlx::Error> {
        if self.connection.is_in_transaction() && self.is_stuck().await {
            self.connection = self.options.connect().await?;
            self.equip().await?;
        }
        Ok(&mut self.connection)
    }

    /// A rollback may still be on its way: the ping comes after it.
    async fn is_stuck(&mut self) -> bool {
        self.connection.ping().await.is_err() || self.connection.is_in_transaction()
    }
}

impl Deref for Writing {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}
