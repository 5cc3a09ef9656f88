//! A checker of histories: whether concurrent operations on a counter had the results of some sequential order.

use std::sync::atomic::{AtomicU64, Ordering};

use todc_utils::{Action, History, Specification, WGLChecker};

/// An operation on a counter, and the ticks of one clock between which it ran.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    pub began: u64,
    pub ended: u64,
    pub effect: Effect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Adds one; the new count, if the client received it.
    Add(Option<u64>),
    /// Reads this count.
    Read(u64),
}

/// A counter that starts at zero and is only ever incremented.
struct Counter;

impl Specification for Counter {
    type State = u64;
    type Operation = Effect;

    fn init() -> u64 {
        0
    }

    fn apply(effect: &Effect, count: &u64) -> (bool, u64) {
        match effect {
            Effect::Add(to) => (to.is_none_or(|to| to == count + 1), count + 1),
            Effect::Read(found) => (found == count, *count),
        }
    }
}

/// Returns true if the history is that of a counter, in some order that keeps the order of operations that did not overlap.
pub fn is_linearizable(history: &[Operation]) -> bool {
    let mut actions = Vec::new();
    for (process, operation) in history.iter().enumerate() {
        actions.push((operation.began, (process, Action::Call(operation.effect))));
        actions.push((operation.ended, (process, Action::Response(operation.effect))));
    }
    actions.sort_by_key(|(tick, _)| *tick);
    let actions = actions.into_iter().map(|(_, action)| action).collect();
    WGLChecker::<Counter>::is_linearizable(History::from_actions(actions))
}

/// A clock that all operations share. It ticks at each beginning and each end.
#[derive(Default)]
pub struct HistoryClock(AtomicU64);

impl HistoryClock {
    pub async fn record(&self, work: impl Future<Output = Effect>) -> Operation {
        let work = async { Some(work.await) };
        self.record_if(work).await.unwrap()
    }

    /// Records an operation unless it failed: a read without an answer has no effect and is no part of a history.
    pub async fn record_if(&self, work: impl Future<Output = Option<Effect>>) -> Option<Operation> {
        let began = self.0.fetch_add(1, Ordering::SeqCst);
        let effect = work.await?;
        let ended = self.0.fetch_add(1, Ordering::SeqCst);
        Some(Operation { began, ended, effect })
    }
}

#[cfg(test)]
mod tests {
    use super::{Effect, Operation, is_linearizable};

    #[test]
    fn r3_the_checker_finds_every_kind_of_wrong_answer() {
        let operation = |began, ended, effect| Operation { began, ended, effect };
        let add = |began, ended| operation(began, ended, Effect::Add(None));
        let to = |began, ended, to| operation(began, ended, Effect::Add(Some(to)));
        let read = |began, ended, found| operation(began, ended, Effect::Read(found));
        // A read that overlaps an add may return either count, but two reads not the later count first.
        assert!(is_linearizable(&[add(1, 4), read(2, 3, 0)]));
        assert!(is_linearizable(&[add(1, 6), read(2, 3, 0), read(4, 5, 1)]));
        assert!(!is_linearizable(&[add(1, 6), read(2, 3, 1), read(4, 5, 0)]));
        // An acknowledged add is missing; an add that never was is there.
        assert!(!is_linearizable(&[add(1, 2), read(3, 4, 0)]));
        assert!(!is_linearizable(&[add(1, 2), read(3, 4, 2)]));
        assert!(!is_linearizable(&[read(1, 2, 1), add(3, 4)]));
        // Two overlapping adds have either order, but not the same count; and reads see that order.
        assert!(is_linearizable(&[to(1, 4, 2), to(2, 3, 1)]));
        assert!(!is_linearizable(&[to(1, 4, 1), to(2, 3, 1)]));
        assert!(!is_linearizable(&[to(1, 2, 2), to(3, 4, 1)]));
        assert!(!is_linearizable(&[to(1, 2, 1), read(3, 4, 0), to(5, 6, 2)]));
    }
}
