//! Snapshots: the latest of each stream.

use highwater_core::{EventId, Result, StreamId, Version, port::Snapshot};
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    PostgresInner,
    error::classify,
    row::{schema, signed, unsigned},
};

const LOADING: &str = "loading a snapshot";

pub(super) async fn load(inner: &PostgresInner, stream: &StreamId) -> Result<Option<Snapshot>> {
    let sql = inner.schema.sql(
        "select version, event_id, schema_version, state from @schema@.snapshots where stream = $1",
    );
    let query = sqlx::query(sql).bind(stream.as_str());
    let row = inner.connections.fetch_optional(query).await.map_err(classify(LOADING))?;
    row.map(|row| decode(stream, &row)).transpose().map_err(classify(LOADING))
}

fn decode(stream: &StreamId, row: &PgRow) -> Result<Snapshot, sqlx::Error> {
    Ok(Snapshot {
        stream: stream.clone(),
        version: Version::new(unsigned(row.try_get(0)?)?),
        head: EventId::from_uuid(row.try_get::<Uuid, _>(1)?),
        schema: schema(row.try_get(2)?)?,
        state: row.try_get::<Vec<u8>, _>(3)?.into(),
    })
}

pub(super) async fn save(inner: &PostgresInner, snapshot: Snapshot) -> Result<()> {
    let sql = inner.schema.sql(
        "insert into @schema@.snapshots as s (stream, version, event_id, schema_version, state) \
         values ($1, $2, $3, $4, $5) on conflict (stream) do update \
         set version = excluded.version, event_id = excluded.event_id, \
             schema_version = excluded.schema_version, state = excluded.state \
         where (s.schema_version, s.version) < (excluded.schema_version, excluded.version)",
    );
    let query = sqlx::query(sql)
        .bind(snapshot.stream.as_str())
        .bind(signed(snapshot.version.get()))
        .bind(*snapshot.head.as_uuid())
        .bind(snapshot.schema.get().cast_signed())
        .bind(&snapshot.state[..]);
    let saved = inner.connections.execute(query).await;
    saved.map(drop).map_err(classify("saving a snapshot"))
}
