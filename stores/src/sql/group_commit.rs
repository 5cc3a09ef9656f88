//! Group commit: concurrent appends of one process share a transaction, each with its own outcome.
//!
//! Appends wait in one queue. A single writer takes as many as can be checked together, commits them
//! at once, answers each, and continues with those that have arrived meanwhile. No append waits for a
//! timer, and a single append is one round trip.
//!
//! The writer is a task of the runtime in which it was started. If that runtime ends and the store is used in
//! another one, the next append starts the writer there.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use async_trait::async_trait;
use highwater_core::{
    CommandId, Error, Result,
    error::{Source, Unavailable},
    port::{Append, AppendFuture, Appended},
};
use tokio::{
    runtime::Handle,
    sync::{Mutex as AsyncMutex, Notify, oneshot},
    task::AbortHandle,
};

use super::batch_builder::BatchBuilder;
use crate::metrics::StoreMeter;

/// The result of a batch for one of its appends.
pub(crate) enum BatchVerdict {
    /// The outcome of the append.
    Final(Result<Appended>),
    /// The append depends on a repeated one and must be checked again, before all later appends.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "SQLite checks in turn"))]
    Deferred,
}

/// An append in a batch.
#[derive(Debug)]
pub(crate) struct BatchEntry {
    pub(crate) append: Append,
    /// Appends that depend on each other have the same group: if one fails, so do the later ones.
    pub(crate) group: usize,
    /// For each stream of the append, true if an earlier append of the batch meets its expectation, so
    /// that the store need not check it.
    pub(crate) chained: Vec<bool>,
}

/// Commits batches, one at a time.
#[async_trait]
pub(crate) trait BatchWriter: Send + 'static {
    /// Returns a verdict for each entry, in order.
    async fn commit(&mut self, batch: &[BatchEntry]) -> Vec<BatchVerdict>;
}

type Reply = oneshot::Sender<Result<Appended>>;

struct QueuedAppend {
    append: Append,
    reply: Reply,
}

#[derive(Default)]
struct QueueState {
    waiting: VecDeque<QueuedAppend>,
    is_closed: bool,
    /// True while the writer runs.
    is_running: bool,
    /// Ends the last writer.
    abort: Option<AbortHandle>,
}

struct CommitQueue {
    state: Mutex<QueueState>,
    wake: Notify,
    ended: Notify,
    /// Locked by the task of the writer while it runs.
    writer: AsyncMutex<Box<dyn BatchWriter>>,
    meter: StoreMeter,
}

impl CommitQueue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle to the queue. The writer ends after the queued appends when the handle is dropped.
pub(crate) struct GroupCommit(Arc<CommitQueue>);

impl GroupCommit {
    /// Creates the queue. The writer starts with the first append.
    pub(crate) fn new(writer: impl BatchWriter, meter: StoreMeter) -> Self {
        let writer: AsyncMutex<Box<dyn BatchWriter>> = AsyncMutex::new(Box::new(writer));
        let state = Mutex::default();
        let wake = Notify::new();
        let ended = Notify::new();
        Self(Arc::new(CommitQueue { state, wake, ended, writer, meter }))
    }

    /// Queues an append, which takes its place in the order now.
    pub(crate) fn submit(&self, append: Append) -> AppendFuture {
        let command = append.command;
        let (reply, answer) = oneshot::channel();
        let mut state = self.0.lock();
        if state.is_closed {
            return Box::pin(async { Err(Unavailable::Closed.into()) });
        }
        let runtime = match state.is_running {
            true => None,
            false => match Handle::try_current() {
                Ok(runtime) => Some(runtime),
                Err(error) => {
                    let error = Unavailable::unreachable("appending", Source::new(error));
                    return Box::pin(async { Err(error.into()) });
                }
            },
        };
        state.is_running = true;
        state.waiting.push_back(QueuedAppend { append, reply });
        drop(state);
        match runtime {
            Some(runtime) => self.start(&runtime),
            None => self.0.wake.notify_one(),
        }
        Box::pin(async move { answer.await.unwrap_or_else(|_| Err(abandoned(command))) })
    }

