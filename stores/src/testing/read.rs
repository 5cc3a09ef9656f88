//! Reads of all pages.

use highwater_core::{Envelope, EventId, Position, Query, ReadFrom, StreamId, Version};

use super::Store;

/// The page size of reads for which the size doesn't matter.
const DEFAULT_PAGE_SIZE: usize = 1000;

/// Reads all matching events, in log order.
///
/// # Panics
/// Panics if a page can't be read or contradicts the documentation of the port.
pub async fn log(store: &dyn Store, query: &Query) -> Vec<Envelope> {
    log_by(store, query, ReadFrom::After(Position::START), DEFAULT_PAGE_SIZE).await
}

/// Reads all matching events from a bound on, in its direction, in pages of `size`.
///
/// # Panics
/// Panics like [`log`].
pub async fn log_by(
    store: &dyn Store,
    query: &Query,
    mut from: ReadFrom<Position>,
    size: usize,
) -> Vec<Envelope> {
    let mut events = Vec::new();
    loop {
        let page = store.read_log(query, from, size).await.unwrap();
        assert!(page.events.len() <= size, "{} events in a page of {size}", page.events.len());
        events.extend(page.events);
        if !page.more {
            return events;
        }
        from = advanced(from, page.through);
    }
}

/// Returns the bound after a page that ended at `through`.
fn advanced(from: ReadFrom<Position>, through: Position) -> ReadFrom<Position> {
    match from {
        ReadFrom::After(bound) => {
            assert!(through > bound, "a page with more to come advances");
            ReadFrom::After(through)
        }
        ReadFrom::Before(bound) => {
            assert!(through < bound, "a page with more to come advances");
            ReadFrom::Before(through)
        }
    }
}

/// Reads all events of a stream.
///
/// # Panics
/// Panics like [`log`].
pub async fn stream(store: &dyn Store, stream: &StreamId) -> Vec<Envelope> {
    stream_by(store, stream, ReadFrom::After(Version::NONE), DEFAULT_PAGE_SIZE).await
}

/// Reads all events of a stream from a bound on, in its direction, in pages of `size`.
///
/// # Panics
/// Panics like [`log`].
pub async fn stream_by(
    store: &dyn Store,
    stream: &StreamId,
    from: ReadFrom<Version>,
    size: usize,
) -> Vec<Envelope> {
    let mut events = Vec::new();
    let mut next = Some(from);
    while let Some(from) = next {
        let page = store.read_stream(stream, from, size).await.unwrap();
        assert!(page.events.len() <= size, "{} events in a page of {size}", page.events.len());
        events.extend(page.events);
        assert_ne!(page.next, Some(from), "a page with more to come advances");
        next = page.next;
    }
    events
}

/// Reads the version of a stream.
///
/// # Panics
/// Panics like [`log`].
pub async fn version(store: &dyn Store, stream: &StreamId) -> Version {
    let page = store.read_stream(stream, ReadFrom::Before(Version::END), 1).await.unwrap();
    page.events.last().map_or(Version::NONE, |event| event.version)
}

/// Returns the ids of these events.
#[must_use]
pub fn ids(events: &[Envelope]) -> Vec<EventId> {
    events.iter().map(|event| event.id).collect()
}

/// Returns the positions of these events.
#[must_use]
pub fn positions(events: &[Envelope]) -> Vec<u64> {
    events.iter().map(|event| event.position.get()).collect()
}

/// Returns the versions of these events.
#[must_use]
pub fn versions(events: &[Envelope]) -> Vec<u64> {
    events.iter().map(|event| event.version.get()).collect()
}
