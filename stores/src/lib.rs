//! Event stores of Highwater, and the conformance suite that proves them.
//!
//! | Module | What is in it |
//! |---|---|
//! | [`memory`] | the store in memory |
//! | `sqlite` | the store on SQLite, embedded (feature `sqlite`) |
//! | `postgres` | the store on PostgreSQL (feature `postgres`) |
//! | `sql` | what the two SQL stores share |
//! | `columns` | the rules for rows of views with columns |
//! | [`examine`] | looking at a database without changing it |
//! | `fencing` | the rules for commits, claims, reshards and lease terms that all stores share; the words of a refusal |
//! | [`metrics`] | the metrics of stores (O2) |
//! | `open` | `Highwater::open(url)` |
//! | `parameters` | the parameters of a URL |
//! | `rows` | the rules for rows and keys of views |
//! | [`system`] | the clock and the ids of the machine |
//! | `testing` | the conformance suite and the fault-injecting decorator (feature `testing`) |

mod columns;
pub mod examine;
mod fencing;
pub mod memory;
pub mod metrics;
mod open;
mod parameters;
#[cfg(feature = "postgres")]
pub mod postgres;
mod rows;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod system;
#[cfg(feature = "testing")]
pub mod testing;

pub use memory::MemoryStore;
pub use open::{Open, on};
#[cfg(feature = "postgres")]
pub use postgres::{PostgresHook, PostgresOptions, PostgresStore};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sql::hook::HookError;
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteHook, SqliteOptions, SqliteStore};
pub use system::{SystemClock, SystemIds};

/// The SQL library of the adapters, for the statements of transaction hooks.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sqlx;