    /// Starts the writer. A runtime that is shutting down drops it at once.
    fn start(&self, runtime: &Handle) {
        let task = runtime.spawn(run_writer(EndGuard(Arc::clone(&self.0))));
        self.0.lock().abort = Some(task.abort_handle());
    }

    /// Refuses further appends, and waits until every queued append has its outcome.
    pub(crate) async fn close(&self) {
        self.refuse();
        loop {
            let mut ended = pin!(self.0.ended.notified());
            ended.as_mut().enable();
            if !self.0.lock().is_running {
                return;
            }
            ended.await;
        }
    }

    /// Closes, but ends the writer if it takes longer: the outcome of its appends is unknown then.
    #[cfg(feature = "postgres")]
    pub(crate) async fn close_within(&self, limit: std::time::Duration) {
        if tokio::time::timeout(limit, self.close()).await.is_err() {
            if let Some(writer) = &self.0.lock().abort {
                writer.abort();
            }
            self.close().await;
        }
    }

    fn refuse(&self) {
        self.0.lock().is_closed = true;
        self.0.wake.notify_one();
    }
}

impl Drop for GroupCommit {
    fn drop(&mut self) {
        self.refuse();
    }
}

/// The error of an append that the writer had taken when it ended: the runtime is shutting down.
fn abandoned(command: CommandId) -> Error {
    let source = Source::new("the writer ended before it answered");
    Error::UnknownOutcome { command, source }
}

/// Answers the queued appends when the writer ends before them, because it panics or its runtime shuts down.
/// The next append starts it again.
struct EndGuard(Arc<CommitQueue>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_running = false;
        state.waiting.clear();
        drop(state);
        self.0.ended.notify_waiters();
    }
}

async fn run_writer(guard: EndGuard) {
    let queue = &guard.0;
    // An earlier writer has ended, and releases the lock now.
    let mut writer = queue.writer.lock().await;
    loop {
        let (batch, replies) = take_batch(&mut queue.lock().waiting);
        if batch.is_empty() {
            if is_finished(queue) {
                return;
            }
            queue.wake.notified().await;
            continue;
        }
        let size = batch.len();
        let start = Instant::now();
        let verdicts = writer.commit(&batch).await;
        queue.meter.committed(size, start.elapsed());
        answer(queue, batch.into_iter().zip(replies).zip(verdicts));
        wait_for_more(queue, size).await;
    }
}

/// Returns true if the queue is empty and stays so.
fn is_finished(queue: &CommitQueue) -> bool {
    let state = queue.lock();
    state.is_closed && state.waiting.is_empty()
}

/// Sends the outcomes, and puts deferred appends back to the front of the queue.
fn answer(
    queue: &CommitQueue,
    verdicts: impl Iterator<Item = ((BatchEntry, Reply), BatchVerdict)>,
) {
    let mut deferred = Vec::new();
    for ((entry, reply), verdict) in verdicts {
        match verdict {
            BatchVerdict::Final(outcome) => {
                queue.meter.answered(entry.append.events().count(), &outcome);
                // The caller may have gone away; the append is stored all the same.
                drop(reply.send(outcome));
            }
            BatchVerdict::Deferred => deferred.push(QueuedAppend { append: entry.append, reply }),
        }
    }
    let mut state = queue.lock();
    deferred.into_iter().rev().for_each(|append| state.waiting.push_front(append));
}

/// Gives the callers that have been answered time to append again. Otherwise the next batch would be
/// the few appends that arrived meanwhile, the one after it all the others, and half of the flushes
/// would store almost nothing. After a single append there is no wait.
async fn wait_for_more(queue: &CommitQueue, size: usize) {
    const MAX_YIELDS: usize = 8;
    for _ in 0..MAX_YIELDS {
        if size == 1 || queue.lock().waiting.len() >= size {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Takes the appends that can be checked together, in order, up to the first that can't.
fn take_batch(waiting: &mut VecDeque<QueuedAppend>) -> (Vec<BatchEntry>, Vec<Reply>) {
    let mut builder = BatchBuilder::default();
    let mut replies = Vec::new();
    while let Some(next) = waiting.pop_front_if(|next| builder.admits(&next.append)) {
        builder.add(next.append);
        replies.push(next.reply);
    }
    (builder.entries, replies)
}
