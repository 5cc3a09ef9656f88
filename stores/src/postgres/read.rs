//! Pages of a stream and of the log.
//!
//! All returned events are durable. An append may become visible a moment before it has been flushed, and
//! a page with such events ensures the flush first. So a follower never sees an event that is lost in a
//! crash (W3, W7). A read does not wait for writers, and does not guess.

use std::cmp::Reverse;

use bytes::Bytes;
use highwater_core::{
    Position, Query, QueryItem, ReadFrom, Result, StreamId, Version,
    port::{LogPage, MAX_PAGE_BYTES, MissingTag, StreamPage, Untagged},
};
use sqlx::{AssertSqlSafe, Postgres, QueryBuilder, Row, postgres::PgRow};

use super::{
    PostgresInner,
    error::classify,
    row::{COLUMNS, EventDecoder, NO_EVENT, signed, unsigned},
};
use crate::sql::{
    page_limit::{PartialPage, inline_bytes, log_page},
    query_plan::{alternatives, within},
};

/// The head, and true if all that the statement sees has been flushed. Both functions read the log as it is
/// now, later than the statement's snapshot, so the result holds for the snapshot.
macro_rules! head_columns {
    () => {
        "coalesce((select max(position) from @schema@.events), 0) as head, \
         pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn() as flushed"
    };
}

pub(super) async fn read_stream(
    inner: &PostgresInner,
    stream: &StreamId,
    from: ReadFrom<Version>,
    limit: usize,
) -> Result<StreamPage> {
    let (bound, comparison, order) = match from {
        ReadFrom::After(version) => (version, '>', "asc"),
        ReadFrom::Before(version) => (version, '<', "desc"),
    };
    let sql = format!(
        "select {COLUMNS} case when octet_length(e.payload) <= $4 then e.payload end, e.metadata \
         from {}.events e where e.stream = $1 and e.version {comparison} $2 \
         order by e.version {order} limit $3",
        inner.schema.as_str()
    );
    let limit = inner.page_limit.of(limit);
    let query = sqlx::query(AssertSqlSafe(sql))
        .bind(stream.as_str())
        .bind(signed(bound.get()))
        .bind(signed(limit as u64).saturating_add(1))
        .bind(inline_bytes(limit) as i32);
    let rows =
        inner.log_connections.fetch_all(query).await.map_err(classify("reading a stream"))?;
    // One row more than requested shows if there are more.
    let mut page = partial_page(&rows, 0)?;
    let has_more = page.events().len() > limit;
    page.truncate(limit);
    let payloads = large_payloads(inner, &page).await?;
    let (events, is_cut) = inner.page_limit.complete(page, payloads, limit);
    if let Some(last) = events.iter().map(|event| event.position).max() {
        ensure_seen_is_durable(inner, last).await?;
    }
    let last = events.last().map_or(bound, |event| event.version);
    let next = match from {
        ReadFrom::After(_) => ReadFrom::After(last),
        ReadFrom::Before(_) => ReadFrom::Before(last),
    };
    Ok(StreamPage { next: (is_cut || has_more).then_some(next), events })
}

pub(super) async fn read_log(
    inner: &PostgresInner,
    query: &Query,
    untagged: Option<&Untagged>,
    from: ReadFrom<Position>,
    limit: usize,
) -> Result<LogPage> {
    let limit = inner.page_limit.of(limit);
    let heard = inner.follower.heard();
    let mut sql = log_statement(inner, query, untagged, from, limit);
    let rows =
        inner.log_connections.fetch_all(sql.build()).await.map_err(classify("reading the log"))?;
    let (first, rows) =
        rows.split_first().ok_or_else(|| classify("reading the log")(sqlx::Error::RowNotFound))?;
    let (head, flushed) = decode_head(first)?;
    inner.follower.saw_head(head, heard);
    ensure_durable(inner, head, flushed).await?;
    let mut page = partial_page(rows, 2)?;
    // They are in order in general, but only an order of the whole statement would guarantee it.
    match from {
        ReadFrom::After(_) => page.sort_by_key(|event| event.position),
        ReadFrom::Before(_) => page.sort_by_key(|event| Reverse(event.position)),
    }
    let payloads = large_payloads(inner, &page).await?;
    let (events, is_cut) = inner.page_limit.complete(page, payloads, limit);
    Ok(log_page(events, is_cut, from, limit, head))
}

