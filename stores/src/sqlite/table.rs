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
    generation::show_rows,
    migrate::guard,
    options::Prefix,
    row::signed,
    shard::insert_shards,
};
use crate::{
    columns::ColumnRules,
    fencing::{ShardState, other_generation, view_renamed},
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
    let stored = spec.stored_name();
    let mut table = SqliteTable { connection: &mut transaction, prefix, spec, stored };
    table.rename().await?;
    table.check_name().await?;
    table.insert_view(sharding, inner.clock.now()).await?;
    table.define().await?;
    if spec.rows {
        table.create().await?;
        let columns = table.add_columns().await?;
        let indexes = table.add_indexes().await?;
        table.check_rows(&ColumnRules::new(columns, indexes)).await?;
        table.show().await?;
    }
    transaction.commit().await.map_err(classify(OPENING))
}

/// The table of a view that is being opened.
struct SqliteTable<'a> {
    connection: &'a mut SqliteConnection,
    prefix: &'a Prefix,
    spec: &'a ViewSpec,
    /// The name under which the generation is stored.
    stored: ViewName,
}

impl SqliteTable<'_> {
    async fn execute(&mut self, sql: String) -> Result<()> {
        let executed = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *self.connection).await;
        executed.map(drop).map_err(classify_view(OPENING, &self.spec.name))
    }

    fn name(&self) -> String {
        format!("{}rows_{}", self.prefix, self.stored)
    }

    async fn has_generation(&mut self, stored: &ViewName) -> Result<bool> {
        let sql = self.prefix.sql("select exists (select 1 from @prefix@views where view = ?)");
        sqlx::query_scalar(sql)
            .bind(stored.as_str())
            .fetch_one(&mut *self.connection)
            .await
            .map_err(classify(OPENING))
    }

    /// Returns the numbers of the generations of a view.
    async fn generations(&mut self, view: &ViewName) -> Result<Vec<u32>> {
        let sql = self
            .prefix
            .sql("select generation from @prefix@views where coalesce(generation_of, view) = ?");
        let numbers = sqlx::query_scalar(sql).bind(view.as_str());
        numbers.fetch_all(&mut *self.connection).await.map_err(classify(OPENING))
    }

    /// Returns the greatest number of a generation of the view that was removed.
    async fn removed_through(&mut self) -> Result<u32> {
        let sql = self.prefix.sql(
            "select coalesce(max(removed_through), 0) from @prefix@views where generation_of = ?",
        );
        let removed = sqlx::query_scalar(sql).bind(self.spec.name.as_str());
        removed.fetch_one(&mut *self.connection).await.map_err(classify(OPENING))
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
        let spec = self.spec;
        let new = &spec.name;
        for old in &spec.formerly {
            if !self.generations(new).await?.is_empty() {
                return Ok(());
            }
            let generations = self.generations(old).await?;
            for number in &generations {
                self.rename_generation(&old.of_generation(*number), *number).await?;
            }
            if generations.is_empty() {
                continue;
            }
            let prefix = self.prefix;
            self.execute(format!("drop view if exists {prefix}live_{old}")).await?;
            self.show_live().await?;
            let note = prefix.sql(
                "update @prefix@views set formerly = json_insert(formerly, '$[#]', ?2) \
                 where generation_of = ?1",
            );
            let noted = sqlx::query(note).bind(new.as_str()).bind(old.as_str());
            let noted = noted.execute(&mut *self.connection).await;
            noted.map_err(classify_view(OPENING, new))?;
            tracing::info!(%prefix, %old, %new, "renamed a view");
        }
        Ok(())
    }

    async fn rename_generation(&mut self, old: &ViewName, number: u32) -> Result<()> {
        let prefix = self.prefix;
        let view = &self.spec.name;
        let new = view.of_generation(number);
        let table = format!("{prefix}rows_{old}");
        if self.has_object(&table).await? {
            self.execute(format!("drop trigger if exists {prefix}keep_{old}")).await?;
            self.execute(format!("alter table {table} rename to {prefix}rows_{new}")).await?;
            self.execute(guard(prefix, new.as_str())).await?;
        }
        let tables = ["views", "shards", "workers", "parked_keys", "parked_events"];
        for table in tables {
            let sql = format!("update {prefix}{table} set view = ? where view = ?");
            let renamed = sqlx::query(AssertSqlSafe(sql)).bind(new.as_str()).bind(old.as_str());
            let renamed = renamed.execute(&mut *self.connection).await;
            renamed.map_err(classify_view(OPENING, view))?;
        }
        let belongs = prefix.sql("update @prefix@views set generation_of = ? where view = ?");
        let belongs = sqlx::query(belongs).bind(view.as_str()).bind(new.as_str());
        let belongs = belongs.execute(&mut *self.connection).await;
        belongs.map(drop).map_err(classify_view(OPENING, view))
    }

    /// Refuses a name that a view had before it was renamed.
    async fn check_name(&mut self) -> Result<()> {
        let name = &self.spec.name;
        let sql = self.prefix.sql(
            "select coalesce(generation_of, view) from @prefix@views v \
             where ?1 in (select value from json_each(v.formerly)) and not exists \
                 (select 1 from @prefix@views where coalesce(generation_of, view) = ?1)",
        );
        let new =
            sqlx::query_scalar(sql).bind(name.as_str()).fetch_all(&mut *self.connection).await;
        let new: Vec<String> = new.map_err(classify(OPENING))?;
        new.first().map_or(Ok(()), |new| Err(view_renamed(name, new)))
    }

    /// Records the definition of the spec, if that of the generation isn't known. A later generation is that of one
    /// definition.
    async fn define(&mut self) -> Result<()> {
        let Some(definition) = &self.spec.definition else { return Ok(()) };
        let sql = self.prefix.sql(
            "update @prefix@views set definition = coalesce(definition, ?2), \
                 definition_hash = coalesce(definition_hash, ?3) \
             where view = ?1 returning definition_hash",
        );
        let hash = stored_hash(definition.hash());
        let defined = sqlx::query_scalar(sql)
            .bind(self.stored.as_str())
            .bind(definition.to_json())
            .bind(hash)
            .fetch_one(&mut *self.connection)
            .await;
        let stored: i64 = defined.map_err(classify_view(OPENING, &self.spec.name))?;
        match self.spec.generation.number > 1 && stored != hash {
            true => Err(other_generation(&self.stored)),
            false => Ok(()),
        }
    }

    /// Inserts a new generation with its shards.
    async fn insert_view(&mut self, sharding: Sharding, now: Timestamp) -> Result<()> {
        let prefix = self.prefix;
        let ViewSpec { name: view, generation, start_after, .. } = self.spec;
        let stored = self.stored.clone();
        if self.has_generation(&stored).await? {
            return Ok(());
        }
        if self.removed_through().await? >= generation.number {
            return Err(other_generation(&stored));
        }
        let as_of = Timestamp::UNIX_EPOCH;
        let initial = ShardState { epoch: Epoch::default(), position: *start_after, as_of };
        let insert = prefix.sql(
            "insert into @prefix@views \
                 (view, layout, generation_of, generation, live, complete_at, created_at, formerly) \
             values (?1, ?2, ?3, ?4, ?4 = 1, ?5, ?6, coalesce( \
                 (select formerly from @prefix@views where generation_of = ?3 limit 1), '[]'))",
        );
        let inserted = sqlx::query(insert)
            .bind(stored.as_str())
            .bind(sharding.to_string())
            .bind(view.as_str())
            .bind(generation.number)
            .bind(signed(generation.complete_at.get()))
            .bind(now.as_microsecond())
            .execute(&mut *self.connection)
            .await;
        inserted.map_err(classify_view(OPENING, view))?;
        let inserted = insert_shards(self.connection, prefix, &stored, sharding, initial).await;
        inserted.map_err(classify_view(OPENING, view))
    }

    /// Shows the rows of the live generation to plain SQL, whichever is opened.
    async fn show_live(&mut self) -> Result<()> {
        let view = &self.spec.name;
        let sql = self.prefix.sql(
            "select generation from @prefix@views where generation_of = ?1 and live and exists \
                 (select 1 from sqlite_master where name = '@prefix@rows_' || view)",
        );
        let live = sqlx::query_scalar(sql).bind(view.as_str()).fetch_all(&mut *self.connection);
        let live: Vec<u32> = live.await.map_err(classify(OPENING))?;
        let Some(live) = live.first() else { return Ok(()) };
        let stored = view.of_generation(*live);
        let shown = show_rows(self.connection, self.prefix, view, &stored).await;
        shown.map_err(classify_view(OPENING, view))
    }

    /// Shows the rows to plain SQL, if the generation is live and they aren't shown.
    async fn show(&mut self) -> Result<()> {
        let view = &self.spec.name;
        let sql = self.prefix.sql(
            "select live and not exists \
                 (select 1 from sqlite_master where type = 'view' and name = '@prefix@live_' || ?2) \
             from @prefix@views where view = ?1",
        );
        let is_hidden = sqlx::query_scalar(sql).bind(self.stored.as_str()).bind(view.as_str());
        let is_hidden = is_hidden.fetch_one(&mut *self.connection).await;
        if is_hidden.map_err(classify(OPENING))? {
            let shown = show_rows(self.connection, self.prefix, view, &self.stored).await;
            shown.map_err(classify_view(OPENING, view))?;
        }
        Ok(())
    }

    async fn create(&mut self) -> Result<()> {
        let table = self.name();
        // A process of an earlier version of Highwater has made it since the schema was migrated.
        let former = format!("{}view_{}", self.prefix, self.stored);
        if self.has_object(&former).await? && !self.has_object(&table).await? {
            self.execute(format!("alter table {former} rename to {table}")).await?;
        }
        let columns = "key text primary key, value text not null";
        self.execute(format!("create table if not exists {table} ({columns}) without rowid"))
            .await?;
        let trigger = format!("{}keep_{}", self.prefix, self.stored);
        match self.has_object(&trigger).await? {
            true => Ok(()),
            false => self.execute(guard(self.prefix, self.stored.as_str())).await,
        }
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
        let view = self.stored.clone();
        let table = self.name();
        let mut name = index_name(prefix, &view, index);
        if self.has_object(&name).await? {
            name = hashed_index_name(prefix, &view, index);
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
