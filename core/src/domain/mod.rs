//! What a domain module is made of: events, commands, aggregates, boundaries, invariants.

mod aggregate;
mod boundary;
mod command;
mod decide;
mod event;
mod invariant;
mod metadata;
mod upcast;

pub use aggregate::{Aggregate, Context, Decide, Decider, Decision, Snapshotting};
pub use boundary::Boundary;
pub use command::{Command, Fingerprint, Fingerprinter, Request, Targeted};
pub use decide::DecidedBy;
pub(crate) use event::check_type_name;
pub use event::{DecodeError, Event, EventType, RawEvent, TYPE_NAME_LIMIT};
pub use invariant::{Check, IntoCheck, Invariant};
pub use metadata::{Metadata, TraceContext};
pub use upcast::Upcast;

pub(crate) use command::Cause;
pub(crate) use decide::decide_and_check;