pub(super) async fn head(inner: &PostgresInner) -> Result<Position> {
    let heard = inner.follower.heard();
    let query = sqlx::query(inner.schema.sql(concat!("select ", head_columns!())));
    let row = inner.log_connections.fetch_one(query).await;
    let row = row.map_err(classify("reading the head"))?;
    let (head, flushed) = decode_head(&row)?;
    inner.follower.saw_head(head, heard);
    ensure_durable(inner, head, flushed).await?;
    Ok(head)
}

/// Ensures that an event which was read is durable, for reads that don't select the head.
pub(super) async fn ensure_seen_is_durable(
    inner: &PostgresInner,
    position: Position,
) -> Result<()> {
    if !inner.follower.is_durable(position) {
        head(inner).await?;
    }
    Ok(())
}

async fn ensure_durable(inner: &PostgresInner, head: Position, flushed: bool) -> Result<()> {
    if !flushed && !inner.follower.is_durable(head) {
        flush(inner).await?;
    }
    inner.follower.flushed(head);
    Ok(())
}

/// Flushes all writes up to now.
pub(super) async fn flush(inner: &PostgresInner) -> Result<()> {
    let query = sqlx::query(inner.schema.sql("call @schema@.flush()"));
    let flush = inner.log_connections.execute(query).await;
    flush.map(drop).map_err(classify("flushing the log"))
}

/// Selects the head, in a row of its own, and the page with one statement, so they are of one snapshot.
fn log_statement(
    inner: &PostgresInner,
    query: &Query,
    untagged: Option<&Untagged>,
    from: ReadFrom<Position>,
    limit: usize,
) -> QueryBuilder<Postgres> {
    let schema = inner.schema.as_str();
    let order = direction(from);
    let AssertSqlSafe(head) = inner.schema.sql(concat!("select ", head_columns!()));
    let mut sql = QueryBuilder::new(format!(
        "{head}, {NO_EVENT} union all (select null, null, {COLUMNS} \
         case when octet_length(e.payload) <= "
    ));
    sql.push_bind(inline_bytes(limit) as i32).push(" then e.payload end, e.metadata from ");
    let column = match (alternatives(query).as_slice(), untagged) {
        ([item], None) => {
            push_matching(&mut sql, schema, item, from);
            order_column(item)
        }
        (items, untagged) => {
            sql.push("(select position from (");
            for (index, item) in items.iter().enumerate() {
                sql.push(if index == 0 { "" } else { " union " });
                push_item(&mut sql, schema, item, from, limit);
            }
            for missing in untagged.iter().flat_map(|untagged| &untagged.missing) {
                sql.push(" union ");
                push_missing(&mut sql, schema, missing, within(untagged, from), limit);
            }
            sql.push(format!(") u order by position {order} limit "))
                .push_bind(signed(limit as u64));
            sql.push(") f ").push(events_at(schema, "f.position"));
            "f.position"
        }
    };
    sql.push(format!(" order by {column} {order} limit ")).push_bind(signed(limit as u64));
    sql.push(")");
    sql
}

/// Joins the events at positions. `offset 0` keeps the planner from reading the whole table for it.
fn events_at(schema: &str, position: &str) -> String {
    format!(
        "cross join lateral (select * from {schema}.events x where x.position = {position} \
         offset 0) e"
    )
}

/// Returns the column by which the index of an item yields its events in log order.
fn order_column(item: &QueryItem) -> &'static str {
    if item.tags.is_empty() { "e.position" } else { "t.position" }
}

fn direction(from: ReadFrom<Position>) -> &'static str {
    if let ReadFrom::After(_) = from { "asc" } else { "desc" }
}

/// Selects the first positions that match one item.
fn push_item(
    sql: &mut QueryBuilder<Postgres>,
    schema: &str,
    item: &QueryItem,
    from: ReadFrom<Position>,
    limit: usize,
) {
    let order = direction(from);
    sql.push("(select e.position from ");
    push_matching(sql, schema, item, from);
    sql.push(format!(" order by {} {order} limit ", order_column(item)))
        .push_bind(signed(limit as u64))
        .push(")");
}

