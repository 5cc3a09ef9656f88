//! The vocabulary of Highwater and everything that is pure: no I/O, no runtime.
//!
//! | Room | What is in it |
//! |---|---|
//! | [`value`] | stream ids, positions, versions, tags, tokens |
//! | [`domain`] | what users write: events, commands, aggregates, boundaries, invariants |
//! | [`execute`] | how a command becomes an append: load, decide, check, append, try again |
//! | [`follow`] | reading the log: followers, audits |
//! | [`consistency`] | the levels and policies of reads |
//! | [`port`] | what is asked of stores and clocks |
//! | [`error`] | errors that say whose move it is |
//! | [`metrics`] | what is measured of commands (O2) |
//! | [`trace`] | how spans belong to traces that cross processes (O1) |
//! | `testing` | given/when/then, fixed clocks (feature `testing`) |

pub mod consistency;
pub mod domain;
pub mod error;
pub mod execute;
pub mod follow;
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
