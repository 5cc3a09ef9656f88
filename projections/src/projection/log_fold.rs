//! Rows that are folded afresh from the log, event by event: by another path than a worker's, without its batches and
//! its cache of rows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use highwater_core::{
    Envelope, Error, Position, Query, ReadFrom, Result, StreamId, Version,
    domain::{EventContext, KeyedBy, Keys, View, ViewName},
    error::Corrupt,
    port::{EventStore, check_key},
};

use super::fold::{decode_with_keys, fold_one, not_by_stream};

/// The number of events that are read at a time.
const PAGE_SIZE: usize = 1_000;

/// Decides if an event at a position is to be folded over the row of a key.
pub(crate) type IsDue<'a> = &'a (dyn Fn(&str, Position) -> bool + Sync);

/// Rows of one view, folded from the log.
pub(crate) struct LogFold<V> {
    log: Arc<dyn EventStore>,
    view: ViewName,
    query: Query,
    keys: Keys,
    /// The rows that had an event, by key.
    pub(crate) rows: BTreeMap<String, FoldedRow<V>>,
    /// The events that can't be decoded, and whose keys are therefore unknown.
    pub(crate) unreadable: BTreeSet<Position>,
    /// The error of the first of them.
    pub(crate) first_unreadable: Option<Error>,
    /// True if an event that can't be applied has no effect, and the next one is folded over the row before it.
    passes_over_failures: bool,
}

/// A row that was folded from the log.
pub(crate) struct FoldedRow<V> {
    /// The row; `None` if the last event deleted it.
    pub(crate) value: Option<V>,
    /// The number of events that were folded.
    pub(crate) events: u64,
    /// The last event that could not be applied, and the reason.
    pub(crate) failure: Option<(Position, Error)>,
    /// The version of the row's stream up to which it was read, if only that is.
    version: Version,
}

/// The keys of a page of the log.
#[derive(Debug, Default)]
pub(crate) struct LogKeys {
    /// The keys of each event, in log order; those of an event that can't be decoded are unknown.
    pub(crate) keys: Vec<(Position, Vec<String>)>,
    /// The position up to which the log was read.
    pub(crate) through: Position,
}

impl<V> Default for FoldedRow<V> {
    fn default() -> Self {
        Self { value: None, events: 0, failure: None, version: Version::NONE }
    }
}

impl<V: View> LogFold<V> {
    pub(crate) fn new(log: &Arc<dyn EventStore>, view: &ViewName) -> Result<Self> {
        Ok(Self {
            log: Arc::clone(log),
            view: view.clone(),
            query: V::query()?,
            keys: Keys::default(),
            rows: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            first_unreadable: None,
            passes_over_failures: false,
        })
    }

    /// Lets an event that can't be applied have no effect. Otherwise its row is not folded any further.
    pub(crate) fn passing_over_failures(mut self) -> Self {
        self.passes_over_failures = true;
        self
    }

    /// Folds the row of one key from the events up to a position; `None` if it had none, or the last of them deleted it.
    /// For a view keyed by stream only the stream of the key is read, otherwise every event of the view.
    ///
    /// # Errors
    /// That of an event that can't be decoded or applied.
    pub(crate) async fn row_of(mut self, key: &str, through: Position) -> Result<Option<V>> {
        let is_due = |other: &str, position| other == key && position <= through;
        match V::KEYED_BY {
            KeyedBy::Stream(category) => {
                self.fold_stream(&StreamId::new(category, key)?, through, &is_due).await?;
            }
            KeyedBy::Key => {
                let mut after = Position::START;
                while after < through {
                    after = self.fold_page(after, through, &is_due).await?;
                }
            }
        }
        let row = self.rows.remove(key).unwrap_or_default();
        match row.failure.map(|(_, error)| error).or(self.first_unreadable) {
            Some(error) => Err(error),
            None => Ok(row.value),
        }
    }

    /// Folds a page of the log after a position, as far as events are due. Returns the position up to which the log
    /// has been read.
    ///
    /// # Errors
    /// [`Corrupt`] if the log ends before `through`, or has an event that this program doesn't know.
    pub(crate) async fn fold_page(
        &mut self,
        after: Position,
        through: Position,
        is_due: IsDue<'_>,
    ) -> Result<Position> {
        let page = self.log.read_log(&self.query, ReadFrom::After(after), PAGE_SIZE).await?;
        page.events.iter().try_for_each(|event| self.fold_event(event, is_due))?;
        if page.through <= after {
            let Self { view, .. } = self;
            let ends = format!("it ends at {after}, but view {view} has reached {through}");
            return Err(Corrupt::Log(ends).into());
        }
        tokio::task::yield_now().await;
        Ok(page.through)
    }

