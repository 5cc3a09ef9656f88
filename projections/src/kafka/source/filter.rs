//! The events that a feed delivers, from records and from the log alike.

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

use super::lane::{ChainLink, Lane};
use crate::kafka::{
    record::{DecodedRecord, RecordFault, TypeNames},
    topics::Topics,
};

/// The treatment of a record that no relay has published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForeignRecords {
    /// The view stops before it, with an error that names the record.
    #[default]
    Refuse,
    /// The record is skipped and counted.
    Ignore,
}

/// A record that is not delivered.
struct Undelivered {
    why: RecordFault,
    /// True if its stream belongs in another partition.
    is_misplaced: bool,
}

impl From<RecordFault> for Undelivered {
    fn from(why: RecordFault) -> Self {
        Self { why, is_misplaced: false }
    }
}

/// Decides which events a feed delivers.
#[derive(Clone)]
pub(super) struct FeedFilter {
    pub(super) log: Arc<dyn EventStore>,
    /// The query of the view.
    pub(super) query: Query,
    /// The query of the relay.
    pub(super) published: Query,
    pub(super) topics: Topics,
    /// The topics that are read, with the numbers of their partitions.
    pub(super) partitions: BTreeMap<String, u32>,
    /// The shard of the feed if it is a partition, and the sharding.
    pub(super) own_shard: Option<(Sharding, ShardId)>,
    pub(super) foreign: ForeignRecords,
    pub(super) ignored: Arc<AtomicU64>,
}

impl FeedFilter {
    /// Adds a record to its lane.
    pub(super) fn add(
        &self,
        message: &BorrowedMessage<'_>,
        lane: &mut Lane,
        names: &mut TypeNames,
    ) {
        let offset = message.offset();
        match self.decode(message, names) {
            Ok((link, event)) => lane.add(offset, link, event),
            Err(Undelivered { why, is_misplaced }) if self.foreign == ForeignRecords::Refuse => {
                let topic = lane.topic.to_string();
                let partition = lane.partition;
                let error = Corrupt::Record { topic, partition, offset, why }.into();
                if is_misplaced { lane.refuse_misplaced(error) } else { lane.refuse(error) }
            }
            Err(Undelivered { why, .. }) => {
                let (topic, partition) = (&*lane.topic, lane.partition);
                tracing::warn!(topic, partition, offset, why, "ignored a foreign record");
                self.ignored.fetch_add(1, Ordering::Relaxed);
                lane.skip(offset);
            }
        }
    }

    /// Decodes a record. The envelope is built only if the event matches the query of the view.
    fn decode(
        &self,
        message: &BorrowedMessage<'_>,
        names: &mut TypeNames,
    ) -> Result<(ChainLink, Option<Envelope>), Undelivered> {
        let record = DecodedRecord::decode(message.key(), message.headers(), message.payload())?;
        let DecodedRecord { position, previous, time, event } = record;
        let link = ChainLink { position, previous, time };
        let Some(event) = event else { return Ok((link, None)) };
        self.check_partition(event.stream(), message)?;
        let event = match event.matches(&self.query)? {
            true => Some(event.envelope(position, time, names)?),
            false => None,
        };
        Ok((link, event))
    }

    /// Checks that the stream of a record belongs in its partition.
    fn check_partition(
        &self,
        stream: &str,
        message: &BorrowedMessage<'_>,
    ) -> Result<(), Undelivered> {
        let Some(count) = self.partitions.get(message.topic()) else { return Ok(()) };
        let partition = Sharding::by_stream(*count).shard_of(stream).get();
        match i64::from(partition) == i64::from(message.partition()) {
            true => Ok(()),
            false => Err(Undelivered {
                why: format!("stream {stream} belongs in partition {partition} of {count}"),
                is_misplaced: true,
            }),
        }
    }

    /// Reads a page of the log with the events that the partitions should have had.
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
        self.own_shard
            .is_none_or(|(sharding, shard)| sharding.shard_of(event.stream.as_str()) == shard)
    }
}
