//! Where to read on in the partitions of a topic.

use std::collections::BTreeMap;

use bytes::Bytes;
use highwater_core::Position;

use super::lane::Lane;
use crate::kafka::cursor::{Reader, Writer};

/// Where to read on, by topic and partition. Partitions that aren't named are read from the beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Offsets(BTreeMap<String, BTreeMap<i32, i64>>);

impl Offsets {
    pub(super) fn get(&self, topic: &str, partition: i32) -> Option<i64> {
        self.0.get(topic)?.get(&partition).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, i32, i64)> {
        self.0.iter().flat_map(|(topic, offsets)| {
            offsets.iter().map(|(partition, offset)| (topic.as_str(), *partition, *offset))
        })
    }

    pub(super) fn to_cursor(&self) -> Bytes {
        let mut cursor = Writer::new();
        for (topic, offsets) in &self.0 {
            cursor.text(topic);
            cursor.number(offsets.len() as u64);
            for (partition, offset) in offsets {
                cursor.number(u64::from(partition.unsigned_abs()));
                cursor.number(offset.unsigned_abs());
            }
        }
        cursor.finish()
    }

    /// From a cursor. One of another feed, or of another version, is as good as none: the partitions
    /// are read from the beginning, and what has been delivered is recognised.
    pub(super) fn from_cursor(cursor: &[u8]) -> Self {
        Self::read(cursor).unwrap_or_default()
    }

    fn read(cursor: &[u8]) -> Option<Self> {
        let (mut cursor, mut topics) = (Reader::new(cursor)?, BTreeMap::new());
        while !cursor.is_at_the_end() {
            let topic = cursor.text()?.to_owned();
            let mut offsets = BTreeMap::new();
            for _ in 0..cursor.number()? {
                let partition = i32::try_from(cursor.number()?).ok()?;
                offsets.insert(partition, i64::try_from(cursor.number()?).ok()?);
            }
            topics.insert(topic, offsets);
        }
        Some(Self(topics))
    }
}

impl Offsets {
    /// Of these partitions, when everything up to a position has been delivered.
    pub(super) fn of(lanes: &[Lane], delivered: Position) -> Self {
        let mut topics: BTreeMap<String, BTreeMap<i32, i64>> = BTreeMap::new();
        for lane in lanes {
            if let Some(offset) = lane.resume(delivered) {
                match topics.get_mut(&*lane.topic) {
                    Some(offsets) => drop(offsets.insert(lane.partition, offset)),
                    None => {
                        topics.insert(lane.topic.to_string(), [(lane.partition, offset)].into());
                    }
                }
            }
        }
        Self(topics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_survive_the_round_trip() {
        let lane = |topic: &str, partition, next| {
            Lane::new(topic.into(), partition, Position::START, next)
        };
        let lanes = [
            lane("a", 0, Some(7)),
            lane("a", 11, Some(1 << 40)),
            lane("b", 3, Some(0)),
            lane("b", 4, None),
        ];
        let offsets = Offsets::of(&lanes, Position::START);
        let read = Offsets::from_cursor(&offsets.to_cursor());
        assert_eq!(read, offsets);
        assert_eq!(read.get("a", 11), Some(1 << 40));
        assert_eq!((read.get("b", 3), read.get("b", 4), read.get("c", 0)), (Some(0), None, None));
        assert_eq!(read.iter().count(), 3);
    }

    #[test]
    fn a_cursor_of_another_feed_means_the_beginning() {
        for other in [&b""[..], b"\x02\x01a", b"\x01\x01", b"\x01\x01a\x02\x00\x05"] {
            assert_eq!(Offsets::from_cursor(other), Offsets::default(), "{other:?}");
        }
    }
}
