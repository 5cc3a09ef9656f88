//! Pages of a stream and of the log. A statement reads one snapshot, and there is one writer, so the
//! visible events are in order and complete.

use std::sync::Arc;

use bytes::Bytes;
use highwater_core::{
    CommandId, Position, Query, QueryItem, ReadFrom, Result, StreamId, Version,
    port::{LogPage, MAX_PAGE_BYTES, MissingTag, RecordedCommand, StreamPage, Untagged},
};
use sqlx::{QueryBuilder, Row, Sqlite, sqlite::SqliteRow};

use super::{
    SqliteInner,
    error::{self, classify},
    idempotency::find_command,
    options::Prefix,
    row::{json, push_packed, signed, unpack, unsigned},
};
use crate::sql::{
    page_limit::{PartialPage, inline_bytes, log_page},
    query_plan::{alternatives, within},
};

pub(super) async fn read_stream(
    inner: Arc<SqliteInner>,
    stream: StreamId,
    from: ReadFrom<Version>,
    limit: usize,
) -> Result<StreamPage> {
    let mut limit = inner.page_limit.of(limit);
    let mut page = loop {
        let row = inner
            .log_readers
            .fetch_one(stream_statement(&inner, &stream, from, limit).build())
            .await;
        if !shorten_if_too_big(&row, &mut limit) {
            let row = row.map_err(classify("reading a stream"))?;
            break unpack(&row, 0).map_err(classify("decoding events"))?;
        }
    };
    let bound = match from {
        ReadFrom::After(version) => {
            // They are in the order of the index already, but SQLite does not guarantee it.
            page.sort_by_key(|event| event.version);
            version
        }
        ReadFrom::Before(version) => version,
    };
    let has_more = page.events().len() > limit;
    page.truncate(limit);
    let payloads = large_payloads(&inner, &page).await?;
    let (events, is_cut) = inner.page_limit.complete(page, payloads, limit);
    let last = events.last().map_or(bound, |event| event.version);
    let next = match from {
        ReadFrom::After(_) => ReadFrom::After(last),
        ReadFrom::Before(_) => ReadFrom::Before(last),
    };
    Ok(StreamPage { next: (is_cut || has_more).then_some(next), events })
}

/// Selects a page of a stream and one event more, which shows if there are more.
fn stream_statement(
    inner: &SqliteInner,
    stream: &StreamId,
    from: ReadFrom<Version>,
    limit: usize,
) -> QueryBuilder<Sqlite> {
    let prefix = &inner.prefix;
    let mut sql = QueryBuilder::new("select ");
    push_packed(&mut sql, inline_bytes(limit));
    sql.push(" from ");
    let limit = signed(limit as u64).saturating_add(1);
    match from {
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
    from: ReadFrom<Position>,
    limit: usize,
) -> Result<LogPage> {
    let mut limit = inner.page_limit.of(limit);
    let heard = inner.follower.heard();
    let row = loop {
        let mut sql = log_statement(&inner, &query, untagged.as_ref(), from, limit);
        let row = inner.log_readers.fetch_one(sql.build()).await;
        if !shorten_if_too_big(&row, &mut limit) {
            break row.map_err(classify("reading the log"))?;
        }
    };
    let head = decode_head(&row)?;
    inner.follower.saw_head(head, heard);
    let page = unpack(&row, 1).map_err(classify("decoding events"))?;
    let payloads = large_payloads(&inner, &page).await?;
    let (events, is_cut) = inner.page_limit.complete(page, payloads, limit);
    Ok(log_page(events, is_cut, from, limit, head))
}

/// Selects the first of the payloads that a page has left out, one at least, up to the limit in bytes.
async fn large_payloads(inner: &SqliteInner, page: &PartialPage) -> Result<Vec<Bytes>> {
    if page.is_complete() {
        return Ok(Vec::new());
    }
    let sql = inner.prefix.sql(
        "select e.payload from (\
             select i.key as n, i.value as position, \
                 sum(octet_length(e.payload)) over (order by i.key) - octet_length(e.payload) as before \
             from json_each(?) i cross join @prefix@events e on e.position = i.value) l \
         cross join @prefix@events e on e.position = l.position where l.before < ? order by l.n",
    );
    let positions = json(&page.positions_without_payload());
    let query = sqlx::query(sql)
        .bind(positions.map_err(classify("reading the log"))?)
        .bind(signed(MAX_PAGE_BYTES as u64));
    let rows = inner.log_readers.fetch_all(query).await.map_err(classify("reading the log"))?;
    let payload = |row: &SqliteRow| row.try_get::<Vec<u8>, _>(0).map(Bytes::from);
    rows.iter().map(payload).collect::<Result<_, _>>().map_err(classify("decoding events"))
}

pub(super) async fn command(
    inner: Arc<SqliteInner>,
    id: CommandId,
) -> Result<Option<RecordedCommand>> {
    let connection = inner.log_readers.take().await;
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
    let heard = inner.follower.heard();
    let row = inner.log_readers.fetch_one(sqlx::query(sql)).await;
    let head = decode_head(&row.map_err(classify("reading the head"))?)?;
    inner.follower.saw_head(head, heard);
    Ok(head)
}

/// Selects the head and the page with one statement, so they are of one snapshot.
fn log_statement(
    inner: &SqliteInner,
    query: &Query,
    untagged: Option<&Untagged>,
    from: ReadFrom<Position>,
    limit: usize,
) -> QueryBuilder<Sqlite> {
    let prefix = &inner.prefix;
    let mut column = "e.position";
    let mut sql = QueryBuilder::new(format!(
        "select (select coalesce(max(position), 0) from {prefix}events), "
    ));
    push_packed(&mut sql, inline_bytes(limit));
    sql.push(" from (select e.* from ");
    match (alternatives(query).as_slice(), untagged) {
        ([item], None) => {
            push_matching(&mut sql, prefix, item, from);
            column = order_column(item);
        }
        (items, untagged) => {
            sql.push("(");
            for (index, item) in items.iter().enumerate() {
                let before = if index == 0 { "" } else { " union " };
                sql.push(before).push("select position from (");
                push_item(&mut sql, prefix, item, from, limit);
                sql.push(")");
            }
            for missing in untagged.iter().flat_map(|untagged| &untagged.missing) {
                sql.push(" union select position from (");
                push_missing(&mut sql, prefix, missing, within(untagged, from), limit);
                sql.push(")");
            }
            sql.push(format!(") f join {prefix}events e on e.position = f.position where true"));
        }
    }
    sql.push(format!(" order by {column} {} limit ", direction(from)));
    sql.push_bind(signed(limit as u64)).push(") e");
    sql
}

/// Returns the column by which the index of an item yields its events in log order.
fn order_column(item: &QueryItem) -> &'static str {
    if item.tags.is_empty() { "e.position" } else { "t.position" }
}

