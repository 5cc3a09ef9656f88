//! Reports the state of a projection and of its shards: to its status, and to the metrics.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ::metrics::Counter;
use highwater_core::{Error, Position, domain::ViewSpec, port::Clock, value::ShardId};
use jiff::Timestamp;
use tokio::sync::watch;

use super::{
    audit::AuditRecord,
    status::{ProjectionState, ProjectionStatus, TimedState},
};
use crate::metrics::{PROJECTION_STATE, RETRIES, StateGauges};

/// Reports the state of one projection. A shard that retries determines it, however busy the others are.
#[derive(Clone)]
pub(super) struct ProjectionReporter(Arc<Reports>);

/// Reports the state of one shard of a projection.
#[derive(Clone)]
pub(super) struct ShardReporter {
    projection: ProjectionReporter,
    shard: ShardId,
}

struct Reports {
    states: Mutex<States>,
    current: watch::Sender<TimedState>,
    clock: Arc<dyn Clock>,
    gauges: StateGauges,
    retries: Counter,
}

/// The state of the projection's own task, and of its shards.
struct States {
    own: ProjectionState,
    /// The time at which the projection's own task entered its state, or the last shard recovered.
    since: Timestamp,
    /// The shards that retry. Any other shard runs.
    retrying: BTreeMap<ShardId, RetryingShard>,
}

/// The retries of a shard.
#[derive(Clone)]
struct RetryingShard {
    /// The last error.
    error: Error,
    /// The time of the first error in a row.
    since: Timestamp,
}

impl From<RetryingShard> for ProjectionState {
    fn from(RetryingShard { error, since }: RetryingShard) -> Self {
        Self::Retrying { error, since }
    }
}

impl States {
    /// Returns the state of the projection: the worst of all, since the time at which it began.
    fn current(&self) -> TimedState {
        let shards = self.retrying.iter().map(|(shard, retry)| (*shard, retry.clone().into()));
        let shards = shards.collect();
        let may_be_worse = matches!(
            self.own,
            ProjectionState::Running
                | ProjectionState::Rebuilding { .. }
                | ProjectionState::Preparing
        );
        match self.retrying.values().min_by_key(|retry| retry.since) {
            Some(first) if may_be_worse => {
                TimedState { since: first.since, state: first.clone().into(), shards }
            }
            _ => TimedState { since: self.since, state: self.own.clone(), shards },
        }
    }
}

impl ProjectionReporter {
    pub(super) fn new(spec: &ViewSpec, clock: &Arc<dyn Clock>) -> (Self, ProjectionStatus) {
        let states = States {
            own: ProjectionState::Preparing,
            since: clock.now(),
            retrying: BTreeMap::new(),
        };
        let gauges = StateGauges::new(PROJECTION_STATE, spec.name.as_str());
        gauges.enter(states.own.name());
        let retries = RETRIES.count(&[spec.name.as_str()]);
        let (current, receiver) = watch::channel(states.current());
        let audit = AuditRecord::new(&spec.name, clock);
        let clock = Arc::clone(clock);
        let reports = Reports { states: Mutex::new(states), current, clock, gauges, retries };
        (Self(Arc::new(reports)), ProjectionStatus::new(spec, receiver, audit))
    }

    /// Returns the reporter of a shard, which runs until it says otherwise.
    pub(super) fn shard(&self, shard: ShardId) -> ShardReporter {
        ShardReporter { projection: self.clone(), shard }
    }

    pub(super) fn ended(&self) {
        self.enter(ProjectionState::Ended, self.0.clock.now());
    }

    pub(super) fn stopped(&self, error: &Error) {
        let at = self.0.clock.now();
        self.enter(ProjectionState::Stopped { error: error.clone(), at }, at);
    }

    pub(super) fn running(&self) {
        self.enter(ProjectionState::Running, self.0.clock.now());
    }

    /// Reports that the projection builds a new generation.
    pub(super) fn rebuilding(&self, complete_at: Position) {
        self.enter(ProjectionState::Rebuilding { complete_at }, self.0.clock.now());
    }

    /// Reports that the generation which it builds is complete.
    pub(super) fn completed(&self) {
        let now = self.0.clock.now();
        self.0.change(|states| {
            if let ProjectionState::Rebuilding { .. } = states.own {
                states.own = ProjectionState::Running;
                states.since = now;
            }
        });
    }

