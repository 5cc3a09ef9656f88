//! Pages of a stream and of the log.
//!
//! What is handed out is durable: an append may become visible a moment before it has been
//! flushed, and a page that has such events makes sure of the flush first. So a follower never sees
//! an event that a crash could take back (W3, W7). It waits for nobody and guesses nothing.

use std::cmp::Reverse;

use highwater_core::{
    Position, Query, QueryItem, ReadFrom, Result, StreamId, Version,
    port::{LogPage, StreamPage},
};
use sqlx::{AssertSqlSafe, Postgres, QueryBuilder, Row, postgres::PgRow};

use super::{
    Inner,
    error::classify,
    row::{COLUMNS, NO_EVENT, Rows, signed, unsigned},
};
use crate::alternatives::alternatives;

pub(super) async fn stream(
    inner: &Inner,
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
    let rows = inner.lanes.fetch_all(query).await.map_err(classify("reading a stream"))?;
    // One row more than asked for tells whether the stream goes on.
    let events = envelopes(&rows[..rows.len().min(limit)], 0)?;
    if let Some(last) = events.iter().map(|event| event.position).max() {
        ensure_seen_is_durable(inner, last).await?;
    }
    let at = events.last().map_or(bound, |event| event.version);
    let next = match span {
        ReadFrom::After(_) => ReadFrom::After(at),
        ReadFrom::Before(_) => ReadFrom::Before(at),
    };
    Ok(StreamPage { next: (rows.len() > limit).then_some(next), events })
}

pub(super) async fn log(
    inner: &Inner,
    query: &Query,
    span: ReadFrom<Position>,
    limit: usize,
) -> Result<LogPage> {
    let mut sql = statement(inner, query, span, limit);
    let rows = inner.lanes.fetch_all(sql.build()).await.map_err(classify("reading the log"))?;
    let (first, rows) =
        rows.split_first().ok_or_else(|| classify("reading the log")(sqlx::Error::RowNotFound))?;
    let (head, flushed) = head_of(first)?;
    ensure_durable(inner, head, flushed).await?;
    let mut events = envelopes(rows, 2)?;
    // They are, as a rule, but only an order over the whole statement would promise it.
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

pub(super) async fn head(inner: &Inner) -> Result<Position> {
    let sql = format!("select {}", head_columns(inner));
    let query = sqlx::query(AssertSqlSafe(sql));
    let row = inner.lanes.fetch_one(query).await;
    let row = row.map_err(classify("reading the head"))?;
    let (head, flushed) = head_of(&row)?;
    ensure_durable(inner, head, flushed).await?;
    Ok(head)
}

/// The head and whether all that the statement sees has been flushed. Both functions look at the log
/// as it is now, later than the statement's snapshot: what they say holds of what it sees.
fn head_columns(inner: &Inner) -> String {
    format!(
        "coalesce((select max(position) from {}.events), 0) as head, \
         pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn() as flushed",
        inner.schema.as_str()
    )
}

/// For reads that don't ask for the head themselves.
pub(super) async fn ensure_seen_is_durable(inner: &Inner, position: Position) -> Result<()> {
    if !inner.following.is_durable(position) {
        head(inner).await?;
    }
    Ok(())
}

async fn ensure_durable(inner: &Inner, head: Position, flushed: bool) -> Result<()> {
    if !flushed && !inner.following.is_durable(head) {
        flush(inner).await?;
    }
    inner.following.flushed(head);
    Ok(())
}

/// Flushes everything that has been written up to now.
pub(super) async fn flush(inner: &Inner) -> Result<()> {
    let sql = format!("call {}.flush()", inner.schema.as_str());
    let query = sqlx::query(AssertSqlSafe(sql));
    let flush = inner.lanes.execute(query).await;
    flush.map(drop).map_err(classify("flushing the log"))
}

/// One statement, one snapshot: the head in a row of its own, and the page.
fn statement(
    inner: &Inner,
    query: &Query,
    span: ReadFrom<Position>,
    limit: usize,
) -> QueryBuilder<Postgres> {
    let schema = inner.schema.as_str();
    let order = direction(span);
    let head = head_columns(inner);
    let mut sql = QueryBuilder::new(format!(
        "select {head}, {NO_EVENT} union all (select null, null, {COLUMNS} from "
    ));
    let place = match alternatives(query).as_slice() {
        [item] => {
            push_matching(&mut sql, schema, item, span);
            place(item)
        }
        items => {
            sql.push("(select position from (");
            for (index, item) in items.iter().enumerate() {
                sql.push(if index == 0 { "" } else { " union " });
                push_item(&mut sql, schema, item, span, limit);
            }
            sql.push(format!(") u order by position {order} limit "))
                .push_bind(signed(limit as u64));
            sql.push(") f ").push(events_at(schema, "f.position"));
            "f.position"
        }
    };
    sql.push(format!(" order by {place} {order} limit ")).push_bind(signed(limit as u64));
    sql.push(")");
    sql
}

/// Joins the events of positions. The fence keeps the planner from reading the whole table for it.
fn events_at(schema: &str, position: &str) -> String {
    format!(
        "cross join lateral (select * from {schema}.events x where x.position = {position} \
         offset 0) e"
    )
}

/// By which column the events of an item come in log order from the index that is used for it.
fn place(item: &QueryItem) -> &'static str {
    if item.tags.is_empty() { "e.position" } else { "t.position" }
}

fn direction(span: ReadFrom<Position>) -> &'static str {
    if let ReadFrom::After(_) = span { "asc" } else { "desc" }
}

/// The first positions that match one item.
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
    sql.push(format!(" order by {} {order} limit ", place(item)))
        .push_bind(signed(limit as u64))
        .push(")");
}

/// The events that match one item, by the index that suits it.
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

/// One value is compared as such: only then does the index on it give log order.
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

fn head_of(row: &PgRow) -> Result<(Position, bool)> {
    let read = |row: &PgRow| Ok((Position::new(unsigned(row.try_get(0)?)?), row.try_get(1)?));
    read(row).map_err(classify("reading the log"))
}

fn envelopes(rows: &[PgRow], first: usize) -> Result<Vec<highwater_core::Envelope>> {
    let mut decoder = Rows::default();
    rows.iter()
        .map(|row| decoder.envelope(row, first))
        .collect::<Result<_, sqlx::Error>>()
        .map_err(classify("decoding events"))
}