fn direction(from: ReadFrom<Position>) -> &'static str {
    if let ReadFrom::After(_) = from { "asc" } else { "desc" }
}

/// Selects the first positions that match one item.
pub(super) fn push_item(
    sql: &mut QueryBuilder<Sqlite>,
    prefix: &Prefix,
    item: &QueryItem,
    from: ReadFrom<Position>,
    limit: usize,
) {
    sql.push("select e.position as position from ");
    push_matching(sql, prefix, item, from);
    sql.push(format!(" order by {} {} limit ", order_column(item), direction(from)));
    sql.push_bind(signed(limit as u64));
}

/// Selects the first positions of events that lack a tag.
pub(super) fn push_missing(
    sql: &mut QueryBuilder<Sqlite>,
    prefix: &Prefix,
    missing: &MissingTag,
    from: ReadFrom<Position>,
    limit: usize,
) {
    sql.push(format!("select e.position as position from {prefix}events e where true"));
    push_bound(sql, "e.position", from);
    push_one_of(sql, "e.type", missing.types.iter().map(String::as_str));
    sql.push(" and not exists (select 1 from json_each(e.tags) n where instr(n.value, ");
    sql.push_bind(missing.prefix()).push(") = 1)");
    sql.push(" order by e.position limit ").push_bind(signed(limit as u64));
}

/// Selects the events that match one item, with the index that suits it. Events with a tag are found by the tag, and
/// looked up in that order: left to itself, the planner would walk over all events of a type to find those with the tag.
fn push_matching(
    sql: &mut QueryBuilder<Sqlite>,
    prefix: &Prefix,
    item: &QueryItem,
    from: ReadFrom<Position>,
) {
    match item.tags.as_slice().split_first() {
        Some((first, rest)) => {
            sql.push(format!(
                "{prefix}event_tags t cross join {prefix}events e on e.position = t.position \
                 where t.tag = "
            ));
            sql.push_bind(first.to_string());
            push_bound(sql, "t.position", from);
            for tag in rest {
                sql.push(format!(
                    " and exists (select 1 from {prefix}event_tags o where o.position = e.position \
                     and o.tag = "
                ));
                sql.push_bind(tag.to_string()).push(")");
            }
        }
        None => {
            sql.push(format!("{prefix}events e where true"));
            push_bound(sql, "e.position", from);
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

fn push_bound(sql: &mut QueryBuilder<Sqlite>, column: &str, from: ReadFrom<Position>) {
    let (bound, comparison) = match from {
        ReadFrom::After(position) => (position, ">"),
        ReadFrom::Before(position) => (position, "<"),
    };
    sql.push(format!(" and {column} {comparison} ")).push_bind(signed(bound.get()));
}

fn decode_head(row: &SqliteRow) -> Result<Position> {
    let head = row.try_get(0).and_then(unsigned).map(Position::new);
    head.map_err(classify("reading the log"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use highwater_core::Tag;
    use sqlx::{Connection as _, Executor as _, SqliteConnection};

    use super::super::SqliteOptions;
    use super::*;

    /// Returns the steps by which the first positions of events with a tag are found.
    async fn plan(types: &[&str], from: ReadFrom<Position>) -> Vec<String> {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let SqliteOptions { prefix, .. } = SqliteOptions::new("sqlite:log.db").unwrap();
        connection.execute(prefix.sql(include_str!("sql/001_tables.sql"))).await.unwrap();
        let types = types.iter().map(|name| (*name).to_owned()).collect();
        let tags = [Tag::new("email", "ada")].into();
        let item = QueryItem { tags, types, ..QueryItem::default() };
        let mut sql = QueryBuilder::new("explain query plan ");
        push_item(&mut sql, &prefix, &item, from, 10);
        let rows = sql.build().fetch_all(&mut connection).await.unwrap();
        rows.iter().map(|row| row.get("detail")).collect()
    }

    #[tokio::test]
    async fn w6_events_with_a_tag_are_found_by_the_tag_in_log_order() {
        let middle = Position::new(7);
        for types in [&[][..], &["opened"], &["opened", "closed"]] {
            for from in [ReadFrom::After(middle), ReadFrom::Before(middle)] {
                let plan = plan(types, from).await;
                assert!(plan[0].starts_with("SEARCH t USING PRIMARY KEY (tag=? AND "), "{plan:?}");
                assert!(plan.len() == 2, "it sorts, or looks elsewhere: {plan:?}");
            }
        }
    }
}
