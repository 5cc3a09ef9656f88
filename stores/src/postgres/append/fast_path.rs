//! A batch that is accepted as a whole or not at all.

use highwater_core::{Position, Version, port::StreamAppend, value::Expected};
use sqlx::{PgConnection, Row, SqlStr};
use uuid::Uuid;

use super::{
    super::row::{signed, unsigned},
    checked_batch::array,
};
use crate::sql::{fast_path::expected_version, group_commit::BatchEntry};

/// A batch as arrays: `a_` of the appends, `h_` of the expected heads, `e_` of the events.
#[derive(Default)]
pub(super) struct PostgresFastBatch<'a> {
    a_id: Vec<Uuid>,
    a_fingerprint: Vec<i64>,
    a_first: Vec<i32>,
    a_last: Vec<i32>,
    h_stream: Vec<&'a str>,
    h_version: Vec<i64>,
    h_event: Vec<Option<Uuid>>,
    e_stream: Vec<&'a str>,
    e_version: Vec<i64>,
    e_id: Vec<Uuid>,
    e_command: Vec<Uuid>,
    e_type: Vec<&'a str>,
    e_schema: Vec<i32>,
    e_tags: Vec<Option<String>>,
    e_payload: Vec<&'a [u8]>,
    e_metadata: Vec<Option<&'a [u8]>>,
}

impl<'a> PostgresFastBatch<'a> {
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
        let first = self.e_id.len() as i32 + 1;
        for (part, linked) in append.streams.iter().zip(&entry.chained) {
            let before = expected_version(part).unwrap_or_default();
            if !linked {
                self.push_head(part, before);
            }
            self.push_events(entry, part, before);
        }
        self.a_id.push(*append.command.as_uuid());
        self.a_fingerprint.push(append.fingerprint.bits().cast_signed());
        self.a_first.push(first);
        self.a_last.push(self.e_id.len() as i32);
    }

    /// Adds the expected head of a stream.
    fn push_head(&mut self, part: &'a StreamAppend, before: Version) {
        let event = match part.expected {
            Expected::Head(_, event) => Some(*event.as_uuid()),
            _ => None,
        };
        self.h_stream.push(part.stream.as_str());
        self.h_version.push(signed(before.get()));
        self.h_event.push(event);
    }

    fn push_events(&mut self, entry: &'a BatchEntry, part: &'a StreamAppend, before: Version) {
        for (offset, event) in part.events.iter().enumerate() {
            self.e_stream.push(part.stream.as_str());
            self.e_version.push(signed(before.plus(offset + 1).get()));
            self.e_id.push(*event.id.as_uuid());
            self.e_command.push(*entry.append.command.as_uuid());
            self.e_type.push(event.event_type.name);
            self.e_schema.push(event.event_type.version.get().cast_signed());
            self.e_tags.push(array(event.tags.as_slice().iter().map(highwater_core::Tag::as_str)));
            self.e_payload.push(&event.payload);
            self.e_metadata.push(entry.append.metadata.as_deref());
        }
    }

    /// Calls the procedure. Without contention it takes the lock of the order in another way.
    pub(super) async fn call(
        &self,
        connection: &mut PgConnection,
        call: SqlStr,
        is_uncontended: bool,
    ) -> Result<FastOutcome, sqlx::Error> {
        let row = sqlx::query(call)
            .bind(&self.a_id)
            .bind(&self.a_fingerprint)
            .bind(&self.a_first)
            .bind(&self.a_last)
            .bind(&self.h_stream)
            .bind(&self.h_version)
            .bind(&self.h_event)
            .bind(&self.e_stream)
            .bind(&self.e_version)
            .bind(&self.e_id)
            .bind(&self.e_command)
            .bind(&self.e_type)
            .bind(&self.e_schema)
            .bind(&self.e_tags)
            .bind(&self.e_payload)
            .bind(&self.e_metadata)
            .bind(is_uncontended)
            .fetch_one(connection)
            .await?;
        let head: Option<i64> = row.try_get(1)?;
        let before = head.map(|head| unsigned(head).map(Position::new)).transpose()?;
        Ok(FastOutcome { before, was_uncontended: row.try_get(0)? })
    }
}

/// The result of the procedure.
pub(super) struct FastOutcome {
    /// The position before the first event, or `None` if nothing was stored and each append must be
    /// checked.
    pub(super) before: Option<Position>,
    /// True if no other process was appending.
    pub(super) was_uncontended: bool,
}
