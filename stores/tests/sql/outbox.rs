//! A store beside a table of the application, on SQLite and on PostgreSQL.

use std::{any::Any, sync::Arc};

use highwater_core::{
    CommandId, Result,
    domain::TransactionHook,
    error::Invalid,
    port::{Append, Store},
};
use highwater_stores::{PostgresHook, SqliteHook};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection};
use tokio::sync::Notify;

use super::{append, error_messages, open_any, server::Server};

/// A store and its outbox.
pub(super) struct Outbox {
    pub(super) store: Arc<dyn Store>,
    url: String,
    /// The schema, on PostgreSQL.
    schema: Option<String>,
    /// The folder or server, held until the test ends.
    _place: Option<Box<dyn Any + Send + Sync>>,
}

/// The outcome of a hook after its statements.
#[derive(Clone)]
pub(super) enum Then {
    Well,
    Fail,
    Panic,
    /// Signals that it runs, and waits.
    Wait(Arc<Notify>, Arc<Notify>),
}

impl Then {
    async fn end(self) -> Result<()> {
        match self {
            Self::Well => Ok(()),
            Self::Fail => Err(Invalid::request("the work does not want to").into()),
            Self::Panic => panic!("the work panics, as it is meant to"),
            Self::Wait(there, go) => {
                there.notify_one();
                go.notified().await;
                Ok(())
            }
        }
    }
}

/// Returns one outbox on each SQL store. Prints a notice if there is no PostgreSQL.
pub(super) async fn outboxes(test: &str) -> Vec<Outbox> {
    let mut outboxes = vec![Outbox::on_sqlite().await];
    outboxes.extend(Outbox::on_postgres(test).await);
    outboxes
}

