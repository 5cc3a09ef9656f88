//! Ports: what the core asks of the world. Adapters implement them; users may too.

mod append;
mod clock;
mod envelope;
mod event_store;
mod query;
mod snapshot;
mod view_store;

pub use append::{
    Append, Appended, Attachment, Condition, Expected, Limits, NewEvent, StreamAppend, StreamHead,
};
pub use clock::{Clock, Ids};
pub use envelope::Envelope;
pub use event_store::{AppendFuture, EventStore, RecordedCommand};
pub use query::{LogPage, Query, QueryItem, Span, StreamPage};
pub use snapshot::{Snapshot, SnapshotStore};
pub use view_store::{Checkpoint, StoredView, ViewCommit, ViewName, ViewStore};

/// Everything that a store offers, as one object.
pub trait Store: EventStore + SnapshotStore + ViewStore {}

impl<S: EventStore + SnapshotStore + ViewStore> Store for S {}
