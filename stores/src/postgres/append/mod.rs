//! One batch, one round trip, many outcomes.
//!
//! | File | What is in it |
//! |---|---|
//! | `lone` | an append that has nobody beside it |
//! | `whole` | a batch that is accepted as a whole, the usual one |
//! | `columns`, `answer` | a batch that is judged append by append: what is asked and answered |

mod answer;
mod columns;
mod lone;
mod whole;

use std::sync::Arc;

use async_trait::async_trait;
use highwater_core::{
    Error, Position, Result,
    error::{Corrupt, Source},
    port::Appended,
};
use sqlx::{Connection, PgConnection};

use super::{
    PostgresOptions,
    attachment::PostgresHook,
    error::{self, classify},
    follow::Following,
};
use crate::{
    group_commit::{Entry, Verdict, Writer},
    whole::{appended, is_whole},
};
use answer::{APPENDED, Answer};
use columns::Columns;
use lone::Lone;
use whole::Whole;

/// The writer's own connection: appends never wait for a pool, and no ping goes before them.
pub(super) struct PostgresWriter {
    options: PostgresOptions,
    following: Arc<Following>,
    connection: Option<PgConnection>,
    lone: Arc<str>,
    whole: Arc<str>,
    judge: Arc<str>,
    habits: Habits,
}

/// What the last batches met, by which the next one is sent in the way that is likely to be the
/// cheapest. Every way is right.
#[derive(Default)]
struct Habits {
    /// A batch was not accepted as a whole, and no batch since without a failure.
    conflicts: bool,
    /// How many batches to go before this process counts as alone again.
    company: u32,
}

impl Habits {
    /// How many batches somebody is remembered.
    const MEMORY: u32 = 64;

    fn is_alone(&self) -> bool {
        self.company == 0
    }

    fn saw_alone(&mut self, alone: bool) {
        self.company = if alone { self.company.saturating_sub(1) } else { Self::MEMORY };
    }
}

impl PostgresWriter {
    pub(super) fn new(options: &PostgresOptions, following: &Arc<Following>) -> Self {
        let judge = "call @schema@.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, \
                    $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, null, null, null, null, null)";
        let whole = "call @schema@.append_all($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, \
                     $13, $14, $15, $16, $17, null)";
        let (judge, whole) = (options.schema.fill(judge).into(), options.schema.fill(whole).into());
        let lone = lone::statement(&options.schema).into();
        let (options, following, habits) =
            (options.clone(), Arc::clone(following), Habits::default());
        Self { options, following, connection: None, lone, whole, judge, habits }
    }

    async fn connection(&mut self) -> Result<&mut PgConnection> {
        if self.connection.is_none() {
            self.connection = Some(self.options.connection().await?);
        }
        self.connection.as_mut().ok_or_else(|| Corrupt::Log("no connection".to_owned()).into())
    }

    /// Runs a batch: as a whole if it can be, or else judged one by one.
    async fn run(&mut self, batch: &[Entry]) -> Result<Vec<Verdict>, Failure> {
        if let Some(appended) = self.run_whole(batch).await? {
            return Ok(appended.into_iter().map(Ok).map(Verdict::Final).collect());
        }
        let call = Arc::clone(&self.judge);
        let connection = self.connection().await.map_err(Failure::NotSent)?;
        let row = columns::call(connection, &call, &Columns::of(batch), true).await;
        let answer = row.and_then(|row| Answer::read(&row)).map_err(|error| self.failure(error))?;
        self.habits.conflicts &= answer.status.iter().any(|status| *status != APPENDED);
        Ok(self.verdicts(batch, &answer))
    }

    /// What became of each append, or `None` if nothing was stored and they must be judged.
    async fn run_whole(&mut self, batch: &[Entry]) -> Result<Option<Vec<Appended>>, Failure> {
        if self.habits.conflicts || !is_whole(batch) {
            return Ok(None);
        }
        let before = match self.run_lone(batch).await? {
            Some(before) => Some(before),
            None => self.run_at_once(batch).await?,
        };
        self.habits.conflicts = before.is_none();
        let Some(before) = before else { return Ok(None) };
        let appended: Vec<_> = appended(batch, before).collect();
        if let Some(last) = appended.last() {
            self.following.acknowledged(last.position);
        }
        Ok(Some(appended))
    }

    /// The position before the events of the batch, if it has been accepted.
    async fn run_at_once(&mut self, batch: &[Entry]) -> Result<Option<Position>, Failure> {
        let whole = Whole::of(batch);
        let (call, alone) = (Arc::clone(&self.whole), self.habits.is_alone());
        let connection = self.connection().await.map_err(Failure::NotSent)?;
        let outcome = whole.call(connection, &call, alone).await;
        let outcome = outcome.map_err(|error| self.failure(error))?;
        self.habits.saw_alone(outcome.was_alone);
        Ok(outcome.before)
    }

    /// The same for an append of one event, if nobody else is known to append.
    async fn run_lone(&mut self, batch: &[Entry]) -> Result<Option<Position>, Failure> {
        let Some(lone) = Lone::of(batch).filter(|_| self.habits.is_alone()) else {
            return Ok(None);
        };
        let statement = Arc::clone(&self.lone);
        let connection = self.connection().await.map_err(Failure::NotSent)?;
        match lone.insert(connection, &statement).await {
            Ok(stored) => Ok(stored.map(|position| Position::new(position.get() - 1))),
            // The command was stored meanwhile, without an event.
            Err(error) if error::is_taken(&error) => Ok(None),
            Err(error) => Err(self.failure(error)),
        }
    }

    /// What was wrong with a call, and whether the connection is of further use.
    fn failure(&mut self, error: sqlx::Error) -> Failure {
        let state = error::state(&error);
        if error::ends_the_connection(state.as_deref()) {
            self.connection = None;
        }
        Failure::Sent(Source::new(error), state)
    }

    /// An append with work of the application's own: a transaction of its own, in which the append
    /// comes last, so that the order's lock is held only from then to the commit.
    async fn run_with(&mut self, work: &PostgresHook, entry: &Entry) -> Result<Answer> {
        let command = entry.append.command;
        let call = Arc::clone(&self.judge);
        let connection = self.connection().await?;
        let outcome: Result<Answer> = async {
            let mut transaction = connection.begin().await.map_err(classify("appending"))?;
            work.run(&mut transaction, &entry.append).await?;
            let columns = Columns::of(std::slice::from_ref(entry));
            let row = columns::call(&mut transaction, &call, &columns, false).await;
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
        match PostgresHook::of(entry.append.hook.as_deref()?) {
            Ok(work) => Some(self.run_with(work, entry).await),
            Err(error) => Some(Err(error)),
        }
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
            Ok(verdicts) => verdicts,
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