    /// Reports a retry of the whole projection. After the first one in a row the time stays.
    pub(super) fn retrying(&self, error: &Error) {
        self.0.retries.increment(1);
        let since = match self.0.states().own {
            ProjectionState::Retrying { since, .. } => since,
            _ => self.0.clock.now(),
        };
        self.enter(ProjectionState::Retrying { error: error.clone(), since }, since);
    }

    /// Enters a state of the projection's own task. It works on no shard then.
    fn enter(&self, own: ProjectionState, since: Timestamp) {
        self.0.change(|states| *states = States { own, since, retrying: BTreeMap::new() });
    }
}

impl ShardReporter {
    /// Reports that the shard works, or that it is not worked on here any more.
    pub(super) fn running(&self) {
        let reports = &*self.projection.0;
        if self.is_retrying() {
            reports.change(|states| {
                states.retrying.remove(&self.shard);
                if states.retrying.is_empty() {
                    states.since = reports.clock.now();
                }
            });
        }
    }

    /// Reports a retry. After the first one in a row the time stays.
    pub(super) fn retrying(&self, error: &Error) {
        let reports = &*self.projection.0;
        reports.retries.increment(1);
        let now = reports.clock.now();
        reports.change(|states| {
            let since = states.retrying.get(&self.shard).map_or(now, |retry| retry.since);
            states.retrying.insert(self.shard, RetryingShard { error: error.clone(), since });
        });
    }

    pub(super) fn is_retrying(&self) -> bool {
        self.projection.0.states().retrying.contains_key(&self.shard)
    }
}

impl Reports {
    /// Changes the states and publishes the result, in one step.
    fn change(&self, change: impl FnOnce(&mut States)) {
        let mut states = self.states();
        change(&mut states);
        let current = states.current();
        self.gauges.enter(current.state.name());
        self.current.send_replace(current);
    }

    fn states(&self) -> MutexGuard<'_, States> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicI64, Ordering},
        time::Duration,
    };

    use async_trait::async_trait;
    use highwater_core::error::{Source, Unavailable};

    use super::*;

    /// A clock that stands still.
    #[derive(Clone, Default)]
    struct StillClock(Arc<AtomicI64>);

    impl StillClock {
        fn advance(&self, seconds: i64) {
            self.0.fetch_add(seconds, Ordering::Relaxed);
        }
    }

    #[async_trait]
    impl Clock for StillClock {
        fn now(&self) -> Timestamp {
            second(self.0.load(Ordering::Relaxed))
        }

        async fn sleep(&self, _: Duration) {}
    }

    fn reporter() -> (StillClock, ProjectionReporter, ProjectionStatus) {
        let clock = StillClock::default();
        let view = ViewSpec::rows(highwater_core::domain::ViewName::new("balances").unwrap());
        let (reporter, status) =
            ProjectionReporter::new(&view, &(Arc::new(clock.clone()) as Arc<dyn Clock>));
        reporter.running();
        (clock, reporter, status)
    }

    fn error() -> Error {
        Unavailable::unreachable("writing a view", Source::new("gone")).into()
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn o5_a_shard_that_retries_is_not_hidden_by_its_busy_siblings() {
        let (clock, reporter, status) = reporter();
        let [stuck, busy] = [0, 1].map(|shard| reporter.shard(ShardId::new(shard)));
        clock.advance(5);
        stuck.retrying(&error());
        clock.advance(5);
        busy.running();
        assert_eq!((status.now().name(), status.since()), ("retrying", second(5)));
        let shards = status.shards();
        assert_eq!(shards.len(), 1, "{shards:?}");
        assert_eq!((shards[0].0, shards[0].1.name()), (ShardId::new(0), "retrying"));
        clock.advance(5);
        stuck.running();
        assert_eq!((status.now().name(), status.since()), ("running", second(15)));
        assert!(status.shards().is_empty());
    }

    #[test]
    fn o5_of_several_shards_that_retry_the_first_counts() {
        let (clock, reporter, status) = reporter();
        let [one, other] = [0, 1].map(|shard| reporter.shard(ShardId::new(shard)));
        other.retrying(&error());
        for _ in 0..2 {
            clock.advance(5);
            one.retrying(&error());
        }
        assert_eq!((status.now().name(), status.since()), ("retrying", second(0)));
        other.running();
        assert_eq!((status.now().name(), status.since()), ("retrying", second(5)));
    }

    #[test]
    fn o5_a_projection_that_has_stopped_works_on_no_shard() {
        let (_, reporter, status) = reporter();
        reporter.shard(ShardId::FIRST).retrying(&error());
        reporter.stopped(&error());
        assert!(status.now().is_stopped() && status.shards().is_empty());
    }
}
