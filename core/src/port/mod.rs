//! Ports: the traits through which the core reaches the outside. Adapters implement them; users may too.
//!
//! | File | What is in it |
//! |---|---|
//! | `append` | appends to a store, and its answers |
//! | `clock` | time and ids from outside, so that everything else can be pure |
//! | `event_store` | the event store |
//! | `feed` | the feeds of views: the log itself, or the topic of a relay |
//! | `generation_store` | generations of views (R5) |
//! | `lease_store` | leases: the assignment of shards to workers, and the right to commit (R1) |
//! | `log_transfer` | moving a log to another store |
//! | `page` | pages of events, and the bytes at which one ends |
//! | `parked` | keys whose events can't be applied for now (R4) |
//! | `parked_store` | parked keys as a store lists them (R4) |
//! | `progress` | the progress of a view's shards, and the workers that claim them |
//! | `row_key` | the rule for keys of rows |
//! | `snapshot` | snapshots: states that save reading the events before them |
//! | `tagging` | stored events that lack tags, and tags to add to them (W6) |
//! | `view_store` | views: rows by key, and the progress that is committed with them (R1) |

mod append;
mod clock;
mod event_store;
mod feed;
mod generation_store;
mod lease_store;
mod log_transfer;
mod page;
mod parked;
mod parked_store;
mod progress;
mod row_key;
mod snapshot;
mod tagging;
mod view_store;

pub use append::{Append, Appended, Condition, Limits, NewEvent, StreamAppend, StreamHead};
pub use clock::{Clock, Ids};
pub use event_store::{AppendFuture, EventStore, RecordedCommand};
pub use feed::{Assignment, Feed, FeedPage, FeedSource, Membership, Subscription};
pub use generation_store::{Generation, GenerationStore};
pub use lease_store::{LeaseStore, ShardClaim};
pub use log_transfer::{CommandPlace, ImportedAppend, LogEnd, LogTransfer};
pub use page::{LogPage, MAX_PAGE_BYTES, ReadFrom, StreamPage};
pub use parked::{ParkChange, ParkedKey};
pub use parked_store::ParkedStore;
pub use progress::{Claim, ClaimMode, Members, Progress, ShardStop, WORKER_ID_LIMIT, WorkerId};
pub use row_key::{KEY_LIMIT, check_key, parked_as};
pub use snapshot::{Snapshot, SnapshotStore};
pub use tagging::{AddedTags, MissingTag, Untagged};
pub use view_store::{
    KeyRange, StoredRange, StoredRow, StoredView, ViewCommit, ViewState, ViewStore,
};

/// Everything that a store offers, as one object.
pub trait Store: EventStore + SnapshotStore + ViewStore {}

impl<S: EventStore + SnapshotStore + ViewStore> Store for S {}
