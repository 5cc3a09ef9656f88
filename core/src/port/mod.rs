//! Ports: the traits through which the core reaches the outside. Adapters implement them; users may too.

mod append;
mod clock;
mod event_store;
mod feed;
mod lease_store;
mod page;
mod parked;
mod parked_store;
mod progress;
mod snapshot;
mod tagging;
mod view_store;

pub use append::{Append, Appended, Condition, Limits, NewEvent, StreamAppend, StreamHead};
pub use clock::{Clock, Ids};
pub use event_store::{AppendFuture, EventStore, RecordedCommand};
pub use feed::{Assignment, Feed, FeedPage, FeedSource, Membership, Subscription};
pub use lease_store::{LeaseStore, ShardClaim};
pub use page::{LogPage, ReadFrom, StreamPage};
pub use parked::{ParkChange, ParkedKey};
pub use parked_store::ParkedStore;
pub use progress::{Claim, ClaimMode, Members, Progress, WORKER_ID_LIMIT, WorkerId};
pub use snapshot::{Snapshot, SnapshotStore};
pub use tagging::{AddedTags, MissingTag, Untagged};
pub use view_store::{
    KEY_LIMIT, KeyRange, StoredRange, StoredRow, StoredView, ViewCommit, ViewState, ViewStore,
};

/// Everything that a store offers, as one object.
pub trait Store: EventStore + SnapshotStore + ViewStore {}

impl<S: EventStore + SnapshotStore + ViewStore> Store for S {}
