//! The tables of views: creates and renames them, and adds the columns and indexes of the spec.

use std::collections::{HashMap, HashSet};

use futures_util::TryStreamExt as _;
use highwater_core::{
    Result,
    domain::{Column, ColumnKind, Index, ViewName, ViewSpec},
    value::{Epoch, Sharding},
};
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{
    SqliteInner,
    error::{classify, classify_view},
    options::Prefix,
    shard::insert_shards,
};
use crate::{
    columns::ColumnRules,
    fencing::{ShardState, view_renamed},
    rows::column_mismatch,
    sql::{
        index_name::{hashed_index_name, index_name},
        view::stored_hash,
    },
};

const OPENING: &str = "opening a view";

/// Opens a view in one transaction; processes take turns.
pub(super) async fn open(inner: &SqliteInner, spec: &ViewSpec, sharding: Sharding) -> Result<()> {
    let mut connection = inner.writer().await?;
    let mut transaction = connection.begin().await.map_err(classify(OPENING))?;
    let prefix = &inner.prefix;
    let mut table = SqliteTable { connection: &mut transaction, prefix, spec };
    table.rename().await?;
    table.check_name().await?;
    table.insert_view(sharding).await?;
    table.define().await?;
    if spec.rows {
        table.create().await?;
        let columns = table.add_columns().await?;
        let indexes = table.add_indexes().await?;
        table.check_rows(&ColumnRules::new(columns, indexes)).await?;
    }
    transaction.commit().await.map_err(classify(OPENING))
}

/// The table of a view that is being opened.
struct SqliteTable<'a> {
    connection: &'a mut SqliteConnection,
    prefix: &'a Prefix,
    spec: &'a ViewSpec,
}

