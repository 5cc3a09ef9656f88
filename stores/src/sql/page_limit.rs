//! The limits of a page: its events are counted and weighed, so that a page of large events fits in memory.
//!
//! A statement returns small payloads with their events and leaves large ones out; a second statement reads those that
//! still fit. Only a page with large payloads takes the second one, and the pages after it ask for fewer events.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use highwater_core::{
    Envelope, Position, ReadFrom,
    port::{LogPage, MAX_PAGE_BYTES},
};

/// The most events of a page.
const MAX_PAGE_EVENTS: usize = 16_384;
/// The largest payload that every page returns with its event.
const MIN_INLINE_BYTES: usize = 4096;

/// The number of events that the next page of a store may have.
pub(crate) struct PageLimit(AtomicUsize);

impl Default for PageLimit {
    fn default() -> Self {
        Self(AtomicUsize::new(MAX_PAGE_EVENTS))
    }
}

impl PageLimit {
    /// Returns the number of events to read for a page of at most `asked` events.
    pub(crate) fn of(&self, asked: usize) -> usize {
        asked.min(self.0.load(Ordering::Relaxed))
    }

    /// Adds the payloads that a page has left out, and adapts to the number of its events. Returns true if the page
    /// has become shorter.
    pub(crate) fn complete(
        &self,
        page: PartialPage,
        payloads: Vec<Bytes>,
        limit: usize,
    ) -> (Vec<Envelope>, bool) {
        let (events, is_cut) = page.complete(payloads);
        self.record(limit, events.len(), is_cut);
        (events, is_cut)
    }

    /// Adapts to a page of `events` events that was read with this limit.
    pub(crate) fn record(&self, limit: usize, events: usize, is_cut: bool) {
        let current = self.0.load(Ordering::Relaxed);
        let next = match is_cut {
            true => events.saturating_mul(2).min(current),
            false if events >= current && limit > 0 => current.saturating_mul(2),
            false => return,
        };
        self.0.store(next.clamp(1, MAX_PAGE_EVENTS), Ordering::Relaxed);
    }
}

/// Returns a page of the log of at most `limit` events, and the position through which it has all that match.
pub(crate) fn log_page(
    events: Vec<Envelope>,
    is_cut: bool,
    from: ReadFrom<Position>,
    limit: usize,
    head: Position,
) -> LogPage {
    let more = is_cut || events.len() >= limit;
    let last = events.last().map(|event| event.position);
    let through = match from {
        ReadFrom::After(after) if limit == 0 => after,
        ReadFrom::After(after) if !more => head.max(after),
        ReadFrom::After(after) => last.unwrap_or(after),
        ReadFrom::Before(before) if limit == 0 => before,
        ReadFrom::Before(_) => last.filter(|_| more).unwrap_or_default(),
    };
    LogPage { events, through, more }
}

/// Returns the largest payload in bytes that a page of this many events returns with its event.
pub(crate) fn inline_bytes(limit: usize) -> usize {
    (MAX_PAGE_BYTES / limit.max(1)).max(MIN_INLINE_BYTES)
}

/// A page whose large payloads have not been read yet.
#[derive(Default)]
pub(crate) struct PartialPage {
    events: Vec<Envelope>,
    without_payload: Vec<usize>,
}

impl PartialPage {
    pub(crate) fn with_capacity(events: usize) -> Self {
        Self { events: Vec::with_capacity(events), without_payload: Vec::new() }
    }

    pub(crate) fn push(&mut self, event: Envelope, has_payload: bool) {
        if !has_payload {
            self.without_payload.push(self.events.len());
        }
        self.events.push(event);
    }

    /// Orders the events by a key.
    pub(crate) fn sort_by_key<K: Ord>(&mut self, key: impl Fn(&Envelope) -> K) {
        if self.events.is_sorted_by_key(&key) {
            return;
        }
        let left_out = std::mem::take(&mut self.without_payload);
        let has_payload =
            (0..self.events.len()).map(|index| left_out.binary_search(&index).is_err());
        let mut events: Vec<_> = self.events.drain(..).zip(has_payload).collect();
        events.sort_by_key(|(event, _)| key(event));
        events.into_iter().for_each(|(event, has_payload)| self.push(event, has_payload));
    }

    /// Ends the page after this many events.
    pub(crate) fn truncate(&mut self, events: usize) {
        self.events.truncate(events);
        self.without_payload.retain(|index| *index < events);
    }

    pub(crate) fn events(&self) -> &[Envelope] {
        &self.events
    }

    /// Returns true if every payload has been read.
    pub(crate) fn is_complete(&self) -> bool {
        self.without_payload.is_empty()
    }

    /// Returns the positions of the events whose payloads have not been read, in the order of the page.
    pub(crate) fn positions_without_payload(&self) -> Vec<i64> {
        let events = self.without_payload.iter().filter_map(|index| self.events.get(*index));
        events.map(|event| event.position.get().cast_signed()).collect()
    }

    /// Adds the first of the missing payloads. The page ends before the first event that lacks its payload still:
    /// returns the events, and true if the page has become shorter.
    pub(crate) fn complete(mut self, payloads: Vec<Bytes>) -> (Vec<Envelope>, bool) {
        let first_missing = self.without_payload.get(payloads.len()).copied();
        for (index, payload) in self.without_payload.iter().zip(payloads) {
            if let Some(event) = self.events.get_mut(*index) {
                event.payload = payload;
            }
        }
        self.events.truncate(first_missing.unwrap_or(usize::MAX));
        (self.events, first_missing.is_some())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn pages_get_smaller_after_large_events_and_grow_again() {
        let limit = PageLimit::default();
        assert_eq!(limit.of(1000), 1000);
        limit.record(1000, 8, true);
        assert_eq!(limit.of(1000), 16);
        limit.record(16, 3, false);
        assert_eq!(limit.of(1000), 16, "the last page of a log tells nothing");
        limit.record(16, 16, false);
        assert_eq!(limit.of(1000), 32);
        assert_eq!(limit.of(0), 0);
    }

    #[test]
    fn large_pages_leave_smaller_payloads_out() {
        assert_eq!(inline_bytes(1), MAX_PAGE_BYTES);
        assert_eq!(inline_bytes(0), MAX_PAGE_BYTES);
        assert_eq!(inline_bytes(usize::MAX), MIN_INLINE_BYTES);
    }
}
