//! The tables of views: made, renamed, and given the columns and indexes that are asked for.

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
    Inner,
    error::{classify, refusing},
    options::Schema,
    row::signed,
};
use crate::{
    index_name::{hashed_index_name, index_name},
    rows::other_kind,
};

const DOING: &str = "opening a view";

/// In one transaction, and one process after the other: two that create a table at once would fail one
/// of them, "if not exists" or not.
pub(super) async fn open(inner: &Inner, spec: &ViewSpec, layout: Sharding) -> Result<()> {
    let schema = &inner.schema;
    let mut lane = inner.lanes.take().await.map_err(classify(DOING))?;
    let mut transaction = lane.begin().await.map_err(classify(DOING))?;
    let lock = format!(
        "select pg_advisory_xact_lock(hashtextextended('highwater views {}', 0))",
        schema.as_str()
    );
    execute(&mut transaction, spec, lock).await?;
    rename(&mut transaction, schema, spec).await?;
    make(&mut transaction, schema, spec, layout).await?;
    if spec.rows && !spec.columns.is_empty() {
        add_columns(&mut transaction, schema, spec).await?;
        add_indexes(&mut transaction, schema, spec).await?;
    }
    transaction.commit().await.map_err(classify(DOING))
}

async fn execute(connection: &mut PgConnection, spec: &ViewSpec, sql: String) -> Result<()> {
    let executed = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
    executed.map(drop).map_err(refusing(DOING, &spec.name))
}

/// Gives a view that is there under a former name its name, and all that belongs to it.
async fn rename(connection: &mut PgConnection, schema: &Schema, spec: &ViewSpec) -> Result<()> {
    if spec.formerly.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = spec.formerly.iter().chain([&spec.name]).map(ViewName::as_str).collect();
    let schema = schema.as_str();
    let sql = format!("select view from {schema}.views where view = any($1)");
    let there: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(names)
        .fetch_all(&mut *connection)
        .await
        .map_err(classify(DOING))?;
    let is_there = |name: &ViewName| there.iter().any(|there| there == name.as_str());
    let new = &spec.name;
    let Some(old) = spec.formerly.iter().find(|name| is_there(name) && !is_there(new)) else {
        return Ok(());
    };
    let sql = format!(
        "alter table if exists {schema}.view_{old} rename to view_{new};
         update {schema}.views set view = '{new}' where view = '{old}';
         update {schema}.shards set view = '{new}' where view = '{old}';
         update {schema}.workers set view = '{new}' where view = '{old}';
         update {schema}.parked_keys set view = '{new}' where view = '{old}';"
    );
    execute(connection, spec, sql).await?;
    tracing::info!(schema, %old, %new, "renamed a view");
    Ok(())
}

/// Rows of a view are written again and again: with room in their page the index need not be touched.
async fn make(
    connection: &mut PgConnection,
    schema: &Schema,
    spec: &ViewSpec,
    layout: Sharding,
) -> Result<()> {
    let (schema, view, shards) = (schema.as_str(), &spec.name, layout.shards);
    let position = signed(spec.start_after.get());
    let table = match spec.rows {
        false => String::new(),
        true => format!(
            "create table if not exists {schema}.view_{view} ( \
                 key text collate \"C\" primary key, value json not null) with (fillfactor = 50);"
        ),
    };
    let sql = format!(
        "{table} with made as ( \
             insert into {schema}.views (view, layout) values ('{view}', '{layout}') \
             on conflict do nothing returning 1 \
         ) insert into {schema}.shards (view, shard, epoch, position, as_of, cursor, layout) \
         select '{view}', shard, 0, {position}, 'epoch', '', '{layout}' \
         from made cross join generate_series(0, {shards} - 1) shard"
    );
    execute(connection, spec, sql).await
}

async fn add_columns(
    connection: &mut PgConnection,
    schema: &Schema,
    spec: &ViewSpec,
) -> Result<()> {
    let sql = "select a.attname::text, format_type(a.atttypid, a.atttypmod), a.attgenerated = 's' \
               from pg_attribute a join pg_class c on c.oid = a.attrelid \
               join pg_namespace n on n.oid = c.relnamespace \
               where n.nspname = $1 and c.relname = $2 and a.attnum > 0 and not a.attisdropped";
    let there: Vec<(String, String, bool)> =
        of_table(sql, schema, spec).fetch_all(&mut *connection).await.map_err(classify(DOING))?;
    let there: HashMap<_, _> =
        there.into_iter().map(|(name, kind, kept_up)| (name, (kind, kept_up))).collect();
    let mut missing = Vec::new();
    for column in &spec.columns {
        match there.get(column.name) {
            None => missing.push(format!("add column {}", definition(column))),
            Some((_, false)) => return Err(other_kind(spec, column, "one kept up by hand").into()),
            Some((kind, true)) if kind != type_of(column.kind) => {
                return Err(other_kind(spec, column, kind).into());
            }
            Some(_) => {}
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let table = format!("{}.view_{}", schema.as_str(), spec.name);
    execute(connection, spec, format!("alter table {table} {}", missing.join(", "))).await
}

/// A statement that takes the schema's name and that of the table.
fn of_table<'a, T>(
    sql: &'static str,
    schema: &'a Schema,
    spec: &ViewSpec,
) -> QueryAs<'a, Postgres, T, PgArguments>
where
    T: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
{
    sqlx::query_as(sql).bind(schema.as_str()).bind(format!("view_{}", spec.name))
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

/// An index is there if one has these columns, whatever it is called: a view that is renamed keeps
/// its indexes.
async fn add_indexes(
    connection: &mut PgConnection,
    schema: &Schema,
    spec: &ViewSpec,
) -> Result<()> {
    let sql = "select array_agg(a.attname::text order by k.place) \
               from pg_index i join pg_class c on c.oid = i.indrelid \
               join pg_namespace n on n.oid = c.relnamespace \
               cross join unnest(i.indkey::int2[]) with ordinality k(number, place) \
               join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number \
               where n.nspname = $1 and c.relname = $2 and i.indisvalid \
                   and i.indpred is null and i.indexprs is null and k.place <= i.indnkeyatts \
               group by i.indexrelid";
    let there: Vec<(Vec<String>,)> =
        of_table(sql, schema, spec).fetch_all(&mut *connection).await.map_err(classify(DOING))?;
    let mut there: HashSet<Vec<String>> = there.into_iter().map(|(columns,)| columns).collect();
    for index in &spec.indexes {
        if there.insert(index.iter().map(|&column| column.to_owned()).collect()) {
            add_index(connection, schema, spec, index).await?;
        }
    }
    Ok(())
}

async fn add_index(
    connection: &mut PgConnection,
    schema: &Schema,
    spec: &ViewSpec,
    index: Index,
) -> Result<()> {
    let (view, name) = (&spec.name, index_name("", &spec.name, index));
    let is_taken: bool = sqlx::query_scalar(
        "select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace \
                        where n.nspname = $1 and c.relname = $2)",
    )
    .bind(schema.as_str())
    .bind(&name)
    .fetch_one(&mut *connection)
    .await
    .map_err(classify(DOING))?;
    let name = if is_taken { hashed_index_name("", view, index) } else { name };
    let (schema, columns) = (schema.as_str(), index.join("\", \""));
    let sql = format!("create index {name} on {schema}.view_{view} (\"{columns}\")");
    execute(connection, spec, sql).await
}
