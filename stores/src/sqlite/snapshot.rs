//! Snapshots: the latest of each stream.

use highwater_core::{EventId, Result, StreamId, Version, port::Snapshot};
use sqlx::{AssertSqlSafe, Row, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    Inner,
    error::classify,
    row::{schema, signed, unsigned},
};

pub(super) async fn load(inner: &Inner, stream: &StreamId) -> Result<Option<Snapshot>> {
    let sql = format!(
        "select version, event_id, schema_version, state from {}snapshots where stream = ?",
        inner.prefix
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(stream.as_str());
    let row = inner.readers.fetch_optional(query).await;
    let row = row.map_err(classify("loading a snapshot"))?;
    row.map(|row| decode(stream, &row)).transpose().map_err(classify("loading a snapshot"))
}

fn decode(stream: &StreamId, row: &SqliteRow) -> Result<Snapshot, sqlx::Error> {
    Ok(Snapshot {
        stream: stream.clone(),
        version: Version::new(unsigned(row.try_get(0)?)?),
        head: EventId::from_uuid(row.try_get::<Uuid, _>(1)?),
        schema: schema(row.try_get(2)?)?,
        state: row.try_get::<Vec<u8>, _>(3)?.into(),
    })
}

pub(super) async fn save(inner: &Inner, snapshot: Snapshot) -> Result<()> {
    let sql = format!(
        "insert into {0}snapshots (stream, version, event_id, schema_version, state) \
         values (?, ?, ?, ?, ?) on conflict (stream) do update \
         set version = excluded.version, event_id = excluded.event_id, \
             schema_version = excluded.schema_version, state = excluded.state \
         where ({0}snapshots.schema_version, {0}snapshots.version) \
             < (excluded.schema_version, excluded.version)",
        inner.prefix
    );
    let mut connection = inner.writing().await?;
    sqlx::query(AssertSqlSafe(sql))
        .bind(snapshot.stream.as_str())
        .bind(signed(snapshot.version.get()))
        .bind(*snapshot.head.as_uuid())
        .bind(i64::from(snapshot.schema.get()))
        .bind(&snapshot.state[..])
        .execute(&mut **connection)
        .await
        .map_err(classify("saving a snapshot"))?;
    Ok(())
}