impl SqliteTable<'_> {
    async fn execute(&mut self, sql: String) -> Result<()> {
        let executed = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *self.connection).await;
        executed.map(drop).map_err(classify_view(OPENING, &self.spec.name))
    }

    fn name(&self) -> String {
        format!("{}view_{}", self.prefix, self.spec.name)
    }

    async fn has_view(&mut self, name: &ViewName) -> Result<bool> {
        let sql = self.prefix.sql("select exists (select 1 from @prefix@views where view = ?)");
        sqlx::query_scalar(sql)
            .bind(name.as_str())
            .fetch_one(&mut *self.connection)
            .await
            .map_err(classify(OPENING))
    }

    /// Returns true if a table or an index has this name.
    async fn has_object(&mut self, name: &str) -> Result<bool> {
        sqlx::query_scalar("select exists (select 1 from sqlite_master where name = ?)")
            .bind(name)
            .fetch_one(&mut *self.connection)
            .await
            .map_err(classify(OPENING))
    }

    /// Renames a view that exists under a former name, with all that belongs to it.
    async fn rename(&mut self) -> Result<()> {
        let prefix = self.prefix;
        let new = &self.spec.name;
        for old in &self.spec.formerly {
            if self.has_view(new).await? || !self.has_view(old).await? {
                continue;
            }
            let table = format!("{prefix}view_{old}");
            if self.has_object(&table).await? {
                self.execute(format!("alter table {table} rename to {}", self.name())).await?;
            }
            let tables = ["views", "shards", "workers", "parked_keys", "parked_events"];
            for table in tables {
                let sql = format!("update {prefix}{table} set view = ? where view = ?");
                let renamed = sqlx::query(AssertSqlSafe(sql)).bind(new.as_str()).bind(old.as_str());
                let renamed = renamed.execute(&mut *self.connection).await;
                renamed.map_err(classify_view(OPENING, new))?;
            }
            let note = prefix.sql(
                "update @prefix@views set formerly = json_insert(formerly, '$[#]', ?2) \
                 where view = ?1",
            );
            let noted = sqlx::query(note).bind(new.as_str()).bind(old.as_str());
            let noted = noted.execute(&mut *self.connection).await;
            noted.map_err(classify_view(OPENING, new))?;
            tracing::info!(%prefix, %old, %new, "renamed a view");
        }
        Ok(())
    }

    /// Refuses a name that a view had before it was renamed.
    async fn check_name(&mut self) -> Result<()> {
        let name = &self.spec.name;
        let sql = self.prefix.sql(
            "select view from @prefix@views v where ?1 in (select value from json_each(v.formerly)) \
             and not exists (select 1 from @prefix@views where view = ?1)",
        );
        let new =
            sqlx::query_scalar(sql).bind(name.as_str()).fetch_all(&mut *self.connection).await;
        let new: Vec<String> = new.map_err(classify(OPENING))?;
        new.first().map_or(Ok(()), |new| Err(view_renamed(name, new)))
    }

    /// Records the definition of the spec, if that of the view isn't known.
    async fn define(&mut self) -> Result<()> {
        let Some(definition) = &self.spec.definition else { return Ok(()) };
        let sql = self.prefix.sql(
            "update @prefix@views set definition = ?2, definition_hash = ?3 \
             where view = ?1 and definition is null",
        );
        let defined = sqlx::query(sql)
            .bind(self.spec.name.as_str())
            .bind(definition.to_json())
            .bind(stored_hash(definition.hash()))
            .execute(&mut *self.connection)
            .await;
        defined.map(drop).map_err(classify_view(OPENING, &self.spec.name))
    }

    /// Inserts a new view with its shards.
    async fn insert_view(&mut self, sharding: Sharding) -> Result<()> {
        let prefix = self.prefix;
        let view = &self.spec.name;
        if self.has_view(view).await? {
            return Ok(());
        }
        let position = self.spec.start_after;
        let as_of = Timestamp::UNIX_EPOCH;
        let initial = ShardState { epoch: Epoch::default(), position, as_of };
        let insert = prefix.sql("insert into @prefix@views (view, layout) values (?, ?)");
        let inserted = sqlx::query(insert)
            .bind(view.as_str())
            .bind(sharding.to_string())
            .execute(&mut *self.connection)
            .await;
        inserted.map_err(classify_view(OPENING, view))?;
        let inserted = insert_shards(self.connection, prefix, view, sharding, initial).await;
        inserted.map_err(classify_view(OPENING, view))
    }

    async fn create(&mut self) -> Result<()> {
        let table = self.name();
        let columns = "key text primary key, value text not null";
        self.execute(format!("create table if not exists {table} ({columns}) without rowid")).await
    }

    /// Adds the missing columns, and returns them.
    async fn add_columns(&mut self) -> Result<Vec<Column>> {
        // Generated columns have the number 2 if they are virtual, and 3 if they are stored.
        let sql = "select name, lower(type), hidden = 2 from pragma_table_xinfo(?)";
        let found = sqlx::query_as(sql).bind(self.name()).fetch_all(&mut *self.connection).await;
        let found: Vec<(String, String, bool)> = found.map_err(classify(OPENING))?;
        let found: HashMap<_, _> =
            found.into_iter().map(|(name, kind, generated)| (name, (kind, generated))).collect();
        let mut added = Vec::new();
        for column in &self.spec.columns {
            match found.get(column.name) {
                None => {
                    self.add_column(column).await?;
                    added.push(*column);
                }
                Some((kind, true)) if kind == type_of(column.kind) => {}
                Some((kind, true)) => return Err(column_mismatch(self.spec, column, kind).into()),
                Some((_, false)) => {
                    return Err(column_mismatch(self.spec, column, "an ordinary one").into());
                }
            }
        }
        Ok(added)
    }

    async fn add_column(&mut self, column: &Column) -> Result<()> {
        let table = self.name();
        let name = column.name;
        let kind = type_of(column.kind);
        let field = format!("generated always as (value ->> '$.\"{name}\"') virtual");
        self.execute(format!("alter table {table} add column \"{name}\" {kind} {field}")).await
    }

    /// Adds the missing indexes, and returns them. An index exists if one has these columns, whatever its
    /// name: a view that is renamed keeps its indexes.
    async fn add_indexes(&mut self) -> Result<Vec<Index>> {
        let sql = "select (select group_concat(coalesce(i.name, ''), ' ' order by i.seqno) \
                           from pragma_index_info(l.name) i) \
                   from pragma_index_list(?) l where l.partial = 0";
        let found = sqlx::query_scalar(sql).bind(self.name()).fetch_all(&mut *self.connection);
        let found: Vec<String> = found.await.map_err(classify(OPENING))?;
        let mut found: HashSet<String> = found.into_iter().collect();
        let mut added = Vec::new();
        for index in &self.spec.indexes {
            if found.insert(index.join(" ")) {
                self.add_index(index).await?;
                added.push(*index);
            }
        }
        Ok(added)
    }

    /// Refuses columns and indexes that the rows of the table don't fit.
    async fn check_rows(&mut self, added: &ColumnRules) -> Result<()> {
        if added.is_empty() {
            return Ok(());
        }
        let sql = format!("select key, value from {}", self.name());
        let mut rows = sqlx::query_as(AssertSqlSafe(sql)).fetch(&mut *self.connection);
        while let Some(row) = rows.try_next().await.map_err(classify(OPENING))? {
            let (key, value): (String, String) = row;
            added.check(&self.spec.name, &key, &value)?;
        }
        Ok(())
    }

    async fn add_index(&mut self, index: Index) -> Result<()> {
        let prefix = self.prefix.as_str();
        let view = &self.spec.name;
        let table = self.name();
        let mut name = index_name(prefix, view, index);
        if self.has_object(&name).await? {
            name = hashed_index_name(prefix, view, index);
        }
        let columns = index.join("\", \"");
        self.execute(format!("create index {name} on {table} (\"{columns}\")")).await
    }
}

fn type_of(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Text => "text",
        ColumnKind::Integer => "integer",
        ColumnKind::Real => "real",
        ColumnKind::Boolean => "boolean",
    }
}
