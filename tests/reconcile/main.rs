//! Drift between a view and the log, on every store (R6): it is found, explained and repaired, and what is no drift is
//! never reported.
//!
//! | File | What is in it |
//! |---|---|
//! | `tampering` | rows that are changed behind the framework |
//! | `found` | drift of every kind is found, by key |
//! | `traffic` | verification and repair while commands and workers go on |
//! | `repaired` | repairs: without a worker, interrupted, of parked keys, of stopped views |
//! | `history` | the events that made a row |
//! | `same_rows` | rows whose JSON differs, and which are the same row |
//! | `unverified` | keys that can't be compared: parked, skipped, of another program |
//! | `audited` | the auditor in a worker |
//! | `kafka` | the same with workers that are fed by Kafka |
#![cfg(all(feature = "postgres", feature = "sqlite"))]
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod audited;
mod found;
mod history;
mod kafka;
mod repaired;
mod same_rows;
mod tampering;
mod traffic;
mod unverified;
