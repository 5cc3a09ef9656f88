//! Events from the log, folded over rows that lack them: for strong reads, and for the caller's own events.

use std::{collections::HashMap, sync::Arc};

use highwater_core::{
    Envelope, Position, Query, ReadFrom, Receipt, Result, StreamId, Version,
    domain::{EventContext, FoldError, KeyedBy, Keys, RowChange, View},
    error::{Corrupt, Panicked, Source},
    port::EventStore,
};

use super::source::ViewSource;
use crate::projection::{encode, not_applied};

/// The number of events that are read at a time.
const EVENT_PAGE_SIZE: usize = 1_000;
/// The number of events of one command that are read at a time: it has few as a rule.
const COMMAND_PAGE_SIZE: usize = 16;

/// Rows over which events are folded.
pub(super) struct Overlay<'a, V> {
    source: &'a ViewSource,
    rows: HashMap<&'a str, OverlayRow<V>>,
}

struct OverlayRow<V> {
    /// The row has every event up to here.
    position: Position,
    value: Option<V>,
    /// True if an event was folded over it.
    is_folded: bool,
}

impl<'a, V: View> Overlay<'a, V> {
    pub(super) fn new(source: &'a ViewSource) -> Self {
        Self { source, rows: HashMap::new() }
    }

    /// Adds a row that has every event up to a position.
    pub(super) fn insert(&mut self, key: &'a str, value: Option<V>, position: Position) {
        self.rows.insert(key, OverlayRow { position, value, is_folded: false });
    }

    /// Removes a row; with true if an event was folded over it. The row is as it would be read if it were stored.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if it would not be read back.
    pub(super) fn remove(&mut self, key: &str) -> Result<(Option<V>, bool)> {
        let Some(mut row) = self.rows.remove(key) else { return Ok((None, false)) };
        if let (Some(value), true) = (&mut row.value, row.is_folded) {
            encode(&self.source.view, key, value)?;
        }
        Ok((row.value, row.is_folded))
    }

    /// Folds every missing event up to the head. For a view keyed by stream only the streams of the keys are read;
    /// otherwise the events of the view, from the least position of the rows on.
    pub(super) async fn fold_log(&mut self, head: Position) -> Result<()> {
        let query = V::query()?;
        let KeyedBy::Stream(category) = V::KEYED_BY else {
            return self.fold_query(&query, head).await;
        };
        let rows: Vec<_> = self.rows.iter().map(|(key, row)| (*key, row.position)).collect();
        for (key, position) in rows.into_iter().filter(|(_, position)| *position < head) {
            let stream = StreamId::new(category, key)?;
            self.fold_stream(&stream, &query, position, head).await?;
        }
        Ok(())
    }

    /// Folds the events of a stream after a position, up to the head. The first of them is searched backward, then they
    /// are folded page by page: a page or less, as a rule, which is read once.
    async fn fold_stream(
        &mut self,
        stream: &StreamId,
        query: &Query,
        position: Position,
        head: Position,
    ) -> Result<()> {
        let log = Arc::clone(self.source.highwater.log());
        let is_missing = |event: &Envelope| event.position > position;
        let (mut missing, mut is_last) = first_missing(&*log, stream, &is_missing).await?;
        loop {
            for event in &missing {
                if event.position <= head && is_matched(query, event) {
                    self.fold_event(event)?;
                }
            }
            let Some(last) = missing.last().filter(|last| !is_last && last.position < head) else {
                return Ok(());
            };
            let from = ReadFrom::After(last.version);
            let page = log.read_stream(stream, from, EVENT_PAGE_SIZE).await?;
            is_last = page.next.is_none();
            missing = page.events;
        }
    }

    async fn fold_query(&mut self, query: &Query, head: Position) -> Result<()> {
        let log = self.source.highwater.log();
        let mut after = self.rows.values().map(|row| row.position).min().unwrap_or(head);
        while after < head {
            let page = log.read_log(query, ReadFrom::After(after), EVENT_PAGE_SIZE).await?;
            for event in page.events.iter().filter(|event| event.position <= head) {
                self.fold_event(event)?;
            }
            if page.through <= after {
                return Err(Corrupt::Log(format!("it ends at {after}, before {head}")).into());
            }
            after = page.through;
        }
        Ok(())
    }

