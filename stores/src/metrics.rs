//! The metrics of stores (O2).

use std::sync::OnceLock;

use ::metrics::Counter;
use highwater_core::{Error, Result, metrics::Metric, port::Appended};

/// Appends that were answered.
pub const APPENDS: Metric = Metric::counter(
    "highwater_appends_total",
    &["store", "outcome"],
    "Appends that a store has answered, by outcome",
);

/// Events that were appended.
pub const APPENDED_EVENTS: Metric = Metric::counter(
    "highwater_appended_events_total",
    &["store"],
    "Events that a store has appended",
);

/// The number of appends that shared a transaction.
pub const GROUP_SIZE: Metric = Metric::sizes(
    "highwater_group_commit_appends",
    &["store"],
    "Number of concurrent appends of the process that shared a transaction",
);

/// The duration of a transaction of appends.
pub const GROUP_DURATION: Metric = Metric::seconds(
    "highwater_group_commit_duration_seconds",
    &["store"],
    "Duration of a transaction of appends",
);

/// Every metric of this crate.
pub const ALL: &[Metric] = &[APPENDS, APPENDED_EVENTS, GROUP_SIZE, GROUP_DURATION];

/// The handles of a store, which are created at the first append.
pub(crate) struct StoreMeter {
    store: &'static str,
    handles: OnceLock<StoreHandles>,
}

struct StoreHandles {
    appended: Counter,
    repeated: Counter,
    conflict: Counter,
    unknown: Counter,
    refused: Counter,
    events: Counter,
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    sizes: ::metrics::Histogram,
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    durations: ::metrics::Histogram,
}

impl StoreMeter {
    pub(crate) fn new(store: &'static str) -> Self {
        Self { store, handles: OnceLock::new() }
    }

    /// Counts an append of this number of events that has been answered.
    pub(crate) fn answered(&self, events: usize, answer: &Result<Appended>) {
        let handles = self.handles();
        let counter = match answer {
            Ok(appended) if appended.repeated => &handles.repeated,
            Ok(_) => {
                handles.events.increment(events as u64);
                &handles.appended
            }
            Err(Error::Conflict(_)) => &handles.conflict,
            Err(Error::UnknownOutcome { .. }) => &handles.unknown,
            Err(_) => &handles.refused,
        };
        counter.increment(1);
    }

    /// Records a transaction of this number of appends.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn committed(&self, appends: usize, took: std::time::Duration) {
        self.handles().sizes.record(appends as f64);
        self.handles().durations.record(took);
    }

    fn handles(&self) -> &StoreHandles {
        let store = self.store;
        let appends = |outcome| APPENDS.count(&[store, outcome]);
        self.handles.get_or_init(|| StoreHandles {
            appended: appends("appended"),
            repeated: appends("repeated"),
            conflict: appends("conflict"),
            unknown: appends("unknown"),
            refused: appends("refused"),
            events: APPENDED_EVENTS.count(&[store]),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            sizes: GROUP_SIZE.distribution(&[store]),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            durations: GROUP_DURATION.distribution(&[store]),
        })
    }
}
