//! Snapshots: the latest of each stream.

use std::sync::Arc;

use highwater_core::{EventId, Result, StreamId, Version, port::Snapshot};

use super::{
    row::{SqlRow, schema},
    store::{
        SqlStore,
        SqlValue::{Bytes, Id, Number, Text},
    },
};

const LOADING: &str = "loading a snapshot";

pub(crate) async fn load<S: SqlStore>(store: Arc<S>, stream: StreamId) -> Result<Option<Snapshot>> {
    let sql = store.sql(
        "select version, event_id, cast(schema_version as bigint), state from @schema@.snapshots \
         where stream = $1",
    );
    let found =
        store.fetch_for_log(sql, &[Text(stream.as_str())]).await.map_err(S::classify(LOADING))?;
    let snapshot = found.first().map(|row| decode(stream, row)).transpose();
    snapshot.map_err(S::classify(LOADING))
}

fn decode(stream: StreamId, row: &impl SqlRow) -> sqlx::Result<Snapshot> {
    Ok(Snapshot {
        stream,
        version: Version::new(row.number(0)?),
        head: EventId::from_uuid(row.id(1)?),
        schema: schema(row.number(2)?)?,
        state: row.bytes(3)?.into(),
    })
}

pub(crate) async fn save<S: SqlStore>(store: Arc<S>, snapshot: Snapshot) -> Result<()> {
    let sql = store.sql(
        "insert into @schema@.snapshots as s (stream, version, event_id, schema_version, state) \
         values ($1, $2, $3, $4, $5) on conflict (stream) do update \
         set version = excluded.version, event_id = excluded.event_id, \
             schema_version = excluded.schema_version, state = excluded.state \
         where (s.schema_version, s.version) < (excluded.schema_version, excluded.version)",
    );
    let values = [
        Text(snapshot.stream.as_str()),
        Number(snapshot.version.get()),
        Id(*snapshot.head.as_uuid()),
        Number(u64::from(snapshot.schema.get())),
        Bytes(&snapshot.state),
    ];
    store.execute_for_log("saving a snapshot", sql, &values).await.map(drop)
}
