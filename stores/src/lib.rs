//! Event stores of Highwater, and the conformance suite that proves them.
//!
//! | Room | What is in it |
//! |---|---|
//! | [`memory`] | the store in memory |
//! | `sqlite` | the store on SQLite, embedded (feature `sqlite`) |
//! | `postgres` | the store on PostgreSQL (feature `postgres`) |
//! | `group_commit` | how concurrent appends share a transaction |
//! | `open` | `Highwater::open(url)` |
//! | `parameters` | what stands behind the `?` of a URL |
//! | `unbroken` | work that goes on although its caller goes away |
//! | `work` | what the SQL stores have in common about work in the append's transaction |
//! | [`system`] | the clock and the ids of the machine |
//! | `testing` | the conformance suite and the fault-injecting decorator (feature `testing`) |

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod group_commit;
pub mod memory;
mod open;
mod parameters;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod system;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod unbroken;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod work;

pub use memory::MemoryStore;
pub use open::{Open, on};
#[cfg(feature = "postgres")]
pub use postgres::{PostgresOptions, PostgresStore, PostgresWork};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteOptions, SqliteStore, SqliteWork};
pub use system::{SystemClock, SystemIds};
