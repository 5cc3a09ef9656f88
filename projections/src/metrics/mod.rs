//! What is measured of the read side (O2).
//!
//! | File | What is in it |
//! |---|---|
//! | `projection` | the handles of a projection, and of a shard that is held |
//! | `lag` | how far behind the log shards are |
//! | `state` | which of its states something is in |
//! | `reads` | reads of named operations |
//! | `waits` | the handles of reads that wait |
//! | `relay` | the handles of a relay, and the states of sources (feature `kafka`) |
//!
//! A shard's gauges are 0 in a process that doesn't hold it: take the most over all the processes.

mod lag;
mod projection;
mod reads;
#[cfg(feature = "kafka")]
mod relay;
mod state;
mod waits;

use highwater_core::metrics::Metric;

pub(crate) use lag::Lags;
pub(crate) use projection::{Held, Meter};
pub(crate) use reads::ReadMeter;
#[cfg(feature = "kafka")]
pub(crate) use relay::{Leading, RelayMeter, source_state};
pub(crate) use state::StateSet;
pub(crate) use waits::Waits;

/// In which state a projection is.
pub const PROJECTION_STATE: Metric = Metric::gauge(
    "highwater_projection_state",
    &["projection", "state"],
    "1 for the state that a projection is in: preparing, running, retrying, stopped, ended; else 0",
);

/// Into how many shards the work is divided.
pub const SHARDS: Metric = Metric::gauge(
    "highwater_projection_shards",
    &["projection"],
    "Into how many shards the work on a projection is divided",
);

/// How many shards this process holds.
pub const SHARDS_HELD: Metric = Metric::gauge(
    "highwater_projection_shards_held",
    &["projection"],
    "How many shards of a projection this process works on",
);

/// Up to which position of the log a shard is.
pub const POSITION: Metric = Metric::gauge(
    "highwater_projection_position",
    &["projection", "shard"],
    "Up to which position of the log a shard has everything",
);

/// How many events of the log a shard has not passed yet.
pub const LAG_EVENTS: Metric = Metric::gauge(
    "highwater_projection_lag_events",
    &["projection", "shard"],
    "How many events of the log a shard has not passed yet",
);

/// For how long a shard has been behind the log.
pub const LAG_SECONDS: Metric = Metric::gauge(
    "highwater_projection_lag_seconds",
    &["projection", "shard"],
    "How old the oldest event may be that a shard has not passed yet; 0 if there is none",
)
.in_seconds();

/// Events that have had their effect.
pub const EVENTS: Metric = Metric::counter(
    "highwater_projection_events_total",
    &["projection"],
    "Events that have had their effect, committed with the progress",
);

/// How many events went in one transaction.
pub const BATCH: Metric = Metric::sizes(
    "highwater_projection_batch_events",
    &["projection"],
    "How many events had their effect in one transaction",
);

/// How long commits took.
pub const COMMIT_DURATION: Metric = Metric::seconds(
    "highwater_projection_commit_duration_seconds",
    &["projection"],
    "How long commits of rows and progress took, also those that failed",
);

/// Tries after something that may pass, or before the policy decides.
pub const RETRIES: Metric = Metric::counter(
    "highwater_projection_retries_total",
    &["projection"],
    "Tries again, after something that may pass or with an event that can't be applied",
);

/// Events that came again and were dropped.
pub const DUPLICATES: Metric = Metric::counter(
    "highwater_projection_duplicates_total",
    &["projection"],
    "Events that came again although they had had their effect, and were dropped",
);

/// Keys that are parked.
pub const PARKED_KEYS: Metric = Metric::gauge(
    "highwater_projection_parked_keys",
    &["projection", "shard"],
    "Keys that are parked: their events wait until somebody has them tried again",
);

/// Times that a key was parked.
pub const PARKED: Metric = Metric::counter(
    "highwater_projection_parked_total",
    &["projection"],
    "Times that a key was parked, or failed again when it was tried",
);

/// Effects that the policy has given up.
pub const SKIPPED: Metric = Metric::counter(
    "highwater_projection_skipped_total",
    &["projection"],
    "Effects of events that the policy has given up",
);

/// Shards that were lost to another worker.
pub const FENCED: Metric = Metric::counter(
    "highwater_projection_fenced_total",
    &["projection"],
    "Times that another worker had taken a shard over, and this one was kept from committing",
);

/// How long reads waited for a view.
pub const WAIT_DURATION: Metric = Metric::seconds(
    "highwater_wait_duration_seconds",
    &["level", "outcome"],
    "How long reads waited for a view to be as far as their level demands, and how that ended",
);

/// Reads of named operations.
pub const READS: Metric = Metric::counter(
    "highwater_reads_total",
    &["operation", "variant", "level", "outcome"],
    "Reads of named operations: by which part of the rule, at which level, and what the answer stood on",
);

/// How long reads of named operations took.
pub const READ_DURATION: Metric = Metric::seconds(
    "highwater_read_duration_seconds",
    &["operation", "variant", "level"],
    "How long reads of named operations took, also those that failed",
);

/// Changes of policies.
pub const POLICY_CHANGES: Metric = Metric::counter(
    "highwater_policy_changes_total",
    &["source"],
    "Changes and rollbacks of policies that this process took up from the record or from its file, first load too",
);

/// In which state the connection of a projection to Kafka is.
pub const SOURCE_STATE: Metric = Metric::gauge(
    "highwater_kafka_source_state",
    &["projection", "state"],
    "1 for the state that a projection's connection to Kafka is in; else 0",
);

/// In which state a relay is.
pub const RELAY_STATE: Metric = Metric::gauge(
    "highwater_relay_state",
    &["relay", "state"],
    "1 for the state that a relay is in: waiting, leading, failing, record_too_large; else 0",
);

/// Up to which position everything is published.
pub const RELAY_POSITION: Metric = Metric::gauge(
    "highwater_relay_position",
    &["relay"],
    "Up to which position of the log everything is on Kafka, and that is committed",
);

/// How many events of the log a leading relay has not published yet.
pub const RELAY_LAG_EVENTS: Metric = Metric::gauge(
    "highwater_relay_lag_events",
    &["relay"],
    "How many events of the log a leading relay has not passed yet; 0 if it doesn't lead",
);

/// For how long a leading relay has been behind the log.
pub const RELAY_LAG_SECONDS: Metric = Metric::gauge(
    "highwater_relay_lag_seconds",
    &["relay"],
    "How old the oldest event may be that a leading relay has not passed yet; 0 if there is none",
)
.in_seconds();

/// Records that were handed to Kafka's client.
pub const RELAY_RECORDS: Metric = Metric::counter(
    "highwater_relay_records_total",
    &["relay", "kind"],
    "Records that a relay has handed to Kafka's client: events and marks",
);

/// Times that a relay failed.
pub const RELAY_FAILURES: Metric = Metric::counter(
    "highwater_relay_failures_total",
    &["relay"],
    "Times that a relay could not publish, or could not reach a broker; it tries again",
);

/// Every metric of this crate.
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
    POLICY_CHANGES,
    SOURCE_STATE,
    RELAY_STATE,
    RELAY_POSITION,
    RELAY_LAG_EVENTS,
    RELAY_LAG_SECONDS,
    RELAY_RECORDS,
    RELAY_FAILURES,
];

/// Changed policies hold in this process from now on.
pub(crate) fn policies_changed(source: &'static str) {
    POLICY_CHANGES.count(&[source]).increment(1);
}
