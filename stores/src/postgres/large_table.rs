//! Columns and indexes of large tables, which are added while workers and readers use them.
//!
//! A generated column would rewrite the table under a lock that keeps all others out. So the column is
//! ordinary: a trigger keeps it up from now on, and the rows that exist are filled page by page. Indexes are
//! built concurrently. Each step can be interrupted, and is continued by the next program that opens the view.

use std::time::Duration;

use highwater_core::{
    Result,
    domain::{Column, ViewSpec},
    error::Unavailable,
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::{
    PostgresInner,
    error::{classify, classify_view, is_deadlock},
    session::{self, BEGIN},
    table::{
        FILLED, FILLING, LOCK_TIMEOUT, LockTries, MissingParts, OPENING, PostgresTable, lock_views,
        plain, value_of,
    },
};
use crate::sql::connection_pool::within;

/// The number of rows that are filled in one transaction.
const FILL_PAGE: i64 = 500;

/// The time between two tries to begin a turn.
const TURN_DELAY: Duration = Duration::from_millis(500);

/// Adds the columns and indexes that the table of a view lacks. The connection is one of its own, so that no
/// reader waits for it, and its lock ends with it.
pub(super) async fn add_missing(inner: &PostgresInner, spec: &ViewSpec) -> Result<()> {
    let mut connection = inner.options.connection().await?;
    let limit = inner.options.answer_timeout;
    let session = session::number(&mut connection, limit, OPENING).await?;
    let adding = async {
        // Time-outs of the user are for short statements. A session whose machine is gone must not keep its turn.
        let unlimited =
            "set lock_timeout = 0; set statement_timeout = 0; set idle_session_timeout = '60s'";
        sqlx::raw_sql(unlimited).execute(&mut connection).await.map_err(classify(OPENING))?;
        wait_for_turn(inner, &mut connection).await?;
        let table = PostgresTable::new(&mut connection, &inner.schema, spec);
        LargeTable(table).add_missing().await
    };
    let added =
        session::while_active(&inner.log_connections, limit, session, OPENING, adding).await;
    // The server ends the session even if the goodbye does not arrive.
    drop(within(limit, connection.close()).await);
    added
}

/// Takes turns with other processes by a lock of the session. No statement waits for it: a concurrent build of
/// an index waits for all statements of other sessions, and would wait for this one.
async fn wait_for_turn(inner: &PostgresInner, connection: &mut PgConnection) -> Result<()> {
    let lock = format!("highwater large tables {}", inner.schema.as_str());
    loop {
        if inner.is_closed() {
            return Err(Unavailable::Closed.into());
        }
        let is_free = sqlx::query_scalar("select pg_try_advisory_lock(hashtextextended($1, 0))");
        let is_free = is_free.bind(&lock).fetch_one(&mut *connection).await;
        if is_free.map_err(classify(OPENING))? {
            return Ok(());
        }
        tokio::time::sleep(TURN_DELAY).await;
    }
}

struct LargeTable<'a>(PostgresTable<'a>);

