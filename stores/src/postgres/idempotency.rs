//! Commands that have been stored (W4).

use highwater_core::{
    CommandId, Position, Result, StreamId, Version,
    domain::Fingerprint,
    port::{Appended, RecordedCommand, StreamHead},
};
use sqlx::postgres::PgRow;

use super::{
    PostgresInner,
    error::classify,
    read::{ensure_seen_is_durable, flush},
};
use crate::sql::{
    row::SqlRow,
    store::{SqlStore, SqlValue::Id},
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
    let found =
        inner.fetch_for_log(sql, &[Id(*id.as_uuid())]).await.map_err(classify(LOOKING_UP))?;
    let Some(row) = found.first() else { return Ok(None) };
    let (fingerprint, first, position) = decode(row).map_err(classify(LOOKING_UP))?;
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
    let bits = row.integer(0)?.cast_unsigned();
    Ok((Fingerprint::from_bits(bits), row.position(1)?, row.position(2)?))
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
    let rows =
        inner.fetch_for_log(sql, &[Id(*id.as_uuid())]).await.map_err(classify(LOOKING_UP))?;
    repeated.streams = rows.iter().map(decode_head).collect::<Result<_>>()?;
    Ok(repeated)
}

fn decode_head(row: &PgRow) -> Result<StreamHead> {
    let stream = row.text(0).map_err(classify(LOOKING_UP))?;
    let version = row.number(1).map(Version::new).map_err(classify(LOOKING_UP))?;
    Ok(StreamHead { stream: StreamId::parse(stream)?, version })
}
