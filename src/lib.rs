#![doc = include_str!("../README.md")]
//! # Modules
//!
//! The root has the names of every domain and every program. All else is in a module, under one path:
//!
//! | Module | Content |
//! |---|---|
//! | [`domain`] | events, commands, aggregates, boundaries, invariants, views |
//! | [`execute`] | handles that execute commands; conflict policies; states as of a version, position or time |
//! | [`read`] | reads of views: requests, rows, ranges |
//! | [`consistency`] | levels, budgets, fallbacks and tiers of reads; the reading that they return |
//! | [`policy`] | policies of named operations, changed at run time |
//! | [`admin`] | what operators do with views: generations |
//! | [`worker`] | workers: options, failure policies, statuses |
//! | [`projection`] | what a worker runs beside views: projections, sinks, handlers; parked keys |
//! | [`direct`] | the feed from the store itself |
//! | `kafka` | the relay, and the feed from Kafka (feature `kafka`) |
//! | [`follow`] | followers and audits of the log |
//! | [`stores`] | memory, SQLite, PostgreSQL |
//! | [`port`] | the traits that stores, feeds and clocks implement |
//! | [`value`] | ids, positions, versions, tokens, freshness |
//! | [`json`] | JSON that is read back as it was written, for events and rows without a derive |
//! | [`error`] | errors with codes, and the next step after each |
//! | `http` | freshness, tokens and errors over HTTP (feature `axum`) |
//! | `service` | workers and relays as services (feature `service`) |
//! | [`metrics`], [`trace`] | every metric, by name; traces across processes |
//! | `testing` | given/when/then, fixed clocks, fault injection (feature `testing`) |
//! | [`prelude`] | the names of a domain module and of a program |

pub mod metrics;
#[cfg(feature = "testing")]
pub mod testing;

pub use highwater_core::{
    Aggregate, Boundary, Check, Code, Command, CommandId, Context, Decide, Decider, Decision,
    Envelope, Error, Event, Highwater, Position, Query, Receipt, Rejection, Request, Result,
    StreamId, Tag, Token, Upcast, Version, consistency, domain, domain::View, error, execute,
    follow, json, port, trace, value,
};
#[cfg(feature = "macros")]
pub use highwater_macros::{Aggregate, Command, Decider, Event, View};
#[cfg(feature = "axum")]
pub use highwater_projections::http;
#[cfg(feature = "kafka")]
pub use highwater_projections::kafka;
#[cfg(feature = "service")]
pub use highwater_projections::service;
pub use highwater_projections::{
    admin, direct, policy, projection, read, read::Views, worker, worker::Worker,
};
pub use highwater_stores as stores;
pub use highwater_stores::Open;

#[doc(hidden)]
pub use highwater_core::__private;

/// The names that a domain module uses, and those that a program needs to open, command and read. Traits
/// that only lend their methods are imported without a name, so that a domain may have an `Open` of its own.
pub mod prelude {
    pub use crate::{
        Aggregate, Boundary, Check, Command, CommandId, Context, Decide, Decider, Decision,
        Envelope, Event, Highwater, Query, Receipt, Rejection, Request, StreamId, Tag, Upcast,
        View, Worker,
        domain::{EventContext, RowChange},
        execute::AsOf,
        value::Timestamp,
    };
    pub use crate::{Open as _, Views as _};
}

/// Compiles and runs the pages of the book with the doc tests.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../docs/introduction.md")]
    mod introduction {}
    #[doc = include_str!("../docs/guide/examples.md")]
    mod examples {}
    #[cfg(feature = "axum")]
    #[doc = include_str!("../docs/guide/http.md")]
    mod http {}
    #[doc = include_str!("../docs/guide/macros.md")]
    mod macros {}
    #[doc = include_str!("../docs/guide/policies.md")]
    mod policies {}
    #[doc = include_str!("../docs/guide/read-side.md")]
    mod read_side {}
    #[doc = include_str!("../docs/guide/reads.md")]
    mod reads {}
    #[cfg(feature = "service")]
    #[doc = include_str!("../docs/guide/services.md")]
    mod services {}
    #[doc = include_str!("../docs/guide/write-side.md")]
    mod write_side {}
}