impl LargeTable<'_> {
    async fn add_missing(&mut self) -> Result<()> {
        let mut missing = self.0.missing().await?;
        let view = &self.0.spec.name;
        let schema = self.0.schema.as_str();
        let columns: Vec<&str> = missing.columns.iter().map(|column| column.name).collect();
        let indexes = missing.indexes.len();
        tracing::info!(schema, %view, ?columns, indexes, "adding to a view that is in use");
        if !missing.columns.is_empty() {
            self.check_rows(&missing.columns).await?;
            self.add_columns(&mut missing).await?;
        }
        if !missing.unfilled.is_empty() {
            self.fill().await?;
            self.comment_on(&missing.unfilled, FILLED).await?;
        }
        self.add_indexes(&missing).await?;
        let mut tries = LockTries::default();
        while let Err(error) = self.show().await {
            self.0.execute("rollback".to_owned()).await?;
            tries.wait(error).await?;
        }
        tracing::info!(schema, %view, "added to a view that is in use");
        Ok(())
    }

    /// Shows the new columns to plain SQL.
    async fn show(&mut self) -> Result<()> {
        self.0.execute(format!("{BEGIN}; set local lock_timeout = '{LOCK_TIMEOUT}'")).await?;
        lock_views(self.0.connection, self.0.schema).await?;
        self.0.show().await?;
        self.0.execute("commit".to_owned()).await
    }

    /// Refuses columns that the rows don't fit, before a trigger would refuse rows that are written.
    async fn check_rows(&mut self, columns: &[Column]) -> Result<()> {
        let values: Vec<String> =
            columns.iter().map(|column| format!("count({})", value_of(column))).collect();
        self.0.execute(format!("select {} from {}", values.join(", "), self.0.name())).await
    }

    /// Adds columns without values, and the trigger that gives them to rows that are written from now on.
    async fn add_columns(&mut self, missing: &mut MissingParts) -> Result<()> {
        let names = missing.columns.iter().map(|column| column.name.to_owned());
        missing.unfilled.extend(names.clone());
        missing.kept.extend(names);
        let sql = self.columns_and_trigger(missing);
        let mut tries = LockTries::default();
        while let Err(error) = self.0.execute(sql.clone()).await {
            self.0.execute("rollback".to_owned()).await?;
            tries.wait(error).await?;
        }
        Ok(())
    }

    /// Returns the statements that add the columns and the trigger, as one transaction.
    fn columns_and_trigger(&self, missing: &MissingParts) -> String {
        let table = self.0.name();
        let schema = self.0.schema.as_str();
        let columns: Vec<String> =
            missing.columns.iter().map(|column| format!("add {}", plain(column))).collect();
        let comments = missing.columns.iter().map(|column| comment(&table, column.name, FILLING));
        let kept: Vec<String> = missing.kept.iter().map(|name| format!("'{name}'")).collect();
        format!(
            "begin; set local lock_timeout = '{LOCK_TIMEOUT}'; alter table {table} {}; {} {}; \
             create or replace trigger fill_columns before insert or update on {table} \
             for each row execute function {schema}.fill_columns({}); commit",
            columns.join(", "),
            comments.collect::<String>(),
            FILL_COLUMNS.replace("@schema@", schema),
            kept.join(", "),
        )
    }

    /// Gives every row that exists its values, by the trigger.
    async fn fill(&mut self) -> Result<()> {
        let mut after: Option<String> = None;
        loop {
            let from = if after.is_some() { "key > $1" } else { "key >= $1" };
            let table = self.0.name();
            let sql = format!(
                "with page as (select key from {table} where {from} order by key limit $2), \
                 filled as (update {table} t set value = t.value from page where t.key = page.key) \
                 select max(key) from page"
            );
            let page = sqlx::query_scalar(AssertSqlSafe(sql))
                .bind(after.clone().unwrap_or_default())
                .bind(FILL_PAGE)
                .fetch_one(&mut *self.0.connection)
                .await;
            match page {
                Ok(None) => return Ok(()),
                Ok(last) => after = last,
                // A worker has written the same rows in another order.
                Err(error) if is_deadlock(&error) => {}
                Err(error) => return Err(classify_view(OPENING, &self.0.spec.name)(error)),
            }
        }
    }

    async fn comment_on(&mut self, columns: &[String], text: &str) -> Result<()> {
        let table = self.0.name();
        let comments: String = columns.iter().map(|name| comment(&table, name, text)).collect();
        self.0.execute(comments).await
    }

    /// Builds the indexes, and drops one whose build was interrupted or fails.
    async fn add_indexes(&mut self, missing: &MissingParts) -> Result<()> {
        for index in &missing.indexes {
            self.drop_invalid_indexes().await?;
            let added = self.0.add_index("create index concurrently", index).await;
            if added.is_err() {
                self.drop_invalid_indexes().await?;
            }
            added?;
        }
        Ok(())
    }

    /// Drops the indexes of ours that no statement uses, because their build was interrupted.
    async fn drop_invalid_indexes(&mut self) -> Result<()> {
        let sql = "select r.relname::text from pg_index i \
                   join pg_class c on c.oid = i.indrelid join pg_class r on r.oid = i.indexrelid \
                   join pg_namespace n on n.oid = c.relnamespace \
                   where n.nspname = $1 and c.relname = $2 and not i.indisvalid \
                       and starts_with(r.relname::text, 'index_')";
        let found = self.0.catalogue_query(sql).fetch_all(&mut *self.0.connection).await;
        let found: Vec<(String,)> = found.map_err(classify(OPENING))?;
        let schema = self.0.schema.as_str();
        for (name,) in found {
            self.0
                .execute(format!("drop index concurrently if exists {schema}.\"{name}\""))
                .await?;
        }
        Ok(())
    }
}

fn comment(table: &str, column: &str, text: &str) -> String {
    format!("comment on column {table}.\"{column}\" is '{text}';")
}

/// The function of the trigger: it takes the names of the columns, each of which is a field of the row.
const FILL_COLUMNS: &str = "\
create or replace function @schema@.fill_columns() returns trigger language plpgsql as $$
begin
    return json_populate_record(new, (
        select json_object_agg(name, new.value -> name) from unnest(tg_argv) name
    ));
end
$$";