    /// Folds the events of one command, as far as they are missing.
    pub(super) async fn fold_own(&mut self, receipt: &Receipt) -> Result<()> {
        let query = V::query()?;
        let log = &**self.source.highwater.log();
        let is_own = |event: &Envelope| event.command == receipt.command();
        let mut own = Vec::new();
        for (stream, version) in receipt.versions() {
            let before = version.plus(1);
            own.extend(last_events(log, stream, before, COMMAND_PAGE_SIZE, &is_own).await?);
        }
        own.retain(|event| is_matched(&query, event));
        own.sort_by_key(|event| event.position);
        own.iter().try_for_each(|event| self.fold_event(event))
    }

    /// Folds an event over the rows that lack it.
    ///
    /// # Errors
    /// [`Panicked`](highwater_core::Error::Panicked) if the application's code panics: an upcast, `key` or `fold`.
    fn fold_event(&mut self, envelope: &Envelope) -> Result<()> {
        let view = &self.source.view;
        let Envelope { position, stream, .. } = envelope;
        let place = || format!("fold of view {view} at event {position} of stream {stream}");
        Panicked::guard(place, || self.fold_decoded(envelope))?
    }

    fn fold_decoded(&mut self, envelope: &Envelope) -> Result<()> {
        let mut keys = Keys::default();
        let mut outcome = Ok(());
        envelope.decode_into::<V::Event>(&mut |event| {
            V::keys(&event, envelope, &mut keys);
            for key in keys.drain() {
                let row = self.rows.get_mut(key.as_str());
                let Some(row) = row.filter(|row| row.position < envelope.position) else {
                    continue;
                };
                if outcome.is_ok() {
                    let folded = row.fold(&event, &EventContext { key: &key, envelope });
                    outcome = folded.map_err(|error| (key, error));
                }
            }
        })?;
        outcome.map_err(|(key, error)| {
            not_applied(&self.source.view, &key, envelope, Source::new(error)).into()
        })
    }
}

impl<V: View> OverlayRow<V> {
    fn fold(&mut self, event: &V::Event, context: &EventContext<'_>) -> Result<(), FoldError> {
        self.is_folded = true;
        if self.value.get_or_insert_default().fold(event, context)? == RowChange::Delete {
            self.value = None;
        }
        Ok(())
    }
}

/// Reads a stream backward to its first wanted event, and returns the page that begins with it, in the stream's order;
/// with true if nothing follows. Later pages are not kept, so that a long stream takes no more memory than a page.
async fn first_missing(
    log: &dyn EventStore,
    stream: &StreamId,
    is_wanted: &(dyn Fn(&Envelope) -> bool + Sync),
) -> Result<(Vec<Envelope>, bool)> {
    let mut first = Vec::new();
    let mut pages = 0;
    let mut next = Some(ReadFrom::Before(Version::END));
    while let Some(from) = next {
        let page = log.read_stream(stream, from, EVENT_PAGE_SIZE).await?;
        next = page.next.filter(|_| page.events.iter().all(is_wanted));
        let wanted: Vec<_> = page.events.into_iter().take_while(is_wanted).collect();
        if !wanted.is_empty() {
            first = wanted;
            pages += 1;
        }
    }
    first.reverse();
    Ok((first, pages <= 1))
}

fn is_matched(query: &Query, event: &Envelope) -> bool {
    query.matches(&event.stream, &event.type_name, &event.tags)
}

/// Reads the last events of a stream before a version, backward, for as long as they are wanted.
async fn last_events(
    log: &dyn EventStore,
    stream: &StreamId,
    before: Version,
    page_size: usize,
    is_wanted: &(dyn Fn(&Envelope) -> bool + Sync),
) -> Result<Vec<Envelope>> {
    let mut events = Vec::new();
    let mut next = Some(ReadFrom::Before(before));
    while let Some(from) = next {
        let page = log.read_stream(stream, from, page_size).await?;
        next = page.next.filter(|_| page.events.iter().all(is_wanted));
        events.extend(page.events.into_iter().take_while(is_wanted));
    }
    Ok(events)
}
