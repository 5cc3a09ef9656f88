//! What is known of a command (W4).

use highwater_core::{
    CommandId, Position, Result, StreamId, Version,
    domain::Fingerprint,
    port::{Appended, RecordedCommand, StreamHead},
};
use sqlx::{AssertSqlSafe, Row, SqliteConnection, sqlite::SqliteRow};

use super::{
    error::classify,
    options::Prefix,
    row::{signed, unsigned},
};

pub(super) async fn command(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    id: CommandId,
) -> Result<Option<RecordedCommand>> {
    let sql = format!(
        "select fingerprint, first_position, last_position from {prefix}commands \
         where command_id = ?"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(*id.as_uuid())
        .fetch_optional(&mut *connection)
        .await
        .map_err(classify("looking up a command"))?;
    let Some(row) = row else { return Ok(None) };
    let (fingerprint, first, position) = fields(&row).map_err(classify("looking up a command"))?;
    let streams = streams(connection, prefix, first, position).await?;
    let appended = Appended { position, streams, repeated: true };
    Ok(Some(RecordedCommand { fingerprint, appended }))
}

fn fields(row: &SqliteRow) -> Result<(Fingerprint, Position, Position), sqlx::Error> {
    let bits: i64 = row.try_get(0)?;
    let (first, last) = (unsigned(row.try_get(1)?)?, unsigned(row.try_get(2)?)?);
    let fingerprint = Fingerprint::from_bits(bits.cast_unsigned());
    Ok((fingerprint, Position::new(first), Position::new(last)))
}

/// The streams that the command's events went to, as they were answered the first time.
async fn streams(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    first: Position,
    last: Position,
) -> Result<Vec<StreamHead>> {
    let sql = format!(
        "select stream, max(version) from {prefix}events where position between ? and ? \
         group by stream order by min(position)"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(signed(first.get()))
        .bind(signed(last.get()))
        .fetch_all(connection)
        .await
        .map_err(classify("looking up a command"))?;
    let head = |row: &SqliteRow| {
        let version: i64 = row.try_get(1).map_err(classify("looking up a command"))?;
        let version = Version::new(unsigned(version).map_err(classify("looking up a command"))?);
        let stream: &str = row.try_get(0).map_err(classify("looking up a command"))?;
        Ok(StreamHead { stream: StreamId::parse(stream)?, version })
    };
    rows.iter().map(head).collect()
}
