//! The tables of views: made, renamed, and given the columns and indexes that are asked for.

use std::collections::{HashMap, HashSet};

use highwater_core::{
    Result,
    domain::{Column, ColumnKind, Index, ViewName, ViewSpec},
    value::{Epoch, Sharding},
};
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{
    Inner,
    error::{classify, refusing},
    options::Prefix,
    shard::beginning,
};
use crate::{
    claims::Held,
    index_name::{hashed_index_name, index_name},
    rows::other_kind,
};

const DOING: &str = "opening a view";

/// In one transaction, and one process after the other.
pub(super) async fn open(inner: &Inner, spec: &ViewSpec, layout: Sharding) -> Result<()> {
    let mut connection = inner.writing().await?;
    let mut transaction = connection.begin_writing().await.map_err(classify(DOING))?;
    let prefix = &inner.prefix;
    let mut opening = Opening { connection: &mut transaction, prefix, spec };
    opening.rename().await?;
    opening.make(layout).await?;
    if spec.rows {
        opening.make_table().await?;
        opening.add_columns().await?;
        opening.add_indexes().await?;
    }
    transaction.commit().await.map_err(classify(DOING))
}

/// A view that is being opened.
struct Opening<'a> {
    connection: &'a mut SqliteConnection,
    prefix: &'a Prefix,
    spec: &'a ViewSpec,
}

impl Opening<'_> {
    async fn execute(&mut self, sql: String) -> Result<()> {
        let executed = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *self.connection).await;
        executed.map(drop).map_err(refusing(DOING, &self.spec.name))
    }

    fn table(&self) -> String {
        format!("{}view_{}", self.prefix, self.spec.name)
    }

    async fn has_view(&mut self, name: &ViewName) -> Result<bool> {
        let sql = format!("select exists (select 1 from {}views where view = ?)", self.prefix);
        sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(name.as_str())
            .fetch_one(&mut *self.connection)
            .await
            .map_err(classify(DOING))
    }

    /// Whether there is a table or an index of this name.
    async fn has(&mut self, name: &str) -> Result<bool> {
        sqlx::query_scalar("select exists (select 1 from sqlite_master where name = ?)")
            .bind(name)
            .fetch_one(&mut *self.connection)
            .await
            .map_err(classify(DOING))
    }

    /// Gives a view that is there under a former name its name, and all that belongs to it.
    async fn rename(&mut self) -> Result<()> {
        let (prefix, new) = (self.prefix, &self.spec.name);
        for old in &self.spec.formerly {
            if self.has_view(new).await? || !self.has_view(old).await? {
                continue;
            }
            let table = format!("{prefix}view_{old}");
            if self.has(&table).await? {
                self.execute(format!("alter table {table} rename to {}", self.table())).await?;
            }
            let tables = ["views", "shards", "workers", "parked_keys", "parked_events"];
            let renamed = tables.map(|table| {
                format!("update {prefix}{table} set view = '{new}' where view = '{old}'")
            });
            self.execute(renamed.join(";")).await?;
            tracing::info!(%prefix, %old, %new, "renamed a view");
        }
        Ok(())
    }

    /// Puts the view where it begins, unless it is there.
    async fn make(&mut self, layout: Sharding) -> Result<()> {
        let (prefix, view) = (self.prefix, &self.spec.name);
        if self.has_view(view).await? {
            return Ok(());
        }
        let (epoch, position) = (Epoch::default(), self.spec.start_after);
        let start = Held { epoch, position, as_of: Timestamp::UNIX_EPOCH };
        let shards = beginning(prefix, view, layout, start);
        let views =
            format!("insert into {prefix}views (view, layout) values ('{view}', '{layout}')");
        self.execute(format!("{views}; {shards}")).await
    }

    async fn make_table(&mut self) -> Result<()> {
        let table = self.table();
        let columns = "key text primary key, value text not null";
        self.execute(format!("create table if not exists {table} ({columns}) without rowid")).await
    }

    async fn add_columns(&mut self) -> Result<()> {
        // Computed columns are numbered 2 and 3 there, depending on whether they are stored.
        let sql = "select name, lower(type), hidden = 2 from pragma_table_xinfo(?)";
        let there = sqlx::query_as(sql).bind(self.table()).fetch_all(&mut *self.connection).await;
        let there: Vec<(String, String, bool)> = there.map_err(classify(DOING))?;
        let there: HashMap<_, _> =
            there.into_iter().map(|(name, kind, kept_up)| (name, (kind, kept_up))).collect();
        for column in &self.spec.columns {
            match there.get(column.name) {
                None => self.add_column(column).await?,
                Some((kind, true)) if kind == type_of(column.kind) => {}
                Some((kind, true)) => return Err(other_kind(self.spec, column, kind).into()),
                Some((_, false)) => {
                    return Err(other_kind(self.spec, column, "one kept up by hand").into());
                }
            }
        }
        Ok(())
    }

    async fn add_column(&mut self, column: &Column) -> Result<()> {
        let (table, name, kind) = (self.table(), column.name, type_of(column.kind));
        let field = format!("generated always as (value ->> '$.\"{name}\"') virtual");
        self.execute(format!("alter table {table} add column \"{name}\" {kind} {field}")).await
    }

    /// An index is there if one has these columns, whatever it is called: a view that is renamed
    /// keeps its indexes.
    async fn add_indexes(&mut self) -> Result<()> {
        let sql = "select (select group_concat(coalesce(i.name, ''), ' ' order by i.seqno) \
                           from pragma_index_info(l.name) i) \
                   from pragma_index_list(?) l where l.partial = 0";
        let there = sqlx::query_scalar(sql).bind(self.table()).fetch_all(&mut *self.connection);
        let there: Vec<String> = there.await.map_err(classify(DOING))?;
        let mut there: HashSet<String> = there.into_iter().collect();
        for index in &self.spec.indexes {
            if there.insert(index.join(" ")) {
                self.add_index(index).await?;
            }
        }
        Ok(())
    }

    async fn add_index(&mut self, index: Index) -> Result<()> {
        let (prefix, view, table) = (self.prefix.as_str(), &self.spec.name, self.table());
        let mut name = index_name(prefix, view, index);
        if self.has(&name).await? {
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
