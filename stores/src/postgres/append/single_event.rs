//! An append of one event without contention: one plain statement, the cheapest path.
//!
//! It stores nothing unless the lock of the order is free. Its snapshot is older than the lock: if another
//! process has appended in between, the next position is taken, and it stores nothing either. The append
//! then takes the path of all others.

use highwater_core::{
    Position, Tag,
    port::{Append, NewEvent, StreamAppend},
    value::Expected,
};
use sqlx::{PgConnection, Row, SqlStr};
use uuid::Uuid;

use super::super::row::{signed, unsigned};
use crate::sql::{fast_path::expected_version, group_commit::BatchEntry};

/// Returns no row if the command was stored before, or if the stream has another head. The commit waits for
/// its flush, whatever the setting of the server, the role or a hook is (W7).
pub(super) const STATEMENT: &str = "\
with lock as materialized (
    select pg_try_advisory_xact_lock(1751738216, '@schema@.events'::regclass::oid::integer)
        and set_config('synchronous_commit', case current_setting('synchronous_commit')
            when 'off' then 'on' else current_setting('synchronous_commit') end, true)
            is not null as is_ours
), last as materialized (
    select position, recorded_at from @schema@.events order by position desc limit 1
), stored as (
    insert into @schema@.events (position, stream, version, event_id, command_id, type,
        schema_version, recorded_at, tags, payload, metadata)
    select coalesce((select position from last), 0) + 1, $1, $12, $4, $5, $7, $8,
           greatest((select recorded_at from last), clock_timestamp()), $9, $10, $11
    where (select is_ours from lock)
      and not exists (select 1 from @schema@.commands where command_id = $5)
      and coalesce((select version = $2 and ($3::uuid is null or event_id = $3)
                    from @schema@.events where stream = $1 order by version desc limit 1),
                   $2 = 0 and $3::uuid is null)
    on conflict do nothing
    returning position
), remembered as (
    insert into @schema@.commands (command_id, fingerprint, first_position, last_position)
    select $5, $6, position, position from stored
), tagged as (
    insert into @schema@.event_tags (tag, position)
    select tag, position from stored cross join unnest($9::text[]) tag
)
select position, pg_notify('@channel@', position::text) from stored";

/// A batch of one append of one event to one stream.
pub(super) struct SingleEvent<'a> {
    append: &'a Append,
    part: &'a StreamAppend,
    event: &'a NewEvent,
}

impl<'a> SingleEvent<'a> {
    /// Returns the event if the batch has only one.
    pub(super) fn of(batch: &'a [BatchEntry]) -> Option<Self> {
        let [BatchEntry { append, .. }] = batch else { return None };
        let [part] = append.streams.as_slice() else { return None };
        let [event] = part.events.as_slice() else { return None };
        Some(Self { append, part, event })
    }

    /// Appends the event. Returns its position, or `None` if nothing was stored.
    pub(super) async fn insert(
        &self,
        connection: &mut PgConnection,
        statement: SqlStr,
    ) -> Result<Option<Position>, sqlx::Error> {
        let version = expected_version(self.part).unwrap_or_default();
        let tags: Vec<&str> = self.event.tags.as_slice().iter().map(Tag::as_str).collect();
        let head: Option<Uuid> = match self.part.expected {
            Expected::Head(_, event) => Some(*event.as_uuid()),
            _ => None,
        };
        let row = sqlx::query(statement)
            .bind(self.part.stream.as_str())
            .bind(signed(version.get()))
            .bind(head)
            .bind(*self.event.id.as_uuid())
            .bind(*self.append.command.as_uuid())
            .bind(self.append.fingerprint.bits().cast_signed())
            .bind(self.event.event_type.name)
            .bind(self.event.event_type.version.get().cast_signed())
            .bind(Some(tags).filter(|tags| !tags.is_empty()))
            .bind(&self.event.payload[..])
            .bind(self.append.metadata.as_deref())
            .bind(signed(version.plus(1).get()))
            .fetch_optional(connection)
            .await?;
        row.map(|row| row.try_get(0).and_then(unsigned).map(Position::new)).transpose()
    }
}
