//! An append of one event that has nobody beside it: one plain statement, the cheapest way there is.
//!
//! It stores nothing unless the lock of the order is free. What it sees is of a moment before it has
//! the lock; if somebody has appended in between, the position that it gives is taken, and again it
//! stores nothing. The append then goes the way of all others.

use highwater_core::{
    Position, Tag,
    port::{Append, NewEvent, StreamAppend},
    value::Expected,
};
use sqlx::{AssertSqlSafe, PgConnection, Row};
use uuid::Uuid;

use super::super::{
    options::Schema,
    row::{signed, unsigned},
};
use crate::{group_commit::Entry, whole::version_before};

/// A command that was stored before, or a stream that is elsewhere, gives no row. Whatever server, role
/// or an application's work say of it, the commit waits for its flush (W7).
const STATEMENT: &str = "\
with lock as materialized (
    select pg_try_advisory_xact_lock('@schema@.events'::regclass::oid::bigint)
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

pub(super) fn statement(schema: &Schema) -> String {
    schema.fill(STATEMENT)
}

/// A batch of one append of one event to one stream.
pub(super) struct Lone<'a> {
    append: &'a Append,
    part: &'a StreamAppend,
    event: &'a NewEvent,
}

impl<'a> Lone<'a> {
    /// The batch, if it is one, and can be accepted as a whole.
    pub(super) fn of(batch: &'a [Entry]) -> Option<Self> {
        let [Entry { append, .. }] = batch else { return None };
        let [part] = append.streams.as_slice() else { return None };
        let [event] = part.events.as_slice() else { return None };
        Some(Self { append, part, event })
    }

    /// Appends; the position of the event, or `None` if nothing was stored.
    pub(super) async fn insert(
        &self,
        connection: &mut PgConnection,
        statement: &str,
    ) -> Result<Option<Position>, sqlx::Error> {
        let version = version_before(self.part).unwrap_or_default();
        let tags: Vec<&str> = self.event.tags.as_slice().iter().map(Tag::as_str).collect();
        let head: Option<Uuid> = match self.part.expected {
            Expected::Head(_, event) => Some(*event.as_uuid()),
            _ => None,
        };
        let row = sqlx::query(AssertSqlSafe(statement))
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
