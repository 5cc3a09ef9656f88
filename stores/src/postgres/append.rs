//! One batch, one round trip, many outcomes.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use highwater_core::{
    CommandId, Error, EventId, Position, Result, StreamId, Version,
    error::{Actual, Conflict, Corrupt, Invalid, Source},
    port::{Append, Appended, Condition, Expected, QueryItem, StreamHead},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    PostgresOptions,
    attachment::PostgresWork,
    error::{self, classify},
    follow::Following,
    row::{signed, unsigned},
};
use crate::group_commit::{Entry, Verdict, Writer};

/// The writer's own connection: appends never wait for a pool, and no ping goes before them.
pub(super) struct PostgresWriter {
    options: PostgresOptions,
    following: Arc<Following>,
    connection: Option<PgConnection>,
    call: String,
}

impl PostgresWriter {
    pub(super) fn new(options: &PostgresOptions, following: &Arc<Following>) -> Self {
        let call = "call @schema@.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, \
                    $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, null, null, null, null, null)";
        let call = options.schema.fill(call);
        let (options, following) = (options.clone(), Arc::clone(following));
        Self { options, following, connection: None, call }
    }

    async fn connection(&mut self) -> Result<&mut PgConnection> {
        if self.connection.is_none() {
            self.connection = Some(self.options.connection().await?);
        }
        self.connection.as_mut().ok_or_else(|| Corrupt::Log("no connection".to_owned()).into())
    }

    /// Runs a batch. An error says what was wrong and whether the connection is of further use.
    async fn run(&mut self, batch: &[Entry]) -> Result<Answer, Failure> {
        let call = self.call.clone();
        let connection = self.connection().await.map_err(Failure::NotSent)?;
        let row = call_append(connection, &call, &Columns::of(batch), true).await;
        let answer = row.and_then(|row| Answer::read(&row));
        answer.map_err(|error| {
            let state = error::state(&error);
            if error::ends_the_connection(state.as_deref()) {
                self.connection = None;
            }
            Failure::Sent(Source::new(error), state)
        })
    }

    /// An append with work of the application's own: a transaction of its own, in which the append
    /// comes last, so that the order's lock is held only from then to the commit.
    async fn run_with(&mut self, work: &PostgresWork, entry: &Entry) -> Result<Answer> {
        let command = entry.append.command;
        let call = self.call.clone();
        let connection = self.connection().await?;
        let outcome: Result<Answer> = async {
            let mut transaction = connection.begin().await.map_err(classify("appending"))?;
            work.run(&mut transaction, &entry.append).await?;
            let columns = Columns::of(std::slice::from_ref(entry));
            let row = call_append(&mut transaction, &call, &columns, false).await;
            let answer = row.and_then(|row| Answer::read(&row)).map_err(classify("appending"))?;
            if answer.status.first() == Some(&APPENDED) {
                transaction.commit().await.map_err(|error| Error::UnknownOutcome {
                    command,
                    source: Source::new(error),
                })?;
            }
            Ok(answer)
        }
        .await;
        if outcome.as_ref().is_err_and(|error| error.is_unavailable() || error.is_unknown_outcome())
        {
            self.connection = None;
        }
        outcome
    }

    async fn commit_attached(&mut self, entry: &Entry) -> Option<Result<Answer>> {
        let attachment = entry.append.attachment.as_deref()?;
        let Some(work) = (attachment as &dyn std::any::Any).downcast_ref::<PostgresWork>() else {
            let message = format!("{attachment:?} is no work for PostgreSQL: use PostgresWork");
            return Some(Err(Invalid::request(message).into()));
        };
        Some(self.run_with(&work.clone(), entry).await)
    }

    fn verdicts(&self, batch: &[Entry], answer: &Answer) -> Vec<Verdict> {
        let verdicts = answer.verdicts(batch);
        let positions = batch.iter().zip(&answer.position).zip(&answer.status);
        let appended = positions.filter(|(_, status)| **status == APPENDED);
        if let Some(last) = appended.map(|((_, position), _)| *position).max() {
            self.following.acknowledged(last);
        }
        verdicts
    }
}

#[async_trait]
impl Writer for PostgresWriter {
    async fn commit(&mut self, batch: &[Entry]) -> Vec<Verdict> {
        if let [entry] = batch
            && let Some(outcome) = self.commit_attached(entry).await
        {
            return match outcome {
                Ok(answer) => self.verdicts(batch, &answer),
                Err(error) => vec![Verdict::Final(Err(error))],
            };
        }
        match self.run(batch).await {
            Ok(answer) => self.verdicts(batch, &answer),
            Err(Failure::NotSent(error)) => {
                batch.iter().map(|_| Verdict::Final(Err(error.clone()))).collect()
            }
            // One bad append must fail alone: nothing was stored, so each is tried by itself.
            Err(Failure::Sent(_, state))
                if batch.len() > 1 && error::stored_nothing(state.as_deref()) =>
            {
                let mut verdicts = Vec::with_capacity(batch.len());
                for entry in batch {
                    let alone = Entry {
                        append: entry.append.clone(),
                        group: 0,
                        linked: vec![false; entry.linked.len()],
                    };
                    verdicts.extend(self.commit(&[alone]).await);
                }
                verdicts
            }
            Err(Failure::Sent(source, state)) => batch
                .iter()
                .map(|entry| error::append(entry.append.command, &source, state.as_deref()))
                .map(|error| Verdict::Final(Err(error)))
                .collect(),
        }
    }
}

