//! The conformance suite: one named test for each property that every store must have, and a
//! decorator that injects faults.
//!
//! The test file of a store tells the suite how to open an empty store, and [`conformance!`] makes
//! a test of every property:
//!
//! ```
//! use highwater_stores::{MemoryStore, conformance, testing::Fixture};
//!
//! conformance!(memory, || async {
//!     let store = MemoryStore::default();
//!     Fixture::new(move || std::future::ready(store.clone())).await
//! });
//! # fn main() {}
//! ```
//!
//! | File | Content |
//! |---|---|
//! | `catalogue` | the names of the properties, each once |
//! | `fixture` | the store under test, as its adapter provides it |
//! | `run` | runs one property, or skips it with a visible notice |
//! | `build`, `race`, `read` | builders of appends, tasks released together, reads of all pages |
//! | `faulty` | a decorator that makes calls fail by a seeded plan |
//! | `properties` | the properties, by subject |
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test suite fails by panicking"
)]

pub mod build;
mod catalogue;
mod faulty;
mod fixture;
mod properties;
pub mod race;
pub mod read;
mod run;

pub use catalogue::{PROPERTIES, Property};
pub use faulty::{Faults, Faulty};
pub use fixture::Fixture;
pub use highwater_core::port::Store;
pub use run::{REQUIRE_SERVICES, SEED, run, seed};

pub use crate::conformance;
