//! Pages of a stream and of the log. A statement reads one snapshot, and there is one writer, so the
//! visible events are in order and complete.

use std::sync::Arc;

use highwater_core::{
    CommandId, Position, Query, QueryItem, ReadFrom, Result, StreamId, Version,
    port::{LogPage, MissingTag, RecordedCommand, StreamPage, Untagged},
};
use sqlx::{QueryBuilder, Row, Sqlite, sqlite::SqliteRow};

use super::{
    SqliteInner,
    error::{self, classify},
    idempotency::find_command,
    options::Prefix,
    row::{PACKED, signed, unpack, unsigned},
};
use crate::sql::query_plan::{alternatives, within};

pub(super) async fn read_stream(
    inner: Arc<SqliteInner>,
    stream: StreamId,
    span: ReadFrom<Version>,
    limit: usize,
) -> Result<StreamPage> {
    let mut limit = limit;
    let mut events = loop {
        let row =
            inner.readers.fetch_one(stream_statement(&inner, &stream, span, limit).build()).await;
        if !shorten_if_too_big(&row, &mut limit) {
            let row = row.map_err(classify("reading a stream"))?;
            break unpack(&row, 0).map_err(classify("decoding events"))?;
        }
    };
    let bound = match span {
        ReadFrom::After(version) => {
            // They are in the order of the index already, but SQLite does not guarantee it.
            events.sort_by_key(|event| event.version);
            version
        }
        ReadFrom::Before(version) => version,
    };
    let has_more = events.len() > limit;
    events.truncate(limit);
    let last = events.last().map_or(bound, |event| event.version);
    let next = match span {
        ReadFrom::After(_) => ReadFrom::After(last),
        ReadFrom::Before(_) => ReadFrom::Before(last),
    };
    Ok(StreamPage { next: has_more.then_some(next), events })
}

/// Selects a page of a stream and one event more, which shows if there are more.
fn stream_statement(
    inner: &SqliteInner,
    stream: &StreamId,
    span: ReadFrom<Version>,
    limit: usize,
) -> QueryBuilder<Sqlite> {
    let (prefix, limit) = (&inner.prefix, signed(limit as u64).saturating_add(1));
    let mut sql = QueryBuilder::new(format!("select {PACKED} from "));
    match span {
        // Versions have no gaps, so those of the page are known. Rows that are not from a subquery are
        // packed without a copy.
        ReadFrom::After(version) => {
            let first = signed(version.get());
            sql.push(format!("{prefix}events e where e.stream = "))
                .push_bind(stream.as_str().to_owned());
            sql.push(" and e.version > ").push_bind(first);
            sql.push(" and e.version <= ").push_bind(first.saturating_add(limit));
        }
        ReadFrom::Before(version) => {
            sql.push(format!("(select * from {prefix}events where stream = "));
            sql.push_bind(stream.as_str().to_owned());
            sql.push(" and version < ").push_bind(signed(version.get()));
            sql.push(" order by version desc limit ").push_bind(limit).push(") e");
        }
    }
    sql
}

pub(super) async fn read_log(
    inner: Arc<SqliteInner>,
    query: Query,
    untagged: Option<Untagged>,
    span: ReadFrom<Position>,
    limit: usize,
) -> Result<LogPage> {
    let mut limit = limit;
    let row = loop {
        let mut sql = log_statement(&inner, &query, untagged.as_ref(), span, limit);
        let row = inner.readers.fetch_one(sql.build()).await;
        if !shorten_if_too_big(&row, &mut limit) {
            break row.map_err(classify("reading the log"))?;
        }
    };
    let head = decode_head(&row)?;
    let events = unpack(&row, 1).map_err(classify("decoding events"))?;
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

pub(super) async fn command(
    inner: Arc<SqliteInner>,
    id: CommandId,
) -> Result<Option<RecordedCommand>> {
    let connection = inner.readers.take().await;
    let mut connection = connection.map_err(classify("looking up a command"))?;
    let command = find_command(&mut connection, &inner.prefix, id).await?;
    connection.keep();
    Ok(command)
}

/// Shortens a page that is too big. A value of SQLite has at most a gigabyte, and so has a page.
fn shorten_if_too_big(row: &Result<SqliteRow, sqlx::Error>, limit: &mut usize) -> bool {
    let is_too_big = *limit > 1 && row.as_ref().is_err_and(error::is_too_big);
    if is_too_big {
        *limit = (*limit / 8).max(1);
    }
    is_too_big
}

pub(super) async fn head(inner: Arc<SqliteInner>) -> Result<Position> {
    let sql = inner.prefix.sql("select coalesce(max(position), 0) from @prefix@events");
    let row = inner.readers.fetch_one(sqlx::query(sql)).await;
    decode_head(&row.map_err(classify("reading the head"))?)
}

/// Selects the head and the page with one statement, so they are of one snapshot.
fn log_statement(
    inner: &SqliteInner,
    query: &Query,
    untagged: Option<&Untagged>,
    span: ReadFrom<Position>,
    limit: usize,
) -> QueryBuilder<Sqlite> {
    let prefix = &inner.prefix;
    let order = direction(span);
    let mut sql = QueryBuilder::new(format!(
        "select (select coalesce(max(position), 0) from {prefix}events), {PACKED} \
         from (select e.* from "
    ));
    match (alternatives(query).as_slice(), untagged) {
        ([item], None) => push_matching(&mut sql, prefix, item, span),
        (items, untagged) => {
            sql.push("(");
            for (index, item) in items.iter().enumerate() {
                let before = if index == 0 { "" } else { " union " };
                sql.push(before).push("select position from (");
                push_item(&mut sql, prefix, item, span, limit);
                sql.push(")");
            }
            for missing in untagged.iter().flat_map(|untagged| &untagged.missing) {
                sql.push(" union select position from (");
                push_missing(&mut sql, prefix, missing, within(untagged, span), limit);
                sql.push(")");
            }
            sql.push(format!(") f join {prefix}events e on e.position = f.position where true"));
        }
    }
    sql.push(format!(" order by e.position {order} limit ")).push_bind(signed(limit as u64));
    sql.push(") e");
    sql
}

fn direction(span: ReadFrom<Position>) -> &'static str {
    if let ReadFrom::After(_) = span { "asc" } else { "desc" }
}