enum Failure {
    NotSent(Error),
    Sent(Source, Option<String>),
}

/// A batch as the arrays that the procedure takes.
#[derive(Default)]
struct Columns<'a> {
    a_id: Vec<Uuid>,
    a_fingerprint: Vec<i64>,
    a_group: Vec<i32>,
    a_count: Vec<i32>,
    p_append: Vec<i32>,
    p_stream: Vec<&'a str>,
    p_kind: Vec<i16>,
    p_version: Vec<i64>,
    p_event: Vec<Uuid>,
    e_append: Vec<i32>,
    e_part: Vec<i32>,
    e_id: Vec<Uuid>,
    e_type: Vec<&'a str>,
    e_schema: Vec<i32>,
    e_tags: Vec<Option<String>>,
    e_payload: Vec<&'a [u8]>,
    e_metadata: Vec<Option<&'a [u8]>>,
    c_append: Vec<i32>,
    c_after: Vec<i64>,
    c_categories: Vec<Option<String>>,
    c_types: Vec<Option<String>>,
    c_tags: Vec<Option<String>>,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a [Entry]) -> Self {
        let mut columns = Self::default();
        for entry in batch {
            columns.push(entry);
        }
        columns
    }

    fn push(&mut self, entry: &'a Entry) {
        let append = &entry.append;
        self.a_id.push(*append.command.as_uuid());
        self.a_fingerprint.push(append.fingerprint.bits().cast_signed());
        self.a_group.push(entry.group as i32);
        self.a_count.push(append.events().count() as i32);
        let number = self.a_id.len() as i32;
        for (part, linked) in append.streams.iter().zip(&entry.linked) {
            self.push_expected(number, &part.stream, part.expected, *linked);
            let part_number = self.p_append.len() as i32;
            for event in &part.events {
                self.e_append.push(number);
                self.e_part.push(part_number);
                self.e_id.push(*event.id.as_uuid());
                self.e_type.push(event.event_type.name);
                self.e_schema.push(event.event_type.version.get().cast_signed());
                self.e_tags
                    .push(array(event.tags.as_slice().iter().map(highwater_core::Tag::as_str)));
                self.e_payload.push(&event.payload);
                self.e_metadata.push(append.metadata.as_deref());
            }
        }
        if let Some(condition) = &append.condition {
            self.push_condition(number, condition);
        }
    }

    fn push_expected(
        &mut self,
        append: i32,
        stream: &'a StreamId,
        expected: Expected,
        linked: bool,
    ) {
        let (kind, version, event) = match expected {
            Expected::Any => (0, Version::NONE, None),
            Expected::NoStream => (1, Version::NONE, None),
            Expected::StreamExists => (2, Version::NONE, None),
            Expected::Version(version) => (3, version, None),
            Expected::Head(version, event) => (4, version, Some(event)),
        };
        self.p_append.push(append);
        self.p_stream.push(stream.as_str());
        self.p_kind.push(if linked { 5 } else { kind });
        self.p_version.push(signed(version.get()));
        self.p_event.push(event.map_or(Uuid::nil(), |event| *event.as_uuid()));
    }

    fn push_condition(&mut self, append: i32, condition: &Condition) {
        let all = [QueryItem::default()];
        let items = &condition.query.items;
        for item in if items.is_empty() { &all[..] } else { items } {
            self.c_append.push(append);
            self.c_after.push(signed(condition.after.get()));
            self.c_categories
                .push(array(item.categories.iter().map(highwater_core::Category::as_str)));
            self.c_types.push(array(item.types.iter().map(String::as_str)));
            self.c_tags.push(array(item.tags.as_slice().iter().map(highwater_core::Tag::as_str)));
        }
    }
}

/// An array literal, because an array of arrays must be rectangular; null if there are none.
fn array<'a>(items: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut literal = String::new();
    for item in items {
        literal.push(if literal.is_empty() { '{' } else { ',' });
        literal.push('"');
        for c in item.chars() {
            if matches!(c, '"' | '\\') {
                literal.push('\\');
            }
            literal.push(c);
        }
        literal.push('"');
    }
    if literal.is_empty() { None } else { Some(literal + "}") }
}

