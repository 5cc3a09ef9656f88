//! The tables of views: creates them, and adds the columns and indexes of the spec.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use highwater_core::{
    Code, Error, Result,
    domain::{Column, ColumnKind, Index, ViewName, ViewSpec},
    value::Sharding,
};
use sqlx::{AssertSqlSafe, PgConnection, Postgres, postgres::PgArguments, query::QueryAs};

use super::{
    PostgresInner,
    commit::begin,
    error::{classify, classify_view},
    generation::show_rows,
    large_table,
    options::Schema,
    row::signed,
    session,
};
use crate::{
    fencing::other_generation,
    rows::column_mismatch,
    sql::{
        index_name::{hashed_index_name, index_name},
        view::stored_hash,
    },
};

pub(super) const OPENING: &str = "opening a view";

/// The time that a change of a table waits for its lock. Workers and readers of the table wait behind it.
pub(super) const LOCK_TIMEOUT: &str = "200ms";

/// The number of tries to change a table that is in use, and the time between two.
const LOCK_TRIES: usize = 20;
const LOCK_RETRY_DELAY: Duration = Duration::from_millis(300);

/// Opens a view. What a large table lacks is added while it is in use, after the view has been opened.
pub(super) async fn open(inner: &PostgresInner, spec: &ViewSpec, sharding: Sharding) -> Result<()> {
    let mut tries = LockTries::default();
    let is_complete = loop {
        match open_once(inner, spec, sharding).await {
            Ok(is_complete) => break is_complete,
            Err(error) => tries.wait(error).await?,
        }
    };
    match is_complete {
        true => Ok(()),
        false => large_table::add_missing(inner, spec).await,
    }
}

/// The tries to change a table that others use. A transaction that has only read from it keeps its lock until
/// it ends.
pub(super) struct LockTries(usize);

impl Default for LockTries {
    fn default() -> Self {
        Self(LOCK_TRIES)
    }
}

impl LockTries {
    /// Waits until the next try. Returns the error if there is none, or if it is not about a lock.
    pub(super) async fn wait(&mut self, error: Error) -> Result<()> {
        self.0 = self.0.saturating_sub(1);
        if self.0 == 0 || error.code() != Code::LOCKED {
            return Err(error);
        }
        tracing::info!(%error, "the table of a view is in use; trying again");
        tokio::time::sleep(LOCK_RETRY_DELAY).await;
        Ok(())
    }
}

/// Opens a view in one transaction. Processes take turns: of two that create a table at once one would
/// fail, even with "if not exists". Returns false if the table is large and lacks columns or indexes.
async fn open_once(inner: &PostgresInner, spec: &ViewSpec, sharding: Sharding) -> Result<bool> {
    let limit = inner.options.answer_timeout;
    let mut cut = 0..inner.options.connections;
    loop {
        let mut connection = inner.view_connections.take().await.map_err(classify(OPENING))?;
        let started = Instant::now();
        let opened = async {
            let session = session::number(&mut connection, limit, OPENING).await?;
            let opening = open_in(&mut connection, &inner.schema, spec, sharding);
            session::while_active(&inner.log_connections, limit, session, OPENING, opening).await
        };
        match opened.await {
            // It was cut while it was idle, or its runtime has ended, which the first statements may not notice. All
            // can be done again.
            Err(error)
                if error.code() == Code::UNREACHABLE
                    && started.elapsed() < limit
                    && cut.next().is_some() => {}
            opened => return opened,
        }
    }
}

async fn open_in(
    connection: &mut PgConnection,
    schema: &Schema,
    spec: &ViewSpec,
    sharding: Sharding,
) -> Result<bool> {
    let mut transaction = begin(connection, OPENING).await?;
    lock_views(&mut transaction, schema).await?;
    let mut table = PostgresTable::new(&mut transaction, schema, spec);
    table.rename().await?;
    table.check_name().await?;
    table.create().await?;
    table.insert_view(sharding).await?;
    table.define().await?;
    let is_complete = !spec.rows || spec.columns.is_empty() || table.complete().await?;
    if spec.rows && is_complete {
        table.show().await?;
    }
    transaction.commit().await.map_err(classify(OPENING))?;
    Ok(is_complete)
}

/// Waits for other transactions that open or promote views, and bounds the waits for locks that follow.
pub(super) async fn lock_views(connection: &mut PgConnection, schema: &Schema) -> Result<()> {
    let lock = "select pg_advisory_xact_lock(hashtextextended($1, 0)), \
                    set_config('lock_timeout', $2, true)";
    let lock = sqlx::query(lock).bind(format!("highwater views {}", schema.as_str()));
    let locked = lock.bind(LOCK_TIMEOUT).execute(connection).await;
    locked.map(drop).map_err(classify(OPENING))
}

