//! The result of the procedure that checks a batch.

use std::collections::HashMap;

use highwater_core::{
    CommandId, Error, EventId, Position, StreamId, Version,
    error::{Actual, Conflict, Corrupt, Invalid},
    port::{Append, Appended, StreamHead},
};
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use super::super::row::unsigned;
use crate::sql::group_commit::{BatchEntry, BatchVerdict};

pub(super) const APPENDED: i16 = 0;

/// The result of the procedure, as arrays.
pub(super) struct CheckedAnswer {
    pub(super) status: Vec<i16>,
    pub(super) position: Vec<Position>,
    found: Vec<Option<i64>>,
    actual: Vec<Version>,
    actual_event: Vec<Option<Uuid>>,
}

impl CheckedAnswer {
    pub(super) fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
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

    pub(super) fn verdicts(&self, batch: &[BatchEntry]) -> Vec<BatchVerdict> {
        let mut heads = HashMap::new();
        let mut part = 0;
        let mut verdicts = Vec::with_capacity(batch.len());
        for (index, entry) in batch.iter().enumerate() {
            verdicts.push(self.verdict(index, entry, part, &mut heads));
            part += entry.append.streams.len();
        }
        verdicts
    }

    /// `part` is the index of the append's first stream among all streams of the batch.
    fn verdict(
        &self,
        index: usize,
        entry: &BatchEntry,
        part: usize,
        heads: &mut HashMap<StreamId, Actual>,
    ) -> BatchVerdict {
        let append = &entry.append;
        let position = self.position.get(index).copied().unwrap_or_default();
        BatchVerdict::Final(match self.status.get(index) {
            Some(&APPENDED) => Ok(self.appended(append, position, part, heads)),
            Some(1) => Ok(Appended { position, streams: Vec::new(), repeated: true }),
            Some(2) => Err(Invalid::command_id_reused(append.command).into()),
            Some(3) => Err(self.stream_conflict(entry, part, heads)),
            Some(4) => Err(boundary_conflict(append, self.found.get(index).copied().flatten())),
            Some(5) => return BatchVerdict::Deferred,
            _ => Err(corrupt_answer(append.command)),
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

    /// Returns the head of a stream when the append was checked: after the earlier appends of the batch.
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
        entry: &BatchEntry,
        part: usize,
        heads: &HashMap<StreamId, Actual>,
    ) -> Error {
        for (offset, asked) in entry.append.streams.iter().enumerate() {
            let actual = self.actual(part + offset, &asked.stream, heads);
            if !asked.expected.is_met_by(actual.version, actual.head) {
                let stream = asked.stream.clone();
                return Conflict::Stream { stream, expected: asked.expected, actual }.into();
            }
        }
        corrupt_answer(entry.append.command)
    }
}

fn boundary_conflict(append: &Append, found: Option<i64>) -> Error {
    match (&append.condition, found.and_then(|found| u64::try_from(found).ok())) {
        (Some(condition), Some(found)) => {
            let found = Position::new(found);
            Conflict::Boundary { after: condition.after, found }.into()
        }
        _ => corrupt_answer(append.command),
    }
}

fn corrupt_answer(command: CommandId) -> Error {
    Corrupt::Log(format!("the store's answer to command {command} makes no sense")).into()
}
