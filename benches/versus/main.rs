//! Measures Highwater beside the raw engines: the same rows, the same durability, in the same run.
//!
//! `cargo bench --bench versus --features kafka` runs everything, prints one table, and writes `target/versus.json`.
//! `cargo bench --bench versus -- 'SQLite.*load'` runs the works whose name matches. Criterion measures,
//! and takes its own options: with `--measurement-time 10` each measurement takes ten seconds.
//!
//! | File | What is in it |
//! |---|---|
//! | `sqlite`, `postgres` | the works, and the raw side of each |
//! | `ours`, `raw_sqlite`, `raw_postgres` | the routines of each side |
//! | `reads`, `raw_reads` | reads of a view by key, at each level |
//! | `kafka`, `raw_kafka` | the works with Kafka, and its clients by hand (feature `kafka`) |
//! | `paced`, `raw_own` | commands at a fixed rate, until their effect is in a view or has been read there |
//! | `delivery`, `processes` | works with a follower, or with several processes |
//! | `memory`, `observed`, `observers` | the memory of a catch-up, the cost of metrics and spans |
//! | `child` | work in a separate process |
//! | `domain`, `servers` | the domain, and the servers |
//!
//! `HIGHWATER_TEST_PG_BIN` names the programs of the PostgreSQL server; else `scripts/services` finds
//! them.
#![allow(
    clippy::disallowed_methods,
    reason = "the bans keep the library repeatable; here ids and times are made as by hand"
)]
#![allow(clippy::type_complexity, reason = "the columns of a row, as they are")]
#![allow(missing_docs, reason = "a program")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the run"
)]

mod child;
mod delivery;
mod domain;
#[cfg(feature = "kafka")]
mod kafka;
mod memory;
mod observed;
mod observers;
mod ours;
mod paced;
mod postgres;
mod processes;
#[cfg(feature = "kafka")]
mod raw_kafka;
mod raw_own;
mod raw_postgres;
mod raw_reads;
mod raw_sqlite;
mod reads;
mod servers;
mod sqlite;

use std::path::Path;

/// The length of the log that is followed into a view.
const FOLLOWED: u64 = 200_000;
/// The length of the stream that is loaded.
const LOADED: u64 = 10_000;

/// The folder of what is built.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _guard = runtime.enter();
    if let Some(assignment) = child::Assignment::from_env() {
        return assignment.work();
    }
    let mut bench = highwater_benches::Bench::from_args(target());
    sqlite::all(&mut bench);
    observed::all(&mut bench);
    postgres::all(&mut bench);
    #[cfg(feature = "kafka")]
    kafka::all(&mut bench);
    #[cfg(not(feature = "kafka"))]
    eprintln!("SKIPPED: the works with Kafka, which take --features kafka");
    bench.publish();
}
