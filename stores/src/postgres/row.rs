//! Decodes rows to envelopes.

use std::sync::Arc;

use highwater_core::{
    CommandId, Envelope, EventId, Position, SchemaVersion, StreamId, Tag, Version,
};
use jiff::{SignedDuration, Timestamp};
use sqlx::{
    Postgres, Row, TypeInfo,
    postgres::{PgHasArrayType, PgRow, PgTypeInfo, PgValueRef},
};
use uuid::Uuid;

/// The columns that [`EventDecoder::envelope`] reads, in their order, up to the payload; after it comes
/// `e.metadata`.
pub(super) const COLUMNS: &str = "e.position, e.stream, e.version, e.event_id, e.command_id, \
     e.type, e.schema_version, e.recorded_at, e.tags, ";

/// Null values for these columns.
pub(super) const NO_EVENT: &str = "null::bigint, null::text, null::bigint, null::uuid, \
     null::uuid, null::text, null::integer, null::timestamptz, null::text[], null::bytea, null::bytea";

/// Decodes rows one after another. Neighbours often have the same stream and type, and then share memory.
#[derive(Default)]
pub(super) struct EventDecoder {
    stream: Option<StreamId>,
    type_name: Option<Arc<str>>,
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
            stream: self.stream(row.try_get(first + 1)?)?,
            version: Version::new(unsigned(row.try_get(first + 2)?)?),
            id: EventId::from_uuid(row.try_get::<Uuid, _>(first + 3)?),
            command: CommandId::from_uuid(row.try_get::<Uuid, _>(first + 4)?),
            type_name: self.type_name(row.try_get(first + 5)?),
            schema_version: schema(row.try_get(first + 6)?)?,
            recorded_at: row.try_get::<PgTimestamp, _>(first + 7)?.0,
            tags: tags.unwrap_or_default().into_iter().map(Tag::from_stored).collect(),
            payload: payload.unwrap_or_default().into(),
            raw_metadata: metadata.unwrap_or_default().into(),
        };
        Ok((envelope, has_payload))
    }

    fn stream(&mut self, id: &str) -> Result<StreamId, sqlx::Error> {
        match &self.stream {
            Some(last) if last.as_str() == id => Ok(last.clone()),
            _ => {
                let stream =
                    StreamId::parse(id).map_err(|error| sqlx::Error::Decode(error.into()))?;
                Ok(self.stream.insert(stream).clone())
            }
        }
    }

    fn type_name(&mut self, name: &str) -> Arc<str> {
        match &self.type_name {
            Some(last) if **last == *name => Arc::clone(last),
            _ => Arc::clone(self.type_name.insert(name.into())),
        }
    }
}

pub(super) fn unsigned(number: i64) -> Result<u64, sqlx::Error> {
    u64::try_from(number).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(super) fn schema(number: i32) -> Result<SchemaVersion, sqlx::Error> {
    let number = u32::try_from(number).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(SchemaVersion::new(number))
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
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
