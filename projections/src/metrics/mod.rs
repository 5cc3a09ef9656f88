//! The metrics of the read side (O2).
//!
//! | File | What is in it |
//! |---|---|
//! | `projection` | the handles of a projection, and of the shards that this process holds |
//! | `lag` | the lag of shards behind the log |
//! | `state` | the gauges of a state |
//! | `reads` | the handles of reads of named operations |
//! | `waits` | the handles of reads that wait |
//! | `relay` | the handles of a relay, and the states of sources (feature `kafka`) |
//!
//! A shard's gauges are 0 in a process that doesn't hold it, unless the projection has stopped there: take the maximum
//! over all processes.

mod lag;
mod projection;
mod reads;
#[cfg(feature = "kafka")]
mod relay;
mod state;
mod waits;

use highwater_core::metrics::Metric;

pub(crate) use lag::{LagMonitor, MEASURE_INTERVAL, MeasuredLag};
pub(crate) use projection::{ProjectionMetrics, ShardMetrics};
pub(crate) use reads::ReadMeter;
#[cfg(feature = "kafka")]
pub(crate) use relay::{Leading, RelayMeter, source_state};
pub(crate) use state::StateGauges;
pub(crate) use waits::WaitMeter;

/// The state of a projection.
pub const PROJECTION_STATE: Metric = Metric::gauge(
    "highwater_projection_state",
    &["projection", "state"],
    "1 for the state that a projection is in: preparing, rebuilding, running, retrying, stopped, ended; else 0",
);

/// The number of shards of a projection.
pub const SHARDS: Metric = Metric::gauge(
    "highwater_projection_shards",
    &["projection"],
    "Number of shards of a projection",
);

/// The number of shards that this process holds.
pub const SHARDS_HELD: Metric = Metric::gauge(
    "highwater_projection_shards_held",
    &["projection"],
    "Number of shards of a projection that this process works on",
);

/// The position of a shard in the log.
pub const POSITION: Metric = Metric::gauge(
    "highwater_projection_position",
    &["projection", "shard"],
    "Position in the log up to which a shard has applied every event",
);

/// The lag of a shard in events.
pub const LAG_EVENTS: Metric = Metric::gauge(
    "highwater_projection_lag_events",
    &["projection", "shard"],
    "Number of events of the log that a shard has not passed yet",
);

/// The lag of a shard in time.
pub const LAG_SECONDS: Metric = Metric::gauge(
    "highwater_projection_lag_seconds",
    &["projection", "shard"],
    "Maximum age of the oldest event that a shard has not passed yet; 0 if there is none",
)
.in_seconds();

/// Events that were applied.
pub const EVENTS: Metric = Metric::counter(
    "highwater_projection_events_total",
    &["projection"],
    "Events that were applied and committed with the progress",
);

/// The number of events in one transaction.
pub const BATCH: Metric = Metric::sizes(
    "highwater_projection_batch_events",
    &["projection"],
    "Number of events that were applied in one transaction",
);

/// The duration of commits.
pub const COMMIT_DURATION: Metric = Metric::seconds(
    "highwater_projection_commit_duration_seconds",
    &["projection"],
    "Duration of commits of rows and progress, including those that failed",
);

/// Retries after a transient error, or before the policy decides.
pub const RETRIES: Metric = Metric::counter(
    "highwater_projection_retries_total",
    &["projection"],
    "Retries after a transient error, or of an event that can't be applied",
);

/// Repeated events that were dropped.
pub const DUPLICATES: Metric = Metric::counter(
    "highwater_projection_duplicates_total",
    &["projection"],
    "Events that were delivered again after they had been applied, and dropped",
);

/// The number of parked keys.
pub const PARKED_KEYS: Metric = Metric::gauge(
    "highwater_projection_parked_keys",
    &["projection", "shard"],
    "Keys that are parked: their events wait until an operator retries them",
);

/// Times that a key was parked.
pub const PARKED: Metric = Metric::counter(
    "highwater_projection_parked_total",
    &["projection"],
    "Times that a key was parked, or failed again on a retry",
);

/// Effects that the policy has skipped.
pub const SKIPPED: Metric = Metric::counter(
    "highwater_projection_skipped_total",
    &["projection"],
    "Effects of events that the policy has skipped",
);

/// Shards that were lost to another worker.
pub const FENCED: Metric = Metric::counter(
    "highwater_projection_fenced_total",
    &["projection"],
    "Times that another worker had taken over a shard, and a commit of this one was fenced",
);

/// The duration of waits of reads for a view.
pub const WAIT_DURATION: Metric = Metric::seconds(
    "highwater_wait_duration_seconds",
    &["level", "outcome"],
    "Duration of waits of reads for a view to reach the level that they require, by outcome",
);

/// Reads of named operations.
pub const READS: Metric = Metric::counter(
    "highwater_reads_total",
    &["operation", "variant", "level", "outcome"],
    "Reads of named operations, by variant of the rule, level, and basis of the answer",
);

