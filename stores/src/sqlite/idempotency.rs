//! Commands that have been stored (W4).

use highwater_core::{
    CommandId, Position, Result, StreamId, Version,
    domain::Fingerprint,
    port::{Appended, RecordedCommand, StreamHead},
};
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::{error::classify, options::Prefix, row::signed};
use crate::sql::row::SqlRow;

const LOOKING_UP: &str = "looking up a command";

pub(super) async fn find_command(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    id: CommandId,
) -> Result<Option<RecordedCommand>> {
    let sql = prefix.sql(
        "select fingerprint, first_position, last_position from @prefix@commands \
         where command_id = ?",
    );
    let row = sqlx::query(sql).bind(*id.as_uuid()).fetch_optional(&mut *connection).await;
    let Some(row) = row.map_err(classify(LOOKING_UP))? else { return Ok(None) };
    let (fingerprint, first, position) = decode(&row).map_err(classify(LOOKING_UP))?;
    let streams = stream_heads(connection, prefix, first, position).await?;
    let appended = Appended { position, streams, repeated: true };
    Ok(Some(RecordedCommand { fingerprint, appended }))
}

fn decode(row: &SqliteRow) -> Result<(Fingerprint, Position, Position), sqlx::Error> {
    let bits = row.integer(0)?.cast_unsigned();
    Ok((Fingerprint::from_bits(bits), row.position(1)?, row.position(2)?))
}

/// Returns the streams of the command's events, as in its first answer.
async fn stream_heads(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    first: Position,
    last: Position,
) -> Result<Vec<StreamHead>> {
    let sql = prefix.sql(
        "select stream, max(version) from @prefix@events where position between ? and ? \
         group by stream order by min(position)",
    );
    let rows = sqlx::query(sql)
        .bind(signed(first.get()))
        .bind(signed(last.get()))
        .fetch_all(connection)
        .await
        .map_err(classify(LOOKING_UP))?;
    rows.iter().map(decode_head).collect()
}

fn decode_head(row: &SqliteRow) -> Result<StreamHead> {
    let stream = row.text(0).map_err(classify(LOOKING_UP))?;
    let version = row.number(1).map(Version::new).map_err(classify(LOOKING_UP))?;
    Ok(StreamHead { stream: StreamId::parse(stream)?, version })
}
