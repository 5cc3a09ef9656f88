//! A batch of appends in one transaction, each with its own outcome.
//!
//! | File | What is in it |
//! |---|---|
//! | `fast_path` | a batch that is accepted as a whole, the usual case: one statement |
//! | `checked` | a batch that is checked append by append |

mod checked;
mod fast_path;

use std::sync::Arc;

use async_trait::async_trait;
use highwater_core::{
    Error, Position, Result,
    error::Source,
    port::{Appended, Clock},
};
use sqlx::SqlStr;

use super::{
    SharedWriter,
    error::{self, classify},
    follow::SqliteFollower,
    options::Prefix,
};
use crate::sql::{
    fast_path::{appended, is_eligible},
    group_commit::{BatchEntry, BatchVerdict, BatchWriter},
};
use checked::CheckedLog;
use fast_path::SqliteFastBatch;

const APPENDING: &str = "appending";

pub(super) struct SqliteWriter {
    connection: SharedWriter,
    prefix: Prefix,
    follower: Arc<SqliteFollower>,
    clock: Arc<dyn Clock>,
    fast_path: SqlStr,
}

#[async_trait]
impl BatchWriter for SqliteWriter {
    async fn commit(&mut self, batch: &[BatchEntry]) -> Vec<BatchVerdict> {
        match self.run(batch).await {
            Ok(outcomes) => outcomes.into_iter().map(BatchVerdict::Final).collect(),
            Err(SqliteBatchError::RolledBack(error)) => {
                batch.iter().map(|_| BatchVerdict::Final(Err(error.clone()))).collect()
            }
            Err(SqliteBatchError::Unknown(source)) => batch
                .iter()
                .map(|entry| (entry.append.command, source.clone()))
                .map(|(command, source)| Error::UnknownOutcome { command, source })
                .map(|error| BatchVerdict::Final(Err(error)))
                .collect(),
        }
    }
}

enum SqliteBatchError {
    /// Nothing was stored.
    RolledBack(Error),
    /// The commit itself may have failed.
    Unknown(Source),
}

impl SqliteBatchError {
    /// Classifies an error at the end of a transaction. Only rows of a transaction hook have constraints that
    /// are checked there.
    fn of_commit(error: sqlx::Error) -> Self {
        if error::may_be_stored(&error) {
            return Self::Unknown(Source::new(error));
        }
        Self::RolledBack(match error::is_constraint(&error) {
            true => error::classify_hook(error.into()),
            false => classify(APPENDING)(error),
        })
    }
}

impl From<Error> for SqliteBatchError {
    fn from(error: Error) -> Self {
        Self::RolledBack(error)
    }
}

impl SqliteWriter {
    pub(super) fn new(
        connection: &SharedWriter,
        prefix: &Prefix,
        follower: &Arc<SqliteFollower>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            connection: Arc::clone(connection),
            prefix: prefix.clone(),
            follower: Arc::clone(follower),
            clock,
            fast_path: fast_path::statement(prefix),
        }
    }

    /// Runs a batch: as a whole if it is accepted so, otherwise append by append.
    async fn run(
        &mut self,
        batch: &[BatchEntry],
    ) -> Result<Vec<Result<Appended>>, SqliteBatchError> {
        let mut connection = Arc::clone(&self.connection).lock_owned().await;
        if is_eligible(batch) {
            let fast = SqliteFastBatch::new(batch);
            let events = fast.events();
            let outside = connection.outside_transactions().await.map_err(classify(APPENDING))?;
            let head = fast.insert(outside, self.fast_path.clone(), self.clock.now()).await?;
            if let Some(head) = head {
                self.follower.committed(head);
                let before = Position::new(head.get().saturating_sub(events));
                return Ok(appended(batch, before).map(Ok).collect());
            }
        }
        let transaction = connection.begin().await;
        let mut transaction = transaction.map_err(classify(APPENDING))?;
        let mut log = CheckedLog::read(&mut transaction, &self.prefix, self.clock.now()).await?;
        let mut outcomes = Vec::with_capacity(batch.len());
        for entry in batch {
            let outcome = log.append(&mut transaction, &entry.append).await;
            match outcome {
                Ok(_) => outcomes.push(outcome),
                // Concerns only this append, which has not written anything.
                Err(Error::Conflict(_) | Error::Invalid(_)) if !log.is_writing => {
                    outcomes.push(outcome);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if log.has_changed {
            transaction.commit().await.map_err(SqliteBatchError::of_commit)?;
            self.follower.committed(log.head);
        }
        Ok(outcomes)
    }
}
