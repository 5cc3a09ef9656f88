//! A batch that is checked append by append. Each append sees the events of the earlier ones.

use highwater_core::{
    EventId, Position, Result, StreamId, Version,
    error::{Actual, Conflict, Corrupt, Invalid, Source},
    port::{Append, Appended, Condition, NewEvent, ReadFrom, StreamAppend, StreamHead},
};
use jiff::Timestamp;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    super::{
        error::classify,
        hook::SqliteHook,
        idempotency::find_command,
        options::Prefix,
        read::{push_item, push_missing},
        row::{signed, timestamp, unsigned},
    },
    APPENDING,
};
use crate::sql::query_plan::alternatives;

/// The end of the log, within the transaction.
pub(super) struct CheckedLog<'a> {
    prefix: &'a Prefix,
    pub(super) head: Position,
    clock: Timestamp,
    /// True if there is something to commit.
    pub(super) has_changed: bool,
    /// True if an append is partly written.
    pub(super) is_writing: bool,
}

impl<'a> CheckedLog<'a> {
    pub(super) async fn read(
        connection: &mut SqliteConnection,
        prefix: &'a Prefix,
        now: Timestamp,
    ) -> Result<Self> {
        let sql = prefix
            .sql("select position, recorded_at from @prefix@events order by position desc limit 1");
        let row = sqlx::query(sql).fetch_optional(connection).await;
        let last = row.and_then(|row| row.map(|row| decode_last(&row)).transpose());
        let (head, clock) = last.map_err(classify(APPENDING))?.unwrap_or((Position::START, now));
        Ok(Self { prefix, head, clock: clock.max(now), has_changed: false, is_writing: false })
    }

    pub(super) async fn append(
        &mut self,
        connection: &mut SqliteConnection,
        append: &Append,
    ) -> Result<Appended> {
        if let Some(recorded) = find_command(connection, self.prefix, append.command).await? {
            if recorded.fingerprint != append.fingerprint {
                return Err(Invalid::command_id_reused(append.command).into());
            }
            return Ok(recorded.appended);
        }
        let mut versions = Vec::with_capacity(append.streams.len());
        for part in &append.streams {
            versions.push(self.check_stream(connection, part).await?);
        }
        if let Some(condition) = &append.condition {
            self.check_condition(connection, condition).await?;
        }
        self.is_writing = true;
        self.run_hook(connection, append).await?;
        let first = self.head.get() + 1;
        let mut streams = Vec::with_capacity(append.streams.len());
        for (part, mut version) in append.streams.iter().zip(versions) {
            for event in &part.events {
                version = version.plus(1);
                self.insert(connection, append, &part.stream, version, event).await?;
            }
            if !part.events.is_empty() {
                streams.push(StreamHead { stream: part.stream.clone(), version });
            }
        }
        self.record_command(connection, append, first).await?;
        self.has_changed = true;
        self.is_writing = false;
        Ok(Appended { position: self.head, streams, repeated: false })
    }

    /// Returns the version of the stream, if it is as expected.
    async fn check_stream(
        &self,
        connection: &mut SqliteConnection,
        part: &StreamAppend,
    ) -> Result<Version> {
        let sql = self.prefix.sql(
            "select version, event_id from @prefix@events where stream = ? \
             order by version desc limit 1",
        );
        let row = sqlx::query(sql).bind(part.stream.as_str()).fetch_optional(connection).await;
        let actual = row.and_then(|row| row.map(|row| decode_actual(&row)).transpose());
        let actual = actual.map_err(classify(APPENDING))?.unwrap_or_default();
        if part.expected.is_met_by(actual.version, actual.head) {
            return Ok(actual.version);
        }
        let stream = part.stream.clone();
        Err(Conflict::Stream { stream, expected: part.expected, actual }.into())
    }

