//! Freshness, tokens and errors in the responses of axum handlers (R2, R3, W1, W4).
//!
//! | File | What is in it |
//! |---|---|
//! | `caching` | validators and caches never hide the freshness of a response |
//! | `commands` | the headers of a command, and its response |
//! | `errors` | every error as problem details (RFC 9457): its status and its members, without internal details |
//! | `malformed_input` | malformed input is refused or ignored, and breaks nothing |
//! | `reads` | the freshness in a response, and the response to a read that misses its deadline |
//! | `server` | a bank behind axum, and its client |
//! | `traces` | the trace of a request is the trace of its events |
#![cfg(feature = "axum")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod caching;
mod commands;
mod errors;
mod malformed_input;
mod reads;
mod server;
mod traces;
