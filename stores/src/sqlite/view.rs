//! The statements of views: each is a table, whose rows are read with the progress of the same snapshot (R1).

use highwater_core::{
    Error, Result,
    domain::{ViewName, ViewSpec},
    port::StoredView,
    value::Sharding,
};
use sqlx::{
    Arguments as _, AssertSqlSafe,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{
    SqliteInner, error,
    row::{json, signed},
    table,
};
use crate::{
    fencing::view_missing,
    sql::{
        spec_cache::SpecCache,
        store::{Sql, SqlStore, SqlValue, SqlValues},
        view::{decode_stored, decode_view},
        view_changes::ViewChange,
    },
};

/// The columns of the progress of view $1. The progress and the stops of its shards are a JSON array.
macro_rules! progress_columns {
    () => {
        "layout, (select coalesce(max(position), 0) from @schema@.events), definition_hash, \
         (select json_group_array(json_array(position, as_of, json(stopped)) order by shard) \
          from @schema@.shards where view = $1)"
    };
}

const ROW: &str = concat!(
    "select (select value from @schema@.rows_@view@ where key = $2), \
         (select since from @schema@.parked_keys where view = $1 and key = $2), ",
    progress_columns!(),
    " from @schema@.views where view = $1"
);

impl SqlStore for SqliteInner {
    type Row = SqliteRow;

    const PROGRESS: &'static str =
        concat!("select ", progress_columns!(), " from @schema@.views where view = $1");

    const OPENED: &'static str = concat!(
        "select ",
        progress_columns!(),
        " from @schema@.views where view = $1 \
         and (not $2 or exists (select 1 from sqlite_master where name = $3))"
    );

    const ROWS: &'static str = "\
        select k.key, v.value, p.since, w.layout, \
            case when k.key = 0 then (select coalesce(max(position), 0) from @schema@.events) end, \
            w.definition_hash, \
            case when k.key = 0 then \
                (select json_group_array(json_array(position, as_of, json(stopped)) order by shard) \
                 from @schema@.shards where view = $1) end \
        from @schema@.views w join json_each($2) k \
        left join @schema@.rows_@view@ v on v.key = k.value \
        left join @schema@.parked_keys p on p.view = $1 and p.key = k.value where w.view = $1";

    const RANGE: &'static str = concat!(
        "select k.key, v.value, p.since, w.",
        progress_columns!(),
        " from @schema@.views w left join ( \
             select key from (select key from @schema@.rows_@view@ where @range@ \
                              order by key limit $2) \
             union \
             select key from (select key from @schema@.parked_keys where view = $1 and @range@ \
                              order by key limit $2) \
             order by key limit $2 \
         ) k on true \
         left join @schema@.rows_@view@ v on v.key = k.key \
         left join @schema@.parked_keys p on p.view = $1 and p.key = k.key \
         where w.view = $1 order by k.key"
    );

    fn sql(&self, statement: &'static str) -> Sql {
        AssertSqlSafe(statement.replace("@schema@.", self.prefix.as_str()))
    }

    async fn fetch(&self, sql: Sql, values: SqlValues<'_>) -> sqlx::Result<Vec<SqliteRow>> {
        self.view_readers.fetch_all(sqlx::query_with(sql, arguments(values)?)).await
    }

    async fn fetch_for_log(&self, sql: Sql, values: SqlValues<'_>) -> sqlx::Result<Vec<SqliteRow>> {
        self.log_readers.fetch_all(sqlx::query_with(sql, arguments(values)?)).await
    }

    async fn execute(&self, doing: &'static str, sql: Sql, values: SqlValues<'_>) -> Result<u64> {
        let arguments = arguments(values).map_err(error::classify(doing))?;
        let mut connection = self.writer().await?;
        let done = sqlx::query_with(sql, arguments).execute(&mut **connection).await;
        Ok(done.map_err(error::classify(doing))?.rows_affected())
    }

    /// There is one connection for all writes.
    async fn execute_for_log(
        &self,
        doing: &'static str,
        sql: Sql,
        values: SqlValues<'_>,
    ) -> Result<u64> {
        self.execute(doing, sql, values).await
    }

    async fn read_row(&self, view: &ViewName, key: &str) -> sqlx::Result<Result<StoredView>> {
        let values = [SqlValue::Text(view.as_str()), SqlValue::Text(key)];
        let found = self.fetch(self.view_sql(ROW, view), &values).await?;
        let Some(row) = found.first() else { return Ok(Err(view_missing(view))) };
        Ok(decode_view::<Self>(row, 2, vec![decode_stored(row, 0)?]))
    }

    async fn open_table(&self, spec: &ViewSpec, sharding: Sharding) -> Result<()> {
        table::open(self, spec, sharding).await
    }

    fn specs(&self) -> &SpecCache {
        &self.specs
    }

    fn changed(&self, change: ViewChange) {
        self.follower.changed(&change);
    }

    fn classify(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Error + Send {
        error::classify(doing)
    }

    fn is_missing_table(error: &sqlx::Error) -> bool {
        error::is_missing_table(error)
    }
}

fn arguments(values: SqlValues<'_>) -> sqlx::Result<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        let added = match *value {
            SqlValue::Text(text) => arguments.add(text),
            SqlValue::OptionalText(text) => arguments.add(text),
            SqlValue::Number(number) => arguments.add(signed(number)),
            SqlValue::Flag(flag) => arguments.add(flag),
            SqlValue::Bytes(bytes) => arguments.add(bytes),
            SqlValue::Id(id) => arguments.add(id),
            SqlValue::Keys(keys) => arguments.add(json(&keys)?),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}
