//! The parts of a domain module: events, commands, aggregates, boundaries, invariants.

mod aggregate;
mod boundary;
mod command;
mod decide;
mod envelope;
mod event;
mod hook;
mod invariant;
mod metadata;
mod query;
mod request;
mod storable;
mod targeted;
mod upcast;
mod view;
mod view_spec;

pub use aggregate::{Aggregate, Context, Decide, Decider, Decision, SnapshotPolicy};
pub use boundary::Boundary;
pub use command::{Command, Fingerprint, Fingerprinter};
pub use decide::DecidedBy;
pub use envelope::Envelope;
pub use event::{DecodeError, Event, EventType, RawEvent, TYPE_NAME_LIMIT};
pub use hook::TransactionHook;
pub use invariant::{Check, IntoCheck, Invariant};
pub use metadata::{Metadata, TraceContext};
pub use query::{Query, QueryItem};
pub use request::Request;
pub use targeted::Targeted;
pub use upcast::Upcast;
pub use view::{
    EventContext, FoldError, FoldResult, IntoFoldResult, IntoKeys, KeyedBy, Keys, RowChange, View,
};
pub use view_spec::{Column, ColumnKind, Index, ViewName, ViewSpec};

pub(crate) use decide::{StoredDecision, decide_and_check};
pub(crate) use event::check_type_name;
pub(crate) use request::RequestOptions;
pub(crate) use storable::StorableEvent;
