//! Recorded changes of policies, read from the log.

use std::sync::Arc;

use highwater_core::{
    Aggregate as _, Decider as _, ReadFrom, Result, StreamId, Version, port::EventStore,
};

use super::record::{PolicyRecord, RECORD_KEY, RecordedChange, Rules};

/// The number of recorded changes that are read at a time.
const CHANGE_PAGE_SIZE: usize = 100;

/// The record of changes, as far as it was read.
#[derive(Default)]
pub(super) struct RecordCursor {
    record: PolicyRecord,
    version: Version,
    /// True if the record was read to its end once: changes that come later are new.
    pub(super) is_loaded: bool,
}

impl RecordCursor {
    pub(super) fn rules(&self) -> &Arc<Rules> {
        self.record.rules()
    }

    /// Reads the record to its end. New changes are logged and counted.
    pub(super) async fn advance(&mut self, log: &dyn EventStore) -> Result<()> {
        let mut next = Some(ReadFrom::After(self.version));
        while let Some(from) = next {
            let page = log.read_stream(&stream()?, from, CHANGE_PAGE_SIZE).await?;
            for envelope in &page.events {
                for event in envelope.decode()? {
                    self.record.apply(&event);
                    if self.is_loaded {
                        RecordedChange::new(envelope, event).log();
                    }
                }
                self.version = envelope.version;
            }
            next = page.next;
        }
        Ok(())
    }
}

/// Reads the last changes, the newest first.
pub(super) async fn last_changes(
    log: &dyn EventStore,
    limit: usize,
) -> Result<Vec<RecordedChange>> {
    let mut changes = Vec::new();
    let mut next = Some(ReadFrom::Before(Version::END));
    while let Some(from) = next.filter(|_| changes.len() < limit) {
        let page = log.read_stream(&stream()?, from, CHANGE_PAGE_SIZE).await?;
        for envelope in &page.events {
            let events = envelope.decode()?.into_iter();
            changes.extend(events.map(|event| RecordedChange::new(envelope, event)));
        }
        next = page.next;
    }
    changes.truncate(limit);
    Ok(changes)
}

fn stream() -> Result<StreamId> {
    Ok(StreamId::new(PolicyRecord::CATEGORY, RECORD_KEY)?)
}
