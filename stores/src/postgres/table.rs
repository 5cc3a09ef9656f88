//! The tables of views: creates and renames them, and adds the columns and indexes of the spec.

use std::collections::{HashMap, HashSet};

use highwater_core::{
    Result,
    domain::{Column, ColumnKind, Index, ViewName, ViewSpec},
    value::Sharding,
};
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, Postgres, postgres::PgArguments, query::QueryAs,
};

use super::{
    PostgresInner,
    error::{classify, classify_view},
    options::Schema,
    row::signed,
    session,
};
use crate::{
    rows::column_mismatch,
    sql::index_name::{hashed_index_name, index_name},
};

const OPENING: &str = "opening a view";

/// Opens a view in one transaction. Processes take turns: of two that create a table at once one would
/// fail, even with "if not exists".
pub(super) async fn open(inner: &PostgresInner, spec: &ViewSpec, sharding: Sharding) -> Result<()> {
    let mut connection = inner.connections.take().await.map_err(classify(OPENING))?;
    let limit = inner.options.answer_timeout;
    let session = session::number(&mut connection, limit, OPENING).await?;
    let opening = open_in(&mut connection, &inner.schema, spec, sharding);
    session::while_active(&inner.connections, limit, session, OPENING, opening).await
}

async fn open_in(
    connection: &mut PgConnection,
    schema: &Schema,
    spec: &ViewSpec,
    sharding: Sharding,
) -> Result<()> {
    let mut transaction = connection.begin().await.map_err(classify(OPENING))?;
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("highwater views {}", schema.as_str()))
        .execute(&mut *transaction)
        .await
        .map_err(classify(OPENING))?;
    let mut table = PostgresTable { connection: &mut transaction, schema, spec };
    table.rename().await?;
    table.create().await?;
    table.insert_view(sharding).await?;
    if spec.rows && !spec.columns.is_empty() {
        table.add_columns().await?;
        table.add_indexes().await?;
    }
    transaction.commit().await.map_err(classify(OPENING))
}

/// The table of a view that is being opened.
struct PostgresTable<'a> {
    connection: &'a mut PgConnection,
    schema: &'a Schema,
    spec: &'a ViewSpec,
}

