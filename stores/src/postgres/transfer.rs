//! Moving the log to another store.

use async_trait::async_trait;
use highwater_core::{
    CommandId, Envelope, Position, Result, StreamId, Tag, Version,
    error::Invalid,
    port::{CommandPlace, ImportedAppend, LogEnd, LogTransfer},
};
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::{
    PostgresInner, PostgresStore,
    append::array,
    commit::begin,
    error::classify,
    options::Schema,
    row::{PgTimestamp, signed, unsigned},
    session::bounded,
};
use crate::sql::{
    transfer::{IMPORTING, READING, check_times, decode_place},
    uncancellable::uncancellable,
};

/// Waits until no append is under way, as `append` does, and has the commit wait for its flush.
const BEGIN: &str = "\
select case current_setting('synchronous_commit') when 'off' \
           then set_config('synchronous_commit', 'on', true) end, \
       pg_advisory_xact_lock(1751738216, '@schema@.events'::regclass::oid::integer)";

const RECORD: &str = "\
insert into @schema@.commands (command_id, fingerprint, first_position, last_position) \
select * from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[]) on conflict do nothing";

/// Selects a command that has another record than the one that is imported.
const TAKEN: &str = "\
select a.id from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[]) a(id, fingerprint, first, last) \
join @schema@.commands c on c.command_id = a.id \
where (c.fingerprint, c.first_position, c.last_position) <> (a.fingerprint, a.first, a.last) limit 1";

const INSERT: &str = "\
insert into @schema@.events (position, stream, version, event_id, command_id, type, schema_version, recorded_at, tags, \
    payload, metadata) \
select e.position, e.stream, e.version, e.id, e.command, e.type, e.schema, e.at, e.tags::text[], e.payload, e.metadata \
from unnest($1::bigint[], $2::text[], $3::bigint[], $4::uuid[], $5::uuid[], $6::text[], $7::integer[], \
            $8::timestamptz[], $9::text[], $10::bytea[], $11::bytea[]) \
     e(position, stream, version, id, command, type, schema, at, tags, payload, metadata)";

#[async_trait]
impl LogTransfer for PostgresStore {
    async fn command_places(&self, ids: &[CommandId]) -> Result<Vec<CommandPlace>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| *id.as_uuid()).collect();
        let sql = self.inner.schema.sql(
            "select command_id, fingerprint, first_position, last_position from @schema@.commands \
             where command_id = any($1)",
        );
        let rows = self.inner.log_connections.fetch_all(sqlx::query(sql).bind(ids)).await;
        let places = rows.and_then(|rows| rows.iter().map(decode_place).collect());
        places.map_err(classify(READING))
    }

    async fn commands_without_events(
        &self,
        from: Position,
        after: Option<CommandId>,
        limit: usize,
    ) -> Result<Vec<CommandPlace>> {
        let sql = self.inner.schema.sql(
            "select command_id, fingerprint, first_position, last_position from @schema@.commands \
             where first_position > last_position \
                 and (last_position > $1 or last_position = $1 and ($2 is null or command_id > $2)) \
             order by last_position, command_id limit $3",
        );
        let query = sqlx::query(sql).bind(signed(from.get())).bind(after.map(|id| *id.as_uuid()));
        let rows = self.inner.log_connections.fetch_all(query.bind(signed(limit as u64))).await;
        let places = rows.and_then(|rows| rows.iter().map(decode_place).collect());
        places.map_err(classify(READING))
    }

    async fn import(&self, appends: &[ImportedAppend]) -> Result<()> {
        check_times(appends)?;
        let inner = self.inner();
        let appends = appends.to_vec();
        let limit = inner.options.answer_timeout;
        uncancellable(async move { bounded(limit, IMPORTING, import(&inner, &appends)).await })
            .await
    }
}

async fn import(inner: &PostgresInner, appends: &[ImportedAppend]) -> Result<()> {
    let schema = &inner.schema;
    let mut connection = inner.log_connections.take().await.map_err(classify(IMPORTING))?;
    let mut transaction = begin(&mut connection, IMPORTING).await?;
    let mut end = read_end(&mut transaction, schema, appends).await.map_err(classify(IMPORTING))?;
    end.check(appends)?;
    record(&mut transaction, schema, appends).await?;
    insert(&mut transaction, schema, appends).await.map_err(classify(IMPORTING))?;
    let notify = sqlx::query("select pg_notify($1, $2)").bind(schema.append_channel());
    let notified = notify.bind(end.head.to_string()).execute(&mut *transaction).await;
    notified.map_err(classify(IMPORTING))?;
    transaction.commit().await.map_err(classify(IMPORTING))?;
    connection.keep();
    inner.follower.acknowledged(end.head);
    Ok(())
}

