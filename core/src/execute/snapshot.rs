//! Snapshots of aggregates: encoding those that are due, and loading usable ones.

use xxhash_rust::xxh3::xxh3_64;

use super::{
    decision::{typed, unencodable},
    loaded::{AsOf, Loaded},
    state_cache::AnyState,
};
use crate::{
    Error, Result,
    domain::{Aggregate, SnapshotPolicy},
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
    let encoded = Panicked::guard(place, || encode(&policy, state))?
        .map_err(|error| unencodable(format_args!("a snapshot of stream {stream}"), error))?;
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

/// Loads the stored snapshot and the state in it, if this program can use it. One that can't be decoded, or has another
/// shape, is never taken as state: the stream is replayed instead.
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
    match Panicked::guard(place, || decode(&policy, &snapshot.state))? {
        Ok(Some(state)) => {
            let version = snapshot.version;
            let head = Some(snapshot.head);
            Ok(Some(Loaded { version, head, snapshot: version, ..Loaded::initial(state) }))
        }
        Ok(None) => {
            tracing::info!(%stream, "snapshot is of a state with other fields; replaying the stream");
            Ok(None)
        }
        Err(error) => {
            tracing::warn!(%stream, %error, "snapshot can't be decoded; replaying the stream");
            Ok(None)
        }
    }
}

/// Encodes a state behind the hash of its shape. A state that can't be decoded again is an error.
fn encode<A>(policy: &SnapshotPolicy<A>, state: &A) -> Result<Vec<u8>, serde_json::Error> {
    let mut encoded = header(policy.shape);
    let state = (policy.encode)(state)?;
    (policy.decode)(&state)?;
    encoded.extend(state);
    Ok(encoded)
}

/// Decodes a state. Returns `None` if it has another shape than the program's: a field that it lacks would have a
/// value that no event gave it.
fn decode<A>(policy: &SnapshotPolicy<A>, stored: &[u8]) -> Result<Option<A>, serde_json::Error> {
    let Some(encoded) = stored.strip_prefix(&*header(policy.shape)) else { return Ok(None) };
    let state = (policy.decode)(encoded)?;
    let again = (policy.encode)(&state)?;
    Ok(has_same_parts(encoded, &again).then_some(state))
}

/// The line before a state. A snapshot from before there were shapes has none.
fn header(shape: &str) -> Vec<u8> {
    format!("shape {:016x}\n", xxh3_64(shape.as_bytes())).into_bytes()
}

/// Returns true if two texts have the same bytes in any order: that of the keys of a `HashMap` is another one each
/// time. A type inside of the state that has got a field since makes its text longer.
fn has_same_parts(one: &[u8], other: &[u8]) -> bool {
    let counts = |text: &[u8]| {
        let mut counts = [0_usize; 256];
        text.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        counts
    };
    one.len() == other.len() && counts(one) == counts(other)
}
