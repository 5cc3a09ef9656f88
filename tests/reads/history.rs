//! What was done to a key that counts, by whom at the same time, and whether one who counted alone could have had it so.

use std::sync::atomic::{AtomicU64, Ordering};

use todc_utils::{Action, History, Specification, WGLChecker};

/// What was done to a key that only ever counts up, and between which ticks of one clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) done: Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// One more; to how many, if that was answered.
    Add(Option<u64>),
    /// So many were found.
    Read(u64),
}

/// A counter that only counts up, by one at a time.
struct Counter;

impl Specification for Counter {
    type State = u64;
    type Operation = Done;

    fn init() -> u64 {
        0
    }

    fn apply(done: &Done, count: &u64) -> (bool, u64) {
        match done {
            Done::Add(to) => (to.is_none_or(|to| to == count + 1), count + 1),
            Done::Read(found) => (found == count, *count),
        }
    }
}

/// Whether the history is that of a counter, in some order that keeps to what came after what.
pub(crate) fn is_linearizable(history: &[Operation]) -> bool {
    let mut actions = Vec::new();
    for (process, operation) in history.iter().enumerate() {
        actions.push((operation.began, (process, Action::Call(operation.done))));
        actions.push((operation.ended, (process, Action::Response(operation.done))));
    }
    actions.sort_by_key(|(tick, _)| *tick);
    let actions = actions.into_iter().map(|(_, action)| action).collect();
    WGLChecker::<Counter>::is_linearizable(History::from_actions(actions))
}

/// Ticks at each beginning and each end, the same for all.
#[derive(Default)]
pub(crate) struct Ticks(AtomicU64);

impl Ticks {
    pub(crate) async fn record(&self, work: impl Future<Output = Done>) -> Operation {
        let done = async { Some(work.await) };
        self.record_if(done).await.unwrap()
    }

    /// What has failed and has no effect is no part of a history.
    pub(crate) async fn record_if(
        &self,
        work: impl Future<Output = Option<Done>>,
    ) -> Option<Operation> {
        let began = self.0.fetch_add(1, Ordering::SeqCst);
        let done = work.await?;
        let ended = self.0.fetch_add(1, Ordering::SeqCst);
        Some(Operation { began, ended, done })
    }
}

#[test]
fn r3_the_checker_finds_each_way_in_which_an_answer_can_be_wrong() {
    let operation = |began, ended, done| Operation { began, ended, done };
    let add = |began, ended| operation(began, ended, Done::Add(None));
    let to = |began, ended, to| operation(began, ended, Done::Add(Some(to)));
    let read = |began, ended, found| operation(began, ended, Done::Read(found));
    // Beside an add both are right, but not the one after the other.
    assert!(is_linearizable(&[add(1, 4), read(2, 3, 0)]));
    assert!(is_linearizable(&[add(1, 6), read(2, 3, 0), read(4, 5, 1)]));
    assert!(!is_linearizable(&[add(1, 6), read(2, 3, 1), read(4, 5, 0)]));
    // What was acknowledged is missing; what was never written is there.
    assert!(!is_linearizable(&[add(1, 2), read(3, 4, 0)]));
    assert!(!is_linearizable(&[add(1, 2), read(3, 4, 2)]));
    assert!(!is_linearizable(&[read(1, 2, 1), add(3, 4)]));
    // Two commands at a time have either order, but not one place; and reads see the same order.
    assert!(is_linearizable(&[to(1, 4, 2), to(2, 3, 1)]));
    assert!(!is_linearizable(&[to(1, 4, 1), to(2, 3, 1)]));
    assert!(!is_linearizable(&[to(1, 2, 2), to(3, 4, 1)]));
    assert!(!is_linearizable(&[to(1, 2, 1), read(3, 4, 0), to(5, 6, 2)]));
}
