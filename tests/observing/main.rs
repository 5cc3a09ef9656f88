//! Metrics and traces (O1, O2), on every store and through Kafka.
//!
//! | File | What is in it |
//! |---|---|
//! | `alerts` | the shipped dashboard and alert rules use existing metrics (O3) |
//! | `faults` | metrics under faults: waits, lags, lost responses, missing brokers (O2) |
//! | `meter` | a recorder of the metrics of this thread |
//! | `metrics` | the metrics of commands, stores and workers (O2) |
//! | `names` | names of metrics are stable: the documentation lists exactly those of the code |
//! | `policy_file` | policies from a file: each applied change is one log line and one count (O2, O4) |
//! | `reshard` | the log of a reshard that has to wait |
//! | `spans` | a subscriber that records every span with its fields |
//! | `traces` | one trace connects a command with the commit of the view (O1) |
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod alerts;
mod faults;
mod meter;
mod metrics;
mod names;
mod policy_file;
mod reshard;
mod spans;
mod traces;