impl PostgresTable<'_> {
    async fn execute(&mut self, sql: String) -> Result<()> {
        let executed = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *self.connection).await;
        executed.map(drop).map_err(classify_view(OPENING, &self.spec.name))
    }

    fn name(&self) -> String {
        format!("{}.view_{}", self.schema.as_str(), self.spec.name)
    }

    /// Renames a view that exists under a former name, with all that belongs to it.
    async fn rename(&mut self) -> Result<()> {
        let new = &self.spec.name;
        let Some(old) = self.former_name().await? else { return Ok(()) };
        let schema = self.schema.as_str();
        self.execute(format!("alter table if exists {schema}.view_{old} rename to view_{new}"))
            .await?;
        for table in ["views", "shards", "workers", "parked_keys"] {
            let sql = format!("update {schema}.{table} set view = $1 where view = $2");
            let renamed = sqlx::query(AssertSqlSafe(sql)).bind(new.as_str()).bind(old.as_str());
            let renamed = renamed.execute(&mut *self.connection).await;
            renamed.map_err(classify_view(OPENING, new))?;
        }
        tracing::info!(schema, %old, %new, "renamed a view");
        Ok(())
    }

    /// Returns the former name under which the view exists.
    async fn former_name(&mut self) -> Result<Option<ViewName>> {
        let ViewSpec { name: new, formerly, .. } = self.spec;
        if formerly.is_empty() {
            return Ok(None);
        }
        let names: Vec<&str> = formerly.iter().chain([new]).map(ViewName::as_str).collect();
        let sql = self.schema.sql("select view from @schema@.views where view = any($1)");
        let found = sqlx::query_scalar(sql).bind(names).fetch_all(&mut *self.connection).await;
        let found: Vec<String> = found.map_err(classify(OPENING))?;
        let exists = |name: &ViewName| found.iter().any(|found| found == name.as_str());
        Ok(formerly.iter().find(|old| exists(old) && !exists(new)).cloned())
    }

    /// Creates the table, unless it exists. Rows of views are updated often: with room in their page the
    /// index need not be changed.
    async fn create(&mut self) -> Result<()> {
        if !self.spec.rows {
            return Ok(());
        }
        let table = self.name();
        let columns = "key text collate \"C\" primary key, value json not null";
        let options = "fillfactor = 50";
        self.execute(format!("create table if not exists {table} ({columns}) with ({options})"))
            .await
    }

    /// Inserts a new view with its shards.
    async fn insert_view(&mut self, sharding: Sharding) -> Result<()> {
        let sql = self.schema.sql(
            "with inserted as ( \
                 insert into @schema@.views (view, layout) values ($1, $2) \
                 on conflict do nothing returning 1 \
             ) insert into @schema@.shards (view, shard, epoch, position, as_of, cursor, layout) \
             select $1, shard, 0, $3, 'epoch', '', $2 \
             from inserted cross join generate_series(0, $4 - 1) shard",
        );
        let inserted = sqlx::query(sql)
            .bind(self.spec.name.as_str())
            .bind(sharding.to_string())
            .bind(signed(self.spec.start_after.get()))
            .bind(sharding.shards.cast_signed())
            .execute(&mut *self.connection)
            .await;
        inserted.map(drop).map_err(classify_view(OPENING, &self.spec.name))
    }

    /// A statement on the catalogue that takes the names of the schema and of the table.
    fn catalogue_query<T>(&self, sql: &'static str) -> QueryAs<'static, Postgres, T, PgArguments>
    where
        T: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
    {
        let schema = self.schema.as_str().to_owned();
        sqlx::query_as(sql).bind(schema).bind(format!("view_{}", self.spec.name))
    }

    async fn add_columns(&mut self) -> Result<()> {
        let sql = "select a.attname::text, format_type(a.atttypid, a.atttypmod), \
                       a.attgenerated = 's' \
                   from pg_attribute a join pg_class c on c.oid = a.attrelid \
                   join pg_namespace n on n.oid = c.relnamespace \
                   where n.nspname = $1 and c.relname = $2 and a.attnum > 0 \
                       and not a.attisdropped";
        let found = self.catalogue_query(sql).fetch_all(&mut *self.connection).await;
        let found: Vec<(String, String, bool)> = found.map_err(classify(OPENING))?;
        let found: HashMap<_, _> =
            found.into_iter().map(|(name, kind, generated)| (name, (kind, generated))).collect();
        let mut missing = Vec::new();
        for column in &self.spec.columns {
            let mismatch = |found| column_mismatch(self.spec, column, found);
            match found.get(column.name) {
                None => missing.push(format!("add column {}", definition(column))),
                Some((kind, true)) if kind == type_of(column.kind) => {}
                Some((kind, true)) => return Err(mismatch(kind).into()),
                Some((_, false)) => return Err(mismatch("an ordinary one").into()),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        self.execute(format!("alter table {} {}", self.name(), missing.join(", "))).await
    }

    /// Adds the missing indexes. An index exists if one has these columns, whatever its name: a view that
    /// is renamed keeps its indexes.
    async fn add_indexes(&mut self) -> Result<()> {
        let sql = "select array_agg(a.attname::text order by k.place) \
                   from pg_index i join pg_class c on c.oid = i.indrelid \
                   join pg_namespace n on n.oid = c.relnamespace \
                   cross join unnest(i.indkey::int2[]) with ordinality k(number, place) \
                   join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number \
                   where n.nspname = $1 and c.relname = $2 and i.indisvalid \
                       and i.indpred is null and i.indexprs is null and k.place <= i.indnkeyatts \
                   group by i.indexrelid";
        let found = self.catalogue_query(sql).fetch_all(&mut *self.connection).await;
        let found: Vec<(Vec<String>,)> = found.map_err(classify(OPENING))?;
        let mut found: HashSet<Vec<String>> = found.into_iter().map(|(columns,)| columns).collect();
        for index in &self.spec.indexes {
            if found.insert(index.iter().map(|&column| column.to_owned()).collect()) {
                self.add_index(index).await?;
            }
        }
        Ok(())
    }

    async fn add_index(&mut self, index: Index) -> Result<()> {
        let view = &self.spec.name;
        let mut name = index_name("", view, index);
        if self.has_relation(&name).await? {
            name = hashed_index_name("", view, index);
        }
        let columns = index.join("\", \"");
        self.execute(format!("create index {name} on {} (\"{columns}\")", self.name())).await
    }

    async fn has_relation(&mut self, name: &str) -> Result<bool> {
        let sql = "select exists (select from pg_class c \
                                  join pg_namespace n on n.oid = c.relnamespace \
                                  where n.nspname = $1 and c.relname = $2)";
        let query = sqlx::query_scalar(sql).bind(self.schema.as_str()).bind(name);
        query.fetch_one(&mut *self.connection).await.map_err(classify(OPENING))
    }
}

fn definition(column: &Column) -> String {
    let (name, kind) = (column.name, type_of(column.kind));
    format!("\"{name}\" {kind} generated always as ((value ->> '{name}')::{kind}) stored")
}

fn type_of(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Text => "text",
        ColumnKind::Integer => "bigint",
        ColumnKind::Real => "double precision",
        ColumnKind::Boolean => "boolean",
    }
}
