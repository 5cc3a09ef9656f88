//! Pages of a stream and of the log.
//!
//! All returned events are durable. An append may become visible a moment before it has been flushed, and
//! a page with such events ensures the flush first. So a follower never sees an event that is lost in a
//! crash (W3, W7). A read does not wait for writers, and does not guess.

use std::cmp::Reverse;

use highwater_core::{
    Position, Query, QueryItem, ReadFrom, Result, StreamId, Version,
    port::{LogPage, MissingTag, StreamPage, Untagged},
};
use sqlx::{AssertSqlSafe, Postgres, QueryBuilder, Row, postgres::PgRow};

use super::{
    PostgresInner,
    error::classify,
    row::{COLUMNS, EventDecoder, NO_EVENT, signed, unsigned},
};
use crate::sql::query_plan::{alternatives, within};

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
    span: ReadFrom<Version>,
    limit: usize,
) -> Result<StreamPage> {
    let (bound, comparison, order) = match span {
        ReadFrom::After(version) => (version, '>', "asc"),
        ReadFrom::Before(version) => (version, '<', "desc"),
    };
    let sql = format!(
        "select {COLUMNS} from {}.events e where e.stream = $1 and e.version {comparison} $2 \
         order by e.version {order} limit $3",
        inner.schema.as_str()
    );
    let query = sqlx::query(AssertSqlSafe(sql))
        .bind(stream.as_str())
        .bind(signed(bound.get()))
        .bind(signed(limit as u64).saturating_add(1));
    let rows = inner.connections.fetch_all(query).await.map_err(classify("reading a stream"))?;
    // One row more than requested shows if there are more.
    let events = envelopes(&rows[..rows.len().min(limit)], 0)?;
    if let Some(last) = events.iter().map(|event| event.position).max() {
        ensure_seen_is_durable(inner, last).await?;
    }
    let last = events.last().map_or(bound, |event| event.version);
    let next = match span {
        ReadFrom::After(_) => ReadFrom::After(last),
        ReadFrom::Before(_) => ReadFrom::Before(last),
    };
    Ok(StreamPage { next: (rows.len() > limit).then_some(next), events })
}

pub(super) async fn read_log(
    inner: &PostgresInner,
    query: &Query,
    untagged: Option<&Untagged>,
    span: ReadFrom<Position>,
    limit: usize,
) -> Result<LogPage> {
    let mut sql = log_statement(inner, query, untagged, span, limit);
    let rows =
        inner.connections.fetch_all(sql.build()).await.map_err(classify("reading the log"))?;
    let (first, rows) =
        rows.split_first().ok_or_else(|| classify("reading the log")(sqlx::Error::RowNotFound))?;
    let (head, flushed) = decode_head(first)?;
    ensure_durable(inner, head, flushed).await?;
    let mut events = envelopes(rows, 2)?;
    // They are in order in general, but only an order of the whole statement would guarantee it.
    match span {
        ReadFrom::After(_) => events.sort_by_key(|event| event.position),
        ReadFrom::Before(_) => events.sort_by_key(|event| Reverse(event.position)),
    }
    let more = events.len() >= limit;
    let last = events.last().map(|event| event.position);
    let through = match span {
        ReadFrom::After(after) if limit == 0 => after,
        ReadFrom::After(after) if !more => head.max(after),
        ReadFrom::After(after) => last.unwrap_or(after),
        ReadFrom::Before(before) if limit == 0 => before,
        ReadFrom::Before(_) => last.filter(|_| more).unwrap_or_default(),
    };
    Ok(LogPage { events, through, more })
}

pub(super) async fn head(inner: &PostgresInner) -> Result<Position> {
    let query = sqlx::query(inner.schema.sql(concat!("select ", head_columns!())));
    let row = inner.connections.fetch_one(query).await;
    let row = row.map_err(classify("reading the head"))?;
    let (head, flushed) = decode_head(&row)?;
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
    let flush = inner.connections.execute(query).await;
    flush.map(drop).map_err(classify("flushing the log"))
}

/// Selects the head, in a row of its own, and the page with one statement, so they are of one snapshot.
fn log_statement(
    inner: &PostgresInner,
    query: &Query,
    untagged: Option<&Untagged>,
    span: ReadFrom<Position>,
    limit: usize,
) -> QueryBuilder<Postgres> {
    let schema = inner.schema.as_str();
    let order = direction(span);
    let AssertSqlSafe(head) = inner.schema.sql(concat!("select ", head_columns!()));
    let mut sql = QueryBuilder::new(format!(
        "{head}, {NO_EVENT} union all (select null, null, {COLUMNS} from "
    ));
    let column = match (alternatives(query).as_slice(), untagged) {
        ([item], None) => {
            push_matching(&mut sql, schema, item, span);
            order_column(item)
        }
        (items, untagged) => {
            sql.push("(select position from (");
            for (index, item) in items.iter().enumerate() {
                sql.push(if index == 0 { "" } else { " union " });
                push_item(&mut sql, schema, item, span, limit);
            }
            for missing in untagged.iter().flat_map(|untagged| &untagged.missing) {
                sql.push(" union ");
                push_missing(&mut sql, schema, missing, within(untagged, span), limit);
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

fn direction(span: ReadFrom<Position>) -> &'static str {
    if let ReadFrom::After(_) = span { "asc" } else { "desc" }
}

/// Selects the first positions that match one item.
fn push_item(
    sql: &mut QueryBuilder<Postgres>,
    schema: &str,
    item: &QueryItem,
    span: ReadFrom<Position>,
    limit: usize,
) {
    let order = direction(span);
    sql.push("(select e.position from ");
    push_matching(sql, schema, item, span);
    sql.push(format!(" order by {} {order} limit ", order_column(item)))
        .push_bind(signed(limit as u64))
        .push(")");
}

/// Selects the first positions of events that lack a tag.
fn push_missing(
    sql: &mut QueryBuilder<Postgres>,
    schema: &str,
    missing: &MissingTag,
    span: ReadFrom<Position>,
    limit: usize,
) {
    sql.push(format!("(select e.position from {schema}.events e where true"));
    push_span(sql, "e.position", span);
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
    span: ReadFrom<Position>,
) {
    let tags: Vec<String> = item.tags.as_slice().iter().map(ToString::to_string).collect();
    match tags.first() {
        Some(first) => {
            sql.push(format!("{schema}.event_tags t ")).push(events_at(schema, "t.position"));
            sql.push(" where t.tag = ").push_bind(first.clone());
            push_span(sql, "t.position", span);
            sql.push(" and e.tags @> ").push_bind(tags);
        }
        None => {
            sql.push(format!("{schema}.events e where true"));
            push_span(sql, "e.position", span);
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

fn push_span(sql: &mut QueryBuilder<Postgres>, column: &str, span: ReadFrom<Position>) {
    let (bound, comparison) = match span {
        ReadFrom::After(position) => (position, ">"),
        ReadFrom::Before(position) => (position, "<"),
    };
    sql.push(format!(" and {column} {comparison} ")).push_bind(signed(bound.get()));
}

fn decode_head(row: &PgRow) -> Result<(Position, bool)> {
    let read = |row: &PgRow| Ok((Position::new(unsigned(row.try_get(0)?)?), row.try_get(1)?));
    read(row).map_err(classify("reading the log"))
}

fn envelopes(rows: &[PgRow], first: usize) -> Result<Vec<highwater_core::Envelope>> {
    let mut decoder = EventDecoder::default();
    rows.iter()
        .map(|row| decoder.envelope(row, first))
        .collect::<Result<_, sqlx::Error>>()
        .map_err(classify("decoding events"))
}
