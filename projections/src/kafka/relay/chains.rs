//! The chain of each partition: each record names the event before it in its partition.

use std::collections::BTreeMap;

use bytes::Bytes;
use highwater_core::{Position, Result, StreamId, value::Sharding};

use crate::kafka::cursor::{CursorReader, CursorWriter, malformed};

/// The number of the cursor format.
const FORMAT: u8 = 1;

/// The last event in each partition of every topic. Committed with the progress, so that the next leader
/// continues the chains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PartitionChains {
    topics: BTreeMap<String, Vec<Position>>,
}

/// A partition, and the event that the next record follows there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChainEnd {
    pub(super) partition: i32,
    pub(super) previous: Position,
}

impl PartitionChains {
    /// Returns the number of partitions of a topic, if it is known.
    pub(super) fn partitions(&self, topic: &str) -> Option<u32> {
        self.topics.get(topic).map(|chains| chains.len() as u32)
    }

    /// Starts the chains of a topic; those of a known topic continue.
    pub(super) fn start(&mut self, topic: &str, partitions: u32) {
        let fresh = || vec![Position::START; partitions as usize];
        self.topics.entry(topic.to_owned()).or_insert_with(fresh);
    }

    /// Returns the known topics.
    pub(super) fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.keys().map(String::as_str)
    }

    /// Adds an event to the chain of its partition, and returns what it follows; `None` if the topic isn't
    /// known.
    pub(super) fn add(&mut self, topic: &str, stream: &StreamId, at: Position) -> Option<ChainEnd> {
        let chains = self.topics.get_mut(topic)?;
        let shard = Sharding::by_stream(chains.len() as u32).shard_of(stream.as_str()).get();
        let previous = std::mem::replace(chains.get_mut(shard as usize)?, at);
        Some(ChainEnd { partition: shard as i32, previous })
    }

    /// Returns every partition with the last event in it.
    pub(super) fn ends(&self) -> impl Iterator<Item = (&str, ChainEnd)> {
        self.topics.iter().flat_map(|(topic, chains)| {
            chains.iter().enumerate().map(move |(partition, previous)| {
                (topic.as_str(), ChainEnd { partition: partition as i32, previous: *previous })
            })
        })
    }

    /// Encodes the chains for the progress.
    pub(super) fn to_cursor(&self) -> Bytes {
        let mut cursor = CursorWriter::new(FORMAT);
        cursor.number(self.topics.len() as u64);
        for (topic, chains) in &self.topics {
            cursor.text(topic);
            cursor.number(chains.len() as u64);
            chains.iter().for_each(|position| cursor.number(position.get()));
        }
        cursor.finish()
    }

    /// Decodes the chains of a progress. A cursor that can't be decoded is an error: a chain that started
    /// from scratch would hide missing events.
    pub(super) fn from_cursor(cursor: &[u8]) -> Result<Self> {
        match (cursor.is_empty(), Self::read(cursor)) {
            (true, _) => Ok(Self::default()),
            (false, Some(chains)) => Ok(chains),
            (false, None) => malformed("the relay's checkpoint".into()),
        }
    }

    fn read(cursor: &[u8]) -> Option<Self> {
        let mut cursor = CursorReader::new(FORMAT, cursor)?;
        let mut chains = Self::default();
        for _ in 0..cursor.number()? {
            let topic = cursor.text()?.to_owned();
            let partitions = u32::try_from(cursor.number()?).ok()?;
            let ends = (0..partitions).map(|_| cursor.number().map(Position::new));
            chains.topics.insert(topic, ends.collect::<Option<_>>()?);
        }
        cursor.is_at_the_end().then_some(chains)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(key: u32) -> StreamId {
        StreamId::new("account", key).unwrap()
    }

    #[test]
    fn each_partition_has_a_chain_without_a_missing_link() {
        let mut chains = PartitionChains::default();
        chains.start("bank", 3);
        let mut last = [Position::START; 3];
        for number in 1..100_u64 {
            let at = Position::new(number);
            let chain_end = chains.add("bank", &stream(number as u32 % 17), at).unwrap();
            let end = &mut last[usize::try_from(chain_end.partition).unwrap()];
            assert_eq!(chain_end.previous, *end);
            *end = at;
        }
        assert!(last.iter().all(|end| *end > Position::START));
        assert!(chains.ends().map(|(_, end)| end.previous).eq(last));
    }

    #[test]
    fn chains_go_on_from_a_cursor() {
        let mut chains = PartitionChains::default();
        chains.start("bank.account", 12);
        chains.start("bank.order", 1);
        chains.add("bank.account", &stream(1), Position::new(1_000_000)).unwrap();
        let mut read = PartitionChains::from_cursor(&chains.to_cursor()).unwrap();
        assert_eq!(read, chains);
        read.start("bank.account", 12);
        assert_eq!(read, chains);
        assert_eq!(PartitionChains::from_cursor(&[]).unwrap(), PartitionChains::default());
    }

    #[test]
    fn a_cursor_that_cannot_be_read_is_an_error_and_not_a_beginning() {
        for bad in [&b"\x02"[..], b"\x01", b"\x01\x01", b"\x01\x01\x01a\xff\xff", b"\x01\x00\x00"] {
            assert!(PartitionChains::from_cursor(bad).unwrap_err().is_corrupt(), "{bad:?}");
        }
    }
}
