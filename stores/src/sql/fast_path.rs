//! Batches that are accepted as a whole or not at all. Commands on aggregates make such batches, and they
//! are accepted as long as no other process was faster. The versions of their streams are known before
//! the store is asked, so it need not return them.

use highwater_core::{
    Position, Version,
    port::{Appended, StreamAppend, StreamHead},
    value::Expected,
};

use super::group_commit::BatchEntry;

/// Returns true if every append names the version of each of its streams and has neither a condition nor
/// a hook.
pub(crate) fn is_eligible(batch: &[BatchEntry]) -> bool {
    batch.iter().map(|entry| &entry.append).all(|append| {
        append.condition.is_none()
            && append.hook.is_none()
            && append.streams.iter().all(|part| expected_version(part).is_some())
    })
}

/// Returns the version of the stream before the append if it is as expected; `None` if the expectation
/// doesn't determine it.
pub(crate) fn expected_version(part: &StreamAppend) -> Option<Version> {
    match part.expected {
        Expected::Any | Expected::StreamExists => None,
        Expected::NoStream => Some(Version::NONE),
        Expected::Version(version) | Expected::Head(version, _) => Some(version),
    }
}

/// Returns the outcome of each append of a batch that was accepted after `head`.
pub(crate) fn appended(batch: &[BatchEntry], head: Position) -> impl Iterator<Item = Appended> {
    let mut last = head.get();
    batch.iter().map(move |entry| {
        last += entry.append.events().count() as u64;
        let streams = entry.append.streams.iter().filter_map(stream_after).collect();
        Appended { position: Position::new(last), streams, repeated: false }
    })
}

fn stream_after(part: &StreamAppend) -> Option<StreamHead> {
    let version = expected_version(part).filter(|_| !part.events.is_empty())?;
    let version = version.plus(part.events.len());
    Some(StreamHead { stream: part.stream.clone(), version })
}
