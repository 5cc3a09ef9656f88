//! How a projection fares.

use std::sync::Arc;

use ::metrics::Counter;
use highwater_core::{Error, domain::ViewName, port::Clock};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::metrics::{PROJECTION_STATE, RETRIES, StateSet};

/// How a projection fares in this worker.
#[derive(Debug, Clone)]
pub enum ProjectionState {
    /// It gets its table, waits for other workers to let go, or brings shards to one position.
    Preparing,
    /// It works, or waits for events.
    Running,
    /// Something that may pass is in the way: it is tried for ever.
    Retrying {
        /// What.
        error: Error,
        /// Since when.
        since: Timestamp,
    },
    /// It has stopped, and waits for somebody to look: restart it then.
    Stopped {
        /// Why.
        error: Error,
        /// When.
        at: Timestamp,
    },
    /// It has been told to end, and has.
    Ended,
}

impl ProjectionState {
    /// Whether it has stopped for somebody to look.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Stopped { .. })
    }

    /// Its name, as metrics and readiness have it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Running => "running",
            Self::Retrying { .. } => "retrying",
            Self::Stopped { .. } => "stopped",
            Self::Ended => "ended",
        }
    }

    /// What is in the way, if something is.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Retrying { error, .. } | Self::Stopped { error, .. } => Some(error),
            Self::Preparing | Self::Running | Self::Ended => None,
        }
    }
}

/// A state, and since when.
#[derive(Debug, Clone)]
struct Moment {
    state: ProjectionState,
    since: Timestamp,
}

/// Tells how a projection fares in this worker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ProjectionStatus {
    view: ViewName,
    moment: watch::Receiver<Moment>,
}

impl ProjectionStatus {
    /// Whose status it is.
    #[must_use]
    pub fn view(&self) -> &ViewName {
        &self.view
    }

    /// How it fares now.
    #[must_use]
    pub fn now(&self) -> ProjectionState {
        self.moment.borrow().state.clone()
    }

    /// Since when it has fared like this.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.moment.borrow().since
    }

    /// Waits until it fares as asked, and tells how. If the worker is gone, tells how it ended.
    pub async fn until(&mut self, mut is: impl FnMut(&ProjectionState) -> bool) -> ProjectionState {
        let found = self.moment.wait_for(|moment| is(&moment.state)).await;
        let found = found.map(|moment| moment.state.clone());
        found.unwrap_or_else(|_| self.now())
    }
}

/// Where a projection says how it fares.
#[derive(Clone)]
pub(crate) struct Reporter {
    moment: watch::Sender<Moment>,
    clock: Arc<dyn Clock>,
    states: Arc<StateSet>,
    retries: Counter,
}

impl Reporter {
    pub(crate) fn new(view: ViewName, clock: &Arc<dyn Clock>) -> (Self, ProjectionStatus) {
        let states = Arc::new(StateSet::new(PROJECTION_STATE, view.as_str()));
        let retries = RETRIES.count(&[view.as_str()]);
        let begin = Moment { state: ProjectionState::Preparing, since: clock.now() };
        states.enter(begin.state.name());
        let (sender, moment) = watch::channel(begin);
        let reporter = Self { moment: sender, clock: Arc::clone(clock), states, retries };
        (reporter, ProjectionStatus { view, moment })
    }

    pub(crate) fn ended(&self) {
        self.say(ProjectionState::Ended);
    }

    pub(crate) fn stopped(&self, error: &Error) {
        self.say(ProjectionState::Stopped { error: error.clone(), at: self.clock.now() });
    }

    pub(crate) fn running(&self) {
        if !matches!(self.moment.borrow().state, ProjectionState::Running) {
            self.say(ProjectionState::Running);
        }
    }

    /// It keeps on failing: since when stays.
    pub(crate) fn retrying(&self, error: &Error) {
        self.retries.increment(1);
        let since = match self.moment.borrow().state {
            ProjectionState::Retrying { since, .. } => since,
            _ => self.clock.now(),
        };
        self.say(ProjectionState::Retrying { error: error.clone(), since });
    }

    fn say(&self, state: ProjectionState) {
        let since = match &state {
            ProjectionState::Retrying { since, .. } => *since,
            ProjectionState::Stopped { at, .. } => *at,
            ProjectionState::Preparing | ProjectionState::Running | ProjectionState::Ended => {
                self.clock.now()
            }
        };
        self.states.enter(state.name());
        self.moment.send_replace(Moment { state, since });
    }
}
