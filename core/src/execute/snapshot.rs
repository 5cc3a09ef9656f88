//! Snapshots of aggregates: encoding those that are due, and loading usable ones.

use super::{
    decision::{typed, unencodable},
    loaded::{AsOf, Loaded},
    state_cache::AnyState,
};
use crate::{
    Error, Result,
    domain::Aggregate,
    error::Panicked,
    port::{Snapshot, SnapshotStore},
    value::{StreamId, Version},
};

/// Encodes a committed state if a snapshot is due after the last one and so many bytes.
pub(super) fn encode_if_due<A: Aggregate>(
    stream: &StreamId,
    committed: &Loaded<AnyState>,
    last: Version,
    bytes_since: u64,
) -> Result<Option<Snapshot>> {
    let (Some(policy), Some(head)) = (A::SNAPSHOTS, committed.head) else { return Ok(None) };
    let events_since = committed.version.get().saturating_sub(last.get());
    if !policy.is_due(events_since, bytes_since) {
        return Ok(None);
    }
    let state = typed::<A>(&committed.state)?;
    let place = || format!("encoding of a snapshot of stream {stream}");
    let encoded = Panicked::guard(place, || (policy.encode)(state))?
        .map_err(|error| unencodable("the state for a snapshot", error))?;
    Ok(Some(Snapshot {
        stream: stream.clone(),
        version: committed.version,
        head,
        schema: policy.schema,
        state: encoded.into(),
    }))
}

/// Saves a snapshot. It only saves time, so the command stands without it.
pub(super) async fn save(store: &dyn SnapshotStore, snapshot: Snapshot) {
    let stream = snapshot.stream.clone();
    let version = snapshot.version;
    if let Err(error) = store.save_snapshot(snapshot).await {
        tracing::warn!(%stream, %version, %error, "snapshot not saved");
    }
}

/// Loads the stored snapshot and the state in it, if this program can use it. One that can't be decoded
/// is never taken as state: the stream is replayed instead.
pub(super) async fn load_usable<A: Aggregate>(
    store: &dyn SnapshotStore,
    stream: &StreamId,
    as_of: AsOf,
) -> Result<Option<Loaded<A>>> {
    let Some(policy) = A::SNAPSHOTS else { return Ok(None) };
    let snapshot = match store.load_snapshot(stream).await {
        Err(Error::Corrupt(error)) => {
            tracing::warn!(%stream, %error, "snapshot can't be read; replaying the stream");
            return Ok(None);
        }
        outcome => outcome?,
    };
    let is_usable = |s: &Snapshot| s.schema == policy.schema && as_of.can_start_from(s);
    let Some(snapshot) = snapshot.filter(is_usable) else { return Ok(None) };
    let place = || format!("decoding of the snapshot of stream {stream}");
    match Panicked::guard(place, || (policy.decode)(&snapshot.state))? {
        Ok(state) => {
            let version = snapshot.version;
            let head = Some(snapshot.head);
            Ok(Some(Loaded { version, head, snapshot: version, ..Loaded::initial(state) }))
        }
        Err(error) => {
            tracing::warn!(%stream, %error, "snapshot can't be decoded; replaying the stream");
            Ok(None)
        }
    }
}
