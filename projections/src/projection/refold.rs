//! A row that is folded again from the log, because the stored one is gone.

use std::sync::Arc;

use highwater_core::{
    Envelope, Position, Query, ReadFrom, Result, StreamId, Version,
    domain::{EventContext, KeyedBy, Keys, View, ViewName},
    port::EventStore,
};

use super::fold::{decode_with_keys, fold_one};

/// The number of events that are read at a time.
const PAGE_SIZE: usize = 1_000;

/// Folds the row of one key again, from every event before a position.
pub(super) struct Refold<'a, V> {
    log: Arc<dyn EventStore>,
    view: &'a ViewName,
    key: &'a str,
    before: Position,
    query: Query,
    keys: Keys,
    row: Option<V>,
}

impl<'a, V: View> Refold<'a, V> {
    pub(super) fn new(
        log: &Arc<dyn EventStore>,
        view: &'a ViewName,
        key: &'a str,
        before: Position,
    ) -> Result<Self> {
        let log = Arc::clone(log);
        let query = V::query()?;
        let keys = Keys::default();
        Ok(Self { log, view, key, before, query, keys, row: None })
    }

    /// Returns the row; `None` if the key had no events before, or the last of them deleted it. For a view keyed by
    /// stream only the stream of the key is read, otherwise all events of the view.
    pub(super) async fn row(mut self) -> Result<Option<V>> {
        match V::KEYED_BY {
            KeyedBy::Stream(category) => {
                self.fold_stream(&StreamId::new(category, self.key)?).await?;
            }
            KeyedBy::Key => self.fold_log().await?,
        }
        Ok(self.row)
    }

    async fn fold_stream(&mut self, stream: &StreamId) -> Result<()> {
        let mut next = Some(ReadFrom::After(Version::NONE));
        while let Some(from) = next {
            let page = self.log.read_stream(stream, from, PAGE_SIZE).await?;
            let is_before = page.events.last().is_some_and(|event| event.position < self.before);
            next = page.next.filter(|_| is_before);
            page.events.iter().try_for_each(|event| self.fold(event))?;
        }
        Ok(())
    }

    async fn fold_log(&mut self) -> Result<()> {
        let mut after = Position::START;
        loop {
            let page = self.log.read_log(&self.query, ReadFrom::After(after), PAGE_SIZE).await?;
            page.events.iter().try_for_each(|event| self.fold(event))?;
            if !page.more || page.through >= self.before {
                return Ok(());
            }
            after = page.through;
        }
    }

    fn fold(&mut self, envelope: &Envelope) -> Result<()> {
        let Self { view, key, before, query, keys, row, .. } = self;
        let is_wanted = query.matches(&envelope.stream, &envelope.type_name, &envelope.tags);
        if envelope.position >= *before || !is_wanted {
            return Ok(());
        }
        let mut folded = Ok(());
        decode_with_keys::<V>(keys, envelope, &mut |event, keys| {
            let is_own = keys.drain().any(|other| other == *key);
            if is_own && folded.is_ok() {
                folded = fold_one(view, row, &event, &EventContext { key, envelope });
            }
        })?;
        folded
    }
}
