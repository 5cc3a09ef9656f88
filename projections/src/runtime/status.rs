//! How a projection fares.

use highwater_core::{Error, port::ViewName};
use jiff::Timestamp;
use tokio::sync::watch;

/// How a projection fares in this worker.
#[derive(Debug, Clone)]
pub enum State {
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

impl State {
    /// Whether it has stopped for somebody to look.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Stopped { .. })
    }
}

/// Tells how a projection fares in this worker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Status {
    view: ViewName,
    state: watch::Receiver<State>,
}

impl Status {
    /// Whose status it is.
    #[must_use]
    pub fn view(&self) -> &ViewName {
        &self.view
    }

    /// How it fares now.
    #[must_use]
    pub fn now(&self) -> State {
        self.state.borrow().clone()
    }

    /// Waits until it fares as asked, and tells how. If the worker is gone, tells how it ended.
    pub async fn until(&mut self, mut is: impl FnMut(&State) -> bool) -> State {
        let found = self.state.wait_for(|state| is(state)).await.map(|state| state.clone());
        found.unwrap_or_else(|_| self.now())
    }
}

/// Where a projection says how it fares.
#[derive(Debug, Clone)]
pub(crate) struct Reporter(watch::Sender<State>);

impl Reporter {
    pub(crate) fn new(view: ViewName) -> (Self, Status) {
        let (sender, state) = watch::channel(State::Preparing);
        (Self(sender), Status { view, state })
    }

    pub(crate) fn say(&self, state: State) {
        self.0.send_replace(state);
    }

    pub(crate) fn running(&self) {
        self.0.send_if_modified(|state| {
            let changes = !matches!(state, State::Running);
            *state = State::Running;
            changes
        });
    }

    /// It keeps on failing: since when stays.
    pub(crate) fn retrying(&self, error: &Error, now: Timestamp) {
        self.0.send_modify(|state| {
            let since = if let State::Retrying { since, .. } = state { *since } else { now };
            *state = State::Retrying { error: error.clone(), since };
        });
    }
}
