//! The task that answers the waiters of one view.

use std::{collections::HashMap, mem, pin::pin, sync::Arc};

use futures_util::future::{Either, select};
use highwater_core::{Error, Result, port::StoredRow};
use tokio::time::timeout;

use super::{
    batcher::{ReadBatcher, Waiter},
    scope::RowScope,
    source::{STORE_TIMEOUT, ViewSnapshot, ViewSource},
};

/// The task that answers for as long as a read waits.
pub(super) struct BatchTask {
    batcher: Arc<ReadBatcher>,
    source: ViewSource,
    /// The ticket of the waiter that started it.
    number: u64,
    /// The first ticket that was taken after the last call of the store began.
    first_late: u64,
}

impl BatchTask {
    pub(super) fn new(batcher: Arc<ReadBatcher>, source: ViewSource, number: u64) -> Self {
        Self { batcher, source, number, first_late: number }
    }

    pub(super) async fn run(mut self) {
        if let Err(error) = self.answer_until_idle().await {
            self.fail(&error);
        }
    }

    async fn answer_until_idle(&mut self) -> Result<()> {
        loop {
            let snapshot = self.answer_satisfied().await?;
            if self.end_if_idle() {
                return Ok(());
            }
            self.first_late = self.batcher.state().next_ticket;
            let views = self.source.highwater.views();
            let view = &snapshot.generation.view;
            let advanced = views.wait_for_view_change(view, &snapshot.state);
            let changed = pin!(self.batcher.changed.notified());
            // A store that reports nothing is read again all the same.
            if let Ok(Either::Left((Err(error), _))) =
                timeout(STORE_TIMEOUT, select(advanced, changed)).await
            {
                return Err(error);
            }
        }
    }

    /// Reads the view, and answers every waiter that is satisfied: in several queries if their keys are many.
    async fn answer_satisfied(&mut self) -> Result<ViewSnapshot> {
        let scope = self.batcher.prefetch_scope();
        let mut snapshot = self.read(&scope).await?;
        let mut known_keys = scope.keys().to_vec();
        known_keys.sort_unstable();
        loop {
            let satisfied = self.batcher.take_satisfied(&self.source, &snapshot);
            if satisfied.is_empty() {
                return Ok(snapshot);
            }
            let (by_range, by_key): (Vec<_>, Vec<_>) =
                satisfied.into_iter().partition(|waiter| waiter.scope.is_range());
            self.answer_ranges(by_range);
            let keys = by_key.iter().flat_map(|waiter| waiter.scope.keys());
            let has_unknown = keys.clone().any(|key| known_keys.binary_search(key).is_err());
            if has_unknown || by_key.iter().any(|waiter| self.is_late(waiter)) {
                known_keys = keys.cloned().collect();
                known_keys.sort_unstable();
                known_keys.dedup();
                match self.read(&RowScope::Keys(known_keys.as_slice().into())).await {
                    Ok(later) => snapshot = later,
                    Err(error) => {
                        answer(by_key, |_| Err(error.clone()));
                        return Err(error);
                    }
                }
            }
            let rows = snapshot.rows_by_key();
            answer(by_key, |scope| Ok(snapshot.with_rows(rows_of(scope, &rows))));
        }
    }

    async fn read(&mut self, scope: &RowScope) -> Result<ViewSnapshot> {
        self.first_late = self.batcher.state().next_ticket;
        self.source.read(scope).await
    }

    /// Returns true if the waiter joined after the last read began, and may have seen something newer.
    fn is_late(&self, waiter: &Waiter) -> bool {
        waiter.ticket >= self.first_late && !waiter.requirement.is_position_only()
    }

    /// Answers waiters for ranges, with one query for each range. It runs in a task of its own, because it may take
    /// longer than other waiters wait. The next query answers a waiter that joins meanwhile.
    fn answer_ranges(&self, waiters: Vec<Waiter>) {
        let mut by_range: HashMap<_, Vec<_>> = HashMap::new();
        for waiter in waiters {
            by_range.entry(waiter.scope.clone()).or_default().push(waiter);
        }
        for (range, waiters) in by_range {
            self.batcher.state().ranges.insert(range.clone());
            let reading = RangeGuard { batcher: Arc::clone(&self.batcher), range };
            let source = self.source.clone();
            tokio::spawn(async move {
                let snapshot = source.read(&reading.range).await;
                answer(waiters, |_| snapshot.clone());
            });
        }
    }

    /// Ends this task's turn if no read waits. Returns true then.
    fn end_if_idle(&self) -> bool {
        let mut state = self.batcher.state();
        let is_idle = state.waiters.is_empty();
        if is_idle {
            state.end_task();
        }
        is_idle
    }

    /// Gives the error to every waiter that joined before the failed call began. Later ones join again.
    fn fail(&self, error: &Error) {
        let mut state = self.batcher.state();
        let late = state.waiters.split_off(&self.first_late);
        let failed = mem::replace(&mut state.waiters, late);
        drop(state);
        answer(failed.into_values().collect(), |_| Err(error.clone()));
    }
}

/// Ends the task's turn, however the task ended: the next read starts another one, and closed channels make the remaining
/// waiters join again.
impl Drop for BatchTask {
    fn drop(&mut self) {
        let mut state = self.batcher.state();
        if state.task == Some(self.number) {
            state.end_task();
            state.waiters.clear();
        }
    }
}

/// Marks a range as being read.
struct RangeGuard {
    batcher: Arc<ReadBatcher>,
    range: RowScope,
}

impl Drop for RangeGuard {
    fn drop(&mut self) {
        self.batcher.state().ranges.remove(&self.range);
        // A read of the same range may have joined meanwhile.
        self.batcher.changed.notify_one();
    }
}

/// Answers waiters, but for those that have given up.
fn answer(waiters: Vec<Waiter>, snapshot: impl Fn(&RowScope) -> Result<ViewSnapshot>) {
    for Waiter { scope, answer, .. } in waiters {
        if !answer.is_closed() {
            let _ = answer.send(snapshot(&scope));
        }
    }
}

/// The rows of one waiter, among those of many.
fn rows_of(scope: &RowScope, rows: &HashMap<&str, &StoredRow>) -> Vec<(String, StoredRow)> {
    let row = |key: &String| rows.get(key.as_str()).copied().cloned().unwrap_or_default();
    scope.keys().iter().map(|key| (key.clone(), row(key))).collect()
}
