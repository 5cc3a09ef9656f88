//! Decodes records. Every value is checked: any client that may write to the topic may have written it.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    str::FromStr,
    sync::Arc,
};

use bytes::Bytes;
use highwater_core::{
    Envelope, Position, Query, QueryItem, SchemaVersion, StreamId, Tags, Version,
};
use jiff::Timestamp;
use rdkafka::message::Headers;

use super::format::{MARK_TYPE, SPEC_VERSION, header};

/// A description of what is wrong with a record.
pub(in crate::kafka) type RecordFault = String;

/// A record, decoded as far as every reader needs.
pub(in crate::kafka) struct DecodedRecord<'a> {
    pub(in crate::kafka) position: Position,
    pub(in crate::kafka) previous: Position,
    /// The time at which the event was recorded, or the `as_of` of a mark.
    pub(in crate::kafka) time: Timestamp,
    /// The event; `None` if the record is a mark.
    pub(in crate::kafka) event: Option<EncodedEvent<'a>>,
}

/// An event whose envelope has not been built yet: most views read only a few types.
pub(in crate::kafka) struct EncodedEvent<'a> {
    stream: &'a str,
    type_name: &'a str,
    payload: &'a [u8],
    headers: HeaderValues<'a>,
}

impl<'a> DecodedRecord<'a> {
    /// Decodes key, headers and value.
    pub(in crate::kafka) fn decode(
        key: Option<&'a [u8]>,
        headers: Option<&'a impl Headers>,
        payload: Option<&'a [u8]>,
    ) -> Result<Self, RecordFault> {
        let headers = HeaderValues::find(headers.ok_or("it has no headers")?)?;
        if headers.text(SPEC)? != SPEC_VERSION {
            return Err(format!("it is not of CloudEvents {SPEC_VERSION}"));
        }
        let position = headers.position(POSITION)?;
        let previous = headers.position(PREVIOUS)?;
        let time = headers.parse(TIME)?;
        let type_name = headers.text(TYPE)?;
        let event = match (key, payload) {
            (None, _) if type_name == MARK_TYPE => None,
            (Some(key), Some(payload)) => {
                let stream = std::str::from_utf8(key).map_err(|_| "its key is no text")?;
                Some(EncodedEvent { stream, type_name, payload, headers })
            }
            (None, _) => return Err("it has no key".into()),
            (_, None) => return Err("it has no value".into()),
        };
        let follows = previous < position || (event.is_none() && previous == position);
        match follows {
            true => Ok(Self { position, previous, time, event }),
            false => Err(format!("position {position} can't follow {previous}")),
        }
    }
}

impl EncodedEvent<'_> {
    /// Returns the id of the stream, which decides the partition.
    pub(in crate::kafka) fn stream(&self) -> &str {
        self.stream
    }

    /// Returns true if the event matches the query. Tags are decoded only if that depends on them.
    pub(in crate::kafka) fn matches(&self, query: &Query) -> Result<bool, RecordFault> {
        if query.items.is_empty() {
            return Ok(true);
        }
        for item in &query.items {
            if self.matches_names(item)
                && (item.tags.is_empty() || self.tags()?.contain_all(&item.tags))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn matches_names(&self, item: &QueryItem) -> bool {
        let category = self.stream.split_once('-').map_or("", |(category, _)| category);
        (item.types.is_empty() || item.types.iter().any(|name| name == self.type_name))
            && (item.categories.is_empty()
                || item.categories.iter().any(|c| c.as_str() == category))
    }

    fn tags(&self) -> Result<Tags, RecordFault> {
        let Some(json) = self.headers.values[TAGS] else { return Ok(Tags::none()) };
        serde_json::from_slice(json)
            .map_err(|error| format!("{} is malformed: {error}", header::TAGS))
    }

    /// Builds the envelope of the event, as it is in the log.
    pub(in crate::kafka) fn envelope(
        &self,
        position: Position,
        recorded_at: Timestamp,
        names: &mut TypeNames,
    ) -> Result<Envelope, RecordFault> {
        let headers = &self.headers;
        Ok(Envelope {
            position,
            stream: StreamId::parse(self.stream).map_err(|error| format!("its key: {error}"))?,
            version: Version::new(headers.parse(STREAM_VERSION)?),
            id: headers.parse(ID)?,
            command: headers.parse(COMMAND)?,
            type_name: names.shared(self.type_name),
            schema_version: SchemaVersion::new(headers.parse(SCHEMA_VERSION)?),
            recorded_at,
            tags: self.tags()?,
            payload: Bytes::copy_from_slice(self.payload),
            raw_metadata: headers.values[METADATA].map(Bytes::copy_from_slice).unwrap_or_default(),
        })
    }
}

/// Interns type names: the events of one type share its name.
#[derive(Default)]
pub(in crate::kafka) struct TypeNames(HashMap<Box<str>, Arc<str>>);

impl TypeNames {
    /// The limit of names in the cache. A program has some hundreds of types; a client that writes others into
    /// the topic must not fill the memory.
    const LIMIT: usize = 10_000;

    fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return known.clone();
        }
        if self.0.len() == Self::LIMIT {
            self.0.clear();
        }
        let shared: Arc<str> = name.into();
        self.0.insert(name.into(), shared.clone());
        shared
    }
}

