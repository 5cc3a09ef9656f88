//! The statements of views: each is a table, whose rows are read with the progress of the same snapshot (R1).

use highwater_core::{
    Error, Result,
    domain::{ViewName, ViewSpec},
    port::{Progress, StoredRow, StoredView, ViewState},
    value::{ShardId, Sharding},
};
use sqlx::{
    Arguments as _, Row,
    postgres::{PgArguments, PgRow},
};

use super::{PostgresInner, error, row::signed, table};
use crate::{
    fencing::view_missing,
    sql::{
        row::SqlRow,
        spec_cache::SpecCache,
        stop::StoredStop,
        store::{Sql, SqlStore, SqlValue, SqlValues},
        view::{decode_hash, decode_head, decode_stored},
        view_changes::ViewChange,
    },
};

/// The sharding of view $1, the progress and the stops of its shards, and the head of the log as the statement sees it,
/// null if the log is empty. The head need not be flushed: a reader only compares its progress with it.
macro_rules! progress_rows {
    () => {
        "(select layout, definition_hash, \
              (select position from @schema@.events order by position desc limit 1) as head, \
              array(select position from @schema@.shards where view = $1 order by shard) \
                  as positions, \
              array(select as_of from @schema@.shards where view = $1 order by shard) as as_ofs, \
              (select json_object_agg(shard, stopped) from @schema@.shards \
               where view = $1 and stopped is not null)::text as stops \
          from @schema@.views where view = $1) w"
    };
}

/// The statement has a row for each shard, in any order, and that of the first shard has the value: another
/// table, arrays or sorting would each cost the server 5 % of the statement's time or more. For a single key
/// the planner knows all that it needs, and plans the statement only once.
const ROW: &str = "\
    select layout, position, as_of, \
        (select position from @schema@.events order by position desc limit 1), \
        case when shard = 0 then (select value from @schema@.rows_@view@ where key = $2) end, \
        (select since from @schema@.parked_keys where view = $1 and key = $2), shard, \
        stopped::text, definition_hash \
    from @schema@.shards where view = $1";

impl SqlStore for PostgresInner {
    type Row = PgRow;

