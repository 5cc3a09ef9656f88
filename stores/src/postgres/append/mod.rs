//! A batch of appends in one round trip, each with its own outcome.
//!
//! | File | What is in it |
//! |---|---|
//! | `single_event` | an append of one event without contention |
//! | `fast_path` | a batch that is accepted as a whole, the usual case |
//! | `checked_batch`, `checked_answer` | a batch that is checked append by append: arguments and results |

mod checked_answer;
mod checked_batch;
mod fast_path;
mod single_event;

use std::{mem, sync::Arc};

use async_trait::async_trait;
use highwater_core::{
    Error, Position, Result,
    error::{Corrupt, Source},
    port::Appended,
};
use sqlx::{Connection, PgConnection, SqlStr};

use super::{
    PostgresOptions,
    error::{self, RUNNING_HOOK, classify},
    follow::PostgresFollower,
    hook::PostgresHook,
    session::{BEGIN_WITH_HOOK, bounded},
};
use crate::sql::{
    connection_pool::{is_cut, within},
    fast_path::{appended, is_eligible},
    group_commit::{BatchEntry, BatchVerdict, BatchWriter},
};
use checked_answer::{APPENDED, CheckedAnswer};
use checked_batch::CheckedBatch;
pub(super) use checked_batch::array;
use fast_path::PostgresFastBatch;
use single_event::SingleEvent;

const APPENDING: &str = "appending";

/// Appends with a connection of its own: appends never wait for a pool, and need no ping before them.
pub(super) struct PostgresWriter {
    options: PostgresOptions,
    follower: Arc<PostgresFollower>,
    connection: Option<PgConnection>,
    /// True during a batch. If it is true before one, the last one was cancelled, and what its connection
    /// answers next is not known.
    is_busy: bool,
    single_event: SqlStr,
    fast_path: SqlStr,
    checked_path: SqlStr,
    history: AppendHistory,
}

/// The experience with the last batches, which selects the path of the next one that is likely to be the
/// cheapest. Every path is correct.
#[derive(Default)]
struct AppendHistory {
    /// True if a batch was not accepted as a whole, and every later batch had a failure.
    had_conflict: bool,
    /// The number of batches until this process counts as the only writer again.
    recent_contention: u32,
}

impl AppendHistory {
    /// The number of batches for which another writer is remembered.
    const CONTENTION_BATCHES: u32 = 64;

    fn is_uncontended(&self) -> bool {
        self.recent_contention == 0
    }

    fn record(&mut self, was_uncontended: bool) {
        self.recent_contention = match was_uncontended {
            true => self.recent_contention.saturating_sub(1),
            false => Self::CONTENTION_BATCHES,
        };
    }
}

impl PostgresWriter {
    pub(super) fn new(options: &PostgresOptions, follower: &Arc<PostgresFollower>) -> Self {
        let schema = &options.schema;
        let checked = "call @schema@.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, \
                    $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, null, null, null, null, null)";
        let fast = "call @schema@.append_all($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, \
                     $13, $14, $15, $16, $17, null)";
        Self {
            options: options.clone(),
            follower: Arc::clone(follower),
            connection: None,
            is_busy: false,
            single_event: schema.shared_sql(single_event::STATEMENT),
            fast_path: schema.shared_sql(fast),
            checked_path: schema.shared_sql(checked),
            history: AppendHistory::default(),
        }
    }

    async fn connection(&mut self) -> Result<&mut PgConnection> {
        if self.connection.is_none() {
            self.connection = Some(self.options.connection().await?);
        }
        self.connection.as_mut().ok_or_else(|| Corrupt::Log("no connection".to_owned()).into())
    }

    /// Runs a batch. If its connection was cut, the batch is sent again on a new one: an append that was stored
    /// is recognised by its command id (W4).
    async fn run(&mut self, batch: &[BatchEntry]) -> Result<Vec<BatchVerdict>, PostgresBatchError> {
        match self.run_once(batch).await {
            Err(PostgresBatchError::Cut(source, state)) => match self.run_once(batch).await {
                // A server that is read-only has stored nothing.
                Err(PostgresBatchError::NotSent(again))
                    if !error::is_read_only(state.as_deref()) =>
                {
                    let source = Source::new(NotSentAgain { source, again });
                    Err(PostgresBatchError::Cut(source, state))
                }
                again => again,
            },
            done => done,
        }
    }

