//! What the procedure that judges a batch gave.

use std::collections::HashMap;

use highwater_core::{
    CommandId, Error, EventId, Position, StreamId, Version,
    error::{Actual, Conflict, Corrupt, Invalid},
    port::{Append, Appended, StreamHead},
};
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use super::super::row::unsigned;
use crate::group_commit::{Entry, Verdict};

pub(super) const APPENDED: i16 = 0;

/// What the procedure gave.
pub(super) struct Answer {
    pub(super) status: Vec<i16>,
    pub(super) position: Vec<Position>,
    found: Vec<Option<i64>>,
    actual: Vec<Version>,
    actual_event: Vec<Option<Uuid>>,
}

impl Answer {
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

    pub(super) fn verdicts(&self, batch: &[Entry]) -> Vec<Verdict> {
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
            Some(2) => Err(Invalid::command_id_reused(append.command).into()),
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
