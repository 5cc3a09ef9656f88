//! A batch that is accepted as a whole or not at all.

use highwater_core::{Position, Version, port::StreamAppend, value::Expected};
use sqlx::{AssertSqlSafe, PgConnection, Row};
use uuid::Uuid;

use super::{
    super::row::{signed, unsigned},
    columns::array,
};
use crate::{group_commit::Entry, whole::version_before};

/// The arrays that the procedure takes.
#[derive(Default)]
pub(super) struct Whole<'a> {
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
        let first = self.e_id.len() as i32 + 1;
        for (part, linked) in append.streams.iter().zip(&entry.linked) {
            let before = version_before(part).unwrap_or_default();
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

    /// Where a stream must be.
    fn push_head(&mut self, part: &'a StreamAppend, before: Version) {
        let event = match part.expected {
            Expected::Head(_, event) => Some(*event.as_uuid()),
            _ => None,
        };
        self.h_stream.push(part.stream.as_str());
        self.h_version.push(signed(before.get()));
        self.h_event.push(event);
    }

    fn push_events(&mut self, entry: &'a Entry, part: &'a StreamAppend, before: Version) {
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

    /// Appends.
    pub(super) async fn call(
        &self,
        connection: &mut PgConnection,
        call: &str,
        alone: bool,
    ) -> Result<Outcome, sqlx::Error> {
        let row = sqlx::query(AssertSqlSafe(call))
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
            .bind(alone)
            .fetch_one(connection)
            .await?;
        let head: Option<i64> = row.try_get(1)?;
        let before = head.map(|head| unsigned(head).map(Position::new)).transpose()?;
        Ok(Outcome { before, was_alone: row.try_get(0)? })
    }
}

/// What the procedure gave.
pub(super) struct Outcome {
    /// The position before the first event, or `None` if nothing was stored and each append must be
    /// judged by itself.
    pub(super) before: Option<Position>,
    /// Whether nobody else was appending.
    pub(super) was_alone: bool,
}