impl Outbox {
    pub(super) async fn on_sqlite() -> Self {
        error_messages::record_log();
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("log.db").display());
        Self::at(&url).await.fresh(folder).await
    }

    pub(super) async fn on_postgres(test: &str) -> Option<Self> {
        let server = Server::of(test).await?;
        Some(Self::at(&server.url()).await.fresh(server).await)
    }

    /// Opens the store of a URL, with its outbox.
    pub(super) async fn at(url: &str) -> Self {
        let store = open_any(url).await.unwrap();
        let schema =
            url.split_once("schema=").map(|(_, rest)| rest.split('&').next().unwrap().to_owned());
        Self { store, url: url.to_owned(), schema, _place: None }
    }

    async fn fresh(mut self, place: impl Any + Send + Sync) -> Self {
        self._place = Some(Box::new(place));
        self.execute("create table outbox (command text not null)").await;
        self
    }

    /// Creates a table whose constraint is checked when its row is committed, and returns a statement that
    /// violates it.
    pub(super) async fn deferred_constraint(&self) -> &'static str {
        self.execute(
            "create table outbox_orders (id integer primary key); \
             create table outbox_items (item integer references outbox_orders (id) \
                                        deferrable initially deferred)",
        )
        .await;
        "insert into outbox_items values (7)"
    }

    pub(super) fn is_postgres(&self) -> bool {
        self.schema.is_some()
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Returns a statement with ` outbox`, ` live_…` and ` rows_…` replaced by the full names of the tables.
    fn fill(&self, sql: &str) -> String {
        match &self.schema {
            None => sql.replace(" live_", " highwater_live_").replace(" rows_", " highwater_rows_"),
            Some(schema) => sql
                .replace("outbox", &format!("{schema}.outbox"))
                .replace(" live_", &format!(" {schema}.live_"))
                .replace(" rows_", &format!(" {schema}.rows_")),
        }
    }

    /// Executes statements on a separate connection, as the user of the store.
    pub(super) async fn execute(&self, sql: &str) {
        let sql = sqlx::raw_sql(AssertSqlSafe(self.fill(sql)));
        match self.is_postgres() {
            true => sql.execute(&mut self.postgres().await).await.map(drop),
            false => sql.execute(&mut self.sqlite().await).await.map(drop),
        }
        .unwrap();
    }

    /// Executes a statement that fails.
    pub(super) async fn fail(&self, sql: &str) -> String {
        let sql = sqlx::raw_sql(AssertSqlSafe(self.fill(sql)));
        let failed = match self.is_postgres() {
            true => sql.execute(&mut self.postgres().await).await.map(drop),
            false => sql.execute(&mut self.sqlite().await).await.map(drop),
        };
        failed.unwrap_err().to_string()
    }

    /// Begins a transaction, executes a statement, and leaves the transaction idle.
    pub(super) async fn idle_after(&self, sql: &str) -> PgConnection {
        let mut connection = self.postgres().await;
        let sql = AssertSqlSafe(self.fill(&format!("begin; {sql}")));
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection
    }

    /// Returns the commands in the outbox, in order.
    pub(super) async fn commands(&self) -> Vec<String> {
        self.texts("select command from outbox order by command").await
    }

    /// Returns the texts of a query. `outbox`, `live_` and `rows_` stand for the full names of the tables.
    pub(super) async fn texts(&self, sql: &str) -> Vec<String> {
        let sql = AssertSqlSafe(self.fill(sql));
        match self.is_postgres() {
            true => sqlx::query_scalar(sql).fetch_all(&mut self.postgres().await).await,
            false => sqlx::query_scalar(sql).fetch_all(&mut self.sqlite().await).await,
        }
        .unwrap()
    }

    /// Returns the plan of a query, with a preference for indexes.
    pub(super) async fn plan(&self, query: &str) -> String {
        let query = self.fill(query);
        if self.is_postgres() {
            let mut connection = self.postgres().await;
            sqlx::raw_sql("set enable_seqscan = off").execute(&mut connection).await.unwrap();
            let plan = sqlx::query_scalar(AssertSqlSafe(format!("explain {query}")));
            let plan: Vec<String> = plan.fetch_all(&mut connection).await.unwrap();
            return plan.join("\n");
        }
        let plan = sqlx::query(AssertSqlSafe(format!("explain query plan {query}")));
        let plan = plan.fetch_all(&mut self.sqlite().await).await.unwrap();
        let detail = |row: &sqlx::sqlite::SqliteRow| row.get::<String, _>("detail");
        plan.iter().map(detail).collect::<Vec<_>>().join("\n")
    }

    /// Returns the indexes of a view's table, without that of the primary key.
    pub(super) async fn indexes(&self, table: &str) -> Vec<String> {
        match &self.schema {
            Some(schema) => {
                let sql = "select indexname::text from pg_indexes where schemaname = '@s' \
                           and tablename = '@t' and indexname not like '%pkey%'";
                self.texts(&sql.replace("@s", schema).replace("@t", table)).await
            }
            None => {
                let sql = "select name from pragma_index_list('highwater_@t') where origin = 'c'";
                self.texts(&sql.replace("@t", table)).await
            }
        }
    }

    async fn sqlite(&self) -> SqliteConnection {
        SqliteConnection::connect(&self.url).await.unwrap()
    }

    async fn postgres(&self) -> PgConnection {
        let (url, _) = self.url.split_once('?').unwrap();
        PgConnection::connect(url).await.unwrap()
    }

    /// Returns the number of rows and the number of events.
    pub(super) async fn rows_and_events(&self) -> (usize, u64) {
        (self.commands().await.len(), self.store.head().await.unwrap().get())
    }

    /// Returns an append of one event, with a hook that writes its command to the outbox, executes
    /// these statements, and ends like this.
    pub(super) fn append(&self, statements: &[&str], then: Then) -> Append {
        Append { hook: Some(self.work(statements, then)), ..append() }
    }

    pub(super) fn work(&self, statements: &[&str], then: Then) -> Arc<dyn TransactionHook> {
        let insert = self.fill("insert into outbox values (");
        let statements: Vec<String> = statements.iter().map(|sql| self.fill(sql)).collect();
        let all = move |command: CommandId| {
            let insert = format!("{insert}'{command}')");
            std::iter::once(insert).chain(statements.clone()).map(AssertSqlSafe)
        };
        if self.is_postgres() {
            Arc::new(PostgresHook::new(move |connection, append| {
                let all = all(append.command);
                let then = then.clone();
                Box::pin(async move {
                    for sql in all {
                        sqlx::raw_sql(sql).execute(&mut *connection).await?;
                    }
                    Ok(then.end().await?)
                })
            }))
        } else {
            Arc::new(SqliteHook::new(move |connection, append| {
                let all = all(append.command);
                let then = then.clone();
                Box::pin(async move {
                    for sql in all {
                        sqlx::raw_sql(sql).execute(&mut *connection).await?;
                    }
                    Ok(then.end().await?)
                })
            }))
        }
    }

    /// Returns a hook for the commit of a view that executes these statements and ends like this.
    pub(super) fn writing(&self, statements: &[&str], then: Then) -> Arc<dyn TransactionHook> {
        let statements: Vec<String> = statements.iter().map(|sql| self.fill(sql)).collect();
        let all = move || statements.clone().into_iter().map(AssertSqlSafe);
        if self.is_postgres() {
            Arc::new(PostgresHook::writing(move |connection| {
                let all = all();
                let then = then.clone();
                Box::pin(async move {
                    for sql in all {
                        sqlx::raw_sql(sql).execute(&mut *connection).await?;
                    }
                    Ok(then.end().await?)
                })
            }))
        } else {
            Arc::new(SqliteHook::writing(move |connection| {
                let all = all();
                let then = then.clone();
                Box::pin(async move {
                    for sql in all {
                        sqlx::raw_sql(sql).execute(&mut *connection).await?;
                    }
                    Ok(then.end().await?)
                })
            }))
        }
    }
}
