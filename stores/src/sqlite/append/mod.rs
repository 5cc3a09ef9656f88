//! A batch in one transaction, many outcomes.
//!
//! | File | What is in it |
//! |---|---|
//! | `whole` | a batch that is accepted as a whole, the usual one: one statement |
//! | `judge` | a batch that is judged append by append |

mod judge;
mod whole;

use std::sync::Arc;

use async_trait::async_trait;
use highwater_core::{
    Error, Position, Result,
    error::Source,
    port::{Appended, Clock},
};

use super::{WriteConnection, error::classify, follow::Following, options::Prefix};
use crate::{
    group_commit::{Entry, Verdict, Writer},
    whole::{appended, is_whole},
};
use judge::Log;
use whole::Whole;

const DOING: &str = "appending";

pub(super) struct SqliteWriter {
    connection: WriteConnection,
    prefix: Prefix,
    following: Arc<Following>,
    clock: Arc<dyn Clock>,
    whole: Arc<str>,
}

#[async_trait]
impl Writer for SqliteWriter {
    async fn commit(&mut self, batch: &[Entry]) -> Vec<Verdict> {
        match self.run(batch).await {
            Ok(outcomes) => outcomes.into_iter().map(Verdict::Final).collect(),
            Err(Failure::RolledBack(error)) => {
                batch.iter().map(|_| Verdict::Final(Err(error.clone()))).collect()
            }
            Err(Failure::Unknown(source)) => batch
                .iter()
                .map(|entry| (entry.append.command, source.clone()))
                .map(|(command, source)| Error::UnknownOutcome { command, source })
                .map(|error| Verdict::Final(Err(error)))
                .collect(),
        }
    }
}

enum Failure {
    /// Nothing was stored.
    RolledBack(Error),
    /// The commit itself may have failed.
    Unknown(Source),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::RolledBack(error)
    }
}

impl SqliteWriter {
    pub(super) fn new(
        connection: &WriteConnection,
        prefix: &Prefix,
        following: &Arc<Following>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            connection: Arc::clone(connection),
            prefix: prefix.clone(),
            following: Arc::clone(following),
            clock,
            whole: whole::statement(prefix).into(),
        }
    }

    /// Runs a batch: as a whole if it can be, or else judged one by one.
    async fn run(&mut self, batch: &[Entry]) -> Result<Vec<Result<Appended>>, Failure> {
        let mut connection = Arc::clone(&self.connection).lock_owned().await;
        if is_whole(batch) {
            let whole = Whole::of(batch);
            let events = whole.events();
            let outside = connection.outside_transactions().await.map_err(classify(DOING))?;
            let head = whole.insert(outside, &self.whole, self.clock.now()).await?;
            if let Some(head) = head {
                self.following.committed(head);
                let before = Position::new(head.get().saturating_sub(events));
                return Ok(appended(batch, before).map(Ok).collect());
            }
        }
        let transaction = connection.begin_writing().await;
        let mut transaction = transaction.map_err(classify(DOING))?;
        let mut log = Log::read(&mut transaction, &self.prefix, self.clock.now()).await?;
        let mut outcomes = Vec::with_capacity(batch.len());
        for entry in batch {
            let outcome = log.append(&mut transaction, &entry.append).await;
            match outcome {
                Ok(_) => outcomes.push(outcome),
                // A verdict on this append alone, before it wrote anything.
                Err(Error::Conflict(_) | Error::Invalid(_)) if !log.is_writing => {
                    outcomes.push(outcome);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if log.changed {
            transaction.commit().await.map_err(|error| Failure::Unknown(Source::new(error)))?;
            self.following.committed(log.head);
        }
        Ok(outcomes)
    }
}
