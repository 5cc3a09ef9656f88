//! A bank on Highwater: accounts, transfers, balances, and how fresh each answer about them is.
//!
//! | Module | What is in it |
//! |---|---|
//! | [`domain`] | the business: events, invariants, commands, views |
//! | [`api`] | the bank over HTTP, and its page |
//! | [`workers`] | what a worker keeps up |
//! | [`switches`] | what the page can do to a worker, so that the seam between the levels can be seen |
//! | [`serve`] | the API beside a service, from the start to the end |
//!
//! The programs are small: `main.rs` is all of it in one process; `bin/` has an API, a relay and a worker for
//! PostgreSQL and Kafka.

pub mod api;
pub mod domain;
pub mod serve;
pub mod switches;
pub mod workers;
