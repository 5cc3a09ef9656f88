//! Decodes rows to envelopes.

use bytes::Bytes;
use highwater_core::{CommandId, Envelope, EventId, Position, Tag, Version, port::Progress};
use jiff::{SignedDuration, Timestamp};
use sqlx::{
    Postgres, Row, TypeInfo, ValueRef,
    postgres::{PgHasArrayType, PgRow, PgTypeInfo, PgValueRef},
};
use uuid::Uuid;

pub(super) use crate::sql::row::{signed, unsigned};

use crate::sql::{
    row::{LastEvent, SqlRow, StoredShards, schema},
    stop::StoredStop,
};

/// The columns that [`EventDecoder::envelope`] reads, in their order, up to the payload; after it comes
/// `e.metadata`.
pub(super) const COLUMNS: &str = "e.position, e.stream, e.version, e.event_id, e.command_id, \
     e.type, e.schema_version, e.recorded_at, e.tags, ";

/// Null values for these columns.
pub(super) const NO_EVENT: &str = "null::bigint, null::text, null::bigint, null::uuid, \
     null::uuid, null::text, null::integer, null::timestamptz, null::text[], null::bytea, null::bytea";

/// Decodes rows one after another.
#[derive(Default)]
pub(super) struct EventDecoder {
    last: LastEvent,
}

impl EventDecoder {
    /// Decodes an event. It has an empty payload, and the result is false, if the statement has left it out.
    pub(super) fn envelope(
        &mut self,
        row: &PgRow,
        first: usize,
    ) -> Result<(Envelope, bool), sqlx::Error> {
        let tags: Option<Vec<String>> = row.try_get(first + 8)?;
        let payload: Option<Vec<u8>> = row.try_get(first + 9)?;
        let metadata: Option<Vec<u8>> = row.try_get(first + 10)?;
        let has_payload = payload.is_some();
        let envelope = Envelope {
            position: Position::new(unsigned(row.try_get(first)?)?),
            stream: self.last.stream(row.try_get(first + 1)?)?,
            version: Version::new(unsigned(row.try_get(first + 2)?)?),
            id: EventId::from_uuid(row.try_get::<Uuid, _>(first + 3)?),
            command: CommandId::from_uuid(row.try_get::<Uuid, _>(first + 4)?),
            type_name: self.last.type_name(row.try_get(first + 5)?),
            schema_version: schema::<i32>(row.try_get(first + 6)?)?,
            recorded_at: row.try_get::<PgTimestamp, _>(first + 7)?.0,
            tags: tags.unwrap_or_default().into_iter().map(Tag::from_stored).collect(),
            payload: payload.unwrap_or_default().into(),
            raw_metadata: metadata.unwrap_or_default().into(),
        };
        Ok((envelope, has_payload))
    }
}

impl SqlRow for PgRow {
    fn text(&self, column: usize) -> sqlx::Result<&str> {
        self.try_get(column)
    }
    fn optional_text(&self, column: usize) -> sqlx::Result<Option<&str>> {
        self.try_get(column)
    }
    fn integer(&self, column: usize) -> sqlx::Result<i64> {
        self.try_get(column)
    }
    fn optional_integer(&self, column: usize) -> sqlx::Result<Option<i64>> {
        self.try_get(column)
    }
    fn flag(&self, column: usize) -> sqlx::Result<bool> {
        self.try_get(column)
    }
    fn bytes(&self, column: usize) -> sqlx::Result<Vec<u8>> {
        self.try_get(column)
    }
    fn id(&self, column: usize) -> sqlx::Result<Uuid> {
        self.try_get(column)
    }
    fn time(&self, column: usize) -> sqlx::Result<Timestamp> {
        Ok(self.try_get::<PgTimestamp, _>(column)?.0)
    }

    /// Copies the wire format of JSON, which is its text.
    fn json(&self, column: usize) -> sqlx::Result<Option<Bytes>> {
        let value = self.try_get_raw(column)?;
        if value.is_null() {
            return Ok(None);
        }
        value.as_bytes().map(Bytes::copy_from_slice).map(Some).map_err(sqlx::Error::Decode)
    }

    /// Decodes two arrays, positions and times, and the stops by shard as JSON, which is null without any.
    fn shards(&self, first: usize) -> sqlx::Result<StoredShards> {
        let positions: Vec<i64> = self.try_get(first)?;
        let as_ofs: Vec<PgTimestamp> = self.try_get(first + 1)?;
        let progress = |(position, as_of): (i64, PgTimestamp)| {
            let position = Position::new(unsigned(position)?);
            Ok(Progress { position, as_of: as_of.0, ..Progress::default() })
        };
        let progress: sqlx::Result<_> = positions.into_iter().zip(as_ofs).map(progress).collect();
        let stops =
            self.optional_text(first + 2)?.map_or(Ok(Vec::new()), StoredStop::decode_all)?;
        Ok(StoredShards { progress: progress?, stops })
    }
}

/// A `timestamptz`: microseconds since the year 2000.
#[derive(Clone, Copy)]
pub(super) struct PgTimestamp(pub(super) Timestamp);

const EPOCH_OF_POSTGRES: i64 = 946_684_800;

impl sqlx::Type<Postgres> for PgTimestamp {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("timestamptz")
    }

    fn compatible(ty: &PgTypeInfo) -> bool {
        ty.name().eq_ignore_ascii_case("timestamptz")
    }
}

impl PgHasArrayType for PgTimestamp {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("_timestamptz")
    }

    fn array_compatible(ty: &PgTypeInfo) -> bool {
        ty.name().eq_ignore_ascii_case("timestamptz[]")
    }
}

impl sqlx::Decode<'_, Postgres> for PgTimestamp {
    fn decode(value: PgValueRef<'_>) -> Result<Self, sqlx::error::BoxDynError> {
        let micros = i64::from_be_bytes(value.as_bytes()?.try_into()?);
        let epoch = Timestamp::from_second(EPOCH_OF_POSTGRES)?;
        Ok(Self(epoch.checked_add(SignedDuration::from_micros(micros))?))
    }
}

impl sqlx::Encode<'_, Postgres> for PgTimestamp {
    fn encode_by_ref(
        &self,
        buffer: &mut sqlx::postgres::PgArgumentBuffer,
    ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
        let micros = self.0.as_microsecond() - EPOCH_OF_POSTGRES * 1_000_000;
        buffer.extend_from_slice(&micros.to_be_bytes());
        Ok(sqlx::encode::IsNull::No)
    }
}