/// The table of a view that is being opened.
pub(super) struct PostgresTable<'a> {
    pub(super) connection: &'a mut PgConnection,
    pub(super) schema: &'a Schema,
    pub(super) spec: &'a ViewSpec,
    /// The name under which the generation is stored.
    stored: ViewName,
}

/// The columns and indexes of a spec that a table lacks.
#[derive(Debug, Default)]
pub(super) struct MissingParts {
    pub(super) columns: Vec<Column>,
    pub(super) indexes: Vec<Index>,
    /// The names of columns that a trigger keeps up, because they were added to a large table.
    pub(super) kept: Vec<String>,
    /// The names of those whose values are missing in rows.
    pub(super) unfilled: Vec<String>,
}

impl MissingParts {
    fn is_empty(&self) -> bool {
        self.columns.is_empty() && self.indexes.is_empty() && self.unfilled.is_empty()
    }
}

/// A column that exists.
struct FoundColumn {
    kind: String,
    is_generated: bool,
    comment: Option<String>,
}

/// The comments of columns that a trigger keeps up.
pub(super) const FILLING: &str = "Highwater is filling this column";
pub(super) const FILLED: &str = "Highwater keeps this column";

impl FoundColumn {
    fn is_unfilled(&self) -> bool {
        !self.is_generated && self.comment.as_deref() == Some(FILLING)
    }

    /// Returns true if a trigger keeps it up.
    fn is_kept(&self) -> bool {
        !self.is_generated && matches!(self.comment.as_deref(), Some(FILLING | FILLED))
    }
}

/// The size in bytes from which a table is changed while it is in use. A smaller one is rewritten in no time.
const LARGE_TABLE: i64 = 4 << 20;

impl<'a> PostgresTable<'a> {
    pub(super) fn new(
        connection: &'a mut PgConnection,
        schema: &'a Schema,
        spec: &'a ViewSpec,
    ) -> Self {
        Self { connection, schema, spec, stored: spec.stored_name() }
    }

