//! Highwater beside the raw engines: the same rows, the same durability, in the same run.
//!
//! `cargo bench --bench versus` runs everything, prints one table, and writes `target/versus.json`.
//! `cargo bench --bench versus -- sqlite load` runs the works whose line has all of these words.
//!
//! | Variable | Meaning |
//! |---|---|
//! | `HIGHWATER_BENCH_SECONDS` | how long one measurement takes; 1.5 unless set |
//! | `HIGHWATER_BENCH_ROUNDS` | how often each is made; 5 unless set, and the median counts |
//! | `HIGHWATER_TEST_PG_BIN` | the programs of the PostgreSQL server; else `scripts/services` finds them |
//!
//! Rounds of the raw engine and of Highwater alternate, so that what else the machine does meets both.
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

#[allow(dead_code, reason = "the tests crash it, and skip what needs it")]
#[path = "../../stores/tests/fire/cluster.rs"]
mod cluster;
mod delivery;
mod domain;
mod ours;
mod plan;
mod processes;
mod raw_postgres;
mod raw_sqlite;
mod report;
mod servers;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match processes::Assignment::from_env() {
        Some(assignment) => runtime.block_on(assignment.work()),
        None => runtime.block_on(plan::run()),
    }
}
