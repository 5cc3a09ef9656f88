//! Where to read on in the partitions of a topic.

use std::collections::BTreeMap;

use bytes::Bytes;
use highwater_core::Position;

use super::lane::Lane;
use crate::kafka::cursor::{Reader, Writer};

/// The format of cursors. That of 1 had offsets alone.
const FORMAT: u8 = 2;

/// A record that has been read, and how far it says that its partition is. It is read again to begin
/// with: if another record stands there now, the topic is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) offset: i64,
    pub(super) position: Position,
}

/// Where to read on, by topic and partition. Partitions that aren't named are read from the beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Offsets(BTreeMap<String, BTreeMap<i32, Seen>>);

impl Offsets {
    pub(super) fn get(&self, topic: &str, partition: i32) -> Option<Seen> {
        self.0.get(topic)?.get(&partition).copied()
    }

    /// The offset after each record that has been read.
    pub(super) fn read(&self) -> impl Iterator<Item = (&str, i32, i64)> {
        self.0.iter().flat_map(|(topic, offsets)| {
            offsets.iter().map(|(partition, seen)| (topic.as_str(), *partition, seen.offset + 1))
        })
    }

    pub(super) fn to_cursor(&self) -> Bytes {
        let mut cursor = Writer::new(FORMAT);
        for (topic, offsets) in &self.0 {
            cursor.text(topic);
            cursor.number(offsets.len() as u64);
            for (partition, Seen { offset, position }) in offsets {
                cursor.number(u64::from(partition.unsigned_abs()));
                cursor.number(offset.unsigned_abs());
                cursor.number(position.get());
            }
        }
        cursor.finish()
    }

    /// From a cursor. One of another feed, or of another version, is as good as none: the partitions
    /// are read from the beginning, and what has been delivered is recognised.
    pub(super) fn from_cursor(cursor: &[u8]) -> Self {
        Self::decode(cursor).unwrap_or_default()
    }

    fn decode(cursor: &[u8]) -> Option<Self> {
        let (mut cursor, mut topics) = (Reader::new(FORMAT, cursor)?, BTreeMap::new());
        while !cursor.is_at_the_end() {
            let topic = cursor.text()?.to_owned();
            let mut offsets = BTreeMap::new();
            for _ in 0..cursor.number()? {
                let partition = i32::try_from(cursor.number()?).ok()?;
                let offset = i64::try_from(cursor.number()?).ok()?;
                let position = Position::new(cursor.number()?);
                offsets.insert(partition, Seen { offset, position });
            }
            topics.insert(topic, offsets);
        }
        Some(Self(topics))
    }
}

impl Offsets {
    /// Of these partitions, when everything up to a position has been delivered.
    pub(super) fn of(lanes: &[Lane], delivered: Position) -> Self {
        let mut topics: BTreeMap<String, BTreeMap<i32, Seen>> = BTreeMap::new();
        for lane in lanes {
            if let Some(seen) = lane.resume(delivered) {
                match topics.get_mut(&*lane.topic) {
                    Some(offsets) => drop(offsets.insert(lane.partition, seen)),
                    None => {
                        topics.insert(lane.topic.to_string(), [(lane.partition, seen)].into());
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
        let seen = |offset, position| Seen { offset, position: Position::new(position) };
        let lane = |topic: &str, partition, seen| {
            Lane::new(topic.into(), partition, Position::START, seen)
        };
        let lanes = [
            lane("a", 0, Some(seen(7, 300))),
            lane("a", 11, Some(seen(1 << 40, 1 << 50))),
            lane("b", 3, Some(seen(0, 1))),
            lane("b", 4, None),
        ];
        let offsets = Offsets::of(&lanes, Position::START);
        let read = Offsets::from_cursor(&offsets.to_cursor());
        assert_eq!(read, offsets);
        assert_eq!(read.get("a", 11), Some(seen(1 << 40, 1 << 50)));
        let others = (read.get("b", 3), read.get("b", 4), read.get("c", 0));
        assert_eq!(others, (Some(seen(0, 1)), None, None));
        assert_eq!(read.read().last(), Some(("b", 3, 1)));
    }

    #[test]
    fn a_cursor_of_before_is_read_as_none() {
        let mut before = Writer::new(1);
        for (topic, offset) in [("a", 7), ("b", 9)] {
            before.text(topic);
            for number in [1, 0, offset] {
                before.number(number);
            }
        }
        assert_eq!(Offsets::from_cursor(&before.finish()), Offsets::default());
    }

    #[test]
    fn a_cursor_of_another_feed_means_the_beginning() {
        for other in [&b""[..], b"\x02\x01a", b"\x01\x01", b"\x01\x01a\x02\x00\x05"] {
            assert_eq!(Offsets::from_cursor(other), Offsets::default(), "{other:?}");
        }
    }
}
