//! Pages of a stream and of the log.

use highwater_core::{
    Envelope, Position, Query, ReadFrom, StreamId, Version,
    port::{LogPage, MAX_PAGE_BYTES, StreamPage, Untagged},
};

use super::append::MemoryLog;

impl MemoryLog {
    pub(super) fn stream_page(
        &self,
        stream: &StreamId,
        from: ReadFrom<Version>,
        limit: usize,
    ) -> StreamPage {
        let indexes = self.streams.get(stream).map_or(&[][..], Vec::as_slice);
        let (within, page): (_, Vec<_>) = match from {
            ReadFrom::After(version) => {
                let within = &indexes[up_to(version.get(), indexes.len())..];
                (within.len(), within.iter().take(limit).collect())
            }
            ReadFrom::Before(version) => {
                let within = &indexes[..up_to(version.get().saturating_sub(1), indexes.len())];
                (within.len(), within.iter().rev().take(limit).collect())
            }
        };
        let mut events: Vec<_> =
            page.into_iter().map(|index| self.events[*index].clone()).collect();
        events.truncate(fitting(events.iter().map(|event| event.payload.len())));
        let next = (within > events.len()).then(|| after_last(&events, from));
        StreamPage { events, next }
    }

    pub(super) fn page(&self, query: &Query, from: ReadFrom<Position>, limit: usize) -> LogPage {
        self.page_of(|event| is_match(query, event), from, limit)
    }

    /// Returns a page of the events that match, and of those that lack tags.
    pub(super) fn page_and_untagged(
        &self,
        query: &Query,
        untagged: &Untagged,
        after: Position,
        limit: usize,
    ) -> LogPage {
        let selects = |event: &Envelope| is_match(query, event) || untagged.selects(event);
        self.page_of(selects, ReadFrom::After(after), limit)
    }

    fn page_of(
        &self,
        selects: impl Fn(&Envelope) -> bool,
        from: ReadFrom<Position>,
        limit: usize,
    ) -> LogPage {
        match from {
            ReadFrom::After(bound) => {
                let (events, more) = page(self.after(bound).iter(), selects, limit);
                let last = events.last().map_or(bound, |event| event.position);
                // A reader beyond the head must not be sent back to it.
                let through = if more { last } else { self.head().max(bound) };
                LogPage { events, through, more }
            }
            ReadFrom::Before(bound) => {
                let (events, more) = page(self.before(bound).iter().rev(), selects, limit);
                let last = events.last().map_or(bound, |event| event.position);
                LogPage { events, through: if more { last } else { Position::START }, more }
            }
        }
    }

    pub(super) fn after(&self, position: Position) -> &[Envelope] {
        &self.events[up_to(position.get(), self.events.len())..]
    }

    fn before(&self, position: Position) -> &[Envelope] {
        &self.events[..up_to(position.get().saturating_sub(1), self.events.len())]
    }
}

/// Returns how many of `len` numbered items have a number up to this one.
fn up_to(number: u64, len: usize) -> usize {
    usize::try_from(number).map_or(len, |number| number.min(len))
}

fn is_match(query: &Query, event: &Envelope) -> bool {
    query.matches(&event.stream, &event.type_name, &event.tags)
}

/// Returns the first events that are selected, and true if there are more.
fn page<'a>(
    events: impl Iterator<Item = &'a Envelope>,
    selects: impl Fn(&Envelope) -> bool,
    limit: usize,
) -> (Vec<Envelope>, bool) {
    let mut matching = events.filter(|event| selects(event));
    let mut page: Vec<_> = matching.by_ref().take(limit).cloned().collect();
    let fitting = fitting(page.iter().map(|event| event.payload.len()));
    let more = fitting < page.len() || matching.next().is_some();
    page.truncate(fitting);
    (page, more)
}

fn after_last(events: &[Envelope], from: ReadFrom<Version>) -> ReadFrom<Version> {
    match (events.last(), from) {
        (None, _) => from,
        (Some(last), ReadFrom::After(_)) => ReadFrom::After(last.version),
        (Some(last), ReadFrom::Before(_)) => ReadFrom::Before(last.version),
    }
}

/// Returns the number of the first events that fit into a page, at least one.
fn fitting(payloads: impl IntoIterator<Item = usize>) -> usize {
    let mut bytes = 0_usize;
    let fits = |payload: &usize| {
        let is_first = bytes == 0;
        bytes = bytes.saturating_add((*payload).max(1));
        is_first || bytes <= MAX_PAGE_BYTES
    };
    payloads.into_iter().take_while(fits).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_at_least_one_event() {
        assert_eq!(fitting([usize::MAX, 1]), 1);
        assert_eq!(fitting([MAX_PAGE_BYTES - 1, 1, 1]), 2);
        assert_eq!(fitting([0, 0, 0]), 3);
        assert_eq!(fitting([]), 0);
    }
}
