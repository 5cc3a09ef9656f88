//! Batches that are accepted as a whole or not at all: what commands on aggregates come to, as long
//! as nobody else was faster. Where their streams are is known before the store is asked, so that
//! it need not answer.

use highwater_core::{
    Position, Version,
    port::{Appended, StreamAppend, StreamHead},
    value::Expected,
};

use crate::group_commit::Entry;

/// Whether each append says at which version its streams are, and asks for nothing more.
pub(crate) fn is_whole(batch: &[Entry]) -> bool {
    batch.iter().map(|entry| &entry.append).all(|append| {
        append.condition.is_none()
            && append.hook.is_none()
            && append.streams.iter().all(|part| version_before(part).is_some())
    })
}

/// Where the stream is if it is as expected; `None` if that has to be found out.
pub(crate) fn version_before(part: &StreamAppend) -> Option<Version> {
    match part.expected {
        Expected::Any | Expected::StreamExists => None,
        Expected::NoStream => Some(Version::NONE),
        Expected::Version(version) | Expected::Head(version, _) => Some(version),
    }
}

/// What became of each append when all of the batch were accepted after `head`.
pub(crate) fn appended(batch: &[Entry], head: Position) -> impl Iterator<Item = Appended> {
    let mut last = head.get();
    batch.iter().map(move |entry| {
        last += entry.append.events().count() as u64;
        let streams = entry.append.streams.iter().filter_map(stream_after).collect();
        Appended { position: Position::new(last), streams, repeated: false }
    })
}

fn stream_after(part: &StreamAppend) -> Option<StreamHead> {
    let version = version_before(part).filter(|_| !part.events.is_empty())?;
    let version = version.plus(part.events.len());
    Some(StreamHead { stream: part.stream.clone(), version })
}
