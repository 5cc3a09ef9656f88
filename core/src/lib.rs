//! The vocabulary of Highwater and everything that is pure: no I/O, no runtime.
//!
//! | Room | What is in it |
//! |---|---|
//! | [`value`] | stream ids, positions, versions, tags, tokens |
//! | [`domain`] | what users write: events, commands, aggregates, boundaries, invariants |
//! | [`execute`] | how a command becomes an append: load, decide, check, append, try again |
//! | [`read`] | states as of then, audits, followers, the view vocabulary |
//! | [`port`] | what is asked of stores and clocks |
//! | [`error`] | errors that say whose move it is |
//! | [`metrics`] | what is measured of commands (O2) |
//! | [`trace`] | how spans belong to traces that cross processes (O1) |
//! | `testing` | given/when/then, fixed clocks (feature `testing`) |

pub mod domain;
pub mod error;
pub mod execute;
pub mod metrics;
pub mod port;
pub mod read;
#[cfg(feature = "testing")]
pub mod testing;
pub mod trace;
pub mod value;

pub use domain::{
    Aggregate, Boundary, Check, Command, Context, Decide, Decider, Decision, Event, Invariant,
    Metadata, Request, Targeted, TraceContext, Upcast,
};
pub use error::{Code, Error, Move, Rejection, Result};
pub use execute::{Highwater, Receipt};
pub use port::{Envelope, Query, QueryItem, Span};
pub use value::{
    Category, CommandId, CorrelationId, EventId, LogId, PartitionId, Position, SchemaVersion,
    StreamId, Tag, Tags, Timestamp, Token, Version,
};

#[doc(hidden)]
#[path = "private/mod.rs"]
pub mod __private;
