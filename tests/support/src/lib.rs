//! Shared support for the tests and benchmarks of Highwater.
//!
//! | Module | What is in it |
//! |---|---|
//! | [`services`] | the servers and tools that the environment names, and the notice of a skipped test |
//! | [`postgres`], [`kafka`] | private clusters, which a test can crash, pause and restart |
//! | [`proxy`] | a proxy that can hold and cut all connections, and lead them to another server |
//! | [`process`] | a test that runs again as another process |
//! | [`fleet`] | processes that are killed, frozen and stopped at random |
//! | [`faults`] | the deck of a run's faults, drawn at random so that none is left out; each test has its own faults |
//! | [`run`] | how long a randomised test runs, and from which seed |
//! | [`answers`] | a checker of rejections and of other answers to commands that append nothing |
//! | [`clock`] | a clock that tests set, and stores whose time it is (feature `domains`) |
//! | [`machine`] | the clock and the disk of a process, which a test disturbs (feature `domains`) |
//! | [`bank`], [`till`], [`tally`], [`ledger`] | the domains of the tests and their views (feature `domains`) |
//! | [`worker`] | what worker processes share (feature `domains`) |
//! | [`linearizability`] | a checker of recorded histories (feature `domains`) |
//!
//! Without the feature `domains` the crate needs no other crate of Highwater.
#![allow(missing_docs, reason = "fields and methods of fixtures are named for what they do")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "the parent of the processes has no runtime to block"
)]

pub mod answers;
#[cfg(feature = "domains")]
pub mod bank;
#[cfg(feature = "domains")]
pub mod clock;
pub mod faults;
#[cfg(unix)]
pub mod fleet;
pub mod kafka;
#[cfg(feature = "domains")]
pub mod ledger;
#[cfg(feature = "domains")]
pub mod linearizability;
#[cfg(feature = "domains")]
pub mod machine;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod run;
pub mod services;
#[cfg(feature = "domains")]
pub mod tally;
#[cfg(feature = "domains")]
pub mod till;
#[cfg(feature = "domains")]
pub mod worker;
