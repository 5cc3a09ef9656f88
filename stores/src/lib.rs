//! Event stores of Highwater, and the conformance suite that proves them.
//!
//! | Room | What is in it |
//! |---|---|
//! | [`memory`] | the store in memory |
//! | `sqlite` | the store on SQLite, embedded (feature `sqlite`) |
//! | `postgres` | the store on PostgreSQL (feature `postgres`) |
//! | `alternatives` | a query as parts that one index each answers in order |
//! | `claims` | whether a commit to a view may go through |
//! | `group_commit` | how concurrent appends share a transaction |
//! | `hints` | what a process has heard of views that have changed |
//! | `index_name` | what the indexes of views are called |
//! | `lanes` | connections that stay at hand from one statement to the next |
//! | [`metrics`] | what is measured of stores (O2) |
//! | `open` | `Highwater::open(url)` |
//! | `opened` | the views that a process has opened |
//! | `parameters` | what stands behind the `?` of a URL |
//! | `rows` | what rows and keys of views may be |
//! | `unbroken` | work that goes on although its caller goes away |
//! | `whole` | batches that are accepted as a whole or not at all |
//! | `work` | how an application's own work in a transaction fails |
//! | [`system`] | the clock and the ids of the machine |
//! | `testing` | the conformance suite and the fault-injecting decorator (feature `testing`) |

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod alternatives;
mod claims;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod group_commit;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod hints;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod index_name;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod lanes;
pub mod memory;
pub mod metrics;
mod open;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod opened;
mod parameters;
#[cfg(feature = "postgres")]
pub mod postgres;
mod rows;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod system;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod unbroken;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod whole;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod work;

pub use memory::MemoryStore;
pub use open::{Open, on};
#[cfg(feature = "postgres")]
pub use postgres::{PostgresHook, PostgresOptions, PostgresStore};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteHook, SqliteOptions, SqliteStore};
pub use system::{SystemClock, SystemIds};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use work::HookError;

/// What the SQL adapters are built on, for an application's own work in a transaction of the store.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sqlx;