/// The duration of reads of named operations.
pub const READ_DURATION: Metric = Metric::seconds(
    "highwater_read_duration_seconds",
    &["operation", "variant", "level"],
    "Duration of reads of named operations, including those that failed",
);

/// Rows that were compared with the log.
pub const VERIFIED_ROWS: Metric = Metric::counter(
    "highwater_verified_rows_total",
    &["projection"],
    "Rows of a view that this process has compared with the fold of their events in the log",
);

/// Rows that differ from the log.
pub const DRIFTED_ROWS: Metric = Metric::counter(
    "highwater_drifted_rows_total",
    &["projection"],
    "Rows that were compared, and were not the fold of their events; a row is counted at each comparison",
);

/// Rows that were repaired.
pub const REPAIRED_ROWS: Metric = Metric::counter(
    "highwater_repaired_rows_total",
    &["projection"],
    "Rows that this process has folded again from the log and written, because they differed",
);

/// The window of an auditor.
pub const AUDIT_WINDOW: Metric = Metric::gauge(
    "highwater_audit_window_seconds",
    &["projection"],
    "Time within which a worker is to compare every row of its shards once with the fold of its events",
)
.in_seconds();

/// The coverage of an auditor.
pub const AUDIT_COVERAGE: Metric = Metric::gauge(
    "highwater_audit_coverage",
    &["projection", "shard"],
    "Share of the keys of a shard that this process has compared within the last window, from 0 to 1",
);

/// The drift that an auditor has found.
pub const AUDIT_DRIFTED: Metric = Metric::gauge(
    "highwater_audit_drifted_rows",
    &["projection"],
    "Rows of this process's shards that were not the fold of their events when they were last compared, and were not repaired; at most 10,000 are counted",
);

/// Changes of policies.
pub const POLICY_CHANGES: Metric = Metric::counter(
    "highwater_policy_changes_total",
    &["source"],
    "Changes and rollbacks of policies that this process has loaded from the record or from its file, including the first load",
);

/// The state of a projection's connection to Kafka.
pub const SOURCE_STATE: Metric = Metric::gauge(
    "highwater_kafka_source_state",
    &["projection", "state"],
    "1 for the state of a projection's connection to Kafka; else 0",
);

/// The state of a relay.
pub const RELAY_STATE: Metric = Metric::gauge(
    "highwater_relay_state",
    &["relay", "state"],
    "1 for the state that a relay is in: waiting, leading, failing, record_too_large; else 0",
);

/// The position up to which a relay has published.
pub const RELAY_POSITION: Metric = Metric::gauge(
    "highwater_relay_position",
    &["relay"],
    "Position in the log up to which every event is on Kafka, as committed by the relay",
);

/// The lag of a leading relay in events.
pub const RELAY_LAG_EVENTS: Metric = Metric::gauge(
    "highwater_relay_lag_events",
    &["relay"],
    "Number of events of the log that a leading relay has not passed yet; 0 if it doesn't lead",
);

/// The lag of a leading relay in time.
pub const RELAY_LAG_SECONDS: Metric = Metric::gauge(
    "highwater_relay_lag_seconds",
    &["relay"],
    "Maximum age of the oldest event that a leading relay has not passed yet; 0 if there is none",
)
.in_seconds();

/// Records that were passed to Kafka's client.
pub const RELAY_RECORDS: Metric = Metric::counter(
    "highwater_relay_records_total",
    &["relay", "kind"],
    "Records that a relay has passed to Kafka's client: events and marks",
);

/// Times that a relay failed.
pub const RELAY_FAILURES: Metric = Metric::counter(
    "highwater_relay_failures_total",
    &["relay"],
    "Times that a relay could not publish, or could not reach a broker; it retries",
);

/// All metrics of this crate.
pub const ALL: &[Metric] = &[
    PROJECTION_STATE,
    SHARDS,
    SHARDS_HELD,
    POSITION,
    LAG_EVENTS,
    LAG_SECONDS,
    EVENTS,
    BATCH,
    COMMIT_DURATION,
    RETRIES,
    DUPLICATES,
    PARKED_KEYS,
    PARKED,
    SKIPPED,
    FENCED,
    WAIT_DURATION,
    READS,
    READ_DURATION,
    VERIFIED_ROWS,
    DRIFTED_ROWS,
    REPAIRED_ROWS,
    AUDIT_WINDOW,
    AUDIT_COVERAGE,
    AUDIT_DRIFTED,
    POLICY_CHANGES,
    SOURCE_STATE,
    RELAY_STATE,
    RELAY_POSITION,
    RELAY_LAG_EVENTS,
    RELAY_LAG_SECONDS,
    RELAY_RECORDS,
    RELAY_FAILURES,
];

/// Counts changed policies that this process has loaded.
pub(crate) fn policies_changed(source: &'static str) {
    POLICY_CHANGES.count(&[source]).increment(1);
}
