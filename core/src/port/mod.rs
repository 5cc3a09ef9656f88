//! Ports: what the core asks of the world. Adapters implement them; users may too.

mod append;
mod clock;
mod envelope;
mod event_store;
mod feed;
mod parked;
mod progress;
mod query;
mod snapshot;
mod view_spec;
mod view_store;

pub use append::{
    Append, Appended, Attachment, Condition, Expected, Limits, NewEvent, StreamAppend, StreamHead,
};
pub use clock::{Clock, Ids};
pub use envelope::Envelope;
pub use event_store::{AppendFuture, EventStore, RecordedCommand};
pub use feed::{Change, Feed, FeedPage, Feeding, Membership, Source};
pub use parked::{ParkChange, ParkedKey};
pub use progress::{
    Claim, Claiming, Division, Epoch, Layout, Progress, Roll, ShardId, WORKER_ID_LIMIT, WorkerId,
};
pub use query::{LogPage, Query, QueryItem, Span, StreamPage};
pub use snapshot::{Snapshot, SnapshotStore};
pub use view_spec::{Column, ColumnKind, Index, ViewName, ViewSpec};
pub use view_store::{
    KEY_LIMIT, KeyRange, StoredRange, StoredRow, StoredView, ViewCommit, ViewState, ViewStore,
};

/// Everything that a store offers, as one object.
pub trait Store: EventStore + SnapshotStore + ViewStore {}

impl<S: EventStore + SnapshotStore + ViewStore> Store for S {}
