//! The handles of a relay, and the states of sources.

use std::sync::Arc;

use ::metrics::{Counter, Gauge};
use highwater_core::{
    domain::ViewName,
    port::{Clock, EventStore, Progress},
};

use super::{
    Lags, RELAY_FAILURES, RELAY_LAG_EVENTS, RELAY_LAG_SECONDS, RELAY_POSITION, RELAY_RECORDS,
    RELAY_STATE, SOURCE_STATE, StateSet, lag::Standing,
};

/// The handles of a relay.
pub(crate) struct RelayMeter {
    relay: String,
    states: StateSet,
    position: Gauge,
    pub(crate) events: Counter,
    pub(crate) marks: Counter,
    pub(crate) failures: Counter,
}

impl RelayMeter {
    pub(crate) fn new(relay: &str) -> Self {
        Self {
            relay: relay.to_owned(),
            states: StateSet::new(RELAY_STATE, relay),
            position: RELAY_POSITION.level(&[relay]),
            events: RELAY_RECORDS.count(&[relay, "event"]),
            marks: RELAY_RECORDS.count(&[relay, "mark"]),
            failures: RELAY_FAILURES.count(&[relay]),
        }
    }

    /// The relay is in this state now.
    pub(crate) fn is(&self, state: &'static str) {
        self.states.enter(state);
    }

    /// The relay leads, from here on.
    pub(crate) fn leads(&self, from: &Progress) -> Leading {
        let of = &[self.relay.as_str()];
        let (events, seconds) = (RELAY_LAG_EVENTS.level(of), RELAY_LAG_SECONDS.level(of));
        let leading = Leading {
            standing: Arc::new(Standing::new(events, seconds)),
            position: self.position.clone(),
            lags: Lags::default(),
        };
        leading.lags.watch(&leading.standing);
        leading.has_published(from);
        leading
    }
}

impl std::fmt::Debug for RelayMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RelayMeter").field(&self.relay).finish()
    }
}

/// What is measured of a relay for as long as it leads.
pub(crate) struct Leading {
    standing: Arc<Standing>,
    position: Gauge,
    lags: Lags,
}

impl Leading {
    /// Everything up to here is on Kafka.
    pub(crate) fn has_published(&self, to: &Progress) {
        self.position.set(to.position.get() as f64);
        self.standing.is_at(to);
    }

    /// Looks for ever how far behind the log it is.
    pub(crate) async fn look(&self, log: &dyn EventStore, clock: &dyn Clock) {
        self.lags.look(log, clock).await;
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        self.standing.is_left();
    }
}

/// The connection of a projection to Kafka has changed its state.
pub(crate) fn source_state(projection: &ViewName, before: &'static str, now: &'static str) {
    if before != now {
        SOURCE_STATE.level(&[projection.as_str(), before]).set(0.0);
    }
    SOURCE_STATE.level(&[projection.as_str(), now]).set(1.0);
}

#[cfg(test)]
mod tests {
    use highwater_core::Position;
    use jiff::Timestamp;
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};

    use super::*;

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn at(position: u64, second: i64) -> Progress {
        let (position, as_of) = (Position::new(position), time(second));
        Progress { position, as_of, ..Progress::default() }
    }

    #[test]
    fn o2_a_relay_tells_its_lag_in_events_and_in_time_for_as_long_as_it_leads() {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        // A snapshot takes what it tells away.
        let told = || {
            let metrics = snapshotter.snapshot().into_vec();
            [RELAY_LAG_EVENTS.name, RELAY_LAG_SECONDS.name].map(|name| {
                let found = metrics.iter().find(|(key, ..)| key.key().name() == name).unwrap();
                let DebugValue::Gauge(value) = found.3 else { panic!("{name} is no gauge") };
                value.into_inner()
            })
        };
        let leading =
            ::metrics::with_local_recorder(&recorder, || RelayMeter::new("log").leads(&at(7, 100)));
        leading.standing.tell(Position::new(10), time(130));
        assert_eq!(told(), [3.0, 30.0]);
        leading.has_published(&at(10, 130));
        leading.standing.tell(Position::new(10), time(131));
        assert_eq!(told(), [0.0, 0.0]);
        leading.standing.tell(Position::new(12), time(135));
        assert_eq!(told(), [2.0, 4.0]);
        drop(leading);
        assert_eq!(told(), [0.0, 0.0]);
    }
}
