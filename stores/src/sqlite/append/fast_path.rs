//! A batch that is accepted as a whole or not at all, in one statement: one message to the thread of the
//! connection, whatever the size of the batch.

use std::sync::Arc;

use highwater_core::{
    Error, Position, Version,
    error::{Corrupt, Source},
    port::{NewEvent, StreamAppend},
    value::Expected,
};
use jiff::Timestamp;
use serde::Serialize;
use sqlx::{AssertSqlSafe, Row, SqlSafeStr, SqlStr, SqliteConnection, sqlite::SqliteRow};

use super::{
    super::{
        error::{self, classify},
        options::Prefix,
        row::unsigned,
    },
    APPENDING, SqliteBatchError,
};
use crate::sql::{fast_path::expected_version, group_commit::BatchEntry};

/// The offset of a value in the blob that has all bytes of the batch, from 1.
type BlobOffset = usize;

/// The arrays that the statement takes, as in `sql/append_all.sql`.
#[derive(Default)]
pub(super) struct SqliteFastBatch<'a> {
    appends: Vec<(BlobOffset, i64, usize, usize)>,
    heads: Vec<(&'a str, Version, Option<BlobOffset>)>,
    events: Vec<EventColumns<'a>>,
    tags: Vec<(usize, &'a str)>,
    data: Vec<u8>,
}

/// The columns of an event, serialised as an array in this order.
#[derive(Serialize)]
struct EventColumns<'a>(
    &'a str,
    Version,
    BlobOffset,
    BlobOffset,
    &'a str,
    u32,
    Option<&'a [highwater_core::Tag]>,
    BlobOffset,
    usize,
    Option<BlobOffset>,
    usize,
);

pub(super) fn statement(prefix: &Prefix) -> SqlStr {
    let AssertSqlSafe(sql) = prefix.sql(
        "insert into @prefix@append_all (appends, heads, events, tags, data, now) \
         values (?, ?, ?, ?, ?, ?) returning (select max(position) from @prefix@events)",
    );
    AssertSqlSafe(Arc::<str>::from(sql)).into_sql_str()
}

impl<'a> SqliteFastBatch<'a> {
    /// Creates the arrays of a batch that can be accepted as a whole.
    pub(super) fn new(batch: &'a [BatchEntry]) -> Self {
        let mut arrays = Self::default();
        for entry in batch {
            arrays.push(entry);
        }
        arrays
    }

    fn push(&mut self, entry: &'a BatchEntry) {
        let append = &entry.append;
        let command = self.put(append.command.as_uuid().as_bytes());
        let metadata = append.metadata.as_deref().map(|bytes| (self.put(bytes), bytes.len()));
        let first = self.events.len() + 1;
        for (part, linked) in append.streams.iter().zip(&entry.chained) {
            let before = expected_version(part).unwrap_or_default();
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

    /// Adds the expected head of a stream.
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
        command: BlobOffset,
        event: &'a NewEvent,
        metadata: Option<(BlobOffset, usize)>,
    ) {
        let number = self.events.len() + 1;
        self.tags.extend(event.tags.as_slice().iter().map(|tag| (number, tag.as_str())));
        let tags = Some(event.tags.as_slice()).filter(|tags| !tags.is_empty());
        let id = self.put(event.id.as_uuid().as_bytes());
        let payload = self.put(&event.payload);
        let (metadata, length) = metadata.unzip();
        self.events.push(EventColumns(
            stream,
            version,
            id,
            command,
            event.event_type.name,
            event.event_type.version.get(),
            tags,
            payload,
            event.payload.len(),
            metadata,
            length.unwrap_or_default(),
        ));
    }

    fn put(&mut self, bytes: &[u8]) -> BlobOffset {
        let offset = self.data.len() + 1;
        self.data.extend_from_slice(bytes);
        offset
    }

    /// Returns the number of events of the batch.
    pub(super) fn events(&self) -> u64 {
        self.events.len() as u64
    }

    /// Appends the batch. Returns the head of the log after it, or `None` if nothing was stored and each
    /// append must be checked.
    pub(super) async fn insert(
        self,
        connection: &mut SqliteConnection,
        statement: SqlStr,
        now: Timestamp,
    ) -> Result<Option<Position>, SqliteBatchError> {
        let rows = sqlx::query(statement)
            .bind(json(&self.appends)?)
            .bind(json(&self.heads)?)
            .bind(json(&self.events)?)
            .bind(json(&self.tags)?)
            .bind(self.data)
            .bind(now.as_microsecond())
            // `fetch_one` is much slower, because it does not run the statement to its end.
            .fetch_all(connection)
            .await;
        match rows {
            // It has been committed, whatever the answer is.
            Ok(rows) => decode_head(&rows)
                .map(Some)
                .map_err(|error| SqliteBatchError::Unknown(Source::new(error))),
            Err(error) if error::is_constraint(&error) || error::is_too_big(&error) => Ok(None),
            Err(error) if error::may_be_stored(&error) => {
                Err(SqliteBatchError::Unknown(Source::new(error)))
            }
            Err(error) => Err(classify(APPENDING)(error).into()),
        }
    }
}

fn json(array: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(array)
        .map_err(|error| Corrupt::value("an append", Source::new(error)).into())
}

fn decode_head(rows: &[SqliteRow]) -> Result<Position, sqlx::Error> {
    // The log stays empty if its first batch has no events.
    let head: Option<i64> = rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get(0)?;
    head.map_or(Ok(Position::START), |head| unsigned(head).map(Position::new))
}