    /// Runs a batch: as a whole if it is accepted so, otherwise append by append.
    async fn run_once(
        &mut self,
        batch: &[BatchEntry],
    ) -> Result<Vec<BatchVerdict>, PostgresBatchError> {
        if let Some(appended) = self.run_fast(batch).await? {
            return Ok(appended.into_iter().map(Ok).map(BatchVerdict::Final).collect());
        }
        let call = self.checked_path.clone();
        let limit = self.options.answer_timeout;
        let connection = self.connection().await.map_err(PostgresBatchError::NotSent)?;
        let row = within(limit, CheckedBatch::new(batch).call(connection, call, true)).await;
        let answer =
            row.and_then(|row| CheckedAnswer::read(&row)).map_err(|error| self.failure(error))?;
        self.history.had_conflict &= answer.status.iter().any(|status| *status != APPENDED);
        Ok(self.verdicts(batch, &answer))
    }

    /// Appends the batch as a whole. Returns the outcomes, or `None` if nothing was stored and each append
    /// must be checked.
    async fn run_fast(
        &mut self,
        batch: &[BatchEntry],
    ) -> Result<Option<Vec<Appended>>, PostgresBatchError> {
        if self.history.had_conflict || !is_eligible(batch) {
            return Ok(None);
        }
        let before = match self.run_single_event(batch).await? {
            Some(before) => Some(before),
            None => self.run_fast_batch(batch).await?,
        };
        self.history.had_conflict = before.is_none();
        let Some(before) = before else { return Ok(None) };
        let appended: Vec<_> = appended(batch, before).collect();
        if let Some(last) = appended.last() {
            self.follower.acknowledged(last.position);
        }
        Ok(Some(appended))
    }

    /// Appends any batch. Returns the position before its events, if it has been accepted.
    async fn run_fast_batch(
        &mut self,
        batch: &[BatchEntry],
    ) -> Result<Option<Position>, PostgresBatchError> {
        let fast = PostgresFastBatch::new(batch);
        let call = self.fast_path.clone();
        let limit = self.options.answer_timeout;
        let is_uncontended = self.history.is_uncontended();
        let connection = self.connection().await.map_err(PostgresBatchError::NotSent)?;
        let outcome = within(limit, fast.call(connection, call, is_uncontended)).await;
        let outcome = outcome.map_err(|error| self.failure(error))?;
        self.history.record(outcome.was_uncontended);
        Ok(outcome.before)
    }

    /// The same for an append of one event, if no other process has appended recently.
    async fn run_single_event(
        &mut self,
        batch: &[BatchEntry],
    ) -> Result<Option<Position>, PostgresBatchError> {
        let Some(event) = SingleEvent::of(batch).filter(|_| self.history.is_uncontended()) else {
            return Ok(None);
        };
        let statement = self.single_event.clone();
        let limit = self.options.answer_timeout;
        let connection = self.connection().await.map_err(PostgresBatchError::NotSent)?;
        match within(limit, event.insert(connection, statement)).await {
            Ok(stored) => Ok(stored.map(|position| Position::new(position.get() - 1))),
            // The command was stored meanwhile, without an event.
            Err(error) if error::is_duplicate_key(&error) => Ok(None),
            Err(error) => Err(self.failure(error)),
        }
    }

    /// Converts the error of a call, and drops the connection if it is lost.
    fn failure(&mut self, error: sqlx::Error) -> PostgresBatchError {
        let state = error::state(&error);
        let is_cut = is_cut(&error);
        if is_cut || error::is_connection_lost(state.as_deref()) {
            self.connection = None;
        }
        match is_cut {
            true => PostgresBatchError::Cut(Source::new(error), state),
            false => PostgresBatchError::Sent(Source::new(error), state),
        }
    }

    /// Appends with a hook, in a transaction of its own. The append comes last, so the lock of the order is
    /// only held from then to the commit. The connection comes back when all of it was answered.
    async fn run_with_hook(
        &mut self,
        hook: &PostgresHook,
        entry: &BatchEntry,
    ) -> Result<CheckedAnswer> {
        // A connection that was cut while it was idle has not begun anything.
        if let Some(mut connection) = self.connection.take()
            && let Ok(outcome) = self.append_with_hook(&mut connection, hook, entry).await
        {
            return self.put_back(connection, outcome);
        }
        let mut connection = self.options.connection().await?;
        let outcome = self.append_with_hook(&mut connection, hook, entry).await;
        self.put_back(connection, outcome.map_err(classify(APPENDING))?)
    }

    /// Keeps the connection for the next batch, unless it is lost.
    fn put_back<T>(&mut self, connection: PgConnection, outcome: Result<T>) -> Result<T> {
        if !outcome.as_ref().is_err_and(is_lost) {
            self.connection = Some(connection);
        }
        outcome
    }

