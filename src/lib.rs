#![doc = include_str!("../README.md")]
//! # Modules
//!
//! | Module | Content |
//! |---|---|
//! | [`core`] | the vocabulary, command execution, and every port |
//! | [`stores`] | memory, SQLite, PostgreSQL |
//! | [`projections`] | workers that feed views, projections, sinks and handlers; reads that wait for a token |
//! | [`policy`] | policies of named operations, changed at run time |
//! | [`metrics`] | every metric, by name |
//! | `http` | freshness, tokens and errors over HTTP (feature `axum`) |
//! | `service` | workers and relays as services (feature `service`) |

pub use highwater_core as core;
pub use highwater_projections as projections;
pub use highwater_stores as stores;

pub mod metrics;

#[cfg(feature = "testing")]
pub use highwater_core::testing;
pub use highwater_core::{
    Aggregate, Boundary, Category, Check, Code, Command, CommandId, Context, CorrelationId, Decide,
    Decider, Decision, Envelope, Error, Event, EventId, Highwater, Invariant, LogId, Metadata,
    NextStep, PartitionId, Position, Query, QueryItem, ReadFrom, Receipt, Rejection, Request,
    Result, SchemaVersion, StreamId, Tag, Tags, Targeted, Timestamp, Token, TraceContext, Upcast,
    Version,
    consistency::{AppliedOutcome, Basis, Fallback, Level, Operation, ReadPolicy, Reading, Tier},
    domain::{EventContext, FoldError, FoldResult, KeyedBy, Keys, RowChange, View},
    error,
    execute::{AsOf, ConflictPolicy, Loaded, Resolver, Retry},
    follow::{Follower, UnknownEvents, Violation},
    port, trace,
    value::{Freshness, FreshnessStatus, Pending, Target},
};
#[cfg(feature = "macros")]
pub use highwater_macros::{Aggregate, Command, Decider, Event, View};
#[cfg(feature = "axum")]
pub use highwater_projections::http;
pub use highwater_projections::policy;
#[cfg(feature = "service")]
pub use highwater_projections::service;
pub use highwater_projections::{
    Handler, ParkedKeys, Projection, ReadRequest, ReceivedEvent, RowPage, RowSet, Sink, ViewReader,
    Views, Worker,
};
pub use highwater_stores::Open;

#[doc(hidden)]
pub use highwater_core::__private;

/// The names that a domain module uses, and those that a program needs to open, command and read. Traits
/// that only lend their methods are imported without a name, so that a domain may have an `Open` of its own.
pub mod prelude {
    pub use crate::{
        Aggregate, AsOf, Boundary, Check, Command, CommandId, Context, Decide, Decider, Decision,
        Envelope, Event, EventContext, Highwater, Query, Receipt, Rejection, Request, RowChange,
        StreamId, Tag, Timestamp, Upcast, View, Worker,
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
