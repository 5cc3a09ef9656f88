//! Moving the log to another store.

use std::sync::Arc;

use async_trait::async_trait;
use highwater_core::{
    CommandId, Envelope, Position, Result, StreamId, Version,
    error::Invalid,
    port::{CommandPlace, ImportedAppend, LogEnd, LogTransfer},
};
use sqlx::{Row as _, SqliteConnection};

use super::{
    SqliteInner, SqliteStore,
    error::classify,
    options::Prefix,
    row::{json, signed, timestamp, unsigned},
};
use crate::sql::{
    transfer::{IMPORTING, READING, check_times, decode_place},
    uncancellable::uncancellable,
};

#[async_trait]
impl LogTransfer for SqliteStore {
    async fn command_places(&self, ids: &[CommandId]) -> Result<Vec<CommandPlace>> {
        let inner = self.inner();
        let ids = ids.to_vec();
        uncancellable(async move { places(&inner, &ids).await.map_err(classify(READING)) }).await
    }

    async fn commands_without_events(
        &self,
        from: Position,
        after: Option<CommandId>,
        limit: usize,
    ) -> Result<Vec<CommandPlace>> {
        let inner = self.inner();
        let sql = inner.prefix.sql(
            "select command_id, fingerprint, first_position, last_position from @prefix@commands \
             where first_position > last_position \
                 and (last_position > ?1 or last_position = ?1 and (?2 is null or command_id > ?2)) \
             order by last_position, command_id limit ?3",
        );
        uncancellable(async move {
            let query = sqlx::query(sql).bind(signed(from.get()));
            let query = query.bind(after.map(|id| *id.as_uuid())).bind(signed(limit as u64));
            let rows = inner.log_readers.fetch_all(query).await;
            let places = rows.and_then(|rows| rows.iter().map(decode_place).collect());
            places.map_err(classify(READING))
        })
        .await
    }

    async fn import(&self, appends: &[ImportedAppend]) -> Result<()> {
        check_times(appends)?;
        let inner = self.inner();
        let appends = appends.to_vec();
        uncancellable(async move { import(&inner, &appends).await }).await
    }
}

async fn places(inner: &Arc<SqliteInner>, ids: &[CommandId]) -> sqlx::Result<Vec<CommandPlace>> {
    let hex: Vec<_> = ids.iter().map(|id| id.as_uuid().simple().to_string()).collect();
    let sql = inner.prefix.sql(
        "select command_id, fingerprint, first_position, last_position from @prefix@commands \
         where command_id in (select unhex(value) from json_each(?))",
    );
    let rows = inner.log_readers.fetch_all(sqlx::query(sql).bind(json(&hex)?)).await?;
    rows.iter().map(decode_place).collect()
}

/// Stores the appends in one transaction, which has the file's write lock.
async fn import(inner: &SqliteInner, appends: &[ImportedAppend]) -> Result<()> {
    let prefix = &inner.prefix;
    let mut connection = inner.writer().await?;
    let mut transaction = connection.begin().await.map_err(classify(IMPORTING))?;
    let mut end = read_end(&mut transaction, prefix, appends).await.map_err(classify(IMPORTING))?;
    end.check(appends)?;
    for append in appends {
        record(&mut transaction, prefix, &append.command).await?;
        for event in &append.events {
            insert(&mut transaction, prefix, event).await.map_err(classify(IMPORTING))?;
        }
    }
    transaction.commit().await.map_err(classify(IMPORTING))?;
    inner.follower.committed(end.head);
    Ok(())
}

async fn read_end(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    appends: &[ImportedAppend],
) -> sqlx::Result<LogEnd> {
    let sql = prefix
        .sql("select position, recorded_at from @prefix@events order by position desc limit 1");
    let mut end = LogEnd::default();
    if let Some(row) = sqlx::query(sql).fetch_optional(&mut *connection).await? {
        end.head = Position::new(unsigned(row.try_get(0)?)?);
        end.recorded_at = Some(timestamp(row.try_get(1)?)?);
    }
    for event in appends.iter().flat_map(|append| &append.events) {
        if !end.versions.contains_key(&event.stream) {
            let version = version(connection, prefix, &event.stream).await?;
            end.versions.insert(event.stream.clone(), version);
        }
    }
    Ok(end)
}

async fn version(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    stream: &StreamId,
) -> sqlx::Result<Version> {
    let sql = prefix.sql("select coalesce(max(version), 0) from @prefix@events where stream = ?");
    let version = sqlx::query_scalar(sql).bind(stream.as_str()).fetch_one(connection).await?;
    Ok(Version::new(unsigned(version)?))
}

/// Records a command. A record without events may be there already.
async fn record(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    command: &CommandPlace,
) -> Result<()> {
    let CommandPlace { id, fingerprint, first, last } = *command;
    let insert = prefix.sql(
        "insert into @prefix@commands (command_id, fingerprint, first_position, last_position) \
         values (?, ?, ?, ?) on conflict do nothing",
    );
    let query = sqlx::query(insert).bind(*id.as_uuid()).bind(fingerprint.bits().cast_signed());
    let query = query.bind(signed(first.get())).bind(signed(last.get()));
    let inserted = query.execute(&mut *connection).await.map_err(classify(IMPORTING))?;
    if inserted.rows_affected() > 0 {
        return Ok(());
    }
    let sql = prefix.sql(
        "select command_id, fingerprint, first_position, last_position from @prefix@commands \
         where command_id = ?",
    );
    let known = sqlx::query(sql).bind(*id.as_uuid()).fetch_one(connection).await;
    let known = known.and_then(|row| decode_place(&row)).map_err(classify(IMPORTING))?;
    if known == *command { Ok(()) } else { Err(Invalid::command_id_taken(id).into()) }
}

async fn insert(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    event: &Envelope,
) -> sqlx::Result<()> {
    let sql = prefix.sql(
        "insert into @prefix@events (position, stream, version, event_id, command_id, type, \
         schema_version, recorded_at, tags, payload, metadata) \
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    let tags = (!event.tags.is_empty()).then(|| json(&event.tags)).transpose()?;
    sqlx::query(sql)
        .bind(signed(event.position.get()))
        .bind(event.stream.as_str())
        .bind(signed(event.version.get()))
        .bind(*event.id.as_uuid())
        .bind(*event.command.as_uuid())
        .bind(&*event.type_name)
        .bind(i64::from(event.schema_version.get()))
        .bind(event.recorded_at.as_microsecond())
        .bind(tags)
        .bind(&event.payload[..])
        .bind(Some(&event.raw_metadata[..]).filter(|metadata| !metadata.is_empty()))
        .execute(&mut *connection)
        .await?;
    for tag in event.tags.as_slice() {
        let sql = prefix.sql("insert into @prefix@event_tags (tag, position) values (?, ?)");
        let query = sqlx::query(sql).bind(tag.as_str()).bind(signed(event.position.get()));
        query.execute(&mut *connection).await?;
    }
    Ok(())
}