/// Takes the lock of the order, and reads the end of the log in later statements, which see what was committed before.
async fn read_end(
    connection: &mut PgConnection,
    schema: &Schema,
    appends: &[ImportedAppend],
) -> sqlx::Result<LogEnd> {
    sqlx::query(schema.sql(BEGIN)).execute(&mut *connection).await?;
    let sql = schema
        .sql("select position, recorded_at from @schema@.events order by position desc limit 1");
    let mut end = LogEnd::default();
    if let Some(row) = sqlx::query(sql).fetch_optional(&mut *connection).await? {
        end.head = Position::new(unsigned(row.try_get(0)?)?);
        end.recorded_at = Some(row.try_get::<PgTimestamp, _>(1)?.0);
    }
    let streams = events(appends).map(|event| event.stream.as_str());
    let streams: Vec<&str> = streams.collect();
    let sql = schema.sql(
        "select s.stream, e.version from (select distinct unnest($1::text[]) as stream) s \
         cross join lateral (select version from @schema@.events e \
             where e.stream = s.stream order by version desc limit 1) e",
    );
    for row in sqlx::query(sql).bind(streams).fetch_all(connection).await? {
        let stream = StreamId::parse(row.try_get(0)?);
        let stream = stream.map_err(|error| sqlx::Error::Decode(error.into()))?;
        end.versions.insert(stream, Version::new(unsigned(row.try_get(1)?)?));
    }
    Ok(end)
}

async fn record(
    connection: &mut PgConnection,
    schema: &Schema,
    appends: &[ImportedAppend],
) -> Result<()> {
    let commands = appends.iter().map(|append| &append.command);
    let (mut ids, mut fingerprints, mut firsts, mut lasts) = (vec![], vec![], vec![], vec![]);
    for CommandPlace { id, fingerprint, first, last } in commands {
        ids.push(*id.as_uuid());
        fingerprints.push(fingerprint.bits().cast_signed());
        firsts.push(signed(first.get()));
        lasts.push(signed(last.get()));
    }
    let query = sqlx::query(schema.sql(RECORD)).bind(&ids).bind(&fingerprints);
    let recorded = query.bind(&firsts).bind(&lasts).execute(&mut *connection).await;
    if recorded.map_err(classify(IMPORTING))?.rows_affected() == appends.len() as u64 {
        return Ok(());
    }
    let query = sqlx::query_scalar(schema.sql(TAKEN)).bind(&ids).bind(&fingerprints);
    let taken = query.bind(&firsts).bind(&lasts).fetch_optional(connection).await;
    match taken.map_err(classify(IMPORTING))? {
        Some(id) => Err(Invalid::command_id_taken(CommandId::from_uuid(id)).into()),
        None => Ok(()),
    }
}

async fn insert(
    connection: &mut PgConnection,
    schema: &Schema,
    appends: &[ImportedAppend],
) -> sqlx::Result<()> {
    let columns = EventArrays::new(events(appends));
    sqlx::query(schema.sql(INSERT))
        .bind(&columns.positions)
        .bind(&columns.streams)
        .bind(&columns.versions)
        .bind(&columns.ids)
        .bind(&columns.commands)
        .bind(&columns.types)
        .bind(&columns.schemas)
        .bind(&columns.times)
        .bind(&columns.tags)
        .bind(&columns.payloads)
        .bind(&columns.metadata)
        .execute(&mut *connection)
        .await?;
    let tags =
        events(appends).flat_map(|event| event.tags.as_slice().iter().map(move |tag| (tag, event)));
    let (tags, positions): (Vec<_>, Vec<_>) =
        tags.map(|(tag, event)| (tag.as_str(), signed(event.position.get()))).unzip();
    if tags.is_empty() {
        return Ok(());
    }
    let sql = schema.sql(
        "insert into @schema@.event_tags (tag, position) \
         select * from unnest($1::text[], $2::bigint[])",
    );
    sqlx::query(sql).bind(tags).bind(positions).execute(connection).await.map(drop)
}

fn events(appends: &[ImportedAppend]) -> impl Iterator<Item = &Envelope> {
    appends.iter().flat_map(|append| &append.events)
}

/// The columns of events.
#[derive(Default)]
struct EventArrays<'a> {
    positions: Vec<i64>,
    streams: Vec<&'a str>,
    versions: Vec<i64>,
    ids: Vec<Uuid>,
    commands: Vec<Uuid>,
    types: Vec<&'a str>,
    schemas: Vec<i32>,
    times: Vec<PgTimestamp>,
    tags: Vec<Option<String>>,
    payloads: Vec<&'a [u8]>,
    metadata: Vec<Option<&'a [u8]>>,
}

impl<'a> EventArrays<'a> {
    fn new(events: impl Iterator<Item = &'a Envelope>) -> Self {
        let mut arrays = Self::default();
        for event in events {
            arrays.positions.push(signed(event.position.get()));
            arrays.streams.push(event.stream.as_str());
            arrays.versions.push(signed(event.version.get()));
            arrays.ids.push(*event.id.as_uuid());
            arrays.commands.push(*event.command.as_uuid());
            arrays.types.push(&event.type_name);
            arrays.schemas.push(event.schema_version.get().cast_signed());
            arrays.times.push(PgTimestamp(event.recorded_at));
            arrays.tags.push(array(event.tags.as_slice().iter().map(Tag::as_str)));
            arrays.payloads.push(&event.payload);
            let metadata = Some(&event.raw_metadata[..]);
            arrays.metadata.push(metadata.filter(|metadata| !metadata.is_empty()));
        }
        arrays
    }
}
