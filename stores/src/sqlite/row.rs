//! From rows to envelopes.
//!
//! The driver hands rows over one by one, each value in an allocation of its own, and that takes
//! several times as long as reading them. So a page comes as one value: SQLite packs the events into
//! a blob, and payloads are slices of it, which cost no copy.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use highwater_core::{
    CommandId, Envelope, EventId, Position, SchemaVersion, StreamId, Tag, Tags, Version,
};
use jiff::Timestamp;
use sqlx::{Row, sqlite::SqliteRow};
use uuid::Uuid;

/// What becomes of a subquery's rows `e`: one blob with the record of each event after the other,
/// null if there are none. A record is four numbers, five lengths in bytes, and what has these
/// lengths, the two ids of 16 bytes between them. Numbers are decimal and end with a space.
pub(super) const PACKED: &str = "cast(group_concat(\
    e.position || ' ' || e.version || ' ' || e.schema_version || ' ' || e.recorded_at || ' ' || \
    octet_length(e.stream) || ' ' || octet_length(e.type) || ' ' || \
    coalesce(octet_length(e.tags), 0) || ' ' || octet_length(e.payload) || ' ' || \
    coalesce(octet_length(e.metadata), 0) || ' ' || e.stream || e.type || coalesce(e.tags, '') || \
    e.event_id || e.command_id || e.payload || coalesce(e.metadata, ''), '') as blob)";

/// The envelopes of a packed page, in the order in which SQLite has seen them.
pub(super) fn unpack(row: &SqliteRow, column: usize) -> Result<Vec<Envelope>, sqlx::Error> {
    let page: Option<Vec<u8>> = row.try_get(column)?;
    let mut records = Records { rest: page.unwrap_or_default().into(), ..Records::default() };
    let mut envelopes = Vec::with_capacity(records.rest.len() / 256 + 1);
    while !records.rest.is_empty() {
        envelopes.push(records.next().ok_or_else(|| undecodable("a page of events"))??);
    }
    Ok(envelopes)
}

/// What is left of a page. Neighbours often share stream and type, and then share memory.
#[derive(Default)]
struct Records {
    rest: Bytes,
    stream: Option<StreamId>,
    type_name: Option<Arc<str>>,
}

impl Records {
    /// The next event; `None` if the page ends in the middle of it.
    fn next(&mut self) -> Option<Result<Envelope, sqlx::Error>> {
        let (position, version) = (self.number()?, self.number()?);
        let (schema_version, recorded_at) = (self.number()?, self.number()?);
        let (stream, type_name, tags) = (self.length()?, self.length()?, self.length()?);
        let (payload, metadata) = (self.length()?, self.length()?);
        let (stream, type_name) = (self.take(stream)?, self.take(type_name)?);
        let (tags, ids) = (self.take(tags)?, self.take(32)?);
        let (payload, raw_metadata) = (self.take(payload)?, self.take(metadata)?);
        Some((|| {
            Ok(Envelope {
                position: Position::new(unsigned(position)?),
                stream: self.stream(text(&stream)?)?,
                version: Version::new(unsigned(version)?),
                id: EventId::from_uuid(id(&ids[..16])?),
                command: CommandId::from_uuid(id(&ids[16..])?),
                type_name: self.type_name(text(&type_name)?),
                schema_version: schema(schema_version)?,
                recorded_at: timestamp(recorded_at)?,
                tags: if tags.is_empty() { Tags::none() } else { tags_of(text(&tags)?)? },
                payload,
                raw_metadata,
            })
        })())
    }

    fn take(&mut self, length: usize) -> Option<Bytes> {
        (length <= self.rest.len()).then(|| self.rest.split_to(length))
    }

    fn length(&mut self) -> Option<usize> {
        self.number()?.try_into().ok()
    }

    fn number(&mut self) -> Option<i64> {
        let end = self.rest.iter().position(|byte| *byte == b' ')?;
        let (sign, digits) = match self.rest[..end].strip_prefix(b"-") {
            Some(digits) => (-1, digits),
            None => (1, &self.rest[..end]),
        };
        let mut number: i64 = 0;
        for digit in digits {
            let digit = i64::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
            number = number.checked_mul(10)?.checked_add(sign * digit)?;
        }
        self.rest.advance(end + 1);
        Some(number)
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
    sqlx::Error::Decode(format!("{what} is not what was asked for").into())
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
