//! A batch that is accepted as a whole or not at all, in one statement: one visit to the thread of
//! the connection, whatever the size of the batch.

use highwater_core::{
    Error, Position, Version,
    error::{Corrupt, Source},
    port::{NewEvent, StreamAppend},
    value::Expected,
};
use jiff::Timestamp;
use serde::Serialize;
use sqlx::{AssertSqlSafe, Row, SqliteConnection, sqlite::SqliteRow};

use super::{
    super::{
        error::{self, classify},
        options::Prefix,
        row::unsigned,
    },
    DOING, Failure,
};
use crate::{group_commit::Entry, whole::version_before};

/// Bytes are in one blob; what refers to them says where they begin in it, from 1.
type At = usize;

/// The arrays that the statement takes, as in `sql/append_all.sql`.
#[derive(Default)]
pub(super) struct Whole<'a> {
    appends: Vec<(At, i64, usize, usize)>,
    heads: Vec<(&'a str, Version, Option<At>)>,
    events: Vec<Event<'a>>,
    tags: Vec<(usize, &'a str)>,
    data: Vec<u8>,
}

/// Serialised as an array, in this order.
#[derive(Serialize)]
struct Event<'a>(
    &'a str,
    Version,
    At,
    At,
    &'a str,
    u32,
    Option<&'a [highwater_core::Tag]>,
    At,
    usize,
    Option<At>,
    usize,
);

pub(super) fn statement(prefix: &Prefix) -> String {
    format!(
        "insert into {prefix}append_all (appends, heads, events, tags, data, now) \
         values (?, ?, ?, ?, ?, ?) returning (select max(position) from {prefix}events)"
    )
}

impl<'a> Whole<'a> {
    /// A batch that can be accepted as a whole.
    pub(super) fn of(batch: &'a [Entry]) -> Self {
        let mut whole = Self::default();
        for entry in batch {
            whole.push(entry);
        }
        whole
    }

    fn push(&mut self, entry: &'a Entry) {
        let append = &entry.append;
        let command = self.put(append.command.as_uuid().as_bytes());
        let metadata = append.metadata.as_deref().map(|bytes| (self.put(bytes), bytes.len()));
        let first = self.events.len() + 1;
        for (part, linked) in append.streams.iter().zip(&entry.linked) {
            let before = version_before(part).unwrap_or_default();
            if !linked {
                self.push_head(part, before);
            }
            for (offset, event) in part.events.iter().enumerate() {
                let version = before.plus(offset + 1);
                self.push_event(part.stream.as_str(), version, command, event, metadata);
            }
        }
        let fingerprint = append.fingerprint.bits().cast_signed();
        self.appends.push((command, fingerprint, first, self.events.len()));
    }

    /// Where a stream must be.
    fn push_head(&mut self, part: &'a StreamAppend, before: Version) {
        let event = match part.expected {
            Expected::Head(_, event) => Some(self.put(event.as_uuid().as_bytes())),
            _ => None,
        };
        self.heads.push((part.stream.as_str(), before, event));
    }

    fn push_event(
        &mut self,
        stream: &'a str,
        version: Version,
        command: At,
        event: &'a NewEvent,
        metadata: Option<(At, usize)>,
    ) {
        let number = self.events.len() + 1;
        self.tags.extend(event.tags.as_slice().iter().map(|tag| (number, tag.as_str())));
        let tags = Some(event.tags.as_slice()).filter(|tags| !tags.is_empty());
        let id = self.put(event.id.as_uuid().as_bytes());
        let payload = self.put(&event.payload);
        let (at, length) = metadata.unzip();
        self.events.push(Event(
            stream,
            version,
            id,
            command,
            event.event_type.name,
            event.event_type.version.get(),
            tags,
            payload,
            event.payload.len(),
            at,
            length.unwrap_or_default(),
        ));
    }

    fn put(&mut self, bytes: &[u8]) -> At {
        let at = self.data.len() + 1;
        self.data.extend_from_slice(bytes);
        at
    }

    /// How many events the batch has.
    pub(super) fn events(&self) -> u64 {
        self.events.len() as u64
    }

    /// Appends; the head of the log after it, or `None` if nothing was stored and each append must be
    /// judged by itself.
    pub(super) async fn insert(
        self,
        connection: &mut SqliteConnection,
        statement: &str,
        now: Timestamp,
    ) -> Result<Option<Position>, Failure> {
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(json(&self.appends)?)
            .bind(json(&self.heads)?)
            .bind(json(&self.events)?)
            .bind(json(&self.tags)?)
            .bind(self.data)
            .bind(now.as_microsecond())
            // Not `fetch_one`: SQLite is much slower with a statement that isn't run to its end.
            .fetch_all(connection)
            .await;
        match rows {
            // It has been committed, whatever is wrong with the answer.
            Ok(rows) => head(&rows).map(Some).map_err(|error| Failure::Unknown(Source::new(error))),
            Err(error) if error::is_constraint(&error) || error::is_too_big(&error) => Ok(None),
            Err(error) if error::may_be_stored(&error) => Err(Failure::Unknown(Source::new(error))),
            Err(error) => Err(classify(DOING)(error).into()),
        }
    }
}

fn json(array: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(array)
        .map_err(|error| Corrupt::value("an append", Source::new(error)).into())
}

fn head(rows: &[SqliteRow]) -> Result<Position, sqlx::Error> {
    // A batch of appends without events, the first of the log, leaves it empty.
    let head: Option<i64> = rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get(0)?;
    head.map_or(Ok(Position::START), |head| unsigned(head).map(Position::new))
}