/// Selects the first positions that match one item.
pub(super) fn push_item(
    sql: &mut QueryBuilder<Sqlite>,
    prefix: &Prefix,
    item: &QueryItem,
    span: ReadFrom<Position>,
    limit: usize,
) {
    sql.push("select e.position as position from ");
    push_matching(sql, prefix, item, span);
    sql.push(format!(" order by e.position {} limit ", direction(span)));
    sql.push_bind(signed(limit as u64));
}

/// Selects the first positions of events that lack a tag.
fn push_missing(
    sql: &mut QueryBuilder<Sqlite>,
    prefix: &Prefix,
    missing: &MissingTag,
    span: ReadFrom<Position>,
    limit: usize,
) {
    sql.push(format!("select e.position as position from {prefix}events e where true"));
    push_span(sql, "e.position", span);
    push_one_of(sql, "e.type", missing.types.iter().map(String::as_str));
    sql.push(" and not exists (select 1 from json_each(e.tags) n where instr(n.value, ");
    sql.push_bind(missing.prefix()).push(") = 1)");
    sql.push(" order by e.position limit ").push_bind(signed(limit as u64));
}

/// Selects the events that match one item, with the index that suits it.
fn push_matching(
    sql: &mut QueryBuilder<Sqlite>,
    prefix: &Prefix,
    item: &QueryItem,
    span: ReadFrom<Position>,
) {
    sql.push(format!("{prefix}events e"));
    match item.tags.as_slice().split_first() {
        Some((first, rest)) => {
            sql.push(format!(
                " join {prefix}event_tags t on t.position = e.position where t.tag = "
            ));
            sql.push_bind(first.to_string());
            push_span(sql, "t.position", span);
            for tag in rest {
                sql.push(format!(
                    " and exists (select 1 from {prefix}event_tags o where o.position = e.position \
                     and o.tag = "
                ));
                sql.push_bind(tag.to_string()).push(")");
            }
        }
        None => {
            sql.push(" where true");
            push_span(sql, "e.position", span);
        }
    }
    push_one_of(sql, "e.type", item.types.iter().map(String::as_str));
    let categories = item.categories.iter().map(highwater_core::Category::as_str);
    push_one_of(sql, "substr(e.stream, 1, instr(e.stream, '-') - 1)", categories);
}

fn push_one_of<'a>(
    sql: &mut QueryBuilder<Sqlite>,
    column: &str,
    values: impl ExactSizeIterator<Item = &'a str>,
) {
    if values.len() > 0 {
        sql.push(format!(" and {column} in ("));
        let mut list = sql.separated(", ");
        for value in values {
            list.push_bind(value.to_owned());
        }
        sql.push(")");
    }
}

fn push_span(sql: &mut QueryBuilder<Sqlite>, column: &str, span: ReadFrom<Position>) {
    let (bound, comparison) = match span {
        ReadFrom::After(position) => (position, ">"),
        ReadFrom::Before(position) => (position, "<"),
    };
    sql.push(format!(" and {column} {comparison} ")).push_bind(signed(bound.get()));
}

fn decode_head(row: &SqliteRow) -> Result<Position> {
    let head = row.try_get(0).and_then(unsigned).map(Position::new);
    head.map_err(classify("reading the log"))
}
