//! Decodes rows to envelopes.
//!
//! The driver returns rows one by one, with an allocation for each value, which takes several times as
//! long as reading them. So a page is one value: SQLite packs the events into a blob, and payloads are
//! slices of it, without a copy.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use highwater_core::{
    CommandId, Envelope, EventId, Position, SchemaVersion, StreamId, Tag, Tags, Version,
};
use jiff::Timestamp;
use sqlx::{Row, sqlite::SqliteRow};
use uuid::Uuid;

/// The expression that packs the rows `e` of a subquery into one blob with a record for each event; null
/// if there are none. A record has four numbers, five lengths in bytes, and the five values of these
/// lengths, with the two ids of 16 bytes between them. Numbers are decimal and end with a space; a null
/// value has the length 0.
pub(super) const PACKED: &str = "cast(group_concat(\
    format('%d %d %d %d %d %d %d %d %d ', e.position, e.version, e.schema_version, e.recorded_at, \
        octet_length(e.stream), octet_length(e.type), octet_length(e.tags), \
        octet_length(e.payload), octet_length(e.metadata)) || \
    e.stream || e.type || coalesce(e.tags, '') || e.event_id || e.command_id || e.payload || \
    coalesce(e.metadata, ''), '') as blob)";

/// Returns the envelopes of a packed page, in the order in which SQLite has packed them.
pub(super) fn unpack(row: &SqliteRow, column: usize) -> Result<Vec<Envelope>, sqlx::Error> {
    let blob: Option<Vec<u8>> = row.try_get(column)?;
    let blob = Bytes::from(blob.unwrap_or_default());
    let mut page = PackedPage { page: &blob, offset: 0, stream: None, type_name: None };
    let mut envelopes = Vec::with_capacity(blob.len() / 256 + 1);
    while page.offset < blob.len() {
        let event = page.next().ok_or_else(|| undecodable("a page of events"))?;
        envelopes.push(page.envelope(&event)?);
    }
    Ok(envelopes)
}

/// A packed page and the offset of the next event. Neighbours often have the same stream and type, and
/// then share memory.
struct PackedPage<'a> {
    page: &'a Bytes,
    offset: usize,
    stream: Option<StreamId>,
    type_name: Option<Arc<str>>,
}

/// The parts of an event in the page.
struct PackedEvent<'a> {
    numbers: [i64; 4],
    stream: &'a [u8],
    type_name: &'a [u8],
    tags: &'a [u8],
    event_id: &'a [u8],
    command_id: &'a [u8],
    payload: Range<usize>,
    metadata: Range<usize>,
}

impl<'a> PackedPage<'a> {
    /// Returns the next event; `None` if the page ends in the middle of it.
    fn next(&mut self) -> Option<PackedEvent<'a>> {
        let numbers = [self.number()?, self.number()?, self.number()?, self.number()?];
        let (stream, type_name, tags) = (self.length()?, self.length()?, self.length()?);
        let (payload, metadata) = (self.length()?, self.length()?);
        Some(PackedEvent {
            numbers,
            stream: self.bytes(stream)?,
            type_name: self.bytes(type_name)?,
            tags: self.bytes(tags)?,
            event_id: self.bytes(16)?,
            command_id: self.bytes(16)?,
            payload: self.range(payload)?,
            metadata: self.range(metadata)?,
        })
    }

    fn envelope(&mut self, record: &PackedEvent<'_>) -> Result<Envelope, sqlx::Error> {
        let [position, version, schema_version, recorded_at] = record.numbers;
        let tags = record.tags;
        Ok(Envelope {
            position: Position::new(unsigned(position)?),
            stream: self.stream(text(record.stream)?)?,
            version: Version::new(unsigned(version)?),
            id: EventId::from_uuid(id(record.event_id)?),
            command: CommandId::from_uuid(id(record.command_id)?),
            type_name: self.type_name(text(record.type_name)?),
            schema_version: schema(schema_version)?,
            recorded_at: timestamp(recorded_at)?,
            tags: if tags.is_empty() { Tags::none() } else { tags_of(text(tags)?)? },
            payload: self.page.slice(record.payload.clone()),
            raw_metadata: match record.metadata.is_empty() {
                true => Bytes::new(),
                false => self.page.slice(record.metadata.clone()),
            },
        })
    }

    fn range(&mut self, length: usize) -> Option<Range<usize>> {
        let end = self.offset.checked_add(length).filter(|end| *end <= self.page.len())?;
        Some(std::mem::replace(&mut self.offset, end)..end)
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let range = self.range(length)?;
        self.page.get(range)
    }

    fn length(&mut self) -> Option<usize> {
        self.number()?.try_into().ok()
    }

    fn number(&mut self) -> Option<i64> {
        let rest = self.page.get(self.offset..)?;
        let sign = if rest.first() == Some(&b'-') { -1 } else { 1 };
        let mut number: i64 = 0;
        for (offset, byte) in rest.iter().enumerate().skip(usize::from(sign < 0)) {
            if *byte == b' ' {
                self.offset += offset + 1;
                return Some(number);
            }
            let digit = i64::from(byte.checked_sub(b'0').filter(|digit| *digit < 10)?);
            number = number.checked_mul(10)?.checked_add(sign * digit)?;
        }
        None
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

fn text(bytes: &[u8]) -> Result<&str, sqlx::Error> {
    std::str::from_utf8(bytes).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn id(bytes: &[u8]) -> Result<Uuid, sqlx::Error> {
    Uuid::from_slice(bytes).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn undecodable(what: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("{what} has an unexpected form").into())
}

pub(super) fn tags_of(json: &str) -> Result<Tags, sqlx::Error> {
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

pub(super) fn json(value: &impl serde::Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}
