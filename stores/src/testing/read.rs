//! Pages walked to their end.

use highwater_core::{Envelope, EventId, Position, Query, ReadFrom, StreamId, Version};

use super::Store;

/// The size of pages where it doesn't matter.
const PAGE: usize = 1000;

/// All events that match, in log order.
///
/// # Panics
/// If a page can't be read or contradicts the port's documentation.
pub async fn log(store: &dyn Store, query: &Query) -> Vec<Envelope> {
    log_by(store, query, ReadFrom::After(Position::START), PAGE).await
}

/// All events that match within a span, in its direction, read in pages of this size.
///
/// # Panics
/// As [`log`].
pub async fn log_by(
    store: &dyn Store,
    query: &Query,
    mut span: ReadFrom<Position>,
    size: usize,
) -> Vec<Envelope> {
    let mut events = Vec::new();
    loop {
        let page = store.read_log(query, span, size).await.unwrap();
        assert!(page.events.len() <= size, "{} events in a page of {size}", page.events.len());
        events.extend(page.events);
        if !page.more {
            return events;
        }
        span = advanced(span, page.through);
    }
}

/// The rest of a span whose page went through here.
fn advanced(span: ReadFrom<Position>, through: Position) -> ReadFrom<Position> {
    match span {
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

/// All events of a stream.
///
/// # Panics
/// As [`log`].
pub async fn stream(store: &dyn Store, stream: &StreamId) -> Vec<Envelope> {
    stream_by(store, stream, ReadFrom::After(Version::NONE), PAGE).await
}

/// All events of a stream within a span, in its direction, read in pages of this size.
///
/// # Panics
/// As [`log`].
pub async fn stream_by(
    store: &dyn Store,
    stream: &StreamId,
    span: ReadFrom<Version>,
    size: usize,
) -> Vec<Envelope> {
    let mut events = Vec::new();
    let mut next = Some(span);
    while let Some(span) = next {
        let page = store.read_stream(stream, span, size).await.unwrap();
        assert!(page.events.len() <= size, "{} events in a page of {size}", page.events.len());
        events.extend(page.events);
        assert_ne!(page.next, Some(span), "a page with more to come advances");
        next = page.next;
    }
    events
}

/// The version of a stream.
///
/// # Panics
/// As [`log`].
pub async fn version(store: &dyn Store, stream: &StreamId) -> Version {
    let page = store.read_stream(stream, ReadFrom::Before(Version::END), 1).await.unwrap();
    page.events.last().map_or(Version::NONE, |event| event.version)
}

/// The ids of these events.
#[must_use]
pub fn ids(events: &[Envelope]) -> Vec<EventId> {
    events.iter().map(|event| event.id).collect()
}

/// Their positions.
#[must_use]
pub fn positions(events: &[Envelope]) -> Vec<u64> {
    events.iter().map(|event| event.position.get()).collect()
}

/// Their versions.
#[must_use]
pub fn versions(events: &[Envelope]) -> Vec<u64> {
    events.iter().map(|event| event.version.get()).collect()
}