    /// Folds the events of a stream that were not read before, up to a position.
    pub(crate) async fn fold_stream(
        &mut self,
        stream: &StreamId,
        through: Position,
        is_due: IsDue<'_>,
    ) -> Result<()> {
        let row = self.rows.entry(stream.key().to_owned()).or_default();
        let mut next = Some(ReadFrom::After(row.version));
        while let Some(from) = next {
            let page = self.log.read_stream(stream, from, PAGE_SIZE).await?;
            let events = page.events.iter().take_while(|event| event.position <= through);
            let mut version = None;
            for event in events {
                version = Some(event.version);
                if self.query.matches(&event.stream, &event.type_name, &event.tags) {
                    self.fold_event(event, is_due)?;
                }
            }
            if let Some(version) = version
                && let Some(row) = self.rows.get_mut(stream.key())
            {
                row.version = version;
            }
            tokio::task::yield_now().await;
            let is_before = page.events.last().is_some_and(|event| event.position < through);
            next = page.next.filter(|_| is_before);
        }
        Ok(())
    }

    /// Returns the keys of the first event after a position that a store can hold; none if it can't be decoded.
    pub(crate) async fn keys_after(&mut self, after: Position) -> Result<Vec<String>> {
        let page = self.keys_of_page(after, 1).await?;
        Ok(page.keys.into_iter().flat_map(|(_, keys)| keys).collect())
    }

    /// Returns the keys of the first events after a position that a store can hold. An event that can't be decoded has
    /// none.
    pub(crate) async fn keys_of_page(&mut self, after: Position, events: usize) -> Result<LogKeys> {
        let page = self.log.read_log(&self.query, ReadFrom::After(after), events).await?;
        let mut found =
            LogKeys { keys: Vec::with_capacity(page.events.len()), through: page.through };
        for envelope in &page.events {
            let mut of_event = Vec::new();
            let decoded = decode_with_keys::<V>(&mut self.keys, envelope, &mut |_, keys| {
                of_event.extend(keys.drain().filter(|key| check_key(key).is_ok()));
            });
            if decoded.is_ok() {
                found.keys.push((envelope.position, of_event));
            }
        }
        Ok(found)
    }

    /// Folds one event over the rows of its keys for which it is due. A key that no store can hold has no row.
    pub(crate) fn fold_event(&mut self, envelope: &Envelope, is_due: IsDue<'_>) -> Result<()> {
        let Self { view, keys, rows, passes_over_failures, .. } = self;
        let is_by_stream = matches!(V::KEYED_BY, KeyedBy::Stream(_));
        let mut wrong = None;
        let decoded = decode_with_keys::<V>(keys, envelope, &mut |event, keys| {
            for key in keys.drain() {
                if is_by_stream && key != envelope.stream.key() {
                    wrong = Some(not_by_stream::<V>(&key));
                    continue;
                }
                if !is_due(&key, envelope.position) || check_key(&key).is_err() {
                    continue;
                }
                // Most events find their row: only a new one needs the key.
                if !rows.contains_key(&key) {
                    rows.insert(key.clone(), FoldedRow::default());
                }
                if let Some(row) = rows.get_mut(&key) {
                    row.fold(
                        view,
                        &event,
                        &EventContext { key: &key, envelope },
                        *passes_over_failures,
                    );
                }
            }
        });
        match (decoded, wrong) {
            (Err(error), _) if is_out_of_date(&error) => return Err(error),
            (Err(error), _) => self.pass_over(envelope, error, is_due),
            (Ok(()), Some(wrong)) => self.pass_over(envelope, wrong.into(), is_due),
            (Ok(()), None) => {}
        }
        Ok(())
    }

    /// Notes an event that can't be decoded. A worker has stopped before it, has parked its key, or has skipped it.
    fn pass_over(&mut self, envelope: &Envelope, error: Error, is_due: IsDue<'_>) {
        let Envelope { position, stream, .. } = envelope;
        match V::KEYED_BY {
            KeyedBy::Key => {
                self.unreadable.insert(*position);
                self.first_unreadable.get_or_insert(error);
            }
            KeyedBy::Stream(_) if is_due(stream.key(), *position) => {
                let row = self.rows.entry(stream.key().to_owned()).or_default();
                row.events += 1;
                row.failure = Some((*position, error));
            }
            KeyedBy::Stream(_) => {}
        }
    }
}

impl<V: View> FoldedRow<V> {
    fn fold(
        &mut self,
        view: &ViewName,
        event: &V::Event,
        at: &EventContext<'_>,
        passes_over_failures: bool,
    ) {
        if self.failure.is_some() && !passes_over_failures {
            return;
        }
        let before = passes_over_failures.then(|| self.value.clone());
        self.events += 1;
        if let Err(error) = fold_one(view, &mut self.value, event, at) {
            self.failure = Some((at.position, error));
            self.value = before.flatten();
        }
    }
}

/// Returns true if this program doesn't know the type or the schema version of an event.
fn is_out_of_date(error: &Error) -> bool {
    let Error::Corrupt(corrupt) = error else { return false };
    matches!(**corrupt, Corrupt::UnknownEvent { .. } | Corrupt::NewerEvent { .. })
}
