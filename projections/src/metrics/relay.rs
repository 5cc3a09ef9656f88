//! The handles of a relay, and the states of sources.

use std::sync::Arc;

use ::metrics::{Counter, Gauge};
use highwater_core::{
    domain::ViewName,
    port::{Clock, EventStore, Progress},
};

use super::{
    LagMonitor, RELAY_FAILURES, RELAY_LAG_EVENTS, RELAY_LAG_SECONDS, RELAY_POSITION, RELAY_RECORDS,
    RELAY_STATE, SOURCE_STATE, StateGauges,
    lag::{MeasuredLag, ShardLag},
};

/// The handles of a relay.
pub(crate) struct RelayMeter {
    relay: String,
    gauges: StateGauges,
    position: Gauge,
    pub(crate) events: Counter,
    pub(crate) marks: Counter,
    pub(crate) failures: Counter,
}

impl RelayMeter {
    pub(crate) fn new(relay: &str) -> Self {
        Self {
            relay: relay.to_owned(),
            gauges: StateGauges::new(RELAY_STATE, relay),
            position: RELAY_POSITION.level(&[relay]),
            events: RELAY_RECORDS.count(&[relay, "event"]),
            marks: RELAY_RECORDS.count(&[relay, "mark"]),
            failures: RELAY_FAILURES.count(&[relay]),
        }
    }

    /// Sets the state of the relay.
    pub(crate) fn set_state(&self, state: &'static str) {
        self.gauges.enter(state);
    }

    /// Starts to measure a relay that leads, from this progress on.
    pub(crate) fn leads(&self, from: &Progress) -> Leading {
        let labels = &[self.relay.as_str()];
        let lag = ShardLag::new(RELAY_LAG_EVENTS.level(labels), RELAY_LAG_SECONDS.level(labels));
        let lag = Arc::new(lag);
        let monitor = LagMonitor::default();
        monitor.watch(&lag);
        let lag = MeasuredLag::of(&lag);
        let leading = Leading { lag, position: self.position.clone(), monitor };
        leading.set_published(from);
        leading
    }
}

impl std::fmt::Debug for RelayMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RelayMeter").field(&self.relay).finish()
    }
}

/// The metrics of a relay while it leads.
pub(crate) struct Leading {
    lag: MeasuredLag,
    position: Gauge,
    monitor: LagMonitor,
}

impl Leading {
    /// Notes that every event up to this progress is on Kafka.
    pub(crate) fn set_published(&self, to: &Progress) {
        self.position.set(to.position.get() as f64);
        self.lag.advanced(to);
    }

    /// Measures the lag behind the log for ever.
    pub(crate) async fn look(&self, log: &dyn EventStore, clock: &dyn Clock) {
        self.monitor.run(log, clock).await;
    }
}

/// Sets the state of the connection of a projection to Kafka.
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
        Progress { position: Position::new(position), as_of: time(second), ..Progress::default() }
    }

    #[test]
    fn o2_the_lag_of_a_relay_is_measured_in_events_and_in_time_while_it_leads() {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        // A snapshot resets the recorder.
        let measured = || {
            let metrics = snapshotter.snapshot().into_vec();
            [RELAY_LAG_EVENTS.name, RELAY_LAG_SECONDS.name].map(|name| {
                let found = metrics.iter().find(|(key, ..)| key.key().name() == name).unwrap();
                let DebugValue::Gauge(value) = found.3 else { panic!("{name} is no gauge") };
                value.into_inner()
            })
        };
        let leading =
            ::metrics::with_local_recorder(&recorder, || RelayMeter::new("log").leads(&at(7, 100)));
        leading.lag.measure(Position::new(10), time(130));
        assert_eq!(measured(), [3.0, 30.0]);
        leading.set_published(&at(10, 130));
        leading.lag.measure(Position::new(10), time(131));
        assert_eq!(measured(), [0.0, 0.0]);
        leading.lag.measure(Position::new(12), time(135));
        assert_eq!(measured(), [2.0, 4.0]);
        drop(leading);
        assert_eq!(measured(), [0.0, 0.0]);
    }
}
