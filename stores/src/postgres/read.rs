//! Pages of a stream and of the log.
//!
//! What is handed out is durable: an append becomes visible a moment before it has been
//! flushed, and a page that has such events makes sure of the flush first. So a follower never sees
//! an event that a crash could take back (W3, W7). It waits for nobody and guesses nothing.

use highwater_core::{
    Position, Query, QueryItem, Result, Span, StreamId, Version,
    port::{LogPage, StreamPage},
};
use sqlx::{AssertSqlSafe, Postgres, QueryBuilder, Row, postgres::PgRow};

use super::{
    Inner,
    error::classify,
    row::{COLUMNS, Rows, signed, unsigned},
};

pub(super) async fn stream(
    inner: &Inner,
    stream: &StreamId,
    span: Span<Version>,
    limit: usize,
) -> Result<StreamPage> {
    let (bound, comparison, order) = match span {
        Span::After(version) => (version, '>', "asc"),
        Span::Before(version) => (version, '<', "desc"),
    };
    let sql = format!(
        "select {COLUMNS} from {}.events e where e.stream = $1 and e.version {comparison} $2 \
         order by e.version {order} limit $3",
        inner.schema.as_str()
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(stream.as_str())
        .bind(signed(bound.get()))
        .bind(signed(limit as u64).saturating_add(1))
        .fetch_all(&inner.pool)
        .await
        .map_err(classify("reading a stream"))?;
    // One row more than asked for tells whether the stream goes on.
    let events = envelopes(&rows[..rows.len().min(limit)], 0)?;
    if let Some(last) = events.iter().map(|event| event.position).max() {
        ensure_seen_is_durable(inner, last).await?;
    }
    let at = events.last().map_or(bound, |event| event.version);
    let next = match span {
        Span::After(_) => Span::After(at),
        Span::Before(_) => Span::Before(at),
    };
    Ok(StreamPage { next: (rows.len() > limit).then_some(next), events })
}

pub(super) async fn log(
    inner: &Inner,
    query: &Query,
    span: Span<Position>,
    limit: usize,
) -> Result<LogPage> {
    let mut sql = statement(inner, query, span, limit);
    let rows = sql.build().fetch_all(&inner.pool).await.map_err(classify("reading the log"))?;
    let (head, flushed) = head_of(rows.first())?;
    ensure_durable(inner, head, flushed).await?;
    let rows: &[PgRow] = if has_events(rows.first())? { &rows } else { &[] };
    let events = envelopes(rows, 2)?;
    let more = events.len() >= limit;
    let last = events.last().map(|event| event.position);
    let through = match span {
        Span::After(after) if limit == 0 => after,
        Span::After(after) if !more => head.max(after),
        Span::After(after) => last.unwrap_or(after),
        Span::Before(before) if limit == 0 => before,
        Span::Before(_) => last.filter(|_| more).unwrap_or_default(),
    };
    Ok(LogPage { events, through, more })
}

pub(super) async fn head(inner: &Inner) -> Result<Position> {
    let sql = format!("select {}", head_columns(inner));
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&inner.pool).await;
    let row = row.map_err(classify("reading the head"))?;
    let (head, flushed) = head_of(Some(&row))?;
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
        let sql = format!("call {}.flush()", inner.schema.as_str());
        let flush = sqlx::query(AssertSqlSafe(sql)).execute(&inner.pool).await;
        flush.map_err(classify("flushing the log"))?;
    }
    inner.following.flushed(head);
    Ok(())
}

/// One statement, one snapshot: the head and the page. There is a row also if the page is empty.
fn statement(
    inner: &Inner,
    query: &Query,
    span: Span<Position>,
    limit: usize,
) -> QueryBuilder<Postgres> {
    let schema = inner.schema.as_str();
    let order = if let Span::After(_) = span { "asc" } else { "desc" };
    let head = head_columns(inner);
    let mut sql = QueryBuilder::new(format!(
        "select h.head, h.flushed, {COLUMNS} from (select {head}) h left join (select e.* from ",
    ));
    if query.items.is_empty() {
        sql.push(format!("{schema}.events e where true"));
        push_span(&mut sql, "e.position", span);
    } else {
        sql.push("(");
        for (index, item) in query.items.iter().enumerate() {
            sql.push(if index == 0 { "" } else { " union " });
            push_item(&mut sql, schema, item, span, limit);
        }
        sql.push(format!(") f join {schema}.events e on e.position = f.position where true"));
    }
    sql.push(format!(" order by e.position {order} limit ")).push_bind(signed(limit as u64));
    sql.push(format!(") e on true order by e.position {order}"));
    sql
}

/// The first positions that match one item, each by the index that suits it.
fn push_item(
    sql: &mut QueryBuilder<Postgres>,
    schema: &str,
    item: &QueryItem,
    span: Span<Position>,
    limit: usize,
) {
    let tags: Vec<String> = item.tags.as_slice().iter().map(ToString::to_string).collect();
    sql.push(format!("(select e.position from {schema}.events e"));
    match tags.first() {
        Some(first) => {
            sql.push(format!(
                " join {schema}.event_tags t on t.position = e.position where t.tag = "
            ));
            sql.push_bind(first.clone());
            push_span(sql, "t.position", span);
            sql.push(" and e.tags @> ").push_bind(tags);
        }
        None => {
            sql.push(" where true");
            push_span(sql, "e.position", span);
        }
    }
    if !item.types.is_empty() {
        sql.push(" and e.type = any(").push_bind(item.types.clone()).push(")");
    }
    if !item.categories.is_empty() {
        let names: Vec<String> = item.categories.iter().map(ToString::to_string).collect();
        sql.push(" and split_part(e.stream, '-', 1) = any(").push_bind(names).push(")");
    }
    let order = if let Span::After(_) = span { "asc" } else { "desc" };
    sql.push(format!(" order by e.position {order} limit "))
        .push_bind(signed(limit as u64))
        .push(")");
}

fn push_span(sql: &mut QueryBuilder<Postgres>, column: &str, span: Span<Position>) {
    let (bound, comparison) = match span {
        Span::After(position) => (position, ">"),
        Span::Before(position) => (position, "<"),
    };
    sql.push(format!(" and {column} {comparison} ")).push_bind(signed(bound.get()));
}

fn head_of(row: Option<&PgRow>) -> Result<(Position, bool)> {
    let read = |row: &PgRow| Ok((Position::new(unsigned(row.try_get(0)?)?), row.try_get(1)?));
    row.ok_or(sqlx::Error::RowNotFound).and_then(read).map_err(classify("reading the log"))
}

fn has_events(row: Option<&PgRow>) -> Result<bool> {
    let position = row.map_or(Ok(None), |row| row.try_get::<Option<i64>, _>(2));
    position.map(|position| position.is_some()).map_err(classify("reading the log"))
}

fn envelopes(rows: &[PgRow], first: usize) -> Result<Vec<highwater_core::Envelope>> {
    let mut decoder = Rows::default();
    rows.iter()
        .map(|row| decoder.envelope(row, first))
        .collect::<Result<_, sqlx::Error>>()
        .map_err(classify("decoding events"))
}