    /// Fails if the transaction can't be begun. Otherwise the outcome is that of the append.
    async fn append_with_hook(
        &self,
        connection: &mut PgConnection,
        hook: &PostgresHook,
        entry: &BatchEntry,
    ) -> Result<Result<CheckedAnswer>, sqlx::Error> {
        let command = entry.append.command;
        let limit = self.options.answer_timeout;
        let mut transaction = within(limit, connection.begin_with(BEGIN_WITH_HOOK)).await?;
        let outcome = self.run_hook_and_append(&mut transaction, hook, entry).await;
        let ended = match &outcome {
            Ok(answer) if answer.status.first() == Some(&APPENDED) => {
                let committed = within(limit, transaction.commit()).await;
                committed.map_err(|error| error::classify_hook_commit(command, error))
            }
            // The connection is dropped.
            Err(error) if is_lost(error) => Ok(()),
            // Until the server is told, the transaction holds the lock of the order.
            _ => within(limit, transaction.rollback()).await.map_err(classify(APPENDING)),
        };
        Ok(outcome.and_then(|answer| ended.map(|()| answer)))
    }

    async fn run_hook_and_append(
        &self,
        transaction: &mut PgConnection,
        hook: &PostgresHook,
        entry: &BatchEntry,
    ) -> Result<CheckedAnswer> {
        let limit = self.options.answer_timeout;
        bounded(limit, RUNNING_HOOK, hook.run(transaction, Some(&entry.append))).await?;
        let checked = CheckedBatch::new(std::slice::from_ref(entry));
        let row = within(limit, checked.call(transaction, self.checked_path.clone(), false)).await;
        row.and_then(|row| CheckedAnswer::read(&row)).map_err(classify(APPENDING))
    }

    async fn commit_with_hook(&mut self, entry: &BatchEntry) -> Option<Result<CheckedAnswer>> {
        match PostgresHook::of(entry.append.hook.as_deref()?) {
            Ok(hook) => Some(self.run_with_hook(hook, entry).await),
            Err(error) => Some(Err(error)),
        }
    }

    fn verdicts(&self, batch: &[BatchEntry], answer: &CheckedAnswer) -> Vec<BatchVerdict> {
        let verdicts = answer.verdicts(batch);
        let positions = batch.iter().zip(&answer.position).zip(&answer.status);
        let appended = positions.filter(|(_, status)| **status == APPENDED);
        if let Some(last) = appended.map(|((_, position), _)| *position).max() {
            self.follower.acknowledged(last);
        }
        verdicts
    }
}

#[async_trait]
impl BatchWriter for PostgresWriter {
    async fn commit(&mut self, batch: &[BatchEntry]) -> Vec<BatchVerdict> {
        if mem::replace(&mut self.is_busy, true) {
            self.connection = None;
        }
        let verdicts = self.commit_batch(batch).await;
        self.is_busy = false;
        verdicts
    }
}

impl PostgresWriter {
    async fn commit_batch(&mut self, batch: &[BatchEntry]) -> Vec<BatchVerdict> {
        if let [entry] = batch
            && let Some(outcome) = self.commit_with_hook(entry).await
        {
            return match outcome {
                Ok(answer) => self.verdicts(batch, &answer),
                Err(error) => vec![BatchVerdict::Final(Err(error))],
            };
        }
        match self.run(batch).await {
            Ok(verdicts) => verdicts,
            Err(PostgresBatchError::NotSent(error)) => {
                batch.iter().map(|_| BatchVerdict::Final(Err(error.clone()))).collect()
            }
            // Nothing was stored. Each append is repeated apart, so that a bad one fails alone.
            Err(PostgresBatchError::Sent(_, state))
                if batch.len() > 1 && error::stored_nothing(state.as_deref()) =>
            {
                self.commit_apart(batch).await
            }
            Err(
                PostgresBatchError::Sent(source, state) | PostgresBatchError::Cut(source, state),
            ) => batch
                .iter()
                .map(|entry| {
                    error::classify_append(entry.append.command, &source, state.as_deref())
                })
                .map(|error| BatchVerdict::Final(Err(error)))
                .collect(),
        }
    }

    async fn commit_apart(&mut self, batch: &[BatchEntry]) -> Vec<BatchVerdict> {
        let mut verdicts = Vec::with_capacity(batch.len());
        for entry in batch {
            let apart = BatchEntry {
                append: entry.append.clone(),
                group: 0,
                chained: vec![false; entry.chained.len()],
            };
            verdicts.extend(Box::pin(self.commit_batch(&[apart])).await);
        }
        verdicts
    }
}

/// Returns true if the connection is not to be used after this error.
fn is_lost(error: &Error) -> bool {
    error.is_unavailable() || error.is_unknown_outcome()
}

enum PostgresBatchError {
    NotSent(Error),
    Sent(Source, Option<String>),
    /// As `Sent`, and the connection was cut.
    Cut(Source, Option<String>),
}

/// The error of a batch whose connection was cut, and for which there is no other one.
#[derive(Debug, thiserror::Error)]
#[error("{source}; it could not be sent again: {again}")]
struct NotSentAgain {
    source: Source,
    again: Error,
}
