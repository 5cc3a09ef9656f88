//! The vocabulary of Highwater and everything that is pure: no I/O, no runtime.
//!
//! | Module | Contents |
//! |---|---|
//! | [`value`] | stream ids, positions, versions, tags, tokens |
//! | [`json`] | JSON that is read back as it was written |
//! | [`domain`] | the types that users write: events, commands, aggregates, boundaries, invariants |
//! | [`execute`] | the execution of commands: load, decide, check, append, try again |
//! | [`follow`] | reading the log: followers, audits |
//! | [`consistency`] | the levels and policies of reads |
//! | [`port`] | the traits of stores and clocks |
//! | [`error`] | errors that name the next step |
//! | [`metrics`] | the metrics of commands (O2) |
//! | [`trace`] | the relation of spans to traces that cross processes (O1) |
//! | `testing` | given/when/then, manual clocks (feature `testing`) |

pub mod consistency;
pub mod domain;
pub mod error;
pub mod execute;
pub mod follow;
pub mod json;
pub mod metrics;
pub mod port;
#[cfg(feature = "testing")]
pub mod testing;
pub mod trace;
pub mod value;

pub use domain::{
    Aggregate, Boundary, Check, Command, Context, Decide, Decider, Decision, Envelope, Event,
    Invariant, Metadata, Query, QueryItem, Request, Targeted, TraceContext, Upcast,
};
pub use error::{Code, Error, NextStep, Rejection, Result};
pub use execute::{Highwater, Receipt};
pub use port::ReadFrom;
pub use value::{
    Category, CommandId, CorrelationId, EventId, LogId, PartitionId, Position, SchemaVersion,
    StreamId, Tag, Tags, Timestamp, Token, Version,
};

#[doc(hidden)]
#[path = "private/mod.rs"]
pub mod __private;
