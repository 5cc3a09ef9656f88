//! Events that rows lack, folded over them from the log: for strong reads, and for the caller's own.

use std::collections::HashMap;

use highwater_core::{
    Envelope, Position, Query, ReadFrom, Receipt, Result, StreamId, Version,
    domain::{EventContext, KeyedBy, Keys, View},
    error::Corrupt,
    port::EventStore,
};

use super::desk::Desk;
use crate::projection::{decode_with_keys, fold_one};

/// How many events are read at once.
const PAGE: usize = 1_000;
/// How many of a command's own: it has few as a rule.
const OWN_PAGE: usize = 16;

/// Rows that lack events.
pub(super) struct Lacking<'a, V> {
    desk: &'a Desk,
    rows: HashMap<&'a str, Row<V>>,
}

struct Row<V> {
    /// Up to here it has every event.
    after: Position,
    value: Option<V>,
    /// Whether something has been folded over it.
    is_folded: bool,
}

impl<'a, V: View> Lacking<'a, V> {
    pub(super) fn new(desk: &'a Desk) -> Self {
        Self { desk, rows: HashMap::new() }
    }

    pub(super) fn add(&mut self, key: &'a str, value: Option<V>, after: Position) {
        self.rows.insert(key, Row { after, value, is_folded: false });
    }

    /// The row, and whether something has been folded over it.
    pub(super) fn take(&mut self, key: &str) -> (Option<V>, bool) {
        self.rows.remove(key).map_or((None, false), |row| (row.value, row.is_folded))
    }

    /// Folds all that is missing up to the head. By stream only the key's own streams are read; else
    /// what the view is folded from, since the least of the rows.
    pub(super) async fn up_to(&mut self, head: Position) -> Result<()> {
        match V::KEYED_BY {
            KeyedBy::Stream(category) => {
                let keys: Vec<&str> = self.rows.keys().copied().collect();
                for key in keys {
                    let after = self.rows.get(key).map_or(head, |row| row.after);
                    if after < head {
                        let stream = StreamId::new(category, key)?;
                        self.fold_stream(&stream, after, head).await?;
                    }
                }
                Ok(())
            }
            KeyedBy::Key => self.fold_log(&V::query()?, head).await,
        }
    }

    async fn fold_stream(
        &mut self,
        stream: &StreamId,
        after: Position,
        head: Position,
    ) -> Result<()> {
        let query = V::query()?;
        let is_wanted = |event: &Envelope| {
            event.position <= head && query.matches(&event.stream, &event.type_name, &event.tags)
        };
        let log = &**self.desk.highwater.log();
        let is_missing = |event: &Envelope| event.position > after;
        let missing = latest(log, stream, Version::END, PAGE, &is_missing).await?;
        missing.iter().rev().filter(|event| is_wanted(event)).try_for_each(|event| self.fold(event))
    }

    async fn fold_log(&mut self, query: &Query, head: Position) -> Result<()> {
        let mut after = self.rows.values().map(|row| row.after).min().unwrap_or(head);
        while after < head {
            let page =
                self.desk.highwater.log().read_log(query, ReadFrom::After(after), PAGE).await?;
            for event in page.events.iter().filter(|event| event.position <= head) {
                self.fold(event)?;
            }
            if page.through <= after {
                return Err(Corrupt::Log(format!("it ends at {after}, before {head}")).into());
            }
            after = page.through;
        }
        Ok(())
    }

    /// Folds what one command did, as far as it is missing.
    pub(super) async fn own(&mut self, receipt: &Receipt) -> Result<()> {
        let (log, command, query) = (self.desk.highwater.log(), receipt.command(), V::query()?);
        let mut own = Vec::new();
        for (stream, version) in receipt.versions() {
            let is_own = |event: &Envelope| event.command == command;
            own.extend(latest(&**log, stream, version.plus(1), OWN_PAGE, &is_own).await?);
        }
        own.retain(|event| query.matches(&event.stream, &event.type_name, &event.tags));
        own.sort_by_key(|event| event.position);
        own.iter().try_for_each(|event| self.fold(event))
    }

    /// Folds an event over the rows that lack it.
    fn fold(&mut self, envelope: &Envelope) -> Result<()> {
        let mut folded = Ok(());
        decode_with_keys::<V>(&mut Keys::default(), envelope, &mut |event, keys| {
            for key in keys.drain() {
                let row = self.rows.get_mut(key.as_str());
                let Some(row) = row.filter(|row| row.after < envelope.position) else { continue };
                if folded.is_ok() {
                    row.is_folded = true;
                    let at = EventContext { key: &key, envelope };
                    folded = fold_one(&self.desk.view, &mut row.value, &event, &at);
                }
            }
        })?;
        folded
    }
}

/// The last events of a stream before a version, backward, for as long as they are wanted.
async fn latest(
    log: &dyn EventStore,
    stream: &StreamId,
    before: Version,
    page: usize,
    is_wanted: &(dyn Fn(&Envelope) -> bool + Sync),
) -> Result<Vec<Envelope>> {
    let (mut events, mut next) = (Vec::new(), Some(ReadFrom::Before(before)));
    while let Some(span) = next {
        let found = log.read_stream(stream, span, page).await?;
        next = found.next.filter(|_| found.events.iter().all(is_wanted));
        events.extend(found.events.into_iter().take_while(is_wanted));
    }
    Ok(events)
}
