//! From rows to envelopes.

use std::sync::Arc;

use highwater_core::{
    CommandId, Envelope, EventId, Position, SchemaVersion, StreamId, Tag, Tags, Version,
};
use jiff::Timestamp;
use sqlx::{Row, sqlite::SqliteRow};
use uuid::Uuid;

/// The columns that [`Rows::envelope`] reads, in their order, beginning with the first.
pub(super) const COLUMNS: &str = "e.position, e.stream, e.version, e.event_id, e.command_id, \
     e.type, e.schema_version, e.recorded_at, e.tags, e.payload, e.metadata";

/// Decodes rows one after another; neighbours often share stream and type, and then share memory.
#[derive(Default)]
pub(super) struct Rows {
    stream: Option<StreamId>,
    type_name: Option<Arc<str>>,
}

impl Rows {
    pub(super) fn envelope(
        &mut self,
        row: &SqliteRow,
        first: usize,
    ) -> Result<Envelope, sqlx::Error> {
        let tags: Option<&str> = row.try_get(first + 8)?;
        let payload: Vec<u8> = row.try_get(first + 9)?;
        let metadata: Option<Vec<u8>> = row.try_get(first + 10)?;
        Ok(Envelope {
            position: Position::new(unsigned(row.try_get(first)?)?),
            stream: self.stream(row.try_get(first + 1)?)?,
            version: Version::new(unsigned(row.try_get(first + 2)?)?),
            id: EventId::from_uuid(row.try_get::<Uuid, _>(first + 3)?),
            command: CommandId::from_uuid(row.try_get::<Uuid, _>(first + 4)?),
            type_name: self.type_name(row.try_get(first + 5)?),
            schema_version: schema(row.try_get(first + 6)?)?,
            recorded_at: timestamp(row.try_get(first + 7)?)?,
            tags: tags.map_or(Ok(Tags::none()), tags_of)?,
            payload: payload.into(),
            raw_metadata: metadata.unwrap_or_default().into(),
        })
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

fn tags_of(json: &str) -> Result<Tags, sqlx::Error> {
    let tags: Vec<Tag> =
        serde_json::from_str(json).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(tags.into_iter().collect())
}

pub(super) fn timestamp(micros: i64) -> Result<Timestamp, sqlx::Error> {
    Timestamp::from_microsecond(micros).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(super) fn unsigned(number: i64) -> Result<u64, sqlx::Error> {
    u64::try_from(number).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(super) fn schema(number: i64) -> Result<SchemaVersion, sqlx::Error> {
    let number = u32::try_from(number).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(SchemaVersion::new(number))
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
