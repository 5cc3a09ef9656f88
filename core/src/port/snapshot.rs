//! Snapshots: states that save reading the events before them.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    Result,
    value::{EventId, SchemaVersion, StreamId, Version},
};

/// The state of a stream at a version, encoded. It can always be thrown away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The stream.
    pub stream: StreamId,
    /// The version of the stream in that state.
    pub version: Version,
    /// The id of the event at that version.
    pub head: EventId,
    /// The schema version of the state.
    pub schema: SchemaVersion,
    /// The state.
    pub state: Bytes,
}

/// Storage of the latest snapshot of each stream.
#[async_trait]
pub trait SnapshotStore: Send + Sync + 'static {
    /// Loads the latest snapshot of a stream.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable), or [`Corrupt`](crate::Error::Corrupt).
    async fn load_snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>>;

    /// Saves a snapshot unless one of a newer schema, or one of the same schema at the same or a
    /// later version, is stored: while two versions of a program run side by side, the snapshots of
    /// the newer one stay, and of two snapshots of one schema and version the first stays.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<()>;
}
