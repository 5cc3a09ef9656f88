//! The metrics of commands (O2), and their names.
//!
//! | File | Contents |
//! |---|---|
//! | `metric` | a metric's name, labels, unit and meaning |
//! | `handle_cache` | metric handles by the values of their labels |
//! | `meter` | the metric handles of commands |
//!
//! The metrics go through the facade of the crate `metrics`: a program chooses their destination by
//! installing a recorder, before it opens a store. Without one, measuring costs next to nothing.

mod handle_cache;
mod meter;
mod metric;

pub use ::metrics::Unit;
pub use handle_cache::HandleCache;
pub(crate) use meter::CommandMeter;
pub use metric::{Kind, Metric};

/// The duration of commands, from the call to the answer.
pub const COMMAND_DURATION: Metric = Metric::seconds(
    "highwater_command_duration_seconds",
    &["command", "outcome"],
    "Duration of commands, from the call to the answer, with loading, retries and the append",
);

/// Commands that the domain refused.
pub const REJECTIONS: Metric = Metric::counter(
    "highwater_rejections_total",
    &["command", "rule"],
    "Commands that an invariant or a decision refused, by the rule that did",
);

/// Decisions that met a conflict with another writer.
pub const CONFLICTS: Metric = Metric::counter(
    "highwater_conflicts_total",
    &["kind", "outcome"],
    "Decisions that met a conflict with another writer: decided again, or returned to the caller",
);

/// Appends whose outcome was not known.
pub const UNKNOWN_OUTCOMES: Metric = Metric::counter(
    "highwater_unknown_outcomes_total",
    &["outcome"],
    "Appends whose outcome was not known: sent again, or returned to the caller",
);

/// Lookups of an aggregate's state in memory.
pub const STATE_LOOKUPS: Metric = Metric::counter(
    "highwater_state_lookups_total",
    &["result"],
    "Lookups of an aggregate's state in memory: hit, or miss and read from the store",
);

/// Every metric of this crate.
pub const ALL: &[Metric] =
    &[COMMAND_DURATION, REJECTIONS, CONFLICTS, UNKNOWN_OUTCOMES, STATE_LOOKUPS];