    pub(super) async fn execute(&mut self, sql: String) -> Result<()> {
        let executed = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *self.connection).await;
        executed.map(drop).map_err(classify_view(OPENING, &self.spec.name))
    }

    pub(super) fn name(&self) -> String {
        format!("{}.rows_{}", self.schema.as_str(), self.stored)
    }

    /// Records the definition of the spec, if that of the generation isn't known. A later generation is that of one
    /// definition. The hash goes to all shards: an earlier version of Highwater inserts them without it.
    async fn define(&mut self) -> Result<()> {
        let Some(definition) = &self.spec.definition else { return Ok(()) };
        let name = &self.spec.name;
        let stored = self.stored.as_str();
        let define = self.schema.sql(
            "update @schema@.views set definition = $2, definition_hash = $3 \
             where view = $1 and definition is null",
        );
        let hash = stored_hash(definition.hash());
        let define = sqlx::query(define).bind(stored).bind(definition.to_json()).bind(hash);
        let defined = define.execute(&mut *self.connection).await;
        defined.map_err(classify_view(OPENING, name))?;
        let copy = self.schema.sql(
            "update @schema@.shards s set definition_hash = v.definition_hash \
             from @schema@.views v where v.view = $1 and s.view = v.view \
                 and s.definition_hash is distinct from v.definition_hash",
        );
        let copied = sqlx::query(copy).bind(stored).execute(&mut *self.connection).await;
        copied.map_err(classify_view(OPENING, name))?;
        match self.spec.generation.number {
            1 => Ok(()),
            _ => self.check_definition(hash).await,
        }
    }

    async fn check_definition(&mut self, hash: i64) -> Result<()> {
        let sql = self.schema.sql("select definition_hash from @schema@.views where view = $1");
        let stored = sqlx::query_scalar(sql).bind(self.stored.as_str());
        let stored = stored.fetch_optional(&mut *self.connection).await;
        let stored: Option<i64> = stored.map_err(classify(OPENING))?;
        if stored == Some(hash) { Ok(()) } else { Err(other_generation(&self.stored)) }
    }

    /// Shows the rows to plain SQL with all their columns, if the generation is live.
    pub(super) async fn show(&mut self) -> Result<()> {
        let columns = |relation| {
            format!(
                "array(select attname from pg_attribute where attrelid = \
                     to_regclass(format('@schema@.%I', {relation})) \
                     and attnum > 0 and not attisdropped order by attname)"
            )
        };
        let rows = columns("'rows_' || view");
        let shown = columns("'live_' || $2");
        let is_of_rows = "exists (select from pg_rewrite r join pg_depend d on d.objid = r.oid \
             where r.ev_class = to_regclass(format('@schema@.%I', 'live_' || $2)) \
                 and d.refobjid = to_regclass(format('@schema@.%I', 'rows_' || view)))";
        let sql = format!(
            "select live and ({rows} is distinct from {shown} or not {is_of_rows}) \
             from @schema@.views where view = $1"
        );
        let sql = AssertSqlSafe(sql.replace("@schema@", self.schema.as_str()));
        let is_hidden = sqlx::query_scalar(sql)
            .bind(self.stored.as_str())
            .bind(self.spec.name.as_str())
            .fetch_one(&mut *self.connection)
            .await;
        if is_hidden.map_err(classify(OPENING))? {
            let view = &self.spec.name;
            let shown = show_rows(self.connection, self.schema, view, self.stored.as_str()).await;
            shown.map_err(classify_view(OPENING, view))?;
        }
        Ok(())
    }

    /// Creates the table, unless it exists. Rows of views are updated often: with room in their page the
    /// index need not be changed.
    async fn create(&mut self) -> Result<()> {
        if !self.spec.rows {
            return Ok(());
        }
        self.take_over().await?;
        let table = self.name();
        let columns = "key text collate \"C\" primary key, value json not null";
        let options = "fillfactor = 50";
        self.execute(format!("create table if not exists {table} ({columns}) with ({options})"))
            .await?;
        self.guard().await
    }

    /// Renames the table that a process of an earlier version of Highwater has made since the schema was migrated.
    async fn take_over(&mut self) -> Result<()> {
        let sql = "select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace \
                       where n.nspname = $1 and c.relkind = 'r' and 'rows_' || substr(c.relname, 6) = $2 \
                           and c.relname like 'view\\_%') \
                   and to_regclass(format('%I.%I', $1::text, $2::text)) is null";
        let is_former = self.catalogue_query(sql).fetch_one(&mut *self.connection).await;
        let (is_former,): (bool,) = is_former.map_err(classify(OPENING))?;
        if !is_former {
            return Ok(());
        }
        let former = format!("{}.view_{}", self.schema.as_str(), self.stored);
        self.execute(format!("alter table {former} rename to rows_{}", self.stored)).await
    }

    /// Lets only commits delete rows.
    async fn guard(&mut self) -> Result<()> {
        let sql = "select exists (select from pg_trigger t join pg_class c on c.oid = t.tgrelid \
                       join pg_namespace n on n.oid = c.relnamespace \
                       where n.nspname = $1 and c.relname = $2 and t.tgname = 'keep_all_rows')";
        let is_guarded = self.catalogue_query(sql).fetch_one(&mut *self.connection).await;
        let (is_guarded,): (bool,) = is_guarded.map_err(classify(OPENING))?;
        if is_guarded {
            return Ok(());
        }
        let guard = sqlx::query(self.schema.sql("select @schema@.guard_rows($1)"));
        let guard = guard.bind(self.stored.as_str()).execute(&mut *self.connection).await;
        guard.map(drop).map_err(classify_view(OPENING, &self.spec.name))
    }

    /// Inserts a new generation with its shards.
    async fn insert_view(&mut self, sharding: Sharding) -> Result<()> {
        let sql = self.schema.sql(
            "with inserted as ( \
                 insert into @schema@.views \
                     (view, layout, generation_of, generation, live, complete_at, created_at, formerly) \
                 select $1, $2, $5, $6, $6 = 1, $7, clock_timestamp(), coalesce( \
                     (select formerly from @schema@.views where generation_of = $5 limit 1), '{}') \
                 where not exists (select from @schema@.views \
                                   where generation_of = $5 and removed_through >= $6) \
                 on conflict do nothing returning 1 \
             ) insert into @schema@.shards (view, shard, epoch, position, as_of, cursor, layout) \
             select $1, shard, 0, $3, 'epoch', '', $2 \
             from inserted cross join generate_series(0, $4 - 1) shard",
        );
        let ViewSpec { name, generation, start_after, .. } = self.spec;
        let inserted = sqlx::query(sql)
            .bind(self.stored.as_str())
            .bind(sharding.to_string())
            .bind(signed(start_after.get()))
            .bind(sharding.shards.cast_signed())
            .bind(name.as_str())
            .bind(i64::from(generation.number))
            .bind(signed(generation.complete_at.get()))
            .execute(&mut *self.connection)
            .await;
        inserted.map(drop).map_err(classify_view(OPENING, name))
    }

    /// A statement on the catalogue that takes the names of the schema and of the table.
    pub(super) fn catalogue_query<T>(
        &self,
        sql: &'static str,
    ) -> QueryAs<'static, Postgres, T, PgArguments>
    where
        T: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
    {
        let schema = self.schema.as_str().to_owned();
        sqlx::query_as(sql).bind(schema).bind(format!("rows_{}", self.stored))
    }

    /// Adds what the table lacks. Returns false, and adds nothing, if that is something and the table is large.
    async fn complete(&mut self) -> Result<bool> {
        let missing = self.missing().await?;
        if missing.is_empty() {
            return Ok(true);
        }
        if !missing.unfilled.is_empty() || self.is_large().await? {
            return Ok(false);
        }
        if !missing.columns.is_empty() {
            let columns = missing.columns.iter().map(|column| format!("add {}", generated(column)));
            let columns: Vec<String> = columns.collect();
            self.execute(format!("alter table {} {}", self.name(), columns.join(", "))).await?;
        }
        for index in missing.indexes {
            self.add_index("create index", index).await?;
        }
        Ok(true)
    }

    async fn is_large(&mut self) -> Result<bool> {
        let size = sqlx::query_scalar("select pg_table_size($1::regclass)").bind(self.name());
        let size: i64 = size.fetch_one(&mut *self.connection).await.map_err(classify(OPENING))?;
        Ok(size > LARGE_TABLE)
    }

    /// Returns the columns and indexes that the table lacks.
    pub(super) async fn missing(&mut self) -> Result<MissingParts> {
        let found = self.columns().await?;
        let mut missing = MissingParts::default();
        for column in &self.spec.columns {
            let mismatch = |found| column_mismatch(self.spec, column, found);
            match found.get(column.name) {
                None => missing.columns.push(*column),
                Some(found) if !found.is_generated && !found.is_kept() => {
                    return Err(mismatch("an ordinary one").into());
                }
                Some(found) if found.kind != type_of(column.kind) => {
                    return Err(mismatch(&found.kind).into());
                }
                Some(_) => {}
            }
        }
        for (name, column) in found {
            if column.is_unfilled() {
                missing.unfilled.push(name.clone());
            }
            if column.is_kept() {
                missing.kept.push(name);
            }
        }
        missing.indexes = self.missing_indexes().await?;
        Ok(missing)
    }

    async fn columns(&mut self) -> Result<HashMap<String, FoundColumn>> {
        let sql = "select a.attname::text, format_type(a.atttypid, a.atttypmod), \
                       a.attgenerated = 's', col_description(c.oid, a.attnum) \
                   from pg_attribute a join pg_class c on c.oid = a.attrelid \
                   join pg_namespace n on n.oid = c.relnamespace \
                   where n.nspname = $1 and c.relname = $2 and a.attnum > 0 \
                       and not a.attisdropped";
        let found = self.catalogue_query(sql).fetch_all(&mut *self.connection).await;
        let found: Vec<(String, String, bool, Option<String>)> =
            found.map_err(classify(OPENING))?;
        let column = |(name, kind, is_generated, comment)| {
            (name, FoundColumn { kind, is_generated, comment })
        };
        Ok(found.into_iter().map(column).collect())
    }

    /// Returns the indexes that the table lacks. An index exists if one has these columns, whatever its name:
    /// a view that is renamed keeps its indexes.
    async fn missing_indexes(&mut self) -> Result<Vec<Index>> {
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
        let names = |index: &Index| index.iter().map(|&column| column.to_owned()).collect();
        Ok(self.spec.indexes.iter().filter(|index| found.insert(names(index))).copied().collect())
    }

    /// Creates an index, by this form of the statement.
    pub(super) async fn add_index(&mut self, create: &str, index: Index) -> Result<()> {
        let view = self.stored.clone();
        let mut name = index_name("", &view, index);
        if self.has_relation(&name).await? {
            name = hashed_index_name("", &view, index);
        }
        let columns = index.join("\", \"");
        self.execute(format!("{create} {name} on {} (\"{columns}\")", self.name())).await
    }

    async fn has_relation(&mut self, name: &str) -> Result<bool> {
        let sql = "select exists (select from pg_class c \
                                  join pg_namespace n on n.oid = c.relnamespace \
                                  where n.nspname = $1 and c.relname = $2)";
        let query = sqlx::query_scalar(sql).bind(self.schema.as_str()).bind(name);
        query.fetch_one(&mut *self.connection).await.map_err(classify(OPENING))
    }
}

/// Returns the definition of a column whose value the server computes from the row.
fn generated(column: &Column) -> String {
    format!("{} generated always as ({}) stored", plain(column), value_of(column))
}

/// Returns the definition of a column without its value.
pub(super) fn plain(column: &Column) -> String {
    format!("column \"{}\" {}", column.name, type_of(column.kind))
}

/// Returns the expression for the value of a column.
pub(super) fn value_of(column: &Column) -> String {
    format!("(value ->> '{}')::{}", column.name, type_of(column.kind))
}

fn type_of(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Text => "text",
        ColumnKind::Integer => "bigint",
        ColumnKind::Real => "double precision",
        ColumnKind::Boolean => "boolean",
    }
}