    async fn check_condition(
        &self,
        connection: &mut SqliteConnection,
        condition: &Condition,
    ) -> Result<()> {
        let after = ReadFrom::After(condition.after);
        let mut first: Option<Position> = None;
        for item in alternatives(&condition.query) {
            let mut sql = QueryBuilder::new("");
            push_item(&mut sql, self.prefix, &item, after, 1);
            first = earlier(first, find(connection, sql).await?);
        }
        for missing in &condition.lacking {
            let mut sql = QueryBuilder::new("");
            push_missing(&mut sql, self.prefix, missing, after, 1);
            first = earlier(first, find(connection, sql).await?);
        }
        match first {
            None => Ok(()),
            Some(found) => Err(Conflict::Boundary { after: condition.after, found }.into()),
        }
    }

    async fn run_hook(&self, connection: &mut SqliteConnection, append: &Append) -> Result<()> {
        match append.hook.as_deref() {
            None => Ok(()),
            Some(hook) => SqliteHook::of(hook)?.run(connection, Some(append)).await,
        }
    }

    async fn insert(
        &mut self,
        connection: &mut SqliteConnection,
        append: &Append,
        stream: &StreamId,
        version: Version,
        event: &NewEvent,
    ) -> Result<()> {
        self.head = Position::new(self.head.get() + 1);
        let sql = self.prefix.sql(
            "insert into @prefix@events (position, stream, version, event_id, command_id, type, \
             schema_version, recorded_at, tags, payload, metadata) \
             values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        );
        sqlx::query(sql)
            .bind(signed(self.head.get()))
            .bind(stream.as_str())
            .bind(signed(version.get()))
            .bind(*event.id.as_uuid())
            .bind(*append.command.as_uuid())
            .bind(event.event_type.name)
            .bind(i64::from(event.event_type.version.get()))
            .bind(self.clock.as_microsecond())
            .bind(tags_json(event)?)
            .bind(&event.payload[..])
            .bind(append.metadata.as_deref())
            .execute(&mut *connection)
            .await
            .map_err(classify(APPENDING))?;
        for tag in event.tags.as_slice() {
            let sql =
                self.prefix.sql("insert into @prefix@event_tags (tag, position) values (?, ?)");
            sqlx::query(sql)
                .bind(tag.as_str())
                .bind(signed(self.head.get()))
                .execute(&mut *connection)
                .await
                .map_err(classify(APPENDING))?;
        }
        Ok(())
    }

    async fn record_command(
        &self,
        connection: &mut SqliteConnection,
        append: &Append,
        first: u64,
    ) -> Result<()> {
        let sql = self.prefix.sql(
            "insert into @prefix@commands (command_id, fingerprint, first_position, last_position) \
             values (?, ?, ?, ?)",
        );
        sqlx::query(sql)
            .bind(*append.command.as_uuid())
            .bind(append.fingerprint.bits().cast_signed())
            .bind(signed(first))
            .bind(signed(self.head.get()))
            .execute(connection)
            .await
            .map_err(classify(APPENDING))?;
        Ok(())
    }
}

/// Returns the first position that a statement selects.
async fn find(
    connection: &mut SqliteConnection,
    mut sql: QueryBuilder<Sqlite>,
) -> Result<Option<Position>> {
    let row = sql.build().fetch_optional(connection).await;
    let position = row.and_then(|row| row.map(|row| row.try_get(0).and_then(unsigned)).transpose());
    Ok(position.map_err(classify(APPENDING))?.map(Position::new))
}

/// Returns the earlier of two positions, if there is one.
fn earlier(one: Option<Position>, other: Option<Position>) -> Option<Position> {
    one.into_iter().chain(other).min()
}

fn decode_last(row: &SqliteRow) -> Result<(Position, Timestamp), sqlx::Error> {
    Ok((Position::new(unsigned(row.try_get(0)?)?), timestamp(row.try_get(1)?)?))
}

fn decode_actual(row: &SqliteRow) -> Result<Actual, sqlx::Error> {
    let version = Version::new(unsigned(row.try_get(0)?)?);
    Ok(Actual { version, head: Some(EventId::from_uuid(row.try_get::<Uuid, _>(1)?)) })
}

fn tags_json(event: &NewEvent) -> Result<Option<String>> {
    if event.tags.is_empty() {
        return Ok(None);
    }
    let json = serde_json::to_string(&event.tags);
    json.map(Some).map_err(|error| Corrupt::value("tags", Source::new(error)).into())
}
