//! The parts of a domain module: events, commands, aggregates, boundaries, invariants.
//!
//! | File | What is in it |
//! |---|---|
//! | `aggregate` | aggregates: pure state that decides on commands |
//! | `boundary` | decisions over a query instead of a stream (W6) |
//! | `command` | commands, and the fingerprints that identify them |
//! | `decide` | the decision on one command, the same in production and in the given/when/then kit |
//! | `envelope` | a stored event as it is read back |
//! | `event` | events: facts with a stable name, a schema version and tags |
//! | `hook` | hooks of the application in the transaction of its append |
//! | `invariant` | invariants: named conditions that every state must meet (W5) |
//! | `metadata` | the metadata of events |
//! | `query` | queries for events |
//! | `request` | requests: commands with their ids and metadata |
//! | `storable` | events as they are stored, with a payload that is proved to be readable |
//! | `targeted` | commands that name their aggregate |
//! | `upcast` | upcasting: the conversion of old payloads to their current meaning |
//! | `view` | keyed views, which read models consist of |
//! | `view_definition` | the definition of a view, by which a changed program is noticed |
//! | `view_spec` | the name of a view and the form of its table |

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
mod view_definition;
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
pub use view_definition::{DefinitionChange, DefinitionHash, StoredDefinition, ViewDefinition};
pub use view_spec::{Column, ColumnKind, GenerationSpec, Index, ViewName, ViewSpec};

pub(crate) use decide::{StoredDecision, decide_and_check};
pub(crate) use event::{check_schema_version, check_type_name};
pub(crate) use request::RequestOptions;
pub(crate) use storable::StorableEvent;
