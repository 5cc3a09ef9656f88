//! Reports the state of a projection: to its status, and to the metrics.

use std::sync::Arc;

use ::metrics::Counter;
use highwater_core::{Error, domain::ViewName, port::Clock};
use tokio::sync::watch;

use super::status::{ProjectionState, ProjectionStatus, TimedState};
use crate::metrics::{PROJECTION_STATE, RETRIES, StateGauges};

/// Reports the state of one projection.
#[derive(Clone)]
pub(super) struct ProjectionReporter {
    current: watch::Sender<TimedState>,
    clock: Arc<dyn Clock>,
    gauges: Arc<StateGauges>,
    retries: Counter,
}

impl ProjectionReporter {
    pub(super) fn new(view: ViewName, clock: &Arc<dyn Clock>) -> (Self, ProjectionStatus) {
        let initial = TimedState { state: ProjectionState::Preparing, since: clock.now() };
        let gauges = Arc::new(StateGauges::new(PROJECTION_STATE, view.as_str()));
        gauges.enter(initial.state.name());
        let retries = RETRIES.count(&[view.as_str()]);
        let (sender, receiver) = watch::channel(initial);
        let reporter = Self { current: sender, clock: Arc::clone(clock), gauges, retries };
        (reporter, ProjectionStatus::new(view, receiver))
    }

    pub(super) fn ended(&self) {
        self.report(ProjectionState::Ended);
    }

    pub(super) fn stopped(&self, error: &Error) {
        self.report(ProjectionState::Stopped { error: error.clone(), at: self.clock.now() });
    }

    pub(super) fn running(&self) {
        if !matches!(self.current.borrow().state, ProjectionState::Running) {
            self.report(ProjectionState::Running);
        }
    }

    /// Reports a retry. After the first one in a row the time stays.
    pub(super) fn retrying(&self, error: &Error) {
        self.retries.increment(1);
        let since = match self.current.borrow().state {
            ProjectionState::Retrying { since, .. } => since,
            _ => self.clock.now(),
        };
        self.report(ProjectionState::Retrying { error: error.clone(), since });
    }

    fn report(&self, state: ProjectionState) {
        let since = match &state {
            ProjectionState::Retrying { since, .. } => *since,
            ProjectionState::Stopped { at, .. } => *at,
            ProjectionState::Preparing | ProjectionState::Running | ProjectionState::Ended => {
                self.clock.now()
            }
        };
        self.gauges.enter(state.name());
        self.current.send_replace(TimedState { state, since });
    }
}
