//! The conformance suite: what every store must keep, one named test per property; and faults.
//!
//! A store's test file tells the suite how to open an empty one, and [`conformance!`] makes a test
//! of every property:
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
//! | File | What is in it |
//! |---|---|
//! | `catalogue.rs` | the names of the properties, each once |
//! | `fixture.rs` | what an adapter gives the suite |
//! | `run.rs` | how one property is run, or skipped loudly |
//! | `build.rs`, `race.rs`, `read.rs` | events and appends to try, tasks released together, pages walked |
//! | `faulty.rs` | a decorator that lets appends fail by a seeded plan |
//! | `properties/` | the properties, by what they are about |
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
