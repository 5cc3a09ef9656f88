//! Which events a feed delivers, from records and from the log alike.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use highwater_core::{
    Envelope, Position, Query, ReadFrom, Result,
    error::Corrupt,
    port::{EventStore, LogPage},
    value::{ShardId, Sharding},
};
use rdkafka::message::{BorrowedMessage, Message as _};

use super::lane::{Lane, Link};
use crate::kafka::{
    Topics,
    record::{Names, Record, Wrong},
};

/// What becomes of a record that no relay has published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForeignRecords {
    /// The view stops before it, and says which record it is.
    #[default]
    Refuse,
    /// It is passed over, and counted.
    Ignore,
}

/// Which events a feed delivers.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) log: Arc<dyn EventStore>,
    /// What the view is folded from.
    pub(super) query: Query,
    /// What the relay publishes.
    pub(super) published: Query,
    pub(super) topics: Topics,
    /// The topics that are read, with their partitions.
    pub(super) partitions: BTreeMap<String, u32>,
    /// If the shard is a partition, which one of how many.
    pub(super) own: Option<(Sharding, ShardId)>,
    pub(super) foreign: ForeignRecords,
    pub(super) ignored: Arc<AtomicU64>,
}

impl Wanted {
    /// Adds a record to its lane.
    pub(super) fn take(&self, message: &BorrowedMessage<'_>, lane: &mut Lane, names: &mut Names) {
        let offset = message.offset();
        match self.decode(message, names) {
            Ok((link, event)) => lane.take(offset, link, event),
            Err(why) if self.foreign == ForeignRecords::Refuse => {
                let (topic, partition) = (lane.topic.to_string(), lane.partition);
                lane.refuse(Corrupt::Record { topic, partition, offset, why }.into());
            }
            Err(why) => {
                tracing::warn!(
                    topic = &*lane.topic,
                    lane.partition,
                    offset,
                    why,
                    "ignored a record"
                );
                self.ignored.fetch_add(1, Ordering::Relaxed);
                lane.skip(offset);
            }
        }
    }

    /// The envelope is built only if the view wants the event.
    fn decode(
        &self,
        message: &BorrowedMessage<'_>,
        names: &mut Names,
    ) -> Result<(Link, Option<Envelope>), Wrong> {
        let record = Record::decode(message.key(), message.headers(), message.payload())?;
        let (position, previous, time) = (record.position, record.previous, record.time);
        let Some(event) = record.event else {
            return Ok((Link { position, previous, time }, None));
        };
        self.belongs(event.stream(), message)?;
        let event = match event.matches(&self.query)? {
            true => Some(event.envelope(position, time, names)?),
            false => None,
        };
        Ok((Link { position, previous, time }, event))
    }

    fn belongs(&self, stream: &str, message: &BorrowedMessage<'_>) -> Result<(), Wrong> {
        let Some(count) = self.partitions.get(message.topic()) else { return Ok(()) };
        let partition = Sharding::by_stream(*count).shard_of(stream).get();
        match i64::from(partition) == i64::from(message.partition()) {
            true => Ok(()),
            false => Err(format!("stream {stream} belongs in partition {partition} of {count}")),
        }
    }

    /// A page of the log with the events that the partitions should have had.
    pub(super) async fn read(&self, after: Position, limit: usize) -> Result<LogPage> {
        let mut page = self.log.read_log(&self.query, ReadFrom::After(after), limit.max(1)).await?;
        page.events.retain(|event| self.is_published(event) && self.is_own(event));
        Ok(page)
    }

    fn is_published(&self, event: &Envelope) -> bool {
        self.published.matches(&event.stream, &event.type_name, &event.tags)
            && self.partitions.contains_key(&*self.topics.of(&event.stream))
    }

    fn is_own(&self, event: &Envelope) -> bool {
        self.own.is_none_or(|(layout, shard)| layout.shard_of(event.stream.as_str()) == shard)
    }
}