    const PROGRESS: &'static str = concat!(
        "select layout, head, definition_hash, positions, as_ofs, stops from ",
        progress_rows!()
    );

    const OPENED: &'static str = concat!(
        "select layout, null::bigint, definition_hash, positions, as_ofs, stops from ",
        progress_rows!(),
        " where not $2 or to_regclass($3) is not null"
    );

    /// The number of keys is hidden from the planner, which would plan each read again.
    const ROWS: &'static str = concat!(
        "select k.place - 1, \
             (select value from @schema@.rows_@view@ v where v.key = k.key), \
             (select since from @schema@.parked_keys p where p.view = $1 and p.key = k.key), \
             w.layout, case when k.place = 1 then w.head end, w.definition_hash, \
             case when k.place = 1 then w.positions end, \
             case when k.place = 1 then w.as_ofs end, case when k.place = 1 then w.stops end \
         from ",
        progress_rows!(),
        " cross join unnest((select $2::text[])) with ordinality k(key, place)"
    );

    const RANGE: &'static str = concat!(
        "select k.key, v.value, p.since, w.layout, w.head, w.definition_hash, \
             w.positions, w.as_ofs, w.stops from ",
        progress_rows!(),
        " left join ( \
             (select key from @schema@.rows_@view@ where @range@ order by key limit $2) \
             union \
             (select key from @schema@.parked_keys where view = $1 and @range@ \
              order by key limit $2) \
             order by key limit $2 \
         ) k on true \
         left join @schema@.rows_@view@ v on v.key = k.key \
         left join @schema@.parked_keys p on p.view = $1 and p.key = k.key order by k.key"
    );

    fn sql(&self, statement: &'static str) -> Sql {
        self.schema.sql(statement)
    }

    async fn fetch(&self, sql: Sql, values: SqlValues<'_>) -> sqlx::Result<Vec<PgRow>> {
        self.view_connections.fetch_all(sqlx::query_with(sql, arguments(values)?)).await
    }

    async fn fetch_for_log(&self, sql: Sql, values: SqlValues<'_>) -> sqlx::Result<Vec<PgRow>> {
        self.log_connections.fetch_all(sqlx::query_with(sql, arguments(values)?)).await
    }

    async fn execute(&self, doing: &'static str, sql: Sql, values: SqlValues<'_>) -> Result<u64> {
        let arguments = arguments(values).map_err(error::classify(doing))?;
        let done = self.view_connections.execute(sqlx::query_with(sql, arguments)).await;
        Ok(done.map_err(error::classify(doing))?.rows_affected())
    }

    async fn execute_for_log(
        &self,
        doing: &'static str,
        sql: Sql,
        values: SqlValues<'_>,
    ) -> Result<u64> {
        let arguments = arguments(values).map_err(error::classify(doing))?;
        let done = self.log_connections.execute(sqlx::query_with(sql, arguments)).await;
        Ok(done.map_err(error::classify(doing))?.rows_affected())
    }

    async fn read_row(&self, view: &ViewName, key: &str) -> sqlx::Result<Result<StoredView>> {
        let values = [SqlValue::Text(view.as_str()), SqlValue::Text(key)];
        let found = self.fetch(self.view_sql(ROW, view), &values).await?;
        let Some(any) = found.first() else { return Ok(Err(view_missing(view))) };
        let head = Some(decode_head(any, 3)?);
        let mut stored = StoredRow::default();
        let mut shards = Vec::with_capacity(found.len());
        let mut stops = Vec::new();
        for row in &found {
            let shard: i32 = row.try_get(6)?;
            if let Some(stop) = row.optional_text(7)? {
                stops.push(StoredStop::decode(ShardId::new(shard.cast_unsigned()), stop)?);
            }
            if shard == 0 {
                stored = decode_stored(row, 4)?;
            }
            shards.push((shard, decode_progress(row)?));
        }
        shards.sort_unstable_by_key(|(shard, _)| *shard);
        stops.sort_unstable_by_key(|stop| stop.shard);
        let shards = shards.into_iter().map(|(_, progress)| progress).collect();
        let sharding = any.text(0)?.parse::<Sharding>().map_err(Error::from);
        let definition = decode_hash(any, 8)?;
        let state = sharding.map(|sharding| ViewState { sharding, shards, stops, definition });
        Ok(state.map(|state| StoredView { rows: vec![stored], state, head }))
    }

    async fn open_table(&self, spec: &ViewSpec, sharding: Sharding) -> Result<()> {
        table::open(self, spec, sharding).await
    }

    fn specs(&self) -> &SpecCache {
        &self.specs
    }

    fn changed(&self, change: ViewChange) {
        self.follower.changed(change);
    }

    fn classify(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Error + Send {
        error::classify(doing)
    }

    fn is_missing_table(error: &sqlx::Error) -> bool {
        error::is_missing_table(error)
    }
}

fn decode_progress(row: &PgRow) -> sqlx::Result<Progress> {
    Ok(Progress { position: row.position(1)?, as_of: row.time(2)?, ..Progress::default() })
}

fn arguments(values: SqlValues<'_>) -> sqlx::Result<PgArguments> {
    let mut arguments = PgArguments::default();
    for value in values {
        let added = match *value {
            SqlValue::Text(text) => arguments.add(text),
            SqlValue::OptionalText(text) => arguments.add(text),
            SqlValue::Number(number) => arguments.add(signed(number)),
            SqlValue::Flag(flag) => arguments.add(flag),
            SqlValue::Bytes(bytes) => arguments.add(bytes),
            SqlValue::Id(id) => arguments.add(id),
            SqlValue::Keys(keys) => arguments.add(keys),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}
