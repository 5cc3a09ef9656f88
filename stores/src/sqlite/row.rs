//! Decodes rows to envelopes.
//!
//! The driver returns rows one by one, with an allocation for each value, which takes several times as
//! long as reading them. So a page is one value: SQLite packs the events into a blob, and payloads are
//! slices of it, without a copy.

use std::ops::Range;

use bytes::Bytes;
use highwater_core::{
    CommandId, Envelope, EventId, Position, Tag, Tags, Version, port::Progress, value::ShardId,
};
use jiff::Timestamp;
use sqlx::{QueryBuilder, Row, Sqlite, sqlite::SqliteRow};
use uuid::Uuid;

pub(super) use crate::sql::row::{signed, unsigned};

use crate::sql::{
    page_limit::PartialPage,
    row::{LastEvent, SqlRow, StoredShards, schema},
    stop::StoredStop,
};

/// Adds the expression that packs the rows `e` of a subquery into one blob with a record for each event; null
/// if there are none. A record has four numbers, five lengths in bytes, and the five values of these
/// lengths, with the two ids of 16 bytes between them. Numbers are decimal and end with a space; a null
/// value has the length 0. A payload of more than `inline` bytes is left out, and has the length -1.
pub(super) fn push_packed(sql: &mut QueryBuilder<Sqlite>, inline: usize) {
    let inline = signed(inline as u64);
    sql.push(
        "cast(group_concat(\
         format('%d %d %d %d %d %d %d %d %d ', e.position, e.version, e.schema_version, \
             e.recorded_at, octet_length(e.stream), octet_length(e.type), octet_length(e.tags), \
             iif(octet_length(e.payload) <= ",
    );
    sql.push_bind(inline).push(
        ", octet_length(e.payload), -1), octet_length(e.metadata)) || \
         e.stream || e.type || coalesce(e.tags, '') || e.event_id || e.command_id || \
         iif(octet_length(e.payload) <= ",
    );
    sql.push_bind(inline).push(", e.payload, '') || coalesce(e.metadata, ''), '') as blob)");
}

/// Returns a packed page, in the order in which SQLite has packed its events.
pub(super) fn unpack(row: &SqliteRow, column: usize) -> Result<PartialPage, sqlx::Error> {
    let blob: Option<Vec<u8>> = row.try_get(column)?;
    let blob = Bytes::from(blob.unwrap_or_default());
    let mut packed = PackedPage { page: &blob, offset: 0, last: LastEvent::default() };
    let mut page = PartialPage::with_capacity(blob.len() / 256 + 1);
    while packed.offset < blob.len() {
        let event = packed.next().ok_or_else(|| undecodable("a page of events"))?;
        page.push(packed.envelope(&event)?, event.has_payload);
    }
    Ok(page)
}

/// A packed page and the offset of the next event.
struct PackedPage<'a> {
    page: &'a Bytes,
    offset: usize,
    last: LastEvent,
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
    /// False if the payload has been left out.
    has_payload: bool,
    metadata: Range<usize>,
}

impl<'a> PackedPage<'a> {
    /// Returns the next event; `None` if the page ends in the middle of it.
    fn next(&mut self) -> Option<PackedEvent<'a>> {
        let numbers = [self.number()?, self.number()?, self.number()?, self.number()?];
        let stream = self.length()?;
        let type_name = self.length()?;
        let tags = self.length()?;
        let payload = usize::try_from(self.number()?).ok();
        let metadata = self.length()?;
        Some(PackedEvent {
            numbers,
            stream: self.bytes(stream)?,
            type_name: self.bytes(type_name)?,
            tags: self.bytes(tags)?,
            event_id: self.bytes(16)?,
            command_id: self.bytes(16)?,
            payload: self.range(payload.unwrap_or_default())?,
            has_payload: payload.is_some(),
            metadata: self.range(metadata)?,
        })
    }

    fn envelope(&mut self, record: &PackedEvent<'_>) -> Result<Envelope, sqlx::Error> {
        let [position, version, schema_version, recorded_at] = record.numbers;
        let tags = record.tags;
        Ok(Envelope {
            position: Position::new(unsigned(position)?),
            stream: self.last.stream(text(record.stream)?)?,
            version: Version::new(unsigned(version)?),
            id: EventId::from_uuid(id(record.event_id)?),
            command: CommandId::from_uuid(id(record.command_id)?),
            type_name: self.last.type_name(text(record.type_name)?),
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

impl SqlRow for SqliteRow {
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
        timestamp(self.try_get(column)?)
    }

    fn json(&self, column: usize) -> sqlx::Result<Option<Bytes>> {
        Ok(self.try_get::<Option<Vec<u8>>, _>(column)?.map(Bytes::from))
    }

    /// Decodes a JSON array of positions and times.
    fn shards(&self, first: usize) -> sqlx::Result<StoredShards> {
        let stored: Vec<(i64, i64, Option<StoredStop>)> =
            serde_json::from_str(self.try_get(first)?)
                .map_err(|error| sqlx::Error::Decode(error.into()))?;
        let mut shards = StoredShards::default();
        for (shard, (position, as_of, stop)) in (0..).map(ShardId::new).zip(stored) {
            let position = Position::new(unsigned(position)?);
            let as_of = timestamp(as_of)?;
            shards.progress.push(Progress { position, as_of, ..Progress::default() });
            shards.stops.extend(stop.map(|stop| stop.of(shard)).transpose()?);
        }
        Ok(shards)
    }
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}
