//! From a record back to the event. Nothing is taken on trust: whoever can write to the topic may
//! have written it.

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

use super::{MARK, SPEC_VERSION, header};

/// What is wrong with a record.
pub(in crate::kafka) type Wrong = String;

/// A record, as far as every record is decoded.
pub(in crate::kafka) struct Record<'a> {
    pub(in crate::kafka) position: Position,
    pub(in crate::kafka) previous: Position,
    /// When the event was recorded, or as of when the mark was made.
    pub(in crate::kafka) time: Timestamp,
    /// The event; `None` if it is a mark.
    pub(in crate::kafka) event: Option<RawEvent<'a>>,
}

/// An event whose envelope has not been built yet: most views want few types.
pub(in crate::kafka) struct RawEvent<'a> {
    stream: &'a str,
    type_name: &'a str,
    payload: &'a [u8],
    found: Found<'a>,
}

impl<'a> Record<'a> {
    /// Decodes key, headers and value.
    pub(in crate::kafka) fn decode(
        key: Option<&'a [u8]>,
        headers: Option<&'a impl Headers>,
        payload: Option<&'a [u8]>,
    ) -> Result<Self, Wrong> {
        let found = Found::among(headers.ok_or("it has no headers")?)?;
        if found.text(SPEC)? != SPEC_VERSION {
            return Err(format!("it is not of CloudEvents {SPEC_VERSION}"));
        }
        let (position, previous) = (found.position(POSITION)?, found.position(PREVIOUS)?);
        let (time, type_name) = (found.parsed(TIME)?, found.text(TYPE)?);
        let event = match (key, payload) {
            (None, _) if type_name == MARK => None,
            (Some(key), Some(payload)) => {
                let stream = std::str::from_utf8(key).map_err(|_| "its key is no text")?;
                Some(RawEvent { stream, type_name, payload, found })
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

impl RawEvent<'_> {
    /// The id of its stream, which decides on the partition.
    pub(in crate::kafka) fn stream(&self) -> &str {
        self.stream
    }

    /// Whether it matches the query. Tags are decoded only if that depends on them.
    pub(in crate::kafka) fn matches(&self, query: &Query) -> Result<bool, Wrong> {
        if query.items.is_empty() {
            return Ok(true);
        }
        for item in &query.items {
            if self.is_of(item) && (item.tags.is_empty() || self.tags()?.contain_all(&item.tags)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_of(&self, item: &QueryItem) -> bool {
        let category = self.stream.split_once('-').map_or("", |(category, _)| category);
        (item.types.is_empty() || item.types.iter().any(|name| name == self.type_name))
            && (item.categories.is_empty()
                || item.categories.iter().any(|c| c.as_str() == category))
    }

    fn tags(&self) -> Result<Tags, Wrong> {
        let Some(json) = self.found.values[TAGS] else { return Ok(Tags::none()) };
        serde_json::from_slice(json)
            .map_err(|error| format!("{} is malformed: {error}", header::TAGS))
    }

    /// The event as it is in the log.
    pub(in crate::kafka) fn envelope(
        &self,
        position: Position,
        recorded_at: Timestamp,
        names: &mut Names,
    ) -> Result<Envelope, Wrong> {
        let found = &self.found;
        Ok(Envelope {
            position,
            stream: StreamId::parse(self.stream).map_err(|error| format!("its key: {error}"))?,
            version: Version::new(found.parsed(STREAM_VERSION)?),
            id: found.parsed(ID)?,
            command: found.parsed(COMMAND)?,
            type_name: names.shared(self.type_name),
            schema_version: SchemaVersion::new(found.parsed(SCHEMA_VERSION)?),
            recorded_at,
            tags: self.tags()?,
            payload: Bytes::copy_from_slice(self.payload),
            raw_metadata: found.values[METADATA].map(Bytes::copy_from_slice).unwrap_or_default(),
        })
    }
}

/// Each type name once, shared by its events.
#[derive(Default)]
pub(in crate::kafka) struct Names(HashMap<Box<str>, Arc<str>>);

impl Names {
    /// A program has some hundreds of types; who writes others into the topic must not fill the memory.
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

/// The headers that a relay writes, by their places in [`ALL`]. Others may be there: brokers and
/// agents add theirs.
#[derive(Default)]
struct Found<'a> {
    values: [Option<&'a [u8]>; ALL.len()],
}

/// In the order in which they are written, so that each is found at the first look.
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

impl<'a> Found<'a> {
    /// The client library panics at a header whose name is not UTF-8. It holds nothing then that
    /// could be left half done.
    fn among(headers: &'a impl Headers) -> Result<Self, Wrong> {
        catch_unwind(AssertUnwindSafe(|| Self::read(headers)))
            .unwrap_or_else(|_| Err("a header's name is no text".into()))
    }

    fn read(headers: &'a impl Headers) -> Result<Self, Wrong> {
        let (mut found, mut next) = (Self::default(), 0);
        for header in headers.iter() {
            let is_next = ALL.get(next).is_some_and(|name| *name == header.key);
            let place = match is_next {
                true => next,
                false => match ALL.iter().position(|name| *name == header.key) {
                    Some(place) => place,
                    None => continue,
                },
            };
            if found.values[place].is_some() {
                return Err(format!("it has two headers {}", header.key));
            }
            found.values[place] = header.value;
            next = place + 1;
        }
        Ok(found)
    }

    fn text(&self, place: usize) -> Result<&'a str, Wrong> {
        let name = ALL[place];
        let bytes = self.values[place].ok_or_else(|| format!("it has no header {name}"))?;
        std::str::from_utf8(bytes).map_err(|_| format!("{name} is no text"))
    }

    fn parsed<T: FromStr>(&self, place: usize) -> Result<T, Wrong> {
        self.text(place)?.parse().map_err(|_| format!("{} is malformed", ALL[place]))
    }

    fn position(&self, place: usize) -> Result<Position, Wrong> {
        let number: u64 = self.parsed(place)?;
        match number <= Position::END.get() {
            true => Ok(Position::new(number)),
            false => Err(format!("{} is beyond every position", ALL[place])),
        }
    }
}