/// Selects the first positions of events that lack a tag.
fn push_missing(
    sql: &mut QueryBuilder<Postgres>,
    schema: &str,
    missing: &MissingTag,
    from: ReadFrom<Position>,
    limit: usize,
) {
    sql.push(format!("(select e.position from {schema}.events e where true"));
    push_bound(sql, "e.position", from);
    push_one_of(sql, "e.type", missing.types.clone());
    sql.push(" and not exists (select from unnest(e.tags) n(tag) where starts_with(n.tag, ");
    sql.push_bind(missing.prefix()).push("))");
    sql.push(" order by e.position limit ").push_bind(signed(limit as u64)).push(")");
}

/// Selects the events that match one item, with the index that suits it.
fn push_matching(
    sql: &mut QueryBuilder<Postgres>,
    schema: &str,
    item: &QueryItem,
    from: ReadFrom<Position>,
) {
    let tags: Vec<String> = item.tags.as_slice().iter().map(ToString::to_string).collect();
    match tags.first() {
        Some(first) => {
            sql.push(format!("{schema}.event_tags t ")).push(events_at(schema, "t.position"));
            sql.push(" where t.tag = ").push_bind(first.clone());
            push_bound(sql, "t.position", from);
            sql.push(" and e.tags @> ").push_bind(tags);
        }
        None => {
            sql.push(format!("{schema}.events e where true"));
            push_bound(sql, "e.position", from);
        }
    }
    push_one_of(sql, "e.type", item.types.clone());
    let categories = item.categories.iter().map(ToString::to_string).collect();
    push_one_of(sql, "split_part(e.stream, '-', 1)", categories);
}

/// Compares with a single value as such: only then does its index yield log order.
fn push_one_of(sql: &mut QueryBuilder<Postgres>, column: &str, mut values: Vec<String>) {
    match (values.pop(), values.is_empty()) {
        (Some(value), true) => sql.push(format!(" and {column} = ")).push_bind(value),
        (Some(value), false) => {
            values.push(value);
            sql.push(format!(" and {column} = any(")).push_bind(values).push(")")
        }
        (None, _) => sql,
    };
}

fn push_bound(sql: &mut QueryBuilder<Postgres>, column: &str, from: ReadFrom<Position>) {
    let (bound, comparison) = match from {
        ReadFrom::After(position) => (position, ">"),
        ReadFrom::Before(position) => (position, "<"),
    };
    sql.push(format!(" and {column} {comparison} ")).push_bind(signed(bound.get()));
}

fn decode_head(row: &PgRow) -> Result<(Position, bool)> {
    let read = |row: &PgRow| Ok((Position::new(unsigned(row.try_get(0)?)?), row.try_get(1)?));
    read(row).map_err(classify("reading the log"))
}

fn partial_page(rows: &[PgRow], first: usize) -> Result<PartialPage> {
    let mut decoder = EventDecoder::default();
    let mut page = PartialPage::with_capacity(rows.len());
    for row in rows {
        let (event, has_payload) =
            decoder.envelope(row, first).map_err(classify("decoding events"))?;
        page.push(event, has_payload);
    }
    Ok(page)
}

/// Selects the first of the payloads that a page has left out, one at least, up to the limit in bytes.
async fn large_payloads(inner: &PostgresInner, page: &PartialPage) -> Result<Vec<Bytes>> {
    if page.is_complete() {
        return Ok(Vec::new());
    }
    let sql = inner.schema.sql(
        "select e.payload from (\
             select i.n, i.position, \
                 sum(octet_length(e.payload)) over (order by i.n) - octet_length(e.payload) as before \
             from unnest($1::bigint[]) with ordinality i(position, n) \
             join @schema@.events e on e.position = i.position) l \
         join @schema@.events e on e.position = l.position where l.before < $2 order by l.n",
    );
    let query =
        sqlx::query(sql).bind(page.positions_without_payload()).bind(signed(MAX_PAGE_BYTES as u64));
    let rows = inner.log_connections.fetch_all(query).await.map_err(classify("reading the log"))?;
    let payload = |row: &PgRow| row.try_get::<Vec<u8>, _>(0).map(Bytes::from);
    rows.iter().map(payload).collect::<Result<_, _>>().map_err(classify("decoding events"))
}