/// The values of the headers that a relay writes, by their indexes in [`ALL`]. Other headers are
/// ignored: brokers and agents add theirs.
#[derive(Default)]
struct HeaderValues<'a> {
    values: [Option<&'a [u8]>; ALL.len()],
}

/// The headers in the order in which they are written, so that each is found at the first comparison.
const ALL: [&str; 14] = [
    header::POSITION,
    header::PREVIOUS,
    header::TYPE,
    header::TIME,
    header::SPEC_VERSION,
    header::ID,
    header::SOURCE,
    header::SUBJECT,
    header::CONTENT_TYPE,
    header::STREAM_VERSION,
    header::SCHEMA_VERSION,
    header::COMMAND,
    header::TAGS,
    header::METADATA,
];

const POSITION: usize = 0;
const PREVIOUS: usize = 1;
const TYPE: usize = 2;
const TIME: usize = 3;
const SPEC: usize = 4;
const ID: usize = 5;
const STREAM_VERSION: usize = 9;
const SCHEMA_VERSION: usize = 10;
const COMMAND: usize = 11;
const TAGS: usize = 12;
const METADATA: usize = 13;

impl<'a> HeaderValues<'a> {
    /// Finds the headers. The client library panics at a header whose name is not UTF-8; it holds no state
    /// that could be left inconsistent.
    fn find(headers: &'a impl Headers) -> Result<Self, RecordFault> {
        catch_unwind(AssertUnwindSafe(|| Self::read(headers)))
            .unwrap_or_else(|_| Err("a header's name is no text".into()))
    }

    fn read(headers: &'a impl Headers) -> Result<Self, RecordFault> {
        let mut found = Self::default();
        let mut next = 0;
        for header in headers.iter() {
            let is_next = ALL.get(next).is_some_and(|name| *name == header.key);
            let index = match is_next {
                true => next,
                false => match ALL.iter().position(|name| *name == header.key) {
                    Some(index) => index,
                    None => continue,
                },
            };
            if found.values[index].is_some() {
                return Err(format!("it has two headers {}", header.key));
            }
            found.values[index] = header.value;
            next = index + 1;
        }
        Ok(found)
    }

    fn text(&self, index: usize) -> Result<&'a str, RecordFault> {
        let name = ALL[index];
        let bytes = self.values[index].ok_or_else(|| format!("it has no header {name}"))?;
        std::str::from_utf8(bytes).map_err(|_| format!("{name} is no text"))
    }

    fn parse<T: FromStr>(&self, index: usize) -> Result<T, RecordFault> {
        self.text(index)?.parse().map_err(|_| format!("{} is malformed", ALL[index]))
    }

    fn position(&self, index: usize) -> Result<Position, RecordFault> {
        let number: u64 = self.parse(index)?;
        match number <= Position::END.get() {
            true => Ok(Position::new(number)),
            false => Err(format!("{} is beyond every position", ALL[index])),
        }
    }
}