async fn call_append(
    connection: &mut PgConnection,
    call: &str,
    columns: &Columns<'_>,
    durable: bool,
) -> Result<PgRow, sqlx::Error> {
    sqlx::query(AssertSqlSafe(call))
        .bind(&columns.a_id)
        .bind(&columns.a_fingerprint)
        .bind(&columns.a_group)
        .bind(&columns.a_count)
        .bind(&columns.p_append)
        .bind(&columns.p_stream)
        .bind(&columns.p_kind)
        .bind(&columns.p_version)
        .bind(&columns.p_event)
        .bind(&columns.e_append)
        .bind(&columns.e_part)
        .bind(&columns.e_id)
        .bind(&columns.e_type)
        .bind(&columns.e_schema)
        .bind(&columns.e_tags)
        .bind(&columns.e_payload)
        .bind(&columns.e_metadata)
        .bind(&columns.c_append)
        .bind(&columns.c_after)
        .bind(&columns.c_categories)
        .bind(&columns.c_types)
        .bind(&columns.c_tags)
        .bind(durable)
        .fetch_one(connection)
        .await
}

const APPENDED: i16 = 0;

/// What the procedure gave.
struct Answer {
    status: Vec<i16>,
    position: Vec<Position>,
    found: Vec<Option<i64>>,
    actual: Vec<Version>,
    actual_event: Vec<Option<Uuid>>,
}

impl Answer {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let positions: Vec<i64> = row.try_get(1)?;
        let actual: Option<Vec<i64>> = row.try_get(3)?;
        let numbers =
            |numbers: Vec<i64>| numbers.into_iter().map(unsigned).collect::<Result<Vec<_>, _>>();
        Ok(Self {
            status: row.try_get(0)?,
            position: numbers(positions)?.into_iter().map(Position::new).collect(),
            found: row.try_get(2)?,
            actual: numbers(actual.unwrap_or_default())?.into_iter().map(Version::new).collect(),
            actual_event: row.try_get::<Option<_>, _>(4)?.unwrap_or_default(),
        })
    }

    fn verdicts(&self, batch: &[Entry]) -> Vec<Verdict> {
        let mut heads = HashMap::new();
        let mut part = 0;
        let mut verdicts = Vec::with_capacity(batch.len());
        for (index, entry) in batch.iter().enumerate() {
            verdicts.push(self.verdict(index, entry, part, &mut heads));
            part += entry.append.streams.len();
        }
        verdicts
    }

    /// `part` is the place of the append's first stream among all streams of the batch.
    fn verdict(
        &self,
        index: usize,
        entry: &Entry,
        part: usize,
        heads: &mut HashMap<StreamId, Actual>,
    ) -> Verdict {
        let append = &entry.append;
        let position = self.position.get(index).copied().unwrap_or_default();
        Verdict::Final(match self.status.get(index) {
            Some(&APPENDED) => Ok(self.appended(append, position, part, heads)),
            Some(1) => Ok(Appended { position, streams: Vec::new(), repeated: true }),
            Some(2) => Err(Invalid::command_reused(append.command).into()),
            Some(3) => Err(self.stream_conflict(entry, part, heads)),
            Some(4) => Err(boundary_conflict(append, self.found.get(index).copied().flatten())),
            Some(5) => return Verdict::Deferred,
            _ => Err(broken(append.command)),
        })
    }

    fn appended(
        &self,
        append: &Append,
        position: Position,
        part: usize,
        heads: &mut HashMap<StreamId, Actual>,
    ) -> Appended {
        let mut streams = Vec::with_capacity(append.streams.len());
        for (offset, asked) in append.streams.iter().enumerate() {
            let before = self.actual(part + offset, &asked.stream, heads);
            let Some(last) = asked.events.last() else { continue };
            let version = before.version.plus(asked.events.len());
            heads.insert(asked.stream.clone(), Actual { version, head: Some(last.id) });
            streams.push(StreamHead { stream: asked.stream.clone(), version });
        }
        Appended { position, streams, repeated: false }
    }

    /// Where a stream was when the append was judged: after what the batch had appended before.
    fn actual(&self, part: usize, stream: &StreamId, heads: &HashMap<StreamId, Actual>) -> Actual {
        let stored = || {
            let version = self.actual.get(part).copied().unwrap_or_default();
            let head = self.actual_event.get(part).copied().flatten();
            Actual { version, head: head.map(EventId::from_uuid) }
        };
        heads.get(stream).copied().unwrap_or_else(stored)
    }

    fn stream_conflict(
        &self,
        entry: &Entry,
        part: usize,
        heads: &HashMap<StreamId, Actual>,
    ) -> Error {
        for (offset, asked) in entry.append.streams.iter().enumerate() {
            let actual = self.actual(part + offset, &asked.stream, heads);
            if !asked.expected.is_met_by(actual.version, actual.head) {
                let (stream, expected) = (asked.stream.clone(), asked.expected);
                return Conflict::Stream { stream, expected, actual }.into();
            }
        }
        broken(entry.append.command)
    }
}

fn boundary_conflict(append: &Append, found: Option<i64>) -> Error {
    match (&append.condition, found.and_then(|found| u64::try_from(found).ok())) {
        (Some(condition), Some(found)) => {
            let found = Position::new(found);
            Conflict::Boundary { after: condition.after, found }.into()
        }
        _ => broken(append.command),
    }
}

fn broken(command: CommandId) -> Error {
    Corrupt::Log(format!("the store's answer to command {command} makes no sense")).into()
}
