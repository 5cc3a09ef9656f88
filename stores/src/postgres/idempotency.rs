//! What is known of a command (W4).

use highwater_core::{
    CommandId, Position, Result, StreamId, Version,
    domain::Fingerprint,
    port::{Appended, RecordedCommand, StreamHead},
};
use sqlx::{AssertSqlSafe, Row, postgres::PgRow};

use super::{
    Inner,
    error::classify,
    read::{ensure_seen_is_durable, flush},
    row::unsigned,
};

pub(super) async fn command(inner: &Inner, id: CommandId) -> Result<Option<RecordedCommand>> {
    let sql = format!(
        "select fingerprint, last_position, first_position from {}.commands where command_id = $1",
        inner.schema.as_str()
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(*id.as_uuid());
    let row = inner.lanes.fetch_optional(query).await;
    let Some(row) = row.map_err(classify("looking up a command"))? else { return Ok(None) };
    let (bits, position, first) = fields(&row).map_err(classify("looking up a command"))?;
    if first > position {
        // No event of its own tells whether it has been flushed.
        flush(inner).await?;
    } else {
        ensure_seen_is_durable(inner, position).await?;
    }
    let repeated = Appended { position, streams: Vec::new(), repeated: true };
    let appended = first_answer(inner, id, repeated).await?;
    Ok(Some(RecordedCommand { fingerprint: Fingerprint::from_bits(bits), appended }))
}

fn fields(row: &PgRow) -> Result<(u64, Position, Position), sqlx::Error> {
    let bits: i64 = row.try_get(0)?;
    let (last, first) = (unsigned(row.try_get(1)?)?, unsigned(row.try_get(2)?)?);
    Ok((bits.cast_unsigned(), Position::new(last), Position::new(first)))
}

/// Fills in the streams that the command's events went to, as they were answered the first time.
pub(super) async fn first_answer(
    inner: &Inner,
    id: CommandId,
    mut repeated: Appended,
) -> Result<Appended> {
    let schema = inner.schema.as_str();
    let sql = format!(
        "select e.stream, max(e.version), min(e.position) as first \
         from {schema}.commands c join {schema}.events e \
         on e.position between c.first_position and c.last_position \
         where c.command_id = $1 group by e.stream order by first"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(*id.as_uuid());
    let rows = inner.lanes.fetch_all(query).await.map_err(classify("looking up a command"))?;
    for row in rows {
        let (stream, version) = head(&row).map_err(classify("looking up a command"))?;
        repeated.streams.push(StreamHead { stream: StreamId::parse(stream)?, version });
    }
    Ok(repeated)
}

fn head(row: &PgRow) -> Result<(&str, Version), sqlx::Error> {
    Ok((row.try_get(0)?, Version::new(unsigned(row.try_get(1)?)?)))
}
