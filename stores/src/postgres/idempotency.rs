//! Commands that have been stored (W4).

use highwater_core::{
    CommandId, Position, Result, StreamId, Version,
    domain::Fingerprint,
    port::{Appended, RecordedCommand, StreamHead},
};
use sqlx::{Row, postgres::PgRow};

use super::{
    PostgresInner,
    error::classify,
    read::{ensure_seen_is_durable, flush},
    row::unsigned,
};

const LOOKING_UP: &str = "looking up a command";

pub(super) async fn find_command(
    inner: &PostgresInner,
    id: CommandId,
) -> Result<Option<RecordedCommand>> {
    let sql = inner.schema.sql(
        "select fingerprint, first_position, last_position from @schema@.commands \
         where command_id = $1",
    );
    let query = sqlx::query(sql).bind(*id.as_uuid());
    let row = inner.connections.fetch_optional(query).await;
    let Some(row) = row.map_err(classify(LOOKING_UP))? else { return Ok(None) };
    let (fingerprint, first, position) = decode(&row).map_err(classify(LOOKING_UP))?;
    if first > position {
        // The command has no event that would show if it has been flushed.
        flush(inner).await?;
    } else {
        ensure_seen_is_durable(inner, position).await?;
    }
    let repeated = Appended { position, streams: Vec::new(), repeated: true };
    let appended = with_streams(inner, id, repeated).await?;
    Ok(Some(RecordedCommand { fingerprint, appended }))
}

fn decode(row: &PgRow) -> Result<(Fingerprint, Position, Position), sqlx::Error> {
    let bits: i64 = row.try_get(0)?;
    let first = Position::new(unsigned(row.try_get(1)?)?);
    let last = Position::new(unsigned(row.try_get(2)?)?);
    Ok((Fingerprint::from_bits(bits.cast_unsigned()), first, last))
}

/// Adds the streams of the command's events, as in its first answer.
pub(super) async fn with_streams(
    inner: &PostgresInner,
    id: CommandId,
    mut repeated: Appended,
) -> Result<Appended> {
    let sql = inner.schema.sql(
        "select e.stream, max(e.version), min(e.position) as first \
         from @schema@.commands c join @schema@.events e \
         on e.position between c.first_position and c.last_position \
         where c.command_id = $1 group by e.stream order by first",
    );
    let query = sqlx::query(sql).bind(*id.as_uuid());
    let rows = inner.connections.fetch_all(query).await.map_err(classify(LOOKING_UP))?;
    repeated.streams = rows.iter().map(decode_head).collect::<Result<_>>()?;
    Ok(repeated)
}

fn decode_head(row: &PgRow) -> Result<StreamHead> {
    let columns = || Ok((row.try_get(0)?, Version::new(unsigned(row.try_get(1)?)?)));
    let (stream, version): (&str, _) = columns().map_err(classify(LOOKING_UP))?;
    Ok(StreamHead { stream: StreamId::parse(stream)?, version })
}
