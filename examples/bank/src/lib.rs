//! A bank on Highwater: accounts, transfers, and balances that state their freshness.
//!
//! | Module | What is in it |
//! |---|---|
//! | [`domain`] | the business: events, invariants, commands, views |
//! | [`api`] | the bank over HTTP, and its page |
//! | [`workers`] | the worker that maintains the views |
//! | [`switches`] | switches that disturb the workers, to show the difference between the levels |
//! | [`serve`] | the API as a component of a service |
//!
//! The programs are small: `main.rs` is all of it in one process; `bin/` has an API, a relay and a worker for
//! PostgreSQL and Kafka.

pub mod api;
pub mod domain;
pub mod serve;
pub mod switches;
pub mod workers;
