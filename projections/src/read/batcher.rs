//! Coalesces reads of one view in this process: one subscription, however many reads wait; when the view advances, one
//! query answers every waiter that is satisfied. A read whose budget is over joins again, with no requirement.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use highwater_core::Result;
use tokio::sync::{Notify, oneshot};

use super::{
    batch_task::BatchTask,
    requirement::Requirement,
    scope::RowScope,
    source::{ViewSnapshot, ViewSource},
};

/// The most keys that are read together with the progress, so that a satisfied waiter needs no second query.
const PREFETCHED_KEYS: usize = 16;
/// The number of keys from which on a query takes no more waiters.
const KEYS_PER_QUERY: usize = 500;

/// Coalesces reads of one view.
#[derive(Default)]
pub(super) struct ReadBatcher {
    state: Mutex<BatchState>,
    /// Notified when a waiter may be satisfied, and when the last one has left.
    pub(super) changed: Notify,
}

#[derive(Default)]
pub(super) struct BatchState {
    pub(super) next_ticket: u64,
    pub(super) waiters: BTreeMap<u64, Waiter>,
    /// The ranges that are being read in tasks of their own.
    pub(super) ranges: HashSet<RowScope>,
    /// The last snapshot, without rows, while a task runs.
    last: Option<ViewSnapshot>,
    /// The task that answers, by the ticket of the waiter that started it.
    pub(super) task: Option<u64>,
}

pub(super) struct Waiter {
    pub(super) ticket: u64,
    pub(super) scope: RowScope,
    pub(super) requirement: Requirement,
    pub(super) answer: oneshot::Sender<Result<ViewSnapshot>>,
}

/// A place among the waiters, which is given up when this is dropped. Other waiters lose nothing by that.
struct Ticket {
    batcher: Arc<ReadBatcher>,
    number: u64,
    answer: oneshot::Receiver<Result<ViewSnapshot>>,
}

impl ReadBatcher {
    /// Reads a snapshot of some rows as soon as the view meets a requirement. The query begins after this call, unless
    /// the requirement is a position that was lacking.
    pub(super) async fn read(
        self: &Arc<Self>,
        source: &ViewSource,
        scope: &RowScope,
        requirement: Requirement,
    ) -> Result<ViewSnapshot> {
        loop {
            let mut ticket = self.join(source, scope, requirement);
            // Closed if the runtime of the answering task has ended: join again.
            let Ok(snapshot) = (&mut ticket.answer).await else { continue };
            let snapshot = snapshot?;
            if requirement.is_met_by(&source.freshness(&snapshot, scope)) {
                return Ok(snapshot);
            }
        }
    }

    /// The last snapshot of the view, without rows, while a read waits.
    pub(super) fn last_snapshot(&self) -> Option<ViewSnapshot> {
        self.state().last.clone()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, BatchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(
        self: &Arc<Self>,
        source: &ViewSource,
        scope: &RowScope,
        requirement: Requirement,
    ) -> Ticket {
        let (sender, answer) = oneshot::channel();
        let mut state = self.state();
        let number = state.next_ticket;
        state.next_ticket += 1;
        let waiter = Waiter { ticket: number, scope: scope.clone(), requirement, answer: sender };
        // A query that began before this may have seen enough already.
        let is_satisfied =
            state.last.as_ref().is_some_and(|last| waiter.is_satisfied(source, last))
                && !state.ranges.contains(scope);
        state.waiters.insert(number, waiter);
        // No task has this number yet: it is the waiter's own.
        let starts_task = *state.task.get_or_insert(number) == number;
        drop(state);
        let ticket = Ticket { batcher: Arc::clone(self), number, answer };
        if starts_task {
            // Not under the lock: a runtime that is ending drops the task at once, and its drop takes the lock.
            tokio::spawn(BatchTask::new(Arc::clone(self), source.clone(), number).run());
        } else if is_satisfied {
            self.changed.notify_one();
        }
        ticket
    }

    /// The keys of all waiters if they are few, to be read together with the progress.
    pub(super) fn prefetch_scope(&self) -> RowScope {
        let state = self.state();
        let mut keys = Vec::new();
        for waiter in state.waiters.values() {
            keys.extend_from_slice(waiter.scope.keys());
            if keys.len() > PREFETCHED_KEYS {
                return RowScope::AllShards;
            }
        }
        if keys.is_empty() { RowScope::AllShards } else { RowScope::Keys(keys.into()) }
    }

    /// Removes waiters that a snapshot satisfies: as many as one query may answer.
    pub(super) fn take_satisfied(
        &self,
        source: &ViewSource,
        snapshot: &ViewSnapshot,
    ) -> Vec<Waiter> {
        let snapshot = snapshot.with_rows(Vec::new());
        let mut state = self.state();
        let BatchState { waiters, ranges, last, .. } = &mut *state;
        let mut key_count = 0;
        let satisfied = waiters.extract_if(.., |_, waiter| {
            let is_taken = key_count < KEYS_PER_QUERY
                && waiter.is_satisfied(source, &snapshot)
                && !ranges.contains(&waiter.scope);
            key_count += if is_taken { waiter.scope.keys().len() } else { 0 };
            is_taken
        });
        let satisfied = satisfied.map(|(_, waiter)| waiter).collect();
        *last = Some(snapshot);
        satisfied
    }
}

impl BatchState {
    pub(super) fn end_task(&mut self) {
        self.task = None;
        self.last = None;
    }
}

impl Waiter {
    fn is_satisfied(&self, source: &ViewSource, snapshot: &ViewSnapshot) -> bool {
        self.requirement.is_met_by(&source.freshness(snapshot, &self.scope))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.batcher.state();
        let was_waiting = state.waiters.remove(&self.number).is_some();
        if was_waiting && state.waiters.is_empty() {
            self.batcher.changed.notify_one();
        }
    }
}
